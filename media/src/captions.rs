//! Captions that overlap, laid one after the other: mp4 shows one text of a track at a time (3GPP TS 26.245, 5.15). Pure.

/// A text, and when it is shown, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caption {
    /// When it appears.
    pub(crate) start: i64,
    /// When it goes.
    pub(crate) end: i64,
    /// What it says, with the markup of ASS.
    pub(crate) text: String,
}

/// Captions one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaidOut {
    /// In the order in which they are shown.
    pub(crate) captions: Vec<Caption>,
    /// How many texts are not shown, since others are shown in their time.
    pub(crate) left_out: usize,
}

/// So many texts are shown at a time, at most: nobody reads more.
const AT_ONCE: usize = 64;
/// The longest text that is shown at a time, in bytes: a sample of mp4 holds 65,535 (3GPP TS 26.245, 5.17).
const LONGEST: usize = 16 << 10;
/// All texts together are at most so many times as long as what goes in, and so many bytes: each is repeated as long as it is
/// shown, whenever another comes or goes.
const REPEATED: usize = 8;
const ANY: usize = 4 << 20;

/// Lays captions one after the other: where several are shown at a time, their texts stand one above the other, the
/// first on top.
///
/// Where more are shown at a time than the limits above allow, those that came first are, and the others are left out.
#[must_use]
pub(crate) fn lay_out(mut captions: Vec<Caption>) -> LaidOut {
    captions.retain(|caption| caption.end > caption.start && !caption.text.is_empty());
    captions.sort_by_key(|caption| caption.start);
    let longest = captions.iter().map(|caption| caption.text.len()).sum::<usize>() * REPEATED + ANY;
    let mut at_once = AT_ONCE;
    loop {
        match lay(&captions, at_once, longest) {
            Some(laid) => return laid,
            // One at a time is never repeated.
            None => at_once /= 2,
        }
        if at_once == 0 {
            return LaidOut { captions: Vec::new(), left_out: captions.len() };
        }
    }
}

/// Lays captions out, so many at a time; `None` where all texts together are too long.
fn lay(captions: &[Caption], at_once: usize, longest: usize) -> Option<LaidOut> {
    let mut edges: Vec<i64> = captions.iter().flat_map(|caption| [caption.start, caption.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut laid = LaidOut::default();
    let (mut shown, mut next, mut all): (Vec<&Caption>, _, _) = (Vec::new(), 0, 0);
    for pair in edges.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        shown.retain(|caption| caption.end > start);
        while let Some(caption) = captions.get(next).filter(|caption| caption.start <= start) {
            let length: usize = shown.iter().map(|caption| caption.text.len() + 2).sum();
            if shown.len() < at_once && length + caption.text.len() <= LONGEST {
                shown.push(caption);
            } else {
                laid.left_out += 1;
            }
            next += 1;
        }
        let text: Vec<&str> = shown.iter().map(|caption| caption.text.as_str()).collect();
        let text = text.join("\\N");
        match laid.captions.last_mut() {
            Some(last) if last.end == start && last.text == text => last.end = end,
            _ if text.is_empty() => {}
            _ => {
                all += text.len();
                if all > longest {
                    return None;
                }
                laid.captions.push(Caption { start, end, text });
            }
        }
    }
    Some(laid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caption(start: i64, end: i64, text: &str) -> Caption {
        Caption { start, end, text: text.into() }
    }

    #[test]
    fn captions_that_overlap_are_shown_together_while_they_do() {
        let laid = lay_out(vec![
            caption(1000, 3000, "one"),
            caption(2000, 4000, "two"),
            caption(5000, 6000, "three"),
        ]);
        assert_eq!(
            laid.captions,
            [
                caption(1000, 2000, "one"),
                caption(2000, 3000, "one\\Ntwo"),
                caption(3000, 4000, "two"),
                caption(5000, 6000, "three")
            ]
        );
    }

    #[test]
    fn what_is_never_shown_is_left_out() {
        assert!(lay_out(vec![caption(5, 5, "x"), caption(6, 2, "y"), caption(1, 2, "")]).captions.is_empty());
    }

    #[test]
    fn thousands_of_texts_at_a_time_cost_no_more_than_their_own_length() {
        let begun = std::time::Instant::now();
        let many: Vec<Caption> =
            (0..100_000).map(|i| caption(i, 1_000_000 + i, &format!("{i:0100}"))).collect();
        let laid = lay_out(many);
        let long: usize = laid.captions.iter().map(|caption| caption.text.len()).sum();
        assert!(long <= 100_000 * 100 * REPEATED + ANY, "{long} bytes");
        assert!(laid.left_out > 90_000 && laid.captions[0].text.starts_with("000"), "{}", laid.left_out);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_text_that_fills_a_sample_leaves_the_others_out() {
        let long = "x".repeat(LONGEST);
        let laid = lay_out(vec![caption(0, 10, &long), caption(5, 20, "y"), caption(12, 20, "z")]);
        assert_eq!(laid.captions, [caption(0, 10, &long), caption(12, 20, "z")]);
        assert_eq!(laid.left_out, 1);
    }

    proptest! {
        #[test]
        fn at_every_moment_all_that_is_shown_is_shown_once(
            all in proptest::collection::vec((0..60_i64, 1..20_i64), 0..20),
        ) {
            let all: Vec<Caption> =
                all.iter().enumerate().map(|(i, (start, long))| caption(*start, start + long, &format!("<{i}>"))).collect();
            let laid = lay_out(all.clone()).captions;
            prop_assert!(laid.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for at in 0..80 {
                let shown = |caption: &&Caption| caption.start <= at && at < caption.end;
                let mut asked: Vec<&str> = all.iter().filter(shown).map(|caption| caption.text.as_str()).collect();
                let found = laid.iter().find(shown).map_or("", |caption| caption.text.as_str());
                let mut found: Vec<&str> = found.split("\\N").filter(|text| !text.is_empty()).collect();
                asked.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(asked, found);
            }
        }
    }
}
