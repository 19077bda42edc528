//! Which packets a clip copies, and which pictures of it must be encoded, by the times of packets. Pure.

/// The most pictures by which one is moved between decoding and presentation: more than any codec does (16 of H.264 and HEVC).
pub(crate) const MOST_REORDERED: usize = 32;

/// The times of a packet of pictures, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PictureTimes {
    /// The presentation time.
    pub(crate) pts: i64,
    /// The decoding time; `None` if the container states none.
    pub(crate) dts: Option<i64>,
}

/// Finds the picture that is shown at a time: the last one that is not after it. Packets come in decoding order.
#[derive(Debug)]
pub(crate) struct FirstPicture {
    wanted: i64,
    shown: Option<i64>,
    next: Option<i64>,
    /// How many packets in a row are of pictures after that time.
    behind: usize,
}

impl FirstPicture {
    /// Looks for the picture that is shown at a time, in ticks.
    pub(crate) fn new(wanted: i64) -> Self {
        Self { wanted, shown: None, next: None, behind: 0 }
    }

    /// Takes the times of the next packet. Returns `true` once no packet that follows can be the one.
    pub(crate) fn take(&mut self, times: PictureTimes) -> bool {
        if times.pts <= self.wanted {
            self.shown = self.shown.max(Some(times.pts));
            self.behind = 0;
        } else {
            self.next = Some(self.next.map_or(times.pts, |next| next.min(times.pts)));
            self.behind += 1;
        }
        times.dts.is_some_and(|dts| dts > self.wanted) || self.behind > MOST_REORDERED
    }

    /// Returns the presentation time of the picture. Where none is shown yet, it is the next one; `None` if there is none at all.
    pub(crate) fn found(&self) -> Option<i64> {
        self.shown.or(self.next)
    }
}

/// How the pictures of a clip end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The presentation times of the last pictures, which can't be copied without others that come after the end: in order.
    pub(crate) encoded: Vec<i64>,
    /// The decoding times that they can have: those of the packets in whose place they stand.
    pub(crate) dts: Vec<Option<i64>>,
}

/// Returns how pictures end before a time. `packets` are the last ones, in decoding order, from a keyframe on to behind that time.
///
/// Copied are the first packets, as many as are shown before all others: what they need is among them, since a packet needs nothing
/// that is decoded after it. The rest of the pictures before `end` is encoded: a few, as many as are decoded in another order than
/// they are shown.
pub(crate) fn ending(packets: &[PictureTimes], end: i64) -> Ending {
    let is_kept = |times: &&PictureTimes| times.pts < end;
    let mut copied = packets.iter().take_while(is_kept).count();
    while copied > 0 {
        let (before, behind) = packets.split_at(copied);
        let last = before.iter().map(|times| times.pts).max();
        let next = behind.iter().filter(is_kept).map(|times| times.pts).min();
        if next.is_none_or(|next| last.is_none_or(|last| last < next)) {
            break;
        }
        copied -= 1;
    }
    let behind = packets.get(copied..).unwrap_or_default();
    let mut encoded: Vec<i64> = behind.iter().filter(is_kept).map(|times| times.pts).collect();
    encoded.sort_unstable();
    let dts = behind.iter().take(encoded.len()).map(|times| times.dts).collect();
    Ending { encoded, dts }
}

/// Gives decoding times that increase, of packets in decoding order. Those that are stated stay, if they do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecodingTimes {
    last: Option<i64>,
    /// How long before its presentation the first packet is decoded, if it has no decoding time.
    lead: i64,
}

impl DecodingTimes {
    /// Begins a track whose first packet is decoded `lead` ticks before it is shown, if nothing says so.
    pub(crate) fn new(lead: i64) -> Self {
        Self { last: None, lead }
    }

    /// Returns the decoding time of the next packet, which is shown at `pts`.
    pub(crate) fn next(&mut self, pts: i64, stated: Option<i64>) -> i64 {
        let least = self.last.map(|last| last.saturating_add(1));
        let dts = match (stated, least) {
            (Some(stated), Some(least)) => stated.max(least),
            (Some(stated), None) => stated,
            (None, Some(least)) => least,
            (None, None) => pts.saturating_sub(self.lead),
        };
        // A picture is not shown before it is decoded.
        let dts = if pts >= least.unwrap_or(i64::MIN) { dts.min(pts) } else { dts };
        self.last = Some(dts);
        dts
    }
}

/// Returns from when until when a packet of sound is heard in a clip from `start` to `end`; the packet itself is heard from `from` until
/// `until`. `None` if nothing of it is.
pub(crate) fn heard((from, until): (i64, i64), (start, end): (i64, i64)) -> Option<(i64, i64)> {
    let part = (from.max(start), until.min(end));
    (part.0 < part.1).then_some(part)
}

/// Returns `true` if a packet is in a clip whose container can't hide parts of packets: it does not begin before the clip does, and
/// most of it is heard before the end.
pub(crate) fn is_nearest((from, until): (i64, i64), (start, end): (i64, i64)) -> bool {
    from >= start && i128::from(from) + i128::from(until) <= 2 * i128::from(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(times: &[(i64, i64)]) -> Vec<PictureTimes> {
        times.iter().map(|(pts, dts)| PictureTimes { pts: *pts, dts: Some(*dts) }).collect()
    }

    /// Pictures of two groups, the second one open: I0 P3 B1 B2, I6 B4 B5 P9 B7 B8.
    fn reordered() -> Vec<PictureTimes> {
        let pts = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
        packets(&pts.iter().zip(-1..).map(|(pts, dts)| (*pts, dts)).collect::<Vec<_>>())
    }

    fn first(wanted: i64, packets: &[PictureTimes]) -> (Option<i64>, usize) {
        let mut first = FirstPicture::new(wanted);
        let read = packets.iter().position(|times| first.take(*times)).map_or(packets.len(), |at| at + 1);
        (first.found(), read)
    }

    #[test]
    fn the_first_picture_is_the_one_that_is_shown_then_whatever_order_they_are_decoded_in() {
        for wanted in 0..10 {
            assert_eq!(first(wanted, &reordered()).0, Some(wanted));
        }
        assert_eq!(
            first(2, &reordered()),
            (Some(2), 5),
            "a packet that is decoded after the time ends the search"
        );
        assert_eq!(first(-5, &reordered()).0, Some(0), "before the first one, that one");
        assert_eq!(first(5, &packets(&[(0, 0), (4, 4), (9, 9)])).0, Some(4), "shown until the next one");
        assert_eq!(first(0, &[]).0, None);
        let without: Vec<_> = (0..100).map(|pts| PictureTimes { pts, dts: None }).collect();
        assert_eq!(first(3, &without), (Some(3), 4 + MOST_REORDERED + 1));
    }

    #[test]
    fn an_end_at_which_nothing_after_is_needed_is_copied() {
        for end in [1, 4, 10, 99] {
            assert_eq!(ending(&reordered(), end), Ending::default(), "{end}");
        }
        assert_eq!(ending(&[], 5), Ending::default());
    }

    #[test]
    fn pictures_that_need_one_after_the_end_are_encoded_in_the_places_of_packets() {
        let two = ending(&reordered(), 3);
        assert_eq!((two.encoded, two.dts), (vec![1, 2], vec![Some(0), Some(1)]));
        let of_open_group = ending(&reordered(), 6);
        assert_eq!((of_open_group.encoded, of_open_group.dts), (vec![4, 5], vec![Some(3), Some(4)]));
        assert_eq!(ending(&reordered(), 9).encoded, [7, 8]);
        assert_eq!(ending(&reordered(), 8).encoded, [7]);
        // The keyframe itself is kept, and two that are shown before it come after one that is not.
        let odd = packets(&[(5, 0), (9, 1), (3, 2), (4, 3)]);
        assert_eq!(ending(&odd, 6).encoded, [3, 4, 5], "nothing is copied: the keyframe is shown last");
    }

    #[test]
    fn decoding_times_increase_and_stay_as_they_are_where_they_do() {
        let mut times = DecodingTimes::new(2);
        let made: Vec<i64> = [(0, None), (4, None), (1, Some(0)), (2, Some(1)), (3, Some(1))]
            .into_iter()
            .map(|(pts, dts)| times.next(pts, dts))
            .collect();
        assert_eq!(made, [-2, -1, 0, 1, 2]);
        assert_eq!(DecodingTimes::new(2).next(5, Some(9)), 5, "no later than it is shown");
    }

    #[test]
    fn of_sound_the_part_within_the_clip_is_heard() {
        let clip = (100, 200);
        assert_eq!(heard((50, 100), clip), None);
        assert_eq!(heard((50, 101), clip), Some((100, 101)));
        assert_eq!(heard((190, 230), clip), Some((190, 200)));
        assert_eq!(heard((200, 230), clip), None);
        assert!(is_nearest((100, 120), clip) && !is_nearest((99, 120), clip));
        assert!(is_nearest((190, 210), clip) && !is_nearest((191, 211), clip));
        assert!(is_nearest((100, 120), (0, i64::MAX)));
    }

    proptest! {
        /// Whatever order pictures are decoded in: each before the end is copied or encoded, and none that is copied is shown after
        /// one that is encoded, or decoded after one that is left out.
        #[test]
        fn each_picture_before_the_end_is_there_once(
            moves in proptest::collection::vec(0_usize..6, 1..60),
            end in 0_i64..60,
        ) {
            let mut order: Vec<i64> = (0..moves.len() as i64).collect();
            for (at, by) in moves.iter().enumerate() {
                let to = (at + by).min(order.len() - 1);
                order.swap(at, to);
            }
            let packets: Vec<_> = order.iter().zip(-60..).map(|(pts, dts)| PictureTimes { pts: *pts, dts: Some(dts) }).collect();
            let Ending { encoded, dts } = ending(&packets, end);
            let kept = |times: &&PictureTimes| times.pts < end && !encoded.contains(&times.pts);
            let copied = packets.iter().filter(kept).count();
            prop_assert_eq!(copied + encoded.len(), packets.iter().filter(|times| times.pts < end).count());
            prop_assert_eq!(dts.len(), encoded.len());
            prop_assert!(packets.iter().take(copied).all(|times| kept(&times)), "a prefix of the packets");
            let last = packets.iter().take(copied).map(|times| times.pts).max();
            prop_assert!(last.is_none_or(|last| encoded.iter().all(|pts| *pts > last)));
            for (pts, dts) in encoded.iter().zip(&dts) {
                prop_assert!(dts.is_some_and(|dts| dts <= *pts));
            }
        }
    }
}
