//! Matroska and WebM: a Segment longer than the file, elements that are cut, and an index of what is not there.

use super::bytes::{Bytes, cut_off, grouped, partial, shorter};

/// EBML and Matroska element ids (RFC 8794, 11.2; RFC 9559, 5).
mod id {
    pub(super) const EBML: u32 = 0x1a45_dfa3;
    pub(super) const VOID: u32 = 0xec;
    pub(super) const CRC_32: u32 = 0xbf;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(super) const SEEK: u32 = 0x4dbb;
    pub(super) const SEEK_POSITION: u32 = 0x53ac;
    pub(super) const INFO: u32 = 0x1549_a966;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const CHAPTERS: u32 = 0x1043_a770;
    pub(super) const ATTACHMENTS: u32 = 0x1941_a469;
    pub(super) const TAGS: u32 = 0x1254_c367;
    pub(super) const CUES: u32 = 0x1c53_bb6b;
    pub(super) const CUE_POINT: u32 = 0xbb;
    pub(super) const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub(super) const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const TIMESTAMP: u32 = 0xe7;
    pub(super) const SILENT_TRACKS: u32 = 0x5854;
    pub(super) const POSITION: u32 = 0xa7;
    pub(super) const PREV_SIZE: u32 = 0xab;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(super) const BLOCK_GROUP: u32 = 0xa0;
    pub(super) const ENCRYPTED_BLOCK: u32 = 0xaf;
}

/// How many elements are visited in front of the first Cluster.
const MOST_IN_FRONT: u32 = 64;
/// The bytes of the longest id and size.
const MOST_HEADER: usize = 12;
/// How far from the end the last Cluster is searched, in bytes.
const LAST_CLUSTER: u64 = 8 << 20;
/// How many bytes of Cues are read.
const MOST_CUES: u64 = 1 << 20;

/// An EBML element (RFC 8794, 4).
#[derive(Clone, Copy)]
struct Element {
    id: u32,
    /// The offset of its id.
    at: u64,
    /// The offset of its data.
    data: u64,
    /// The offset behind its data; `None` if its size is unknown.
    end: Option<u64>,
}

impl Element {
    /// Returns the element at an offset; `None` if none is there, or its header is not whole.
    fn at(bytes: &Bytes<'_>, at: u64) -> Option<Self> {
        let header = bytes.near(at, MOST_HEADER)?;
        let id_length = header.first()?.leading_zeros() as usize + 1;
        let (id, rest) = (id_length <= 4).then(|| header.split_at_checked(id_length))??;
        let length = rest.first()?.leading_zeros() as usize + 1;
        let coded = (length <= 8).then(|| rest.get(..length))??;
        let ones = (1 << (7 * length)) - 1;
        let size = number(coded) & ones;
        let data = at + (id_length + length) as u64;
        let id = u32::try_from(number(id)).ok()?;
        Some(Self { id, at, data, end: (size != ones).then_some(data + size) })
    }

    /// Returns the elements inside this one.
    fn children<'a>(&self, bytes: &'a Bytes<'a>) -> impl Iterator<Item = Self> + use<'a> {
        let (mut at, end) = (self.data, self.end.unwrap_or(self.data));
        std::iter::from_fn(move || {
            let child = (at < end).then(|| Self::at(bytes, at)).flatten()?;
            at = child.end?;
            Some(child)
        })
    }

    /// The value of an element that holds an unsigned integer of up to 8 bytes (RFC 8794, 7.2).
    fn unsigned(&self, bytes: &Bytes<'_>) -> Option<u64> {
        let length = self.end? - self.data;
        (length <= 8).then_some(())?;
        bytes.near(self.data, length as usize).map(|value| number(&value))
    }
}

/// The big-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Returns what is missing at the end of a Matroska file.
///
/// A Segment of known size states the length of the file. In one of unknown size, as a live writer leaves it, the last
/// Cluster and its last block are whole, and no index in front of them names an offset behind the end.
pub(super) fn missing(bytes: &Bytes<'_>) -> Option<String> {
    let header = Element::at(bytes, 0).filter(|header| header.id == id::EBML)?;
    let mut segment = Element::at(bytes, header.end?)?;
    while segment.id == id::VOID || segment.id == id::CRC_32 {
        segment = Element::at(bytes, segment.end?)?;
    }
    (segment.id == id::SEGMENT).then_some(())?;
    match segment.end {
        // A placeholder of a live writer.
        Some(end) if end == segment.data => None,
        Some(end) => shorter(end, bytes.size()),
        None => missing_of_unknown(bytes, segment.data),
    }
}

/// Returns what is missing in a Segment of unknown size whose data begins at `segment`.
fn missing_of_unknown(bytes: &Bytes<'_>, segment: u64) -> Option<String> {
    let mut at = segment;
    for _ in 0..MOST_IN_FRONT {
        let part = Element::at(bytes, at)?;
        if part.id == id::CLUSTER {
            break;
        }
        let end = part.end?;
        if end > bytes.size() {
            return cut(bytes, &part);
        }
        if let Some(position) = last_position(bytes, &part).and_then(|position| segment.checked_add(position))
            && position >= bytes.size()
        {
            return Some(cut_off(&format!(
                "its index names a part of it at byte {}, and {} bytes are there",
                grouped(position),
                grouped(bytes.size())
            )));
        }
        at = end;
    }
    let first_cluster = at;
    let within = LAST_CLUSTER.min(bytes.size().saturating_sub(first_cluster));
    let last = bytes.find_last(&id::CLUSTER.to_be_bytes(), within, |at| begins_cluster(bytes, at))?;
    let mut at = last;
    loop {
        let part = Element::at(bytes, at)?;
        match part.end {
            _ if !is_known(part.id) => return None,
            Some(end) if end > bytes.size() => return cut(bytes, &part),
            Some(end) => at = end,
            // Its children follow, and then what is next to it.
            None if part.id == id::CLUSTER => at = part.data,
            None => return None,
        }
    }
}

/// The message for an element that reaches past the end of the file.
fn cut(bytes: &Bytes<'_>, part: &Element) -> Option<String> {
    let name = match part.id {
        id::CLUSTER => "last Cluster",
        id::SIMPLE_BLOCK | id::BLOCK_GROUP | id::ENCRYPTED_BLOCK => "last block",
        id::CUES => "index (Cues)",
        id::TAGS => "list of tags",
        id::CHAPTERS => "list of chapters",
        id::ATTACHMENTS => "list of attachments",
        id::TRACKS => "list of tracks",
        id::VOID => return None,
        _ => "last element",
    };
    partial(name, bytes.size() - part.at, part.end? - part.at)
}

/// Whether a Cluster begins at an offset: one begins with its timestamp, or with a checksum.
fn begins_cluster(bytes: &Bytes<'_>, at: u64) -> bool {
    let first = Element::at(bytes, at).and_then(|cluster| Element::at(bytes, cluster.data));
    first.is_some_and(|first| {
        let length = first.end.map_or(0, |end| end - first.data);
        matches!(first.id, id::TIMESTAMP | id::CRC_32) && (1..=8).contains(&length)
    })
}

/// Whether an element belongs in a Segment or a Cluster.
fn is_known(id: u32) -> bool {
    let in_segment = [
        id::CLUSTER,
        id::CUES,
        id::TAGS,
        id::CHAPTERS,
        id::ATTACHMENTS,
        id::SEEK_HEAD,
        id::INFO,
        id::TRACKS,
        id::VOID,
        id::CRC_32,
    ];
    let in_cluster = [
        id::TIMESTAMP,
        id::SILENT_TRACKS,
        id::POSITION,
        id::PREV_SIZE,
        id::SIMPLE_BLOCK,
        id::BLOCK_GROUP,
        id::ENCRYPTED_BLOCK,
    ];
    in_segment.contains(&id) || in_cluster.contains(&id)
}

/// Returns the largest offset that a SeekHead or Cues name, in bytes from the start of the Segment's data (RFC 9559, 16).
fn last_position(bytes: &Bytes<'_>, part: &Element) -> Option<u64> {
    let within = part.end? - part.data <= MOST_CUES;
    match part.id {
        id::SEEK_HEAD if within => part
            .children(bytes)
            .filter(|seek| seek.id == id::SEEK)
            .filter_map(|seek| seek.children(bytes).find(|child| child.id == id::SEEK_POSITION))
            .filter_map(|position| position.unsigned(bytes))
            .max(),
        id::CUES if within => part
            .children(bytes)
            .filter(|point| point.id == id::CUE_POINT)
            .flat_map(|point| point.children(bytes))
            .filter(|child| child.id == id::CUE_TRACK_POSITIONS)
            .filter_map(|track| track.children(bytes).find(|child| child.id == id::CUE_CLUSTER_POSITION))
            .filter_map(|position| position.unsigned(bytes))
            .max(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_cut, message};
    use super::id;

    const UNKNOWN: [u8; 8] = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

    /// An element whose size is coded in 4 bytes.
    fn element(id: u32, data: &[u8]) -> Vec<u8> {
        [bytes(id), (data.len() as u32 | 0x1000_0000).to_be_bytes().to_vec(), data.to_vec()].concat()
    }

    fn of_unknown_size(id: u32, data: &[u8]) -> Vec<u8> {
        [bytes(id), UNKNOWN.to_vec(), data.to_vec()].concat()
    }

    fn bytes(number: u32) -> Vec<u8> {
        number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
    }

    fn cluster(block: usize) -> Vec<u8> {
        [element(id::TIMESTAMP, &[9]), element(id::SIMPLE_BLOCK, &vec![7; block])].concat()
    }

    fn header() -> Vec<u8> {
        element(id::EBML, &[0; 20])
    }

    #[test]
    fn a_cut_matroska_file_is_missing_bytes() {
        let whole = [header(), element(id::SEGMENT, &element(id::CLUSTER, &cluster(100)))].concat();
        assert_eq!(whole.len(), 155);
        let why = "its header says that it is 155 bytes long, and 100 are there";
        assert_cut("matroska,webm", &whole, 100, why);
        assert_eq!(message("matroska,webm", &[whole, vec![0; 50]].concat()), None);
    }

    #[test]
    fn the_last_cluster_of_a_live_file_is_whole() {
        let clusters = [element(id::CLUSTER, &cluster(100)), element(id::CLUSTER, &cluster(200))].concat();
        let tags = element(id::TAGS, &[0; 30]);
        let whole = [header(), of_unknown_size(id::SEGMENT, &[clusters, tags].concat())].concat();
        let end = whole.len();
        assert_cut("matroska,webm", &whole, end - 40, "its last Cluster is not whole (217 of 219 bytes)");
        assert_cut("matroska,webm", &whole, end - 1, "its list of tags is not whole (37 of 38 bytes)");
    }

    #[test]
    fn the_last_block_of_a_cluster_of_unknown_size_is_whole() {
        let clusters = of_unknown_size(id::CLUSTER, &cluster(100)).repeat(2);
        let whole = [header(), of_unknown_size(id::SEGMENT, &clusters)].concat();
        assert_cut("webm", &whole, whole.len() - 3, "its last block is not whole (102 of 105 bytes)");
        assert_eq!(message("webm", &[whole, b"more".to_vec()].concat()), None);
    }

    #[test]
    fn an_index_names_no_part_behind_the_end() {
        let position = element(id::SEEK_POSITION, &[200]);
        let seek_head = element(id::SEEK_HEAD, &element(id::SEEK, &position));
        let track = element(id::CUE_TRACK_POSITIONS, &element(id::CUE_CLUSTER_POSITION, &[200]));
        let cues = element(id::CUES, &element(id::CUE_POINT, &track));
        for index in [seek_head, cues] {
            let whole = [index, element(id::CLUSTER, &cluster(200))].concat();
            let whole = [header(), of_unknown_size(id::SEGMENT, &whole)].concat();
            let why = "its index names a part of it at byte 240, and 150 bytes are there";
            assert_cut("matroska", &whole, 150, why);
        }
    }

    #[test]
    fn a_segment_size_of_0_states_nothing() {
        let file = [header(), element(id::SEGMENT, &[]), element(id::CLUSTER, &cluster(9))].concat();
        assert_eq!(message("matroska", &file), None);
    }
}
