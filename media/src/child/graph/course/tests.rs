//! Segments of a source, each with the pictures around it, give what the whole gives before it is encoded.

use ffmpeg_next::format::Pixel;
use millrace_schemas::{Picture, VideoFilters};

use super::*;
use crate::child::libav::frame::{for_each_row, set_field_order};

const CLOCK: Ratio = Ratio { num: 1, den: 90_000 };
const STEP: i64 = 3000;
const COUNT: i64 = 60;

/// A picture of two fields, with noise, and of an uneven time.
fn picture(number: i64) -> Presented {
    let mut frame = frame::Video::new(Pixel::YUV420P, 64, 48);
    for plane in 0..3 {
        let stride = frame.stride(plane);
        for (i, byte) in frame.data_mut(plane).iter_mut().enumerate() {
            let (x, y) = ((i % stride) as i64, (i / stride) as i64);
            let bright = (x - number * 2 - y % 2).rem_euclid(16) < 4;
            let noise = (i as i64 * 7 + number * 13).rem_euclid(11);
            *byte = (60 + noise + if bright { 100 } else { 0 }) as u8;
        }
    }
    set_field_order(&mut frame, 1);
    Presented { frame, pts: number * STEP + number % 3 * 500, length: STEP }
}

fn settings(filters: VideoFilters, rate: i32) -> VideoSettings {
    let time_base = if filters.resample { Ratio { num: 1, den: rate } } else { CLOCK };
    let picture = Picture::plain((64, 48), Ratio { num: rate, den: 1 }, time_base);
    VideoSettings {
        filters: Some(filters).filter(|filters| *filters != VideoFilters::default()),
        ..VideoSettings::of("h264", &picture)
    }
}

/// Renditions of all kinds, two of which share their filters.
fn renditions() -> Vec<VideoSettings> {
    let none = VideoFilters::default();
    let fields = VideoFilters { deinterlace: true, ..none.clone() };
    let noise = VideoFilters { denoise: "medium".into(), ..none.clone() };
    let resampled = |filters: &VideoFilters| VideoFilters { resample: true, ..filters.clone() };
    vec![
        settings(none.clone(), 30),
        settings(resampled(&none), 24),
        settings(resampled(&none), 60),
        settings(fields.clone(), 30),
        settings(resampled(&fields), 25),
        settings(noise.clone(), 30),
        settings(resampled(&VideoFilters { deinterlace: true, ..noise }), 7),
    ]
}

/// What came out for each rendition: time, length and samples.
type Out = Vec<Vec<(i64, i64, Vec<u8>)>>;

/// Runs pictures of these numbers through, with as many before the start as the worker reads.
fn run(settings: &[VideoSettings], start: Option<i64>, behind: usize) -> Out {
    let incoming = Incoming { first: None, clock: CLOCK, step: STEP, field_order: 0, start };
    let mut course = Course::build(settings, incoming, 2);
    let all: Vec<Presented> = (0..COUNT).map(picture).collect();
    let first = all.partition_point(|picture| start.is_some_and(|start| picture.pts < start));
    let mut before = 0;
    while course.needs_more_before(all.get(first).map(|picture| picture.pts), before) && before < first {
        before += 1;
    }
    assert!(before <= course.lead_in());
    let mut out: Out = settings.iter().map(|_| Vec::new()).collect();
    let mut take = |rendition: usize, made: Presented| {
        let mut samples = Vec::new();
        for_each_row(&made.frame, |row| samples.extend_from_slice(row));
        out[rendition].push((made.pts, made.length, samples));
        Ok(())
    };
    for picture in all.into_iter().skip(first - before).take(before.saturating_add(behind)) {
        assert!(course.push(picture, &mut take).is_ok());
    }
    assert!(course.finish(false, &mut take).is_ok());
    out
}

#[test]
fn each_segment_gives_what_the_whole_gives() {
    let settings = renditions();
    let whole = run(&settings, None, usize::MAX);
    let counts: Vec<usize> = whole.iter().map(Vec::len).collect();
    // The last one is shown until 2.011 s.
    assert_eq!(counts, [60, 48, 121, 60, 50, 60, 14]);
    // On a picture, between two, and at any tick.
    for start in [STEP * 3, STEP * 30 + 1, STEP * 30 - 700, STEP * 59 + 2000] {
        let made = run(&settings, Some(start), usize::MAX);
        for ((settings, whole), made) in settings.iter().zip(&whole).zip(&made) {
            let rate = millrace_formats::rate::Rate::new(CLOCK, settings.time_base);
            let first = if settings.is_resampled() { rate.first_from(start) } else { start };
            let wanted: Vec<_> = whole.iter().filter(|(pts, ..)| *pts >= first).collect();
            assert_eq!(made.iter().collect::<Vec<_>>(), wanted, "from {start}: {:?}", settings.filters);
        }
    }
}

#[test]
fn a_rendition_gives_the_same_alone() {
    let all = renditions();
    let together = run(&all, Some(STEP * 30), 12);
    for (i, alone) in all.iter().enumerate() {
        assert_eq!(run(std::slice::from_ref(alone), Some(STEP * 30), 12)[0], together[i], "{i}");
    }
}

#[test]
fn what_is_the_same_is_done_once() {
    let course = |settings: &[VideoSettings]| {
        let incoming = Incoming { first: None, clock: CLOCK, step: STEP, field_order: 0, start: None };
        let course = Course::build(settings, incoming, 1);
        (
            course.lanes.len(),
            course.lanes.iter().map(|lane| lane.routes.len()).sum::<usize>(),
            course.lead_in(),
        )
    };
    let all = renditions();
    assert_eq!(course(&all), (4, 7, 6));
    assert_eq!(course(&[all[0].clone(), all[0].clone()]), (1, 1, 0));
    assert_eq!(course(&all[..3]), (1, 3, 1));
}

#[test]
fn a_picture_that_is_shown_for_hours_is_refused_at_another_rate() {
    let shown = |hours: i64| {
        let filters = VideoFilters { resample: true, ..VideoFilters::default() };
        let settings = [VideoSettings { time_base: Ratio { num: 1, den: 1 }, ..settings(filters, 1) }];
        let incoming = Incoming { first: None, clock: CLOCK, step: STEP, field_order: 0, start: None };
        let mut course = Course::build(&settings, incoming, 1);
        let mut take = |_: usize, _: Presented| Ok(());
        let late = Presented { pts: hours * 3600 * 90_000, ..picture(1) };
        course.push(picture(0), &mut take).and_then(|()| course.push(late, &mut take)).err()
    };
    assert!(shown(1).is_none());
    assert!(
        shown(2).is_some_and(|failure| failure.0.contains("2.0 hours") && failure.0.contains("frame_rate"))
    );
}

#[test]
fn captions_are_left_out_at_another_rate_alone() {
    let settings = renditions();
    for (settings, is_left_out) in
        [(&settings[..1], false), (&settings[1..2], true), (&settings[3..4], false)]
    {
        let incoming = Incoming { first: None, clock: CLOCK, step: STEP, field_order: 0, start: None };
        let mut course = Course::build(settings, incoming, 1);
        let mut captions = 0;
        let mut take = |_: usize, made: Presented| {
            captions += usize::from(made.frame.side_data(Type::A53CC).is_some());
            Ok(())
        };
        for number in 0..5 {
            let mut picture = picture(number);
            assert!(picture.frame.new_side_data(Type::A53CC, 3).is_some());
            assert!(course.push(picture, &mut take).is_ok());
        }
        assert_eq!(course.left_out_captions(), is_left_out);
        assert!(course.finish(false, &mut take).is_ok());
        assert_eq!(captions, if is_left_out { 0 } else { 5 });
    }
}
