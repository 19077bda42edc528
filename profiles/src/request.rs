//! What an upload asks for: the outputs that are wanted, and what sources must be like.

use millrace_formats::Tables;
use millrace_schemas::{SourceFacts, Upload};

use crate::{
    profile::{Profile, ProfileError, SourceTerms},
    shipped::{SHIPPED, shipped},
    wanted::Wanted,
};

/// What an upload asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The outputs, in the order in which they were asked for.
    pub outputs: Vec<Wanted>,
    /// What the source must be like.
    pub terms: SourceTerms,
}

impl Request {
    /// Returns what an upload asks for: by its profile, or by its formats if it has none.
    ///
    /// # Errors
    /// If it asks for something that is not possible, with what would work.
    pub fn of(upload: &Upload, tables: &Tables) -> Result<Self, String> {
        let Some(text) = &upload.profile else {
            let mut outputs: Vec<Wanted> = Vec::new();
            // A record may have repeated formats, which would be the same output.
            for name in &upload.dst_formats {
                let output = Wanted::of(tables.container(name)?);
                if !outputs.contains(&output) {
                    outputs.push(output);
                }
            }
            if outputs.is_empty() {
                return Err("no format is requested; name one in dst_formats".into());
            }
            return Ok(Self { outputs, terms: SourceTerms::default() });
        };
        if !upload.dst_formats.is_empty() && upload.dst_formats != Upload::of("", "").dst_formats {
            return Err("a profile names the formats itself; leave dst_formats out".into());
        }
        let profile = Profile::resolve(text).map_err(|error| format!("profile: {error}"))?;
        let outputs = profile.wanted(tables).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("profile: {}", problems.join("; "))
        })?;
        Ok(Self { outputs, terms: profile.source })
    }
}

/// Returns an upload whose profile is its canonical text, so that its execution is pinned to it, whatever its name stands for later.
///
/// # Errors
/// As [`Profile::resolve`].
pub fn pin_profile(upload: Upload) -> Result<Upload, ProfileError> {
    let profile = upload.profile.as_deref().map(Profile::resolve).transpose()?;
    Ok(Upload { profile: profile.map(|profile| profile.to_json()), ..upload })
}

impl Profile {
    /// Returns the profile that a text stands for: a profile in JSON, or the name of one that ships.
    ///
    /// # Errors
    /// If it is no profile, or there is none of that name: the text lists the known ones.
    pub fn resolve(text: &str) -> Result<Self, ProfileError> {
        if text.trim_start().starts_with('{') {
            return Self::from_json(text);
        }
        shipped(text).ok_or_else(|| {
            let known: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
            ProfileError(format!("there is no profile '{text}'; known profiles: {}", known.join(", ")))
        })
    }
}

impl SourceTerms {
    /// Checks a source.
    ///
    /// # Errors
    /// If it is longer or larger than is accepted.
    pub fn check(&self, facts: &SourceFacts) -> Result<(), String> {
        let video = facts.video.as_ref();
        if let Some(most) = self.accept.max_duration {
            let video_seconds = video.map_or(0.0, |video| {
                video.end.saturating_sub(video.first) as f64 * video.picture.time_base.as_f64()
            });
            let seconds = facts.audio.iter().map(|audio| audio.seconds).fold(video_seconds, f64::max);
            if seconds > most.0 {
                return Err(format!(
                    "the source is {seconds:.1} s long, and the profile accepts at most {most}"
                ));
            }
        }
        let (Some(most), Some(video)) = (self.accept.max_size, video) else { return Ok(()) };
        let (width, height) = (video.picture.width, video.picture.height);
        let (long, short) = (width.max(height), width.min(height));
        if long > most.width.max(most.height) || short > most.width.min(most.height) {
            return Err(format!(
                "the source's pictures are {width}x{height}, and the profile accepts at most {most}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::{AudioTrack, Picture, Ratio, VideoTrack};

    use super::*;

    fn upload(json: &str) -> Upload {
        Upload::read(json.as_bytes()).unwrap()
    }

    const OBJECT: &str = r#"{"source": "file:///a.mov", "output_prefix": "file:///o",
        "profile": {"output": [{"format": "flv"}], "source": {"accept": {"max_duration": "10s", "max_size": "640x480"}}}}"#;

    #[test]
    fn a_profile_is_a_name_or_an_object() {
        let named = upload(r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "profile": "web"}"#);
        let request = Request::of(&named, &TABLES).unwrap();
        assert_eq!(request.outputs[0].file_name("a"), "a.mp4");
        let pinned = pin_profile(named.clone()).unwrap();
        assert!(pinned.profile.as_ref().unwrap().starts_with(r#"{"name":"web","#));
        assert_eq!(Request::of(&pinned, &TABLES).unwrap(), request);
        assert_eq!(pin_profile(pinned.clone()).unwrap(), pinned, "it is its own canonical text");
        let request = Request::of(&upload(OBJECT), &TABLES).unwrap();
        assert_eq!(request.outputs[0].file_name("a"), "a.flv");
    }

    #[test]
    fn what_is_no_profile_is_refused_with_those_that_are_known() {
        let of = |upload: Upload| Request::of(&upload, &TABLES).unwrap_err();
        let base = upload(OBJECT);
        let unknown = of(Upload { profile: Some("wib".into()), ..base.clone() });
        assert!(unknown.contains("no profile 'wib'; known profiles: web"), "{unknown}");
        assert!(of(Upload { profile: Some("{".into()), ..base.clone() }).starts_with("profile: "));
        let both = of(Upload { dst_formats: vec!["flv".into()], ..base });
        assert!(both.contains("leave dst_formats out"), "{both}");
    }

    #[test]
    fn a_source_that_is_longer_or_larger_than_accepted_is_refused() {
        let terms = Request::of(&upload(OBJECT), &TABLES).unwrap().terms;
        let of = |size, seconds| {
            let picture = Picture::plain(size, Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 });
            let audio = vec![AudioTrack { seconds, ..AudioTrack::default() }];
            let video = Some(VideoTrack::new(0, picture, (0, 5000)));
            terms.check(&SourceFacts { video, audio, ..SourceFacts::default() })
        };
        assert_eq!(of((640, 480), 10.0), Ok(()));
        assert_eq!(of((480, 640), 1.0), Ok(()), "either way round");
        assert!(of((640, 482), 1.0).unwrap_err().contains("640x482"));
        assert!(of((320, 240), 10.5).unwrap_err().contains("10.5 s long"));
    }
}
