//! Reads an object, or a file on a web server, in ranges. Many small reads cost few requests, and a lost connection is resumed at its
//! byte.

use std::{collections::VecDeque, fmt::Debug, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::error::StorageError;

/// The range that the first read at a new offset requests, in bytes.
const SHORTEST: u64 = 64 << 10;
/// The same, where few requests count for more than few bytes.
const EAGER: u64 = 1 << 20;
/// The longest range that is requested, in bytes. Longer ones are not faster, and this bounds the memory.
const LONGEST: u64 = 4 << 20;
/// A gap of less than this, in bytes, continues a sequential run of reads.
const GAP: u64 = 1 << 20;
/// How many bytes are kept in memory: three of the longest ranges, or more shorter ones. An index that is read several times is
/// requested once.
const KEPT: u64 = 3 * LONGEST;
/// How often a lost connection is resumed.
const LOSSES: u32 = 8;

/// Decides how far to read ahead: the longer a sequential run of reads, the farther. Pure.
#[derive(Debug, Clone, Copy, Default)]
struct Ahead {
    /// The end of the last requested range.
    end: u64,
    /// The length of the last requested range.
    step: u64,
    /// True if the first range at a new offset is [`EAGER`] long, and begins before it: headers are read front to back and back again.
    is_eager: bool,
}

impl Ahead {
    /// Returns the range to request for a read that is not in memory.
    fn next(&mut self, at: u64, length: u64, size: u64) -> Range<u64> {
        let is_sequential = self.step > 0 && at >= self.end.saturating_sub(SHORTEST) && at <= self.end + GAP;
        let shortest = if self.is_eager { EAGER } else { SHORTEST };
        self.step = if is_sequential { (self.step * 2).min(LONGEST) } else { shortest };
        let start = if self.is_eager && !is_sequential { at - at % SHORTEST } else { at };
        self.end = start.saturating_add(self.step).max(at.saturating_add(length)).min(size);
        start..self.end
    }

    /// Returns the range to request in advance, or `None` if the run is still short.
    fn after(&self, size: u64) -> Option<Range<u64>> {
        (self.step == LONGEST && self.end < size).then(|| self.end..(self.end + LONGEST).min(size))
    }
}

/// One version of an object, which is requested in ranges.
#[async_trait]
pub(crate) trait Ranges: Debug + Send + Sync {
    /// Returns the URL, as messages name it.
    fn display(&self) -> String;

    /// Appends the bytes of a range. After an error, or if the connection ends early, those that arrived before are appended too.
    ///
    /// # Errors
    /// If the store can't be read, or the object has another version.
    async fn append(&self, range: Range<u64>, to: &mut BytesMut) -> Result<(), StorageError>;
}

/// A range that is being requested.
type Fetching = JoinHandle<Result<Bytes, StorageError>>;

/// A reader of one version of an object.
#[derive(Debug)]
pub struct RangeReader {
    object: Arc<dyn Ranges>,
    size: u64,
    ahead: Ahead,
    kept: VecDeque<(u64, Bytes)>,
    coming: Option<(Range<u64>, Fetching)>,
}

impl RangeReader {
    pub(crate) fn new(object: Arc<dyn Ranges>, size: u64, is_eager: bool) -> Self {
        Self {
            object,
            size,
            ahead: Ahead { is_eager, ..Ahead::default() },
            kept: VecDeque::new(),
            coming: None,
        }
    }

    /// Returns the object's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns bytes from this offset: at least one and at most `most`, or none at the object's end.
    ///
    /// # Errors
    /// If the store can't be read, or the object has changed.
    pub async fn read(&mut self, at: u64, most: usize) -> Result<Bytes, StorageError> {
        if at >= self.size || most == 0 {
            return Ok(Bytes::new());
        }
        if let Some(found) = self.find(at, most) {
            return Ok(found);
        }
        if let Some((range, coming)) = self.coming.take() {
            if range.contains(&at) {
                let bytes = coming.await.map_err(|_| self.lost("the read was aborted"))??;
                self.ahead.end = range.end;
                self.keep(range.start, bytes);
                self.look_ahead();
                return self.find(at, most).ok_or_else(|| self.lost("the object is shorter than before"));
            }
            coming.abort();
        }
        let range = self.ahead.next(at, most as u64, self.size);
        let bytes = fetch(self.object.as_ref(), range.clone()).await?;
        self.keep(range.start, bytes);
        self.look_ahead();
        self.find(at, most).ok_or_else(|| self.lost("the object is shorter than before"))
    }

    fn lost(&self, reason: &str) -> StorageError {
        let path = self.object.display();
        StorageError::Store { doing: "reading", path, reason: reason.into(), passes: true }
    }

    fn find(&self, at: u64, most: usize) -> Option<Bytes> {
        self.kept.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok().filter(|from| *from < bytes.len())?;
            Some(bytes.slice(from..bytes.len().min(from.saturating_add(most))))
        })
    }

    fn keep(&mut self, start: u64, bytes: Bytes) {
        self.kept.push_back((start, bytes));
        let mut kept: u64 = self.kept.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        while kept > KEPT
            && self.kept.len() > 1
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            kept -= oldest.len() as u64;
        }
    }

    /// Requests the next range, while the present one is used.
    fn look_ahead(&mut self) {
        let Some(range) = self.ahead.after(self.size) else { return };
        let (object, requested) = (self.object.clone(), range.clone());
        let coming = tokio::spawn(async move { fetch(object.as_ref(), requested).await });
        self.coming = Some((range, coming));
    }
}

impl Drop for RangeReader {
    fn drop(&mut self) {
        if let Some((_, coming)) = self.coming.take() {
            coming.abort();
        }
    }
}

/// Returns all bytes of a range. A lost connection is resumed at its byte.
async fn fetch(object: &dyn Ranges, range: Range<u64>) -> Result<Bytes, StorageError> {
    let whole = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut got = BytesMut::with_capacity(whole);
    let mut losses = 0;
    loop {
        let from = range.start + got.len() as u64;
        let lost = object.append(from..range.end, &mut got).await;
        if got.len() >= whole {
            return Ok(got.freeze());
        }
        losses += 1;
        match lost {
            Err(error) if !error.is_transient() || losses > LOSSES => return Err(error),
            Ok(()) if losses > LOSSES => {
                let reason = "the connection was lost again and again".into();
                let path = object.display();
                return Err(StorageError::Store { doing: "reading", path, reason, passes: true });
            }
            _ => {}
        }
        tracing::debug!(
            url = object.display(),
            at = range.start + got.len() as u64,
            losses,
            "a connection was lost; resuming the read"
        );
        tokio::time::sleep(pause(losses)).await;
    }
}

/// Returns the pause before the nth try: doubling from 100 ms to 10 s, with jitter, so that many clients that fail together do not
/// come back together.
pub(crate) fn pause(tries: u32) -> Duration {
    let longest = Duration::from_millis(100 << tries.min(7)).min(Duration::from_secs(10));
    longest.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_four_megabytes_costs_few_requests_and_little_more_than_itself() {
        let (size, index) = (4_000_000_000_u64, 4_000_000_u64);
        let (mut ahead, mut requests, mut read) = (Ahead::default(), 0, 0);
        let mut at = size - index;
        while at < size {
            let range = ahead.next(at, 65_536, size);
            requests += 1;
            read += range.end - range.start;
            at = range.end;
        }
        assert!(requests <= 8 && read <= index + LONGEST, "{requests} requests, {read} bytes");
    }

    #[test]
    fn where_few_requests_count_the_first_range_is_long_and_begins_before() {
        let mut ahead = Ahead { is_eager: true, ..Ahead::default() };
        let at = 10 * SHORTEST;
        assert_eq!(ahead.next(at + 4, 100, u64::MAX), at..at + EAGER);
        assert_eq!(ahead.next(at + EAGER, 100, u64::MAX), at + EAGER..at + 3 * EAGER, "a run");
        assert_eq!(
            ahead.next(SHORTEST - 1, 2 * EAGER, u64::MAX),
            0..SHORTEST - 1 + 2 * EAGER,
            "all that is read"
        );
    }

    #[test]
    fn a_seek_starts_a_new_run_and_a_small_gap_does_not() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.next(0, 100, u64::MAX), 0..SHORTEST);
        assert_eq!(ahead.next(SHORTEST, 100, u64::MAX), SHORTEST..3 * SHORTEST);
        assert_eq!(ahead.next(3 * SHORTEST + GAP, 100, u64::MAX), 3 * SHORTEST + GAP..7 * SHORTEST + GAP);
        assert_eq!(ahead.next(1 << 40, 100, u64::MAX), 1 << 40..(1 << 40) + SHORTEST);
        assert_eq!(ahead.next(0, 1 << 20, 1000), 0..1000, "no farther than its end");
        assert!(ahead.after(1000).is_none());
    }
}
