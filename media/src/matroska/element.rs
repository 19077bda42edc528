//! Elements of EBML (RFC 8794, 4): an id, a size, and data, which may be elements again.

use crate::claims::Window;

/// An element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) id: u32,
    /// The offset of its id.
    pub(super) at: u64,
    /// The offset of its data.
    pub(super) data: u64,
    /// The offset behind its data.
    pub(super) end: u64,
}

impl Element {
    /// Returns the element at `at`; `None` if its header is not whole, its size is unknown, or it reaches past `limit`.
    pub(super) fn at(file: &Window<'_>, at: u64, limit: u64) -> Option<Self> {
        let (id, id_length) = number(file, at, 4, true)?;
        let (size, size_length) = number(file, at + id_length, 8, false)?;
        let data = at + id_length + size_length;
        // All bits set: the size is unknown.
        let unknown = (1 << (7 * size_length)) - 1;
        let end = data.checked_add(size).filter(|end| size != unknown && *end <= limit)?;
        Some(Self { id: u32::try_from(id).ok()?, at, data, end })
    }

    /// Visits the elements inside this one, in order; `None` if one of them is not whole, or `visit` returns it.
    pub(super) fn visit(&self, file: &Window<'_>, mut visit: impl FnMut(Self) -> Option<()>) -> Option<()> {
        let mut at = self.data;
        while at < self.end {
            let child = Self::at(file, at, self.end)?;
            visit(child)?;
            at = child.end;
        }
        Some(())
    }

    /// The bytes of an element that holds up to `N` of them, behind zeros; `None` if there are more.
    fn padded<const N: usize>(&self, file: &Window<'_>) -> Option<[u8; N]> {
        let length = usize::try_from(self.end - self.data).ok().filter(|length| *length <= N)?;
        let mut bytes = [0; N];
        for (i, at) in (self.data..self.end).enumerate() {
            [bytes[N - length + i]] = file.array(at)?;
        }
        Some(bytes)
    }

    /// The value of an unsigned integer (RFC 8794, 7.2).
    pub(super) fn unsigned(&self, file: &Window<'_>) -> Option<u64> {
        self.padded(file).map(u64::from_be_bytes)
    }

    /// The value of a signed integer (RFC 8794, 7.1).
    pub(super) fn signed(&self, file: &Window<'_>) -> Option<i64> {
        let unused = 64 - 8 * u32::try_from(self.end - self.data).ok()?.clamp(1, 8);
        Some((self.unsigned(file)? << unused).cast_signed() >> unused)
    }

    /// The value of a float of 4 or 8 bytes (RFC 8794, 7.3).
    pub(super) fn float(&self, file: &Window<'_>) -> Option<f64> {
        match self.end - self.data {
            4 => file.array(self.data).map(|bytes| f64::from(f32::from_be_bytes(bytes))),
            8 => file.array(self.data).map(f64::from_be_bytes),
            _ => None,
        }
    }

    /// The value of a string, without the zeros that may end it (RFC 8794, 7.4 and 7.5); `None` if it has more than `most` bytes.
    pub(super) fn text(&self, file: &Window<'_>, most: u64) -> Option<String> {
        let bytes = self.bytes(file, most)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The data; `None` if it has more than `most` bytes.
    pub(super) fn bytes(&self, file: &Window<'_>, most: u64) -> Option<Vec<u8>> {
        (self.end - self.data <= most).then_some(())?;
        (self.data..self.end).map(|at| file.array(at).map(|[byte]| byte)).collect()
    }
}

/// Reads a number of variable length, of at most `most` bytes, with its marker or without; and the count of its bytes.
pub(super) fn number(file: &Window<'_>, at: u64, most: u32, marked: bool) -> Option<(u64, u64)> {
    let [first] = file.array(at)?;
    let length = first.leading_zeros() + 1;
    (length <= most).then_some(())?;
    let first = if marked { u64::from(first) } else { u64::from(first) & (0xff >> length) };
    let mut value = first;
    for i in 1..u64::from(length) {
        let [byte] = file.array(at.checked_add(i)?)?;
        value = value << 8 | u64::from(byte);
    }
    Some((value, u64::from(length)))
}
