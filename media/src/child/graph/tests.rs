//! What graphs make of pictures.

use ffmpeg_next::util::color;
use millrace_schemas::{Picture, Ratio, VideoFilters};

use super::*;

/// The planted filter: no line of this crate knows it.
#[test]
fn a_planted_filter_filters_the_pictures_that_need_it() {
    let luma = |transfer| {
        let color = Color { primaries: 2, transfer, matrix: 2, range: 1, chroma: 0 };
        let settings = [VideoSettings { color, ..settings(64, 48) }];
        let mut graph = PictureGraph::build(&settings, None, 1);
        let mut picture = frame::Video::new(Pixel::YUV420P, 64, 48);
        picture.data_mut(0).fill(40);
        (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
        let mut made = Vec::new();
        let pushed = graph.push(picture, |_, picture| {
            made.push(picture.data(0)[0]);
            Ok(())
        });
        assert!(pushed.is_ok() && graph.finish().is_ok());
        made[0]
    };
    assert_eq!(luma(1), 40);
    assert_eq!(luma(17), 255 - 40);
}

#[test]
fn a_picture_that_a_filter_maps_is_cropped_once() {
    let color = Color { primaries: 2, transfer: 17, matrix: 2, range: 1, chroma: 0 };
    let crop = Some(Area { x: 32, y: 0, width: 32, height: 48 });
    for (width, height) in [(32, 48), (64, 96)] {
        let filters = Some(VideoFilters { crop, ..VideoFilters::default() });
        let settings = [VideoSettings { color, filters, ..settings(width, height) }];
        let mut graph = PictureGraph::build(&settings, None, 1);
        let mut picture = frame::Video::new(Pixel::YUV420P, 64, 48);
        let stride = picture.stride(0);
        // Dark at the left, brighter at the right: a quarter each.
        let columns = picture.data_mut(0).chunks_mut(stride);
        columns.for_each(|row| (0..64).for_each(|x| row[x] = [40, 40, 80, 120][x / 16]));
        (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
        let mut made = Vec::new();
        let pushed = graph.push(picture, |_, picture| {
            let row = picture.data(0);
            made.push((picture.width(), picture.height(), row[2], row[width as usize - 3]));
            Ok(())
        });
        assert!(pushed.is_ok(), "{:?}", pushed.err());
        let (width, height) = (width as u32, height as u32);
        assert_eq!(made, [(width, height, 255 - 80, 255 - 120)]);
    }
}

/// Samples of more than a byte, and with chroma of each kind.
#[test]
fn pictures_that_need_no_change_keep_each_sample() {
    for format in ["yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le"] {
        let color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 3 };
        let settings = VideoSettings { pixel_format: format.into(), color, ..settings(64, 48) };
        let mut picture = frame::Video::new(format.parse().unwrap(), 64, 48);
        for plane in 0..3 {
            picture.data_mut(plane).iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 % 251) as u8);
        }
        let before = rows_of(&picture);
        let mut graph = PictureGraph::build([&settings], None, 1);
        let pushed = graph.push(picture, |_, made| {
            assert_eq!(rows_of(&made), before, "{format}");
            Ok(())
        });
        assert!(pushed.is_ok() && graph.finish().is_ok());
    }
}

#[test]
fn pictures_of_422_are_rotated_and_tone_mapped_into_422() {
    for transfer in [1, 16] {
        let pq = Color { primaries: 9, transfer, matrix: 9, range: 1, chroma: 3 };
        let to = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };
        let rotated = VideoSettings {
            codec: "h264".into(),
            pixel_format: "yuv422p10le".into(),
            rotation: 90,
            color: if transfer == 16 { to } else { pq },
            source_color: (transfer == 16).then_some(pq),
            ..settings(48, 64)
        };
        let mut graph = PictureGraph::build([&rotated], None, 1);
        let mut picture = frame::Video::new(Pixel::YUV422P10LE, 64, 48);
        picture.set_color_primaries(color::Primaries::BT2020);
        picture.set_color_transfer_characteristic(color::TransferCharacteristic::SMPTE2084);
        picture.set_color_space(color::Space::BT2020NCL);
        picture.set_color_range(color::Range::MPEG);
        for plane in 0..3 {
            picture.data_mut(plane).chunks_exact_mut(2).for_each(|sample| sample.copy_from_slice(&[0, 2]));
        }
        let mut forms = Vec::new();
        let pushed = graph.push(picture, |_, made| {
            let chroma = u16::from_le_bytes([made.data(1)[0], made.data(1)[1]]);
            forms.push((made.format(), made.width(), made.height(), chroma));
            Ok(())
        });
        assert!(pushed.is_ok() && graph.finish().is_ok());
        assert_eq!(forms, [(Pixel::YUV422P10LE, 48, 64, 512)], "transfer {transfer}");
    }
}

fn settings(width: i32, height: i32) -> VideoSettings {
    let (frame_rate, time_base) = (Ratio { num: 25, den: 1 }, Ratio { num: 1, den: 25 });
    VideoSettings::of("h264", &Picture::plain((width, height), frame_rate, time_base))
}

fn picture() -> frame::Video {
    let mut picture = frame::Video::new(Pixel::YUV420P, 63, 47);
    for plane in 0..3 {
        picture.data_mut(plane).iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 % 251) as u8);
    }
    picture
}

fn all_of(settings: &[VideoSettings]) -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    let mut graph = PictureGraph::build(settings, None, 1);
    let pushed = graph.push(picture(), |i, picture| {
        assert_eq!(i, made.len());
        made.push(rows_of(&picture));
        Ok(())
    });
    assert!(pushed.is_ok() && graph.finish().is_ok());
    made
}

/// Returns the luma of what is made of numbered samples: of each pixel, its column plus ten times its row.
fn luma(settings: &VideoSettings, size: (u32, u32)) -> Vec<Vec<u8>> {
    let mut numbered = frame::Video::new(Pixel::YUV420P, size.0, size.1);
    let stride = numbered.stride(0);
    for (y, row) in numbered.data_mut(0).chunks_mut(stride).take(size.1 as usize).enumerate() {
        row.iter_mut().enumerate().for_each(|(x, byte)| *byte = (x + 10 * y) as u8);
    }
    (1..3).for_each(|plane| numbered.data_mut(plane).fill(128));
    let mut made = Vec::new();
    let mut graph = PictureGraph::build([settings], None, 1);
    let pushed = graph.push(numbered, |_, picture| {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let rows = picture.data(0).chunks(picture.stride(0)).take(height);
        made = rows.map(|row| row[..width].to_vec()).collect();
        Ok(())
    });
    assert!(pushed.is_ok() && graph.finish().is_ok());
    made
}

fn filtered(crop: Option<Area>, inside: Option<Area>) -> Option<VideoFilters> {
    Some(VideoFilters { crop, inside, ..VideoFilters::default() })
}

#[test]
fn pictures_are_cropped_then_rotated() {
    let crop = Some(Area { x: 2, y: 0, width: 2, height: 4 });
    let upright = VideoSettings { filters: filtered(crop, None), ..settings(2, 4) };
    assert_eq!(luma(&upright, (8, 6)), [[2, 3], [12, 13], [22, 23], [32, 33]]);
    // As it is shown, the picture is 6 wide: its third column is the third row from the bottom of what is decoded.
    let rotated = VideoSettings { rotation: 270, ..upright };
    assert_eq!(luma(&rotated, (8, 6)), [[27, 37], [26, 36], [25, 35], [24, 34]]);
}

#[test]
fn bars_are_around_what_is_scaled() {
    let inside = Some(Area { x: 2, y: 0, width: 4, height: 2 });
    let padded = VideoSettings { filters: filtered(None, inside), ..settings(8, 2) };
    let rows = [[16, 16, 0, 1, 2, 3, 16, 16], [16, 16, 10, 11, 12, 13, 16, 16]];
    assert_eq!(luma(&padded, (4, 2)), rows);
}

fn rows_of(picture: &frame::Video) -> Vec<u8> {
    let mut all = Vec::new();
    crate::child::libav::frame::for_each_row(picture, |row| all.extend_from_slice(row));
    all
}

#[test]
fn a_branch_makes_the_same_whatever_other_branches_there_are() {
    let rotated = VideoSettings { rotation: 90, ..settings(46, 62) };
    let all = [settings(62, 46), settings(30, 22), rotated, settings(62, 46)];
    let together = all_of(&all);
    for (i, alone) in all.iter().enumerate() {
        assert_eq!(together[i], all_of(std::slice::from_ref(alone))[0], "branch {i}");
    }
    assert_eq!(together[0], together[3], "what one branch does to a picture no other sees");
}
