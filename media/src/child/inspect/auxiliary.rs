//! Auxiliary tracks and what else a source has beside pictures and sound: text, covers, chapters, timecode; and what can't be
//! taken over.

use ffmpeg_next::{
    self as ff,
    ffi::{AV_DISPOSITION_ATTACHED_PIC, AV_TIME_BASE, AVMediaType},
};
use millrace_schemas::{AuxiliaryTrack, Chapter};

use super::streams::tags;
use crate::{
    child::{
        codec::{self, Codec},
        damage::Damage,
        decode::Decoder,
        libav::{
            codec::{codec_name, has_decoder, is_text},
            metadata,
            stream::{attached_picture, fields},
        },
        mux::LARGEST_COVER,
        source::Source,
    },
    protocol::Inspected,
};

/// How many chapters are carried over, and how long their titles are, in characters: they travel in records.
const MOST_CHAPTERS: usize = 500;
const LONGEST_TITLE: usize = 100;

/// Finds text tracks and one cover.
pub(super) fn find(source: &Source, found: &mut Inspected) {
    let (mut has_cover, mut damaged) = (false, Vec::new());
    for stream in source.input.streams() {
        let (s, parameters) = fields(&stream);
        let codec = codec_name(parameters);
        let mut leave = |what: &str, why: &str| {
            found.facts.left_out.push(format!("{what} {} ({codec}): {why}", s.index));
        };
        let target = if s.disposition & AV_DISPOSITION_ATTACHED_PIC != 0 {
            match cover(source, &stream) {
                Cover::Whole if !std::mem::replace(&mut has_cover, true) => Some(codec.clone()),
                Cover::Damaged => {
                    damaged.push(format!("the cover (stream {}) is damaged and is left out", s.index));
                    None
                }
                _ => {
                    leave("cover", "one of JPEG or PNG up to 4 MiB is carried over");
                    None
                }
            }
        } else if parameters.codec_type == AVMediaType::AVMEDIA_TYPE_SUBTITLE {
            let text = is_text(parameters.codec_id);
            if !text {
                leave("subtitle", "pictures of text are not carried over");
            } else if !has_decoder(parameters.codec_id) {
                leave("subtitle", "this FFmpeg has no decoder for it");
            }
            (text && has_decoder(parameters.codec_id)).then(|| codec::text().to_owned())
        } else {
            if parameters.codec_type == AVMediaType::AVMEDIA_TYPE_DATA
                && metadata::of_stream(&stream, "timecode").is_none()
            {
                leave("data", "only a timecode is carried over");
            }
            None
        };
        if let Some(codec) = target {
            found.facts.auxiliary.push(AuxiliaryTrack { stream: s.index, codec, tags: tags(&stream) });
        }
    }
    found.facts.warnings.extend(damaged);
}

/// What a cover is good for.
enum Cover {
    Whole,
    Damaged,
    /// Too large, or of a kind that mp4 does not hold.
    Other,
}

/// Looks at a cover: it is copied, and so must be one that players can show.
fn cover(source: &Source, stream: &ff::Stream<'_>) -> Cover {
    let (s, parameters) = fields(stream);
    let known = codec::find(&codec_name(parameters)).is_ok_and(<dyn Codec>::is_cover);
    let size = i64::from(s.attached_pic.size);
    if !known || size > LARGEST_COVER {
        return Cover::Other;
    }
    let shown = || {
        let mut decoder = Decoder::<ff::frame::Video>::open(source, s.index, 1).ok()?;
        let data = attached_picture(stream).filter(|data| !data.is_empty())?;
        decoder.send(&ff::Packet::copy(data)).ok()?;
        decoder.end();
        let picture = decoder.frame()?;
        let mut damage = Damage::default();
        damage.frame(&picture, 0.0);
        (damage.count() == 0 && parameters.width > 0 && parameters.height > 0).then_some(())
    };
    if shown().is_some() { Cover::Whole } else { Cover::Damaged }
}

/// The chapters of a source.
pub(super) fn chapters(source: &Source) -> Vec<Chapter> {
    let seconds = |ticks: i64, tb: ff::Rational| ticks as f64 * f64::from(tb);
    source
        .input
        .chapters()
        .take(MOST_CHAPTERS)
        .map(|chapter| Chapter {
            start_seconds: seconds(chapter.start(), chapter.time_base()),
            end_seconds: seconds(chapter.end(), chapter.time_base()),
            title: metadata::of_chapter(&chapter, "title")
                .unwrap_or_default()
                .chars()
                .take(LONGEST_TITLE)
                .collect(),
        })
        // Times that no clock holds are damage.
        .filter(|chapter| chapter.start_seconds.abs() < f64::from(i32::MAX) / f64::from(AV_TIME_BASE) * 1e6)
        .collect()
}

/// The timecode of the first picture: of a track of its own, of the video, or of the container.
pub(super) fn timecode(source: &Source) -> Option<String> {
    let of_streams = source.input.streams().find_map(|stream| metadata::of_stream(&stream, "timecode"));
    of_streams.or_else(|| metadata::of_input(&source.input, "timecode"))
}
