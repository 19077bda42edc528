//! What a movie box states about its movie and tracks.

/// A box type, such as `moov`, or another four-character code.
pub(super) type Code = [u8; 4];

/// A movie box (`moov`, 8.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Movie {
    /// Movie ticks per second, more than 0 (`mvhd`, 8.2.2).
    pub(crate) timescale: u32,
    /// The length of the presentation in movie ticks; `u64::MAX` if unknown (`mvhd`, 8.2.2).
    pub(crate) duration: u64,
    /// The tracks in the order of the file, enabled or not.
    pub(crate) tracks: Vec<Track>,
}

/// A track box (`trak`, 8.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    /// The track ID. Unique and more than 0 in a valid file, which is not checked (`tkhd`, 8.3.2).
    pub(crate) id: u32,
    /// True if players present the track by default (`tkhd` flag 1, 8.3.2).
    pub(crate) enabled: bool,
    /// The length of all edits in movie ticks; `u64::MAX` if unknown (`tkhd`, 8.3.2).
    pub(crate) tkhd_duration: u64,
    /// The media type, such as `vide` or `soun`; zeros if the file has no handler box (`hdlr`, 8.4.3).
    pub(crate) handler: Code,
    /// Track ticks per second, more than 0 (`mdhd`, 8.4.2).
    pub(crate) timescale: u32,
    /// The length of the media in track ticks; `u64::MAX` if unknown (`mdhd`, 8.4.2).
    pub(crate) media_duration: u64,
    /// The edit list, empty if the file has none (`elst`, 8.6.6).
    pub(crate) edits: Vec<Edit>,
    /// The sample entry types, such as `avc1` or `encv` (`stsd`, 8.5.2).
    pub(crate) entries: Vec<Code>,
    /// The boxes of the first sample entry of a track with the handler `vide`, by their types: codec headers, colour, aspect
    /// (`VisualSampleEntry`, 12.1.3). They end before what is malformed.
    pub(crate) entry: Vec<(Code, Vec<u8>)>,
    /// The protection of the first protected sample entry: its scheme type, such as `cenc` or `itun` (`schm`, 8.12.5).
    /// If the file names no scheme, it is the type of the entry (`enc?`, `drm?`), or `sinf` for an entry of another type.
    pub(crate) protection: Option<Code>,
    /// The whole part of the sample rate in the first sample entry, of a track with the handler `soun`; 0 where the rate is
    /// beyond 65,535 or not stated (`AudioSampleEntry`, 12.2.3).
    pub(crate) sample_rate: Option<u16>,
    /// The samples of the movie box, without those of movie fragments.
    pub(crate) samples: Samples,
}

/// An entry of an edit list (8.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The length of the edit in movie ticks.
    pub(crate) duration: u64,
    /// The composition time at which the edit starts, in track ticks; -1 for an empty edit, which shows nothing.
    pub(crate) media_time: i64,
    /// The playback rate as its integer and its fraction in 65,536ths; `(0, 0)` holds one picture.
    pub(crate) rate: (i16, i16),
}

/// The sample tables of a track (`stbl`, 8.5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Samples {
    /// The number of samples (`stsz`, `stz2`, 8.7.3); 0 in most fragmented files. Samples of one common size are
    /// counted by the header alone, so this number may be far beyond what the file can hold.
    pub(crate) count: u64,
    /// Each sample in decoding order: its composition time in track ticks before edits, and its duration in track
    /// ticks (`ctts`, `stts`, 8.6.1). Empty above the limit given to [`movie`](super::movie); shorter than `count` if `stts` covers
    /// fewer samples. Samples that `ctts` does not cover have an offset of 0. Empty if [`Self::is_each_tick`].
    pub(crate) times: Vec<(i64, u32)>,
    /// True for samples of one size and one tick each in a track with the handler `soun`: those of PCM, of which there is one for
    /// each time.
    pub(crate) is_each_tick: bool,
    /// The version of `ctts`, 0 without one. Negative offsets need version 1 (8.6.1.3), but QuickTime files have them in
    /// version 0; they are negative in `times` in both.
    pub(crate) ctts_version: u8,
    /// The number of samples that `stts` covers; equals `count` in a valid file.
    pub(crate) stts_count: u64,
    /// The sum of all durations of `stts` in track ticks. It may differ from [`Track::media_duration`], where
    /// libavformat writes the span of the presentation times.
    pub(crate) total: u64,
    /// True if the track has a sync sample table; without one, each sample is a keyframe (`stss`, 8.6.2).
    pub(crate) has_sync_table: bool,
    /// The number of keyframes: the entries of the sync sample table, or `count` without one.
    pub(crate) keyframes: u64,
}

/// The one span of media that a track presents.
///
/// A sample with the composition time `pts` starts at `start / movie.timescale + (pts - media_time) / track.timescale`
/// seconds of the presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Presentation {
    /// The presentation time at which the track starts, in movie ticks.
    pub(crate) start: u64,
    /// The composition time that is shown first, in track ticks, 0 or more.
    pub(crate) media_time: i64,
    /// The length of the span in ticks of `length_timescale`.
    pub(crate) length: u64,
    /// Ticks per second of `length`: those of the movie for an edit, of the track if no edit states a length. So
    /// nothing is rounded.
    pub(crate) length_timescale: u32,
}

impl Track {
    /// Returns the span of media that the track presents: its only edit of rate 1, after at most one empty edit.
    ///
    /// Without an edit list, it is the media from composition time 0 on (8.6.5). An edit of length 0 lasts to the end
    /// of the media, as fragmented files state it (8.6.6.1). The media does not include movie fragments, so its length
    /// is often 0 in a fragmented file. Returns `None` for any other edit list, and if the length is that of the media
    /// and unknown.
    pub(crate) fn presentation(&self, movie: &Movie) -> Option<Presentation> {
        let (start, edit) = match self.edits[..] {
            [] => (0, Edit { duration: 0, media_time: 0, rate: (1, 0) }),
            [edit] => (0, edit),
            [empty, edit] if empty.media_time == -1 => (empty.duration, edit),
            _ => return None,
        };
        if edit.rate != (1, 0) {
            return None;
        }
        let media_time = edit.media_time;
        let skipped = u64::try_from(media_time).ok()?;
        let (length, length_timescale) = match edit.duration {
            0 if self.media_duration == u64::MAX => return None,
            0 => (self.media_duration.checked_sub(skipped)?, self.timescale),
            duration => (duration, movie.timescale),
        };
        Some(Presentation { start, media_time, length, length_timescale })
    }
}
