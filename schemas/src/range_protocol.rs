//! The protocol by which a media process, which has no network, reads an object: it asks its parent over a socket, and the
//! parent reads the object store.
//!
//! ```text
//! request  offset:u64 length:u32     from the media process; offset 2^64 - 1 asks for the object's size instead
//! reply    length:u32 bytes          from the parent; 0 at the object's end, 2^32 - 1 if the bytes can't be read
//! ```
//!
//! Integers are little endian. The object's size is a reply of eight bytes. A reply may be shorter than its request.

/// The length of a request, in bytes.
pub const REQUEST_LENGTH: usize = 12;
/// The most bytes of an object in one reply, whatever was requested.
pub const MAX_REPLY: u32 = 1 << 20;

/// The offset that asks for the object's size.
const SIZE_OFFSET: u64 = u64::MAX;
/// The length of a reply that has no bytes, because they can't be read.
const FAILED_LENGTH: u32 = u32::MAX;

/// What a media process asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeRequest {
    /// The object's size, as eight bytes.
    Size,
    /// Bytes of the object.
    Read {
        /// The offset of the first byte; less than 2^64 - 1.
        offset: u64,
        /// The most bytes that are wanted.
        length: u32,
    },
}

impl RangeRequest {
    /// Returns the request as it is sent.
    #[must_use]
    pub fn encode(self) -> [u8; REQUEST_LENGTH] {
        let (offset, length) = match self {
            Self::Size => (SIZE_OFFSET, 8),
            Self::Read { offset, length } => (offset, length),
        };
        let mut bytes = [0; REQUEST_LENGTH];
        bytes[..8].copy_from_slice(&offset.to_le_bytes());
        bytes[8..].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// Returns the request that was sent as these bytes.
    #[must_use]
    pub fn decode(bytes: [u8; REQUEST_LENGTH]) -> Self {
        let [o0, o1, o2, o3, o4, o5, o6, o7, length @ ..] = bytes;
        match u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]) {
            SIZE_OFFSET => Self::Size,
            offset => Self::Read { offset, length: u32::from_le_bytes(length) },
        }
    }
}

/// Returns the four bytes that a reply begins with: its length, or that the bytes can't be read if `length` is `None`.
#[must_use]
pub fn encode_reply_length(length: Option<u32>) -> [u8; 4] {
    length.unwrap_or(FAILED_LENGTH).to_le_bytes()
}

/// Returns how many bytes follow in this reply; `None` if they can't be read.
#[must_use]
pub fn decode_reply_length(bytes: [u8; 4]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes)).filter(|length| *length != FAILED_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_reply_lengths_survive_the_socket() {
        for request in [
            RangeRequest::Size,
            RangeRequest::Read { offset: 0, length: 0 },
            RangeRequest::Read { offset: u64::MAX - 1, length: u32::MAX },
        ] {
            assert_eq!(RangeRequest::decode(request.encode()), request);
        }
        let read = RangeRequest::Read { offset: 0x0102_0304_0506_0708, length: 0x090a_0b0c };
        assert_eq!(read.encode(), [8, 7, 6, 5, 4, 3, 2, 1, 12, 11, 10, 9], "little endian");
        assert_eq!(RangeRequest::Size.encode()[..8], [255; 8]);
        for length in [None, Some(0), Some(MAX_REPLY)] {
            assert_eq!(decode_reply_length(encode_reply_length(length)), length);
        }
    }
}
