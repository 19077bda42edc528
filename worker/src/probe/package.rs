//! Packages that exist, as they are verified: their list, their manifests, and their tracks, each in a file of its own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{Read as _, Seek as _},
    path::Path,
};

use millrace_formats::{TABLES, codec::Form};
use millrace_media::{FoundFragment, subtitles};
use millrace_packages::{self as packages, Named, NamedKind, Text};
use millrace_storage::{FoundPackage, url_of};
use millrace_topology::ports::PortError;
use tempfile::TempDir;

use super::Probes;
use crate::error::{port_error, transient};

/// The largest file of text that is read, in bytes: a manifest, or texts.
const LARGEST_TEXT: u64 = 64 << 20;
/// How far a time in a manifest may be from that of its segment, in seconds. Descriptions state ticks; playlists state microseconds, and
/// times are their sums.
const SLACK: f64 = 1e-6;
const SLACK_OF_PLAYLISTS: f64 = 0.001;

/// A package that exists.
#[derive(Debug)]
pub struct PackageContents {
    /// How many objects its list names.
    pub listed: usize,
    /// What is wrong with its objects, as messages: missing ones, others, and those of another size.
    pub objects: Vec<String>,
    /// How many manifests it has.
    pub manifests: usize,
    /// What is wrong with its manifests, as a message.
    pub unread: Option<String>,
    /// Its tracks of pictures and sound.
    pub tracks: Vec<PackageTrack>,
    /// How many tracks of text have a text.
    pub texts: usize,
    /// What is wrong with tracks of text, as messages.
    pub texts_unread: Vec<String>,
    /// The copies of its tracks; they are removed with it.
    _folder: TempDir,
}

/// A track of a package, in a file of its own: its objects one behind the other.
#[derive(Debug)]
pub struct PackageTrack {
    /// The name of its folder, such as `video-720p`.
    pub id: String,
    /// The URL of the file.
    pub url: String,
    /// The URL of the file of its keyframes by themselves, if it has one.
    pub keyframes: Option<String>,
    /// The segments that manifests state.
    segments: Vec<StatedSegment>,
}

/// A segment as a manifest states it.
#[derive(Debug)]
struct StatedSegment {
    /// The manifest.
    by: String,
    /// Where it lies in the file, in bytes.
    offset: u64,
    bytes: u64,
    /// When it begins, and how long it lasts, in seconds.
    start: f64,
    seconds: f64,
}

impl PackageTrack {
    /// Holds the segments that manifests state to the movie fragments that are there. Returns what is wrong, as messages.
    #[must_use]
    pub fn misstated(&self, fragments: &[FoundFragment], is_video: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let manifests: BTreeSet<&str> = self.segments.iter().map(|segment| segment.by.as_str()).collect();
        for by in manifests {
            let mut left = fragments.iter().peekable();
            // A playlist states durations alone.
            let first = fragments.first().map_or(0.0, |first| first.start);
            let (zero, slack) =
                if by.ends_with(".m3u8") { (first, SLACK_OF_PLAYLISTS) } else { (0.0, SLACK) };
            let stated = self.segments.iter().filter(|segment| segment.by == by);
            for (number, segment) in (1..).zip(stated) {
                let end = segment.offset + segment.bytes;
                let begins = left.peek().is_some_and(|first| {
                    first.offset == segment.offset
                        && (first.start - zero - segment.start).abs() < slack
                        && (first.is_key || !is_video)
                });
                let (mut lasts, mut at) = (0.0, segment.offset);
                while let Some(fragment) = left.next_if(|fragment| fragment.offset < end) {
                    lasts += fragment.seconds;
                    at = fragment.offset + fragment.bytes;
                }
                if !begins || at != end || (lasts - segment.seconds).abs() > slack {
                    wrong.push(format!("{by}: segment {number} is not as it is stated"));
                }
            }
            if left.next().is_some() {
                wrong.push(format!("{by}: what lies behind the last segment is in none"));
            }
        }
        wrong
    }
}

/// Returns `true` for a segment of a package of transport streams.
fn is_stream(name: &str) -> bool {
    let packages = TABLES.containers.iter().filter(|container| container.index.form() == Form::Stream);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    packages.filter_map(|container| container.package()).any(|package| Some(package.segment) == extension)
}

impl Probes {
    /// Reads the list and the manifests of the package whose main manifest is at a URL, and copies its tracks into files of a temporary
    /// folder; `None` if there is no package.
    ///
    /// # Errors
    /// Refused if the URL can't be reached; transient if its objects can't be copied.
    pub async fn open_package(&self, url: &str) -> Result<Option<PackageContents>, PortError> {
        let Some(found) = self.stores.find_package(url).await.map_err(port_error)? else { return Ok(None) };
        let folder = tempfile::tempdir().map_err(transient)?;
        let mut texts = Vec::new();
        let is_manifest = |name: &str| name.ends_with(".m3u8") || name.ends_with(".mpd");
        for name in found.sizes.keys().filter(|name| is_manifest(name)) {
            let bytes = self.text(url, name, &found).await?;
            texts.push(Text { name: name.clone(), text: String::from_utf8_lossy(&bytes).into_owned() });
        }
        let (named, unread) = match packages::read(&texts) {
            Ok(named) => (named, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        if named.iter().any(|one| one.kind == NamedKind::Segment && is_stream(&one.name)) {
            return Err(PortError::Refused(
                "the package is of transport streams, which are verified as files alone; it was held to its source when it was made".into(),
            ));
        }
        if named.iter().any(|one| one.key.is_some()) {
            return Err(PortError::Refused(
                "the package is encrypted, so that its tracks can't be read; it was held to its source when it was made".into(),
            ));
        }
        let mut contents = PackageContents {
            listed: found.listed.len(),
            objects: misplaced(&found, &named, unread.is_none()),
            manifests: texts.len(),
            unread,
            tracks: Vec::new(),
            texts: 0,
            texts_unread: Vec::new(),
            _folder: folder,
        };
        if !contents.objects.is_empty() {
            return Ok(Some(contents));
        }
        for name in named_once(&named, |one| one.kind == NamedKind::Text) {
            match subtitles::read(&self.text(url, name, &found).await?) {
                Ok(captions) => contents.texts += usize::from(!captions.is_empty()),
                Err(reason) => contents.texts_unread.push(format!("{name}: {reason}")),
            }
        }
        for (id, objects) in tracks(&named) {
            let track = self.track(url, contents._folder.path(), (id, &objects), &named).await?;
            contents.tracks.push(track);
        }
        Ok(Some(contents))
    }

    /// Returns the bytes of a file of text.
    async fn text(&self, url: &str, name: &str, found: &FoundPackage) -> Result<Vec<u8>, PortError> {
        let size = found.sizes.get(name).copied().unwrap_or(0);
        if size > LARGEST_TEXT {
            return Err(PortError::Refused(format!(
                "{name} has {size} bytes, and texts have {LARGEST_TEXT} at most"
            )));
        }
        let mut file = tempfile::tempfile().map_err(transient)?;
        self.stores.copy_package_object(url, name, &file).await.map_err(port_error)?;
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(transient)?;
        Ok(bytes)
    }

    /// Copies a track and its keyframes by themselves.
    async fn track(
        &self,
        url: &str,
        folder: &Path,
        (id, objects): (&str, &[&str]),
        named: &[Named],
    ) -> Result<PackageTrack, PortError> {
        let path = folder.join(format!("{id}.mp4"));
        let mut file = File::create_new(&path).map_err(transient)?;
        let mut offsets = HashMap::new();
        for object in objects {
            offsets.insert(*object, file.stream_position().map_err(transient)?);
            self.stores.copy_package_object(url, object, &file).await.map_err(port_error)?;
            file.seek(std::io::SeekFrom::End(0)).map_err(transient)?;
        }
        let mut lengths = HashMap::new();
        let end = file.stream_position().map_err(transient)?;
        for (position, object) in objects.iter().enumerate() {
            let next = objects.get(position + 1).and_then(|next| offsets.get(next)).copied().unwrap_or(end);
            lengths.insert(*object, next - offsets.get(object).copied().unwrap_or(0));
        }
        let stated = named.iter().filter(|one| one.kind == NamedKind::Segment).filter_map(|one| {
            let name = one.name.as_str();
            let (offset, bytes) = one.range.or_else(|| Some((0, *lengths.get(name)?)))?;
            Some(StatedSegment {
                by: one.by.clone(),
                offset: offsets.get(name)? + offset,
                bytes,
                start: one.start?,
                seconds: one.seconds?,
            })
        });
        let is_still = |one: &Named| one.kind == NamedKind::IFrame && track_of(&one.name) == id;
        let mut keyframes = None;
        if let Some(object) = named_once(named, is_still).first() {
            let path = folder.join(format!("{id}-keyframes.mp4"));
            let file = File::create_new(&path).map_err(transient)?;
            self.stores.copy_package_object(url, object, &file).await.map_err(port_error)?;
            keyframes = Some(url_of(&path).map_err(transient)?);
        }
        Ok(PackageTrack {
            id: id.to_owned(),
            url: url_of(&path).map_err(transient)?,
            keyframes,
            segments: stated.collect(),
        })
    }
}

/// Returns the name of the folder that an object lies in.
fn track_of(name: &str) -> &str {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    folder.rsplit_once('/').map_or(folder, |(_, last)| last)
}

/// Returns the names of the objects that manifests name so, in order, each once.
fn named_once(named: &[Named], is_it: impl Fn(&Named) -> bool) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    named.iter().filter(|one| is_it(one) && seen.insert(&one.name)).map(|one| one.name.as_str()).collect()
}

/// Returns the objects of each track of pictures or sound, in the order in which they are played, by the name of the track.
fn tracks(named: &[Named]) -> BTreeMap<&str, Vec<&str>> {
    let stills: BTreeSet<&str> =
        named.iter().filter(|one| one.kind == NamedKind::IFrame).map(|one| one.name.as_str()).collect();
    let is_media = |one: &Named| {
        matches!(one.kind, NamedKind::Init | NamedKind::Segment) && !stills.contains(one.name.as_str())
    };
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in named_once(named, is_media) {
        found.entry(track_of(name)).or_default().push(name);
    }
    found
}

/// Returns what is wrong with the objects of a package. `is_read` is `true` if its manifests could be read.
fn misplaced(found: &FoundPackage, named: &[Named], is_read: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for part in &found.listed {
        listed.insert(part.name.as_str());
        match found.sizes.get(&part.name) {
            None => wrong.push(format!("{} is missing", part.name)),
            Some(size) if *size != part.bytes => {
                wrong.push(format!("{} has {size} bytes instead of {}", part.name, part.bytes));
            }
            Some(_) => {}
        }
    }
    let others = found.sizes.keys().filter(|name| !listed.contains(name.as_str()));
    wrong.extend(others.map(|name| format!("{name} is not listed")));
    let names: BTreeSet<&str> = named.iter().map(|one| one.name.as_str()).collect();
    wrong.extend(
        names.difference(&listed).map(|name| format!("{name} is named by a manifest, and not listed")),
    );
    let is_top = |name: &&&str| !name.contains('/');
    if is_read {
        let unnamed = listed.difference(&names).filter(|name| !is_top(name));
        wrong.extend(unnamed.map(|name| format!("{name} is named by no manifest")));
    }
    let size = |name: &str| found.sizes.get(name).copied().unwrap_or(0);
    let is_beyond = |one: &&Named| {
        one.range
            .is_some_and(|(offset, bytes)| offset.checked_add(bytes).is_none_or(|end| end > size(&one.name)))
    };
    wrong.extend(
        named
            .iter()
            .filter(is_beyond)
            .map(|one| format!("{} names more of {} than there is", one.by, one.name)),
    );
    wrong
}

#[cfg(test)]
mod tests {
    use millrace_storage::PackagePart;

    use super::*;

    fn fragment(offset: u64, bytes: u64, start: f64, seconds: f64) -> FoundFragment {
        FoundFragment { offset, bytes, start, seconds, shown: (start, start), is_key: true }
    }

    fn stated(by: &str, offset: u64, bytes: u64, start: f64, seconds: f64) -> StatedSegment {
        StatedSegment { by: by.into(), offset, bytes, start, seconds }
    }

    fn misstated(segments: Vec<StatedSegment>) -> Vec<String> {
        let fragments =
            [fragment(100, 10, 2.0, 0.5), fragment(110, 10, 2.5, 0.5), fragment(120, 20, 3.0, 1.0)];
        let track = PackageTrack { id: "v".into(), url: String::new(), keyframes: None, segments };
        track.misstated(&fragments, true)
    }

    #[test]
    fn segments_are_held_to_the_fragments_in_them() {
        let hls = |seconds| {
            vec![stated("v/media.m3u8", 100, 20, 0.0, seconds), stated("v/media.m3u8", 120, 20, 1.0, 1.0)]
        };
        assert!(misstated(hls(1.0)).is_empty(), "a playlist counts from its first segment");
        assert_eq!(misstated(hls(1.1)).len(), 1);
        let dash =
            |start| vec![stated("m.mpd", 100, 20, start, 1.0), stated("m.mpd", 120, 20, start + 1.0, 1.0)];
        assert!(misstated(dash(2.0)).is_empty(), "a description states media time");
        assert_eq!(misstated(dash(0.0)).len(), 2);
        let short = misstated(vec![stated("v/media.m3u8", 100, 20, 0.0, 1.0)]);
        assert!(short[0].contains("behind the last segment"), "{short:?}");
        assert_eq!(misstated(vec![stated("v/media.m3u8", 100, 40, 0.0, 1.5)]).len(), 1);
    }

    #[test]
    fn objects_are_those_that_are_listed_and_named() {
        let named = |name: &str| Named {
            name: name.into(),
            range: None,
            start: None,
            seconds: None,
            kind: NamedKind::Segment,
            by: "master.m3u8".into(),
            key: None,
        };
        let part = |name: &str| PackagePart { name: name.into(), offset: 0, bytes: 3 };
        let found = |sizes: &[(&str, u64)]| FoundPackage {
            folder: "f".into(),
            listed: vec![part("f/v/1"), part("master.m3u8")],
            sizes: sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect(),
        };
        let whole = [("f/v/1", 3), ("master.m3u8", 3)];
        assert!(misplaced(&found(&whole), &[named("f/v/1")], true).is_empty());
        for (sizes, names, said) in [
            (&[("master.m3u8", 3)][..], &["f/v/1"][..], "is missing"),
            (&[("f/v/1", 4), ("master.m3u8", 3)], &["f/v/1"], "4 bytes instead of 3"),
            (&[("f/v/1", 3), ("f/v/2", 3), ("master.m3u8", 3)], &["f/v/1"], "f/v/2 is not listed"),
            (&whole, &["f/v/1", "f/v/2"], "named by a manifest, and not listed"),
            (&whole, &[], "named by no manifest"),
        ] {
            let names: Vec<Named> = names.iter().map(|name| named(name)).collect();
            let wrong = misplaced(&found(sizes), &names, true);
            assert!(wrong.len() == 1 && wrong[0].contains(said), "{wrong:?} instead of '{said}'");
        }
    }
}
