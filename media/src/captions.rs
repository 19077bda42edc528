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

/// Lays captions one after the other: where several are shown at a time, their texts stand one above the other, the
/// first on top.
#[must_use]
pub(crate) fn lay_out(mut captions: Vec<Caption>) -> Vec<Caption> {
    captions.retain(|caption| caption.end > caption.start && !caption.text.is_empty());
    captions.sort_by_key(|caption| caption.start);
    let mut edges: Vec<i64> = captions.iter().flat_map(|caption| [caption.start, caption.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut laid: Vec<Caption> = Vec::new();
    let (mut shown, mut next): (Vec<&Caption>, _) = (Vec::new(), 0);
    for pair in edges.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        shown.retain(|caption| caption.end > start);
        while let Some(caption) = captions.get(next).filter(|caption| caption.start <= start) {
            shown.push(caption);
            next += 1;
        }
        let text: Vec<&str> = shown.iter().map(|caption| caption.text.as_str()).collect();
        let text = text.join("\\N");
        match laid.last_mut() {
            Some(last) if last.end == start && last.text == text => last.end = end,
            _ if text.is_empty() => {}
            _ => laid.push(Caption { start, end, text }),
        }
    }
    laid
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
            laid,
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
        assert!(lay_out(vec![caption(5, 5, "x"), caption(6, 2, "y"), caption(1, 2, "")]).is_empty());
    }

    proptest! {
        #[test]
        fn at_every_moment_all_that_is_shown_is_shown_once(
            all in proptest::collection::vec((0..60_i64, 1..20_i64), 0..20),
        ) {
            let all: Vec<Caption> =
                all.iter().enumerate().map(|(i, (start, long))| caption(*start, start + long, &format!("<{i}>"))).collect();
            let laid = lay_out(all.clone());
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
