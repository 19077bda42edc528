//! Reads a description again.

use std::collections::BTreeSet;

use super::{
    schemes::{CLEAR_KEY, ENCRYPTION, NAMESPACE, PROTECTION, SAMPLES, TRICK_MODE},
    xml::Element,
};
use crate::{
    Error, Named, NamedKind, StatedKey, Text,
    encryption::read_uuid,
    named::{self, End},
    names,
};

/// The most segments that a description may name, all its templates together.
const MOST: usize = 10_000_000;

/// Reads a description and returns what it names.
pub(crate) fn read(text: &Text) -> Result<Vec<Named>, Error> {
    read_root(text).map_err(|reason| Error::read(&text.name, reason))
}

/// A representation that is being read.
struct Reading<'a> {
    text: &'a Text,
    kind: NamedKind,
    key: Option<StatedKey>,
    named: Vec<Named>,
    ends: Vec<End>,
}

fn read_root(text: &Text) -> Result<Vec<Named>, String> {
    let root = Element::read(&text.text)?;
    if root.required("xmlns")? != NAMESPACE || root.required("type")? != "static" {
        return Err("it isn't a static description".into());
    }
    root.required("profiles")?;
    let whole = seconds(root.required("mediaPresentationDuration")?)?;
    seconds(root.required("minBufferTime")?)?;
    let period = root.one("Period")?.ok_or("it has no period")?;
    if seconds(period.required("start")?)? != 0.0 {
        return Err("its period doesn't start at 0".into());
    }
    let mut ids = BTreeSet::new();
    let mut sets = BTreeSet::new();
    let mut reading =
        Reading { text, kind: NamedKind::Segment, key: None, named: Vec::new(), ends: Vec::new() };
    for set in period.all("AdaptationSet") {
        if !sets.insert(set.required("id")?) {
            return Err("two sets have the same id".into());
        }
        let kind = set.required("contentType")?;
        let trick = set.one("EssentialProperty")?;
        if let Some(trick) = trick {
            let of = trick.required("value")?;
            if trick.required("schemeIdUri")? != TRICK_MODE || !sets.contains(of) || set.required("id")? == of
            {
                return Err(format!("a set has an essential property of '{of}'"));
            }
        }
        reading.kind = match (kind, set.required("mimeType")?, trick.is_some()) {
            ("video", "video/mp4", true) => NamedKind::IFrame,
            ("video", "video/mp4", false) | ("audio", "audio/mp4", false) => NamedKind::Segment,
            ("text", "text/vtt", false) => NamedKind::Text,
            (kind, format, _) => return Err(format!("a set of {kind} in {format}")),
        };
        reading.key = read_protection(set, root.attribute("xmlns:cenc"))?;
        if set.all("Representation").next().is_none() {
            return Err("a set has no representation".into());
        }
        for representation in set.all("Representation") {
            let id = representation.required("id")?;
            if !ids.insert(id) {
                return Err(format!("two representations are '{id}'"));
            }
            reading.representation(representation).map_err(|reason| format!("'{id}': {reason}"))?;
        }
    }
    // Of objects with an index, the ends aren't known.
    if !reading.ends.is_empty() {
        named::check_ends(whole, &reading.ends)?;
    }
    Ok(reading.named)
}

/// Reads what a set says of its encryption.
fn read_protection(set: &Element, namespace: Option<&str>) -> Result<Option<StatedKey>, String> {
    let all: Vec<&Element> = set.all("ContentProtection").collect();
    let [scheme, clear] = all[..] else {
        return if all.is_empty() {
            Ok(None)
        } else {
            Err("a set says another number of times how it is encrypted".into())
        };
    };
    let states = |element: &Element, scheme: &str| element.attribute("schemeIdUri") == Some(scheme);
    if !states(scheme, PROTECTION)
        || scheme.required("value")? != SAMPLES
        || namespace != Some(ENCRYPTION)
        || !states(clear, CLEAR_KEY)
    {
        return Err("a set is encrypted in another way".into());
    }
    let id = scheme.required("cenc:default_KID")?;
    let key_id = Some(read_uuid(id).ok_or_else(|| format!("'{id}' is no id of a key"))?);
    Ok(Some(StatedKey { of_samples: true, uri: None, vector: None, key_id }))
}

impl Reading<'_> {
    fn add(
        &mut self,
        name: String,
        range: Option<(u64, u64)>,
        kind: NamedKind,
        time: Option<(f64, f64)>,
    ) -> Result<(), String> {
        if self.named.len() >= MOST {
            return Err("it names too many segments".into());
        }
        let (start, seconds) = time.unzip();
        let is_clear = matches!(kind, NamedKind::Init | NamedKind::Index);
        let key = self.key.clone().filter(|_| !is_clear);
        self.named.push(Named { name, range, start, seconds, kind, key, by: self.text.name.clone() });
        Ok(())
    }

    fn representation(&mut self, element: &Element) -> Result<(), String> {
        if number(element.required("bandwidth")?)? == 0 {
            return Err("its bandwidth is 0".into());
        }
        if self.kind != NamedKind::Text && element.required("codecs")?.is_empty() {
            return Err("it has no codec".into());
        }
        let base = element.one("BaseURL")?.map(|base| resolve(&base.text)).transpose()?;
        let sources =
            (element.one("SegmentBase")?, element.one("SegmentList")?, element.one("SegmentTemplate")?);
        match (sources, base) {
            ((None, None, None), Some(name)) if self.kind == NamedKind::Text => {
                self.add(name, None, NamedKind::Text, None)
            }
            ((Some(base), None, None), Some(name)) => self.indexed(base, name),
            ((None, Some(list), None), None) => self.list(element, list),
            ((None, None, Some(template)), None) => self.template(element, template),
            _ => Err("where its segments are is not clear".into()),
        }
    }

    fn indexed(&mut self, base: &Element, name: String) -> Result<(), String> {
        number(base.required("timescale")?)?;
        let init = base.one("Initialization")?.ok_or("it has no initialization segment")?;
        if init.attribute("sourceURL").is_some() {
            return Err("its initialization segment is elsewhere".into());
        }
        self.add(name.clone(), Some(range(init.required("range")?)?), NamedKind::Init, None)?;
        self.add(name.clone(), Some(range(base.required("indexRange")?)?), NamedKind::Index, None)?;
        self.add(name, None, self.kind, None)
    }

    fn list(&mut self, element: &Element, list: &Element) -> Result<(), String> {
        let init = list.one("Initialization")?.ok_or("it has no initialization segment")?;
        let init_range = init.attribute("range").map(range).transpose()?;
        self.add(resolve(init.required("sourceURL")?)?, init_range, NamedKind::Init, None)?;
        let urls: Vec<&Element> = list.all("SegmentURL").collect();
        let times = match (list.attribute("duration"), list.one("SegmentTimeline")?) {
            (Some(duration), None) => {
                let (duration, scale) = (number(duration)?, number(list.required("timescale")?)?);
                let length = ratio(duration, scale)?;
                (0..urls.len()).map(|number| (number as f64 * length, length)).collect()
            }
            (None, Some(timeline)) => self.timeline(element, list, timeline)?,
            _ => return Err("its list has neither a duration nor a timeline, or both".into()),
        };
        if times.len() != urls.len() || urls.is_empty() {
            return Err(format!("it has {} segments, and times of {}", urls.len(), times.len()));
        }
        for (url, time) in urls.into_iter().zip(times) {
            let range = url.attribute("mediaRange").map(range).transpose()?;
            self.add(resolve(url.required("media")?)?, range, self.kind, Some(time))?;
        }
        Ok(())
    }

    fn template(&mut self, element: &Element, template: &Element) -> Result<(), String> {
        self.add(resolve(template.required("initialization")?)?, None, NamedKind::Init, None)?;
        let timeline = template.one("SegmentTimeline")?.ok_or("its template has no timeline")?;
        let times = self.timeline(element, template, timeline)?;
        let media = template.required("media")?;
        let parts: Vec<&str> = media.split('$').collect();
        let [prefix, pattern, suffix] = parts[..] else { return Err(format!("'{media}' is no template")) };
        let width = pattern.strip_prefix("Number%0").and_then(|rest| rest.strip_suffix('d'));
        let width = width.and_then(|width| width.parse().ok()).filter(|width| (1..=20).contains(width));
        let width: usize = width.ok_or_else(|| format!("'{media}' is no template"))?;
        let first = number(template.required("startNumber")?)?;
        for (time, number) in times.into_iter().zip(first..) {
            self.add(resolve(&format!("{prefix}{number:0width$}{suffix}"))?, None, self.kind, Some(time))?;
        }
        Ok(())
    }

    /// Returns starts and durations of a timeline in seconds.
    fn timeline(
        &mut self,
        element: &Element,
        of: &Element,
        timeline: &Element,
    ) -> Result<Vec<(f64, f64)>, String> {
        let scale = number(of.required("timescale")?)?;
        let mut times = Vec::new();
        let mut at = None;
        for line in &timeline.children {
            let start = match (at, line.attribute("t").map(number).transpose()?) {
                (None, Some(start)) => start,
                (None, None) => 0,
                (Some(at), None) => at,
                (Some(_), Some(_)) => return Err("its timeline has a gap".into()),
            };
            let duration = number(line.required("d")?)?;
            let repeated = line.attribute("r").map(number).transpose()?.unwrap_or(0);
            if duration == 0 || repeated >= (MOST - times.len().min(MOST)) as u64 {
                return Err("its timeline has no durations, or too many".into());
            }
            let end = duration.checked_mul(repeated + 1).and_then(|all| all.checked_add(start));
            at = Some(end.ok_or("its timeline is too long")?);
            for number in 0..=repeated {
                times.push((ratio(start + number * duration, scale)?, ratio(duration, scale)?));
            }
        }
        let end = at.ok_or("its timeline is empty")?;
        self.ends.push(End { track: element.required("id")?.to_owned(), seconds: ratio(end, scale)? });
        Ok(times)
    }
}

fn resolve(url: &str) -> Result<String, String> {
    names::resolve("", url).ok_or_else(|| format!("'{url}' is no URL of an object"))
}

fn number(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Some(text)
        .filter(|_| is_number)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("'{text}' is no number"))
}

fn ratio(ticks: u64, scale: u64) -> Result<f64, String> {
    if scale == 0 { Err("a timescale is 0".into()) } else { Ok(ticks as f64 / scale as f64) }
}

/// Reads a byte range: the first and the last byte; returns offset and bytes.
fn range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').ok_or_else(|| format!("'{text}' is no byte range"))?;
    let (first, last) = (number(first)?, number(last)?);
    let bytes = last.checked_sub(first).and_then(|bytes| bytes.checked_add(1));
    Ok((first, bytes.ok_or_else(|| format!("'{text}' is no byte range"))?))
}

/// Reads a duration as it is written here: `PT`, seconds, `S`.
fn seconds(text: &str) -> Result<f64, String> {
    let number = text.strip_prefix("PT").and_then(|text| text.strip_suffix('S'));
    let plain = number.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    plain.and_then(|text| text.parse().ok()).ok_or_else(|| format!("'{text}' is no duration"))
}
