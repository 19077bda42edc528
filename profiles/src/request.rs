//! What an upload asks for: the outputs that are wanted, and what sources must be like.

use millrace_formats::Tables;
use millrace_schemas::{AssetKind, LONGEST_PROFILE, SourceFacts, SourceRef, Upload};

use crate::{
    asset::Asset,
    catalog::{Catalog, is_object},
    name::ProfileVersion,
    profile::{Profile, ProfileError, SourceTerms},
    wanted::Wanted,
};

/// How many bytes longer a profile becomes by the version and the size of an asset: ETags of stores have less than a hundred.
const LONGEST_PIN: usize = 200;

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
                if outputs.contains(&output) {
                    continue;
                }
                if let Some(other) = outputs.iter().find(|other| other.place("{}") == output.place("{}")) {
                    let (one, two) = (other.container.name, output.container.name);
                    return Err(format!(
                        "{one} and {two} would lie in one folder; cmaf has the manifests of both, and a profile gives each a name"
                    ));
                }
                outputs.push(output);
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
        let unpinned = profile.assets().filter(|(_, asset)| matches!(asset, Asset::Located(_))).count();
        let length = profile.to_json().len().saturating_add(LONGEST_PIN.saturating_mul(unpinned));
        if length > LONGEST_PROFILE {
            return Err(format!(
                "profile: it has {length} bytes with the versions of its files; at most {LONGEST_PROFILE} are taken"
            ));
        }
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
/// As [`Catalog::resolve`].
pub fn pin_profile(upload: Upload, catalog: &Catalog) -> Result<Upload, ProfileError> {
    let profile = upload.profile.as_deref().map(|text| catalog.resolve(text)).transpose()?;
    Ok(Upload { profile: profile.map(|profile| profile.to_json()), ..upload })
}

/// Returns the name of an upload's profile, perhaps with a version, as it is written; `None` if the upload has no profile, or has
/// one itself, as all uploads that are pinned.
#[must_use]
pub fn profile_reference(upload: &Upload) -> Option<&str> {
    upload.profile.as_deref().filter(|text| !is_object(text))
}

/// Returns the name of an upload's profile, and its version; `None` without one. The name is empty if the upload has the profile
/// itself, and the version is `None` if the profile was not found.
#[must_use]
pub fn profile_and_version(upload: &Upload) -> Option<(String, Option<ProfileVersion>)> {
    let text = upload.profile.as_deref()?;
    if !is_object(text) {
        return Some((text.to_owned(), None));
    }
    let profile = Profile::from_json(text).ok()?;
    let version = ProfileVersion::of(&profile);
    Some((profile.name, Some(version)))
}

/// Returns a text of an upload's profile that stays the same while its file changes: its name. Of a profile without a name it is the
/// version.
#[must_use]
pub fn lasting_profile(upload: &Upload) -> Option<String> {
    let (name, version) = profile_and_version(upload)?;
    Some(match version {
        // It was not found: once it is, it is another.
        None => format!("{name}?"),
        Some(version) if name.is_empty() => version.to_string(),
        Some(_) => name,
    })
}

/// Returns the URLs of an upload's assets (images, fonts, subtitles) whose version is not set yet, each once; none if its profile is none.
#[must_use]
pub fn unpinned_assets(upload: &Upload) -> Vec<String> {
    let Some(profile) = profile_of(upload) else { return Vec::new() };
    let mut urls: Vec<String> = Vec::new();
    for (_, asset) in profile.assets() {
        if let Asset::Located(url) = asset
            && !urls.contains(url)
        {
            urls.push(url.clone());
        }
    }
    urls
}

/// Returns the URLs of the keys by which an upload's packages are encrypted, each once; none if its profile is none.
#[must_use]
pub fn key_urls(upload: &Upload) -> Vec<String> {
    let Some(profile) = profile_of(upload) else { return Vec::new() };
    let mut urls: Vec<String> = Vec::new();
    for url in profile.outputs.iter().filter_map(|output| output.encryption.as_ref()?.key_url()) {
        if !urls.iter().any(|other| other == url) {
            urls.push(url.to_owned());
        }
    }
    urls
}

/// Returns an upload whose assets have these versions, so that its execution is made with them. Those that have one keep it.
#[must_use]
pub fn pin_assets(upload: Upload, pinned: &[SourceRef]) -> Upload {
    let Some(mut profile) = profile_of(&upload).filter(|_| !pinned.is_empty()) else { return upload };
    for asset in profile.assets_mut() {
        if let Asset::Located(url) = asset
            && let Some(source) = pinned.iter().find(|source| source.url == *url)
        {
            *asset = Asset::Pinned(source.clone());
        }
    }
    Upload { profile: Some(profile.to_json()), ..upload }
}

/// Returns the assets of an upload with what they are for, each once; the version of one that is not pinned is empty.
#[must_use]
pub fn assets(upload: &Upload) -> Vec<(AssetKind, SourceRef)> {
    let mut found: Vec<(AssetKind, SourceRef)> = Vec::new();
    for (kind, asset) in profile_of(upload).iter().flat_map(Profile::assets) {
        let asset = (kind, asset.source());
        if !found.contains(&asset) {
            found.push(asset);
        }
    }
    found
}

fn profile_of(upload: &Upload) -> Option<Profile> {
    upload.profile.as_deref().and_then(|text| Profile::resolve(text).ok())
}

impl Profile {
    /// Returns the profile that a text stands for: a profile in JSON, or the name of one that ships.
    ///
    /// # Errors
    /// As [`Catalog::resolve`].
    pub fn resolve(text: &str) -> Result<Self, ProfileError> {
        Catalog::default().resolve(text)
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
        assert_eq!(profile_reference(&named), Some("web"));
        let pinned = pin_profile(named.clone(), &Catalog::default()).unwrap();
        assert_eq!(profile_reference(&pinned), None);
        assert!(pinned.profile.as_ref().unwrap().starts_with(r#"{"name":"web","#));
        assert_eq!(Request::of(&pinned, &TABLES).unwrap(), request);
        assert_eq!(
            pin_profile(pinned.clone(), &Catalog::default()).unwrap(),
            pinned,
            "it is its own canonical text"
        );
        let request = Request::of(&upload(OBJECT), &TABLES).unwrap();
        assert_eq!(request.outputs[0].file_name("a"), "a.flv");
    }

    const MARKED: &str = r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "profile": {"output": [{"format": "mp4"}],
        "video": {"main": {"codec": "h264", "watermark": [{"image": "s3://b/l.png"}, {"image": "s3://b/l.png", "to": 2}]}}}}"#;

    #[test]
    fn assets_are_pinned_once_and_stay_so() {
        let marked = pin_profile(upload(MARKED), &Catalog::default()).unwrap();
        assert_eq!(unpinned_assets(&marked), ["s3://b/l.png"]);
        let version =
            |version: &str| SourceRef { url: "s3://b/l.png".into(), version: version.into(), bytes: 9 };
        let pinned = pin_assets(marked.clone(), &[version("one")]);
        assert_eq!(
            (unpinned_assets(&pinned), assets(&pinned)),
            (Vec::new(), vec![(AssetKind::Image, version("one"))])
        );
        assert_eq!(pin_assets(pinned.clone(), &[version("two")]), pinned);
        assert_eq!(
            pin_profile(pinned.clone(), &Catalog::default()).unwrap(),
            pinned,
            "it is its own canonical text"
        );
        assert_eq!(
            profile_and_version(&pinned),
            profile_and_version(&marked),
            "images count by their location"
        );
        assert_eq!(lasting_profile(&pinned), lasting_profile(&marked));
        assert_ne!(pin_assets(marked, &[version("two")]).profile, pinned.profile);
        assert!(Request::of(&pinned, &TABLES).is_ok());
    }

    #[test]
    fn an_asset_that_is_no_url_or_may_hold_a_secret_or_is_too_large_is_refused() {
        let of = |image: &str| {
            let text = MARKED.replace(r#""s3://b/l.png""#, image);
            Request::of(&upload(&text), &TABLES).err().unwrap_or_default()
        };
        assert_eq!(of(r#""s3://b/l.png""#), "");
        assert!(of(r#""logo.png""#).contains("'logo.png' is no URL"));
        assert!(of(r#""https://h/l.png?sig=1""#).contains("has a query"));
        let long = format!(r#""s3://b/{}""#, "l".repeat(9800));
        assert!(of(&long).contains("at most 20000 are taken"), "{}", of(&long));
        let large = r#"{"url": "s3://b/l.png", "version": "1", "bytes": 16777217}"#;
        assert!(of(large).contains("at most 16 MiB"), "{}", of(large));
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
    fn a_profile_keeps_its_name_while_its_file_changes() {
        let named = upload(r#"{"source": "file:///a.mov", "output_prefix": "file:///o", "profile": "ours"}"#);
        assert_eq!(profile_and_version(&named), Some(("ours".into(), None)));
        assert_eq!(lasting_profile(&named), Some("ours?".into()));
        let pinned = |format: &str| {
            let profile = Profile::from_toml(&format!("[[output]]\nformat = \"{format}\"")).unwrap();
            let own = [("ours".parse().unwrap(), profile)].into();
            pin_profile(named.clone(), &Catalog::of(own, [].into())).unwrap()
        };
        let (before, after) = (pinned("mp4"), pinned("flv"));
        assert_ne!(profile_and_version(&before), profile_and_version(&after));
        assert_eq!(lasting_profile(&before), Some("ours".into()));
        assert_eq!(lasting_profile(&after), Some("ours".into()));
        let given = upload(OBJECT);
        let version = ProfileVersion::of(&Profile::from_json(given.profile.as_deref().unwrap()).unwrap());
        assert_eq!(lasting_profile(&given), Some(version.to_string()));
        assert_eq!(lasting_profile(&Upload::of("file:///a.mov", "file:///o")), None);
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
