//! What becomes of pictures over time, and by which filters. Pure.

use millrace_schemas::{Picture, Ratio, VideoFilters};

use crate::{
    profile::Video,
    timing::{Deinterlace, Denoise},
};

/// Returns the pictures that become of a source's over time, and by which filters.
pub(crate) fn after(asked: &Video, source: &Picture) -> (Picture, VideoFilters) {
    let mut picture = source.clone();
    let mut filters = VideoFilters {
        deinterlace: match asked.deinterlace {
            Some(Deinterlace::Always) => true,
            Some(Deinterlace::Auto) => source.field_order != 0,
            Some(Deinterlace::Never) | None => false,
        },
        denoise: match asked.denoise {
            Some(Denoise::Light) => "light".into(),
            Some(Denoise::Medium) => "medium".into(),
            Some(Denoise::Strong) => "strong".into(),
            None => String::new(),
        },
        ..VideoFilters::default()
    };
    if filters.deinterlace {
        picture.field_order = 0;
    }
    if let Some(rate) = asked.frame_rate.and_then(|asked| asked.of_source(source.frame_rate)) {
        filters.resample = true;
        picture.frame_rate = rate;
        picture.time_base = Ratio { num: rate.den, den: rate.num };
    }
    (picture, filters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{profile::Profile, timing::Rate};

    fn video(keys: &str) -> Video {
        let text = format!("[video.main]\ncodec = \"h264\"\n{keys}");
        Profile::from_toml(&text).unwrap().video.remove("main").unwrap()
    }

    fn source(num: i32, den: i32) -> Picture {
        Picture::plain((64, 48), Ratio { num, den }, Ratio { num: 1, den: 90_000 })
    }

    #[test]
    fn frame_rates_are_read_in_the_ways_that_people_write_them() {
        let rate = |text: &str| text.parse::<Rate>().map(|rate| rate.to_string());
        for (text, wanted) in [
            ("25", "25"),
            ("30000/1001", "30000/1001"),
            ("50/2", "25"),
            ("29.97", "30000/1001"),
            ("23.976", "24000/1001"),
            ("23.98", "24000/1001"),
            ("59.94", "60000/1001"),
            ("12.5", "25/2"),
            ("24.0", "24"),
        ] {
            assert_eq!(rate(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["", "0", "-25", "25/0", "0/1", "1e3", "nan", "25/1/1", "99999999", "1/9999999", "25 fps"]
        {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_greatest_rate_divides_the_sources_by_the_least_whole_number() {
        let of = |keys: &str, (num, den): (i32, i32)| {
            let (picture, filters) = after(&video(keys), &source(num, den));
            filters.resample.then_some((picture.frame_rate.num, picture.frame_rate.den))
        };
        let most = |rate: (i32, i32)| of("frame_rate = { most = 30 }", rate);
        assert_eq!(most((50, 1)), Some((25, 1)));
        assert_eq!(most((60_000, 1001)), Some((30_000, 1001)));
        assert_eq!(most((60, 1)), Some((30, 1)));
        assert_eq!(most((240, 1)), Some((30, 1)));
        assert_eq!(most((6001, 100)), Some((6001, 200)), "a clock that is a little fast");
        assert_eq!((most((30, 1)), most((3002, 100)), most((24, 1))), (None, None, None));
        assert_eq!(most((i32::MAX, 1)), Some((30, 1)), "a rate that nobody has");
        assert_eq!(
            of("frame_rate = 24", (24, 1)),
            Some((24, 1)),
            "also if its times are not as even as it says"
        );
        let (picture, _) = after(&video("frame_rate = 29.97"), &source(25, 1));
        assert_eq!((picture.time_base.num, picture.time_base.den), (1001, 30_000));
    }

    #[test]
    fn fields_become_pictures_where_they_are_or_everywhere() {
        let fields = Picture { field_order: 2, ..source(25, 1) };
        for (keys, of_fields, of_pictures) in [
            ("deinterlace = \"auto\"", true, false),
            ("deinterlace = \"always\"", true, true),
            ("deinterlace = \"never\"", false, false),
            ("", false, false),
        ] {
            let (picture, filters) = after(&video(keys), &fields);
            assert_eq!(
                (filters.deinterlace, picture.field_order),
                (of_fields, if of_fields { 0 } else { 2 })
            );
            assert_eq!(after(&video(keys), &source(25, 1)).1.deinterlace, of_pictures, "{keys}");
        }
        assert_eq!(after(&video(""), &fields), (fields, VideoFilters::default()));
    }

    #[test]
    fn what_is_none_of_them_is_refused_with_what_would_work() {
        for (keys, known) in [
            ("frame_rate = \"fast\"", "30000/1001"),
            ("frame_rate = { least = 3 }", "most"),
            ("frame_rate = { most = { most = 3 } }", "a frame rate such as"),
            ("frame_rate = -3", "30000/1001"),
            ("deinterlace = \"yes\"", "`auto`, `always`, `never`"),
            ("denoise = \"much\"", "`light`, `medium`, `strong`"),
        ] {
            let text = format!("[video.main]\ncodec = \"h264\"\n{keys}");
            let wrong = Profile::from_toml(&text).unwrap_err().0;
            assert!(wrong.contains(known), "{wrong}");
        }
    }
}
