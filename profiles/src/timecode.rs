//! The timecode of an output (SMPTE ST 12-1). Pure.

use millrace_schemas::{Ratio, SourceFacts, VideoTrack};

use crate::wanted::Wanted;

impl Wanted {
    /// Returns the timecode of the first picture that is made of a source; `None` if the source has none, the format holds none, or it
    /// can't be counted exactly at the output's frame rate.
    #[must_use]
    pub fn timecode(&self, facts: &SourceFacts) -> Option<String> {
        let video = facts.video.as_ref().filter(|_| self.container.timecode)?;
        let made = self.video_settings(&video.picture)?;
        let rate = video.picture.frame_rate;
        let code = facts.timecode.clone().filter(|code| counts(code, rate))?;
        if made.frame_rate == rate {
            return Some(code);
        }
        let begins = !made.is_resampled() || begins_with_a_picture(video, made.frame_rate);
        converted(&code, rate, made.frame_rate).filter(|_| begins)
    }
}

/// Returns `true` if the first picture of a track, which is at a multiple of its usual duration, is one at another frame rate, too.
fn begins_with_a_picture(video: &VideoTrack, made: Ratio) -> bool {
    let Ratio { num, den } = video.picture.time_base;
    let is_at = |rate: Ratio| {
        let place = i128::from(video.first) * i128::from(num) * i128::from(rate.num);
        place % (i128::from(den) * i128::from(rate.den)).max(1) == 0
    };
    is_at(video.picture.frame_rate) && is_at(made)
}

/// Returns a timecode as another frame rate counts it; `None` if that is not exact: a rate is no whole number of pictures a second,
/// numbers are dropped, or the picture has no number at that rate.
fn converted(code: &str, from: Ratio, to: Ratio) -> Option<String> {
    let whole =
        |rate: Ratio| (rate.den > 0 && rate.num % rate.den == 0).then(|| i64::from(rate.num / rate.den));
    let (from, to) = (whole(from)?, whole(to)?);
    let (start, frames) = code.rsplit_once(':')?;
    let frames: i64 = frames.parse().ok()?;
    if frames >= from || frames * to % from != 0 {
        return None;
    }
    let code = format!("{start}:{:02}", frames * to / from);
    counts(&code, Ratio { num: i32::try_from(to).ok()?, den: 1 }).then_some(code)
}

/// Returns whether a text is a timecode and the frame rate is one that timecodes count.
fn counts(code: &str, rate: Ratio) -> bool {
    let shape = code.len() == 11
        && code.bytes().enumerate().all(|(i, byte)| match i {
            2 | 5 => byte == b':',
            8 => matches!(byte, b':' | b';' | b'.'),
            _ => byte.is_ascii_digit(),
        });
    let rate = rate.as_f64();
    let nominal = [24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0, 150.0];
    shape && nominal.iter().any(|n| (rate - n).abs() < 1e-3 || (rate - n / 1.001).abs() < 1e-3)
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;
    use millrace_schemas::Picture;

    use super::*;
    use crate::Profile;

    const PAL: Ratio = Ratio { num: 25, den: 1 };

    fn of(code: &str, source: Ratio, first: i64, keys: &str, format: &str) -> Option<String> {
        let picture = Picture::plain((64, 48), source, Ratio { num: 1, den: 1000 });
        let facts = SourceFacts {
            timecode: Some(code.into()),
            video: Some(VideoTrack::new(0, picture, (first, first + 1000))),
            ..SourceFacts::default()
        };
        let text = format!("[video.a]\ncodec = \"h264\"\n{keys}\n[[output]]\nformat = \"{format}\"");
        Profile::from_toml(&text).unwrap().wanted(&TABLES).unwrap()[0].timecode(&facts)
    }

    #[test]
    fn a_timecode_is_kept_at_its_rate_and_counted_anew_at_another_where_that_is_exact() {
        let at = |code: &str, rate: &str| of(code, PAL, 0, &format!("frame_rate = {rate}"), "mov");
        let same = Some("01:00:00:00".to_owned());
        assert_eq!(
            [at("01:00:00:00", "25"), at("01:00:00:00", "{ most = 30 }")],
            [same.clone(), same.clone()]
        );
        assert_eq!(at("01:00:00:00", "50"), same);
        assert_eq!(at("01:00:00:07", "50").as_deref(), Some("01:00:00:14"));
        assert_eq!(at("01:00:00:05", "30").as_deref(), Some("01:00:00:06"));
        assert_eq!(at("01:00:00:07", "30"), None, "it lies between two numbers");
        assert_eq!(at("01:00:00:00", "\"30000/1001\""), None, "no whole number of pictures a second");
        assert_eq!(at("01:00:00:00", "12"), None, "a rate that timecodes do not count");
        assert_eq!(of("01:00:00;00", PAL, 0, "frame_rate = 50", "mov"), None, "numbers are dropped");
        assert_eq!(of("01:00:00:00", PAL, 0, "", "flv"), None, "the format holds none");
        let fifty = Ratio { num: 50, den: 1 };
        assert_eq!(of("01:00:00:14", fifty, 40, "frame_rate = 25", "mov").as_deref(), Some("01:00:00:07"));
        assert_eq!(of("01:00:00:15", fifty, 40, "frame_rate = 25", "mov"), None);
        assert_eq!(of("01:00:00:14", fifty, 20, "frame_rate = 25", "mov"), None, "no picture is there at 25");
    }

    #[test]
    fn a_timecode_is_one_that_the_rate_can_count() {
        assert!(counts("01:00:00:00", PAL));
        assert!(counts("01:00:00;00", Ratio { num: 30_000, den: 1001 }));
        assert!(!counts("01:00:00:00", Ratio { num: 1000, den: 33 }));
        assert!(!counts("1:00:00:00", PAL));
        assert!(!counts("01:00:00:0x", PAL));
    }
}
