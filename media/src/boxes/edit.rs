//! Writes edit lists into a movie box (`moov`). Pure.
//!
//! libavformat's muxer can't express a track that starts shortly after zero and whose first samples, an encoder's priming,
//! are not presented: it presents those of them that come after zero.

/// The edits of a track: an empty edit up to its start, then one edit of its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewEdits {
    /// The presentation time at which the track starts, in movie ticks.
    pub(crate) start: u64,
    /// The composition time that is presented first, in track ticks.
    pub(crate) media_time: u64,
    /// The length of the edit of media, in movie ticks.
    pub(crate) length: u64,
}

/// The place of a box in a slice of bytes, as offsets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The start of its header.
    pub(super) at: usize,
    /// The start of its content.
    pub(super) body: usize,
    /// The end of the box.
    pub(super) end: usize,
}

/// Returns the boxes between two offsets, each with its type, up to the first bytes that are no box. Boxes with sizes of 64
/// bits are not read.
pub(super) fn children(bytes: &[u8], from: usize, to: usize) -> Vec<([u8; 4], Span)> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(head) = bytes.get(at..to).and_then(<[u8]>::first_chunk::<8>) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = at.checked_add(size).filter(|end| size >= 8 && *end <= to) else { break };
        found.push(([head[4], head[5], head[6], head[7]], Span { at, body: at + 8, end }));
        at = end;
    }
    found
}

/// Returns the first box of the type `name` in the content of `parent`.
fn child(bytes: &[u8], parent: Span, name: &[u8; 4]) -> Option<Span> {
    children(bytes, parent.body, parent.end).into_iter().find(|(kind, _)| kind == name).map(|(_, span)| span)
}

/// Returns an edit box with an edit list of version 1, which has times of 64 bits (`edts`, `elst`; ISO/IEC 14496-12, 8.6.5 and
/// 8.6.6).
fn edit_box(edits: NewEdits) -> Vec<u8> {
    let mut entries: Vec<(u64, i64)> = Vec::new();
    if edits.start > 0 {
        entries.push((edits.start, -1));
    }
    entries.push((edits.length, i64::try_from(edits.media_time).unwrap_or(i64::MAX)));
    let mut list = vec![1, 0, 0, 0];
    list.extend(u32::try_from(entries.len()).unwrap_or(0).to_be_bytes());
    for (length, media_time) in entries {
        list.extend(length.to_be_bytes());
        list.extend(media_time.to_be_bytes());
        list.extend([0, 1, 0, 0]);
    }
    boxed(b"edts", &boxed(b"elst", &list))
}

/// Returns a box of the type `name` with this content.
pub(super) fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap_or(0);
    [&size.to_be_bytes()[..], name, body].concat()
}

/// Returns a copy of a movie box in which tracks, given by their position from 0, have these edits instead of theirs.
///
/// Returns `None` if `movie` is not exactly one box, or one of these tracks has no readable header.
pub(crate) fn with_edits(movie: &[u8], edits: &[(usize, NewEdits)]) -> Option<Vec<u8>> {
    let whole = Span { at: 0, body: 8, end: movie.len() };
    let mut made = movie.get(..8)?.to_vec();
    let mut track = 0;
    for (kind, span) in children(movie, whole.body, whole.end) {
        let bytes = movie.get(span.at..span.end)?;
        let new = edits.iter().find(|(position, _)| kind == *b"trak" && *position == track);
        track += usize::from(kind == *b"trak");
        match new {
            Some((_, edits)) => made.extend(track_with_edits(movie, span, *edits)?),
            None => made.extend_from_slice(bytes),
        }
    }
    let size = u32::try_from(made.len()).ok()?;
    made[..4].copy_from_slice(&size.to_be_bytes());
    (children(movie, 0, movie.len()).len() == 1).then_some(made)
}

/// Returns a copy of a track box with these edits, and their length in its header.
fn track_with_edits(movie: &[u8], track: Span, edits: NewEdits) -> Option<Vec<u8>> {
    let header = child(movie, track, b"tkhd")?;
    let mut body = movie.get(header.at..header.end)?.to_vec();
    // Creation and modification time, ID and a reserved field are in front of the duration (8.3.2).
    let duration = edits.start.checked_add(edits.length)?;
    let short = u32::try_from(duration).unwrap_or(u32::MAX);
    match *body.get(8)? {
        0 => body.get_mut(28..32)?.copy_from_slice(&short.to_be_bytes()),
        _ => body.get_mut(36..44)?.copy_from_slice(&duration.to_be_bytes()),
    }
    body.extend(edit_box(edits));
    for (kind, span) in children(movie, track.body, track.end) {
        if kind != *b"tkhd" && kind != *b"edts" {
            body.extend_from_slice(movie.get(span.at..span.end)?);
        }
    }
    Some(boxed(b"trak", &body))
}

/// Returns the bytes that replace a movie box of `old` bytes and the `free` bytes of free space behind it: the changed movie
/// box, and a box of free space for what is left. `None` if the movie box does not fit, or 1 to 7 bytes would be left, which can't
/// be a box.
pub(crate) fn into_space(movie: Vec<u8>, old: usize, free: usize) -> Option<Vec<u8>> {
    let room = (old + free).checked_sub(movie.len())?;
    if room != 0 && room < 8 {
        return None;
    }
    let mut bytes = movie;
    if room > 0 {
        bytes.extend(u32::try_from(room).ok()?.to_be_bytes());
        bytes.extend(b"free");
        bytes.resize(bytes.len() + room - 8, 0);
    }
    Some(bytes)
}

/// Returns an initialization segment whose only track has these edits. `None` if there is no movie box with a track in it.
pub(crate) fn in_initialization(segment: &[u8], edits: NewEdits) -> Option<Vec<u8>> {
    let (_, movie) = children(segment, 0, segment.len()).into_iter().find(|(kind, _)| kind == b"moov")?;
    let changed = with_edits(segment.get(movie.at..movie.end)?, &[(0, edits)])?;
    Some([segment.get(..movie.at)?, &changed, segment.get(movie.end..)?].concat())
}

/// Returns a box of free space of so many bytes, at least 8 (8.1.2).
pub(crate) fn free_space(bytes: usize) -> Vec<u8> {
    boxed(b"free", &vec![0; bytes.saturating_sub(8)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movie() -> Vec<u8> {
        let mut header = vec![0; 84];
        header[12..16].copy_from_slice(&7_u32.to_be_bytes());
        let track = boxed(
            b"trak",
            &[boxed(b"tkhd", &header), boxed(b"edts", &[9; 20]), boxed(b"mdia", &[5; 4])].concat(),
        );
        boxed(b"moov", &[boxed(b"mvhd", &[1; 8]), track.clone(), track].concat())
    }

    #[test]
    fn a_track_gets_an_empty_edit_up_to_its_start() {
        let edits = NewEdits { start: 144, media_time: 1024, length: 48_000 };
        let made = with_edits(&movie(), &[(1, edits)]).unwrap();
        let whole = Span { at: 0, body: 8, end: made.len() };
        assert_eq!(children(&made, 0, made.len()).len(), 1);
        let tracks: Vec<Span> = children(&made, whole.body, whole.end)
            .into_iter()
            .filter(|(k, _)| k == b"trak")
            .map(|(_, s)| s)
            .collect();
        let list = |track: Span| child(&made, child(&made, track, b"edts").unwrap(), b"elst");
        assert!(list(tracks[0]).is_none(), "the first track is as it was");
        let list = list(tracks[1]).unwrap();
        let number = |at: usize| i64::from_be_bytes(*made[list.body + at..].first_chunk().unwrap());
        assert_eq!(made[list.body + 7], 2, "two edits");
        assert_eq!([number(8), number(16), number(28), number(36)], [144, -1, 48_000, 1024]);
        let header = child(&made, tracks[1], b"tkhd").unwrap();
        assert_eq!(made[header.body + 20..header.body + 24], 48_144_u32.to_be_bytes());
        assert!(child(&made, tracks[1], b"mdia").is_some());
    }

    #[test]
    fn bytes_that_are_no_movie_box_and_a_movie_box_that_does_not_fit_are_refused() {
        let edits = NewEdits { start: 0, media_time: 0, length: 1 };
        assert_eq!(with_edits(&[0, 0, 0, 9], &[(0, edits)]), None);
        assert_eq!(with_edits(&movie()[..40], &[(0, edits)]), None);
        assert_eq!(into_space(vec![1; 20], 16, 8), None, "four bytes are no box");
        assert_eq!(into_space(vec![1; 20], 16, 3), None);
        let placed = into_space(vec![1; 20], 16, 20).unwrap();
        assert_eq!((placed.len(), &placed[20..28]), (36, &[0, 0, 0, 16, b'f', b'r', b'e', b'e'][..]));
    }
}
