//! Timecodes (SMPTE ST 12-1). Pure.

use millrace_schemas::{Ratio, Trim, VideoTrack};

/// How far a picture may be from its place at a constant rate, as a part of the time between two pictures: clocks of milliseconds round.
const SLACK: f64 = 0.25;

/// Returns the timecode of the first picture of a part of a track; `None` if pictures are not counted so: their rate is none of
/// those that timecodes count, or it is not constant as far as keyframes show.
pub(super) fn moved(code: &str, video: &VideoTrack, trim: Trim) -> Option<String> {
    let Ratio { num, den } = video.picture.time_base;
    let (from, _) = trim.ticks((i64::from(num), i64::from(den)));
    if from <= video.first {
        return Some(code.to_owned());
    }
    let ticks_a_picture = 1.0 / (video.picture.frame_rate.as_f64() * video.picture.time_base.as_f64());
    let pictures = |at: i64| at.saturating_sub(video.first) as f64 / ticks_a_picture;
    let is_constant = video.keyframes.iter().all(|keyframe| {
        let place = pictures(keyframe.pts);
        (place - place.round()).abs() <= SLACK
    });
    if !is_constant || !ticks_a_picture.is_finite() || ticks_a_picture <= 0.0 {
        return None;
    }
    // The first picture at or after the start, whose time may be rounded.
    let place = pictures(from);
    let cut = if (place - place.round()).abs() <= SLACK / 25.0 { place.round() } else { place.ceil() };
    add(code, video.picture.frame_rate, cut as i64)
}

/// Returns a timecode that is so many pictures later, within a day.
fn add(code: &str, rate: Ratio, pictures: i64) -> Option<String> {
    let numbers: Vec<i64> =
        code.split([':', ';', '.']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds, frames] = numbers.as_slice() else { return None };
    let nominal = rate.as_f64().round() as i64;
    let separator = code.get(8..9)?;
    let drops = separator != ":";
    // Drop-frame counting leaves out two numbers of thirty, in each minute but every tenth.
    let dropped = if drops { nominal / 15 } else { 0 };
    if nominal < 1 || *frames >= nominal || (drops && nominal % 30 != 0) {
        return None;
    }
    let total_minutes = hours * 60 + minutes;
    let number = (total_minutes * 60 + seconds) * nominal + frames
        - dropped * (total_minutes - total_minutes / 10)
        + pictures;
    let ten_minutes = nominal * 600 - dropped * 9;
    let number = number.rem_euclid(ten_minutes * 6 * 24);
    let (tens, rest) = (number / ten_minutes, number % ten_minutes);
    // The first of ten minutes has all numbers.
    let minute = nominal * 60 - dropped;
    let further = if rest < nominal * 60 { 0 } else { (rest - dropped) / minute };
    let number = number + dropped * (9 * tens + further);
    let (seconds, frames) = (number / nominal, number % nominal);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{frames:02}"))
}

#[cfg(test)]
mod tests {
    use millrace_schemas::{Keyframe, Picture, Seek, SeekBy};

    use super::*;

    const NTSC: Ratio = Ratio { num: 30_000, den: 1001 };
    const PAL: Ratio = Ratio { num: 25, den: 1 };

    #[test]
    fn pictures_are_added_as_the_standard_counts_them() {
        let of = |code: &str, rate, pictures| add(code, rate, pictures).unwrap();
        assert_eq!(of("01:00:00:00", PAL, 48), "01:00:01:23");
        assert_eq!(of("23:59:59:24", PAL, 1), "00:00:00:00");
        // 00 and 01 are left out in each minute but every tenth.
        assert_eq!(of("00:00:59;29", NTSC, 1), "00:01:00;02");
        assert_eq!(of("00:09:59;29", NTSC, 1), "00:10:00;00");
        assert_eq!(of("00:00:00;00", NTSC, 17_982), "00:10:00;00");
        assert_eq!(of("00:00:00;00", NTSC, 107_892), "01:00:00;00");
        assert_eq!(of("00:01:00;02", NTSC, 1798), "00:02:00;02");
        assert_eq!(of("00:00:59;59", Ratio { num: 60_000, den: 1001 }, 1), "00:01:00;04");
        assert_eq!(of("00:00:59:29", NTSC, 1), "00:01:00:00", "without drops");
        for (code, rate) in [("01:00:00:25", PAL), ("01:00:00", PAL), ("a:b:c:d", PAL), ("00:00:00;00", PAL)]
        {
            assert_eq!(add(code, rate, 1), None, "{code}");
        }
    }

    #[test]
    fn each_picture_of_an_hour_has_the_number_after_that_of_the_one_before() {
        let mut code = "00:58:59;28".to_owned();
        for _ in 0..40_000 {
            let next = add(&code, NTSC, 1).unwrap();
            assert!(next > code, "{code} {next}");
            code = next;
        }
        assert_eq!(add("00:58:59;28", NTSC, 40_000), Some(code));
    }

    #[test]
    fn the_timecode_of_a_part_is_that_of_its_first_picture() {
        let picture = Picture::plain((64, 36), NTSC, Ratio { num: 1, den: 1000 });
        let keyframe = |pts| Keyframe { pts, seek: Seek { by: SeekBy::Time, at: pts, state: 0 } };
        let mut video = VideoTrack::new(0, picture, (67, 60_000));
        video.keyframes = vec![keyframe(67), keyframe(567), keyframe(1068)];
        let of = |video: &VideoTrack, from| moved("00:00:00:00", video, Trim { from, to: None });
        assert_eq!(of(&video, 0).as_deref(), Some("00:00:00:00"));
        assert_eq!(of(&video, 1_068_000).as_deref(), Some("00:00:01:00"));
        assert_eq!(of(&video, 1_070_000).as_deref(), Some("00:00:01:01"));
        video.keyframes.push(keyframe(1_084));
        assert_eq!(of(&video, 1_068_000), None, "pictures do not come at a constant rate");
    }
}
