//! The list of pictures: WebVTT, with a cue for each, whose text is the place of the picture, as players expect it of thumbnails. A part
//! of a sheet is named by a media fragment (W3C, Media Fragments URI 1.0, 4.2.2).

use std::fmt::Write as _;

use crate::child::{failure::Failure, merge::package::time, prove::unproven};

/// A picture that is shown from a time on.
pub(super) struct Cue {
    /// In seconds of the output.
    pub(super) at: f64,
    /// The name of the file, relative to the list.
    pub(super) name: String,
    /// Its part of the file, in pixels: left, top, width and height; `None` for all of it.
    pub(super) area: Option<(i32, i32, i32, i32)>,
}

impl Cue {
    fn text(&self) -> String {
        match self.area {
            None => self.name.clone(),
            Some((x, y, width, height)) => format!("{}#xywh={x},{y},{width},{height}", self.name),
        }
    }
}

/// Writes the list; the last picture is shown until `end`, in seconds. The mark stands in a comment.
pub(super) fn write(cues: &[Cue], end: f64, mark: &str) -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    let ends = cues.iter().skip(1).map(|cue| cue.at).chain([end]);
    for (cue, end) in cues.iter().zip(ends) {
        let _ = writeln!(text, "{} --> {}\n{}\n", clock(cue.at), clock(end), cue.text());
    }
    let _ = writeln!(text, "NOTE {mark}");
    text
}

/// The cast saturates.
fn clock(seconds: f64) -> String {
    time((seconds * 1000.0).round() as i64)
}

/// Reads the list again: it names each picture, in order.
pub(super) fn check(text: &str, cues: &[Cue]) -> Result<(), Failure> {
    let named = text.lines().zip(text.lines().skip(1)).filter(|(times, _)| times.contains(" --> "));
    let named: Vec<&str> = named.map(|(_, name)| name).collect();
    if named == cues.iter().map(Cue::text).collect::<Vec<_>>() {
        return Ok(());
    }
    Err(unproven("the list of pictures does not name them".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_is_shown_until_the_next_one_and_a_part_of_a_sheet_has_its_place() {
        let cue = |at, area| Cue { at, name: "0a1b2c3d/00001.jpg".into(), area };
        let cues = [cue(0.0, None), cue(10.5, Some((160, 0, 160, 90)))];
        let text = write(&cues, 3661.25, "millrace a b");
        assert_eq!(
            text,
            "WEBVTT\n\n00:00:00.000 --> 00:00:10.500\n0a1b2c3d/00001.jpg\n\n\
             00:00:10.500 --> 01:01:01.250\n0a1b2c3d/00001.jpg#xywh=160,0,160,90\n\nNOTE millrace a b\n"
        );
        assert!(check(&text, &cues).is_ok() && check(&text, &cues[..1]).is_err());
    }
}
