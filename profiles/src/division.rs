//! How a package is divided into objects. Pure.

/// The length of a package's segments if none is asked for, in seconds (Apple, HLS Authoring Specification, 7.5).
pub(crate) const USUAL_SEGMENT: f64 = 6.0;

/// The longest time between keyframes of a package if none is asked for, in seconds.
const USUAL_INTERVAL: f64 = 2.0;

/// How a package that is wanted is divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Division {
    /// The length of its segments, in seconds.
    pub segment_seconds: f64,
    /// Whether each track is one object.
    pub single: bool,
}

impl Division {
    /// Returns the time between keyframes with which each segment begins with one, in seconds.
    pub(crate) fn keyframe_interval(self) -> f64 {
        if self.is_divided_by(USUAL_INTERVAL) { USUAL_INTERVAL } else { self.segment_seconds }
    }

    /// Returns `true` if each segment begins with a keyframe that comes at this interval, in seconds.
    pub(crate) fn is_divided_by(self, interval: f64) -> bool {
        let count = self.segment_seconds / interval;
        count > 0.999 && (count - count.round()).abs() < 1e-6
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::{Picture, Ratio};

    use super::*;
    use crate::profile::Profile;

    fn picture(width: i32, height: i32) -> Picture {
        Picture::plain((width, height), Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 1000 })
    }

    #[test]
    fn a_package_is_a_folder_whose_manifest_is_its_url() {
        let text = |keys: &str| format!("[video.a]\ncodec = \"h264\"\n{keys}");
        let of = |keys: &str| Profile::from_toml(&text(keys)).unwrap().wanted(&TABLES).unwrap().remove(0);
        let wanted = of("[[output]]\nformat = \"cmaf\"");
        assert_eq!(wanted.output_url("file:///out/", "file:///in/a.mov"), "file:///out/a/master.m3u8");
        assert_eq!(wanted.division(), Some(Division { segment_seconds: 6.0, single: false }));
        assert_eq!(wanted.video_settings(&picture(64, 48)).unwrap().keyframe_seconds, 2.0);
        let wanted = of(
            "[[output]]\nformat = \"dash\"\nsegment = \"3s\"\nfiles = \"single\"\nname = \"{stem}-{ext}\"",
        );
        assert_eq!(wanted.output_url("s3://b/o", "s3://b/a.mov"), "s3://b/o/a-dash/manifest.mpd");
        assert_eq!(wanted.division(), Some(Division { segment_seconds: 3.0, single: true }));
        assert_eq!(wanted.video_settings(&picture(64, 48)).unwrap().keyframe_seconds, 3.0);
        let refused = |keys: &str| {
            let problems = Profile::from_toml(&text(keys)).unwrap().wanted(&TABLES).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let uneven = refused("keyframe_interval = 4\n[[output]]\nformat = \"cmaf\"");
        assert!(uneven.contains("set keyframe_interval to 6, 3 or 1.5 seconds"), "{uneven}");
        let file = refused("[[output]]\nformat = \"mp4\"\nsegment = 6");
        assert!(
            file.contains("output[0].segment: mp4 is one file; ask for cmaf, hls, dash or hls-ts"),
            "{file}"
        );
        let long = refused("[[output]]\nformat = \"cmaf\"\nsegment = \"2m\"");
        assert!(long.contains("1 to 60 seconds"), "{long}");
        let files = refused("[[output]]\nformat = \"cmaf\"\nfiles = \"few\"");
        assert!(files.contains("set many or single"), "{files}");
        let twice = refused("[[output]]\nformat = \"hls\"\n[[output]]\nformat = \"dash\"");
        assert!(twice.contains("set another name"), "{twice}");
    }
}
