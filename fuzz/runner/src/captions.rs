//! Captions: the text of packets in any encoding, and many texts laid one after the other.

use fastrand::Rng;
use millrace_media::captions::{Caption, combine_overlapping, decode_text, shortened, text_of_line, to_utf8};

use crate::Target;

/// Holds that text never grows without bound, is cut between characters, and is laid out in order of time.
pub const TARGET: Target = Target {
    name: "captions",
    check,
    seeds,
    words: &[
        "\\N",
        "{\\i1}",
        ",,,,,,,,",
        "0,0,Default,,0,0,0,,",
        "Gr\u{fc}\u{df}e",
        "\u{feff}",
        "\0",
        "\n",
        "\u{10ffff}",
        "<b>",
    ],
    memory: (8 << 20, 100),
    longest: 128 << 10,
};

fn check(bytes: &[u8]) -> bool {
    check_packet(bytes, true);
    check_packet(bytes, false);
    let text = decode_text(bytes);
    assert!(text.len() <= 3 * bytes.len(), "{} bytes became {}", bytes.len(), text.len());
    let line = text_of_line(&text);
    for longest in [0, 1, 7, text.len()] {
        let short = shortened(line.to_owned(), longest);
        assert!(short.len() <= longest && line.starts_with(&short));
        // A character has four bytes at most.
        assert!(short == line || short.len() + 3 >= longest);
    }
    let captions = captions(bytes);
    check_layout(&captions);
    !captions.is_empty()
}

/// What must hold for the text of a packet that a decoder of libav's is given.
#[expect(clippy::expect_used)]
fn check_packet(packet: &[u8], is_framed: bool) {
    let Some(changed) = to_utf8(packet, is_framed) else { return };
    assert!(changed.len() <= 3 * packet.len());
    let text = if is_framed {
        let (length, rest) = changed.split_first_chunk::<2>().expect("the length of the text");
        let (text, tail) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        assert!(packet.ends_with(tail), "its styles have changed");
        text
    } else {
        &changed
    };
    assert!(str::from_utf8(text).is_ok(), "it is no UTF-8");
    assert_eq!(to_utf8(&changed, is_framed), None, "once is enough");
}

/// What must hold for texts that are laid one after the other.
fn check_layout(captions: &[Caption]) {
    /// The longest text that is shown at a time, in bytes.
    const LONGEST: usize = 16 << 10;
    let laid = combine_overlapping(captions.to_vec());
    let mut end = i64::MIN;
    for caption in &laid.captions {
        assert!(caption.start >= end && caption.end > caption.start, "texts overlap");
        assert!(!caption.text.is_empty() && caption.text.len() <= LONGEST + 2 * 64);
        end = caption.end;
    }
    let long = |captions: &[Caption]| captions.iter().map(|caption| caption.text.len()).sum::<usize>();
    assert!(long(&laid.captions) <= 8 * long(captions) + (4 << 20), "texts are repeated too often");
    assert!(laid.left_out <= captions.len());
    let is_shown = |caption: &&Caption| caption.end > caption.start && !caption.text.is_empty();
    let shown = captions.iter().filter(is_shown);
    // Nothing is shown that was not, and nothing before or after its time.
    let first = shown.clone().map(|caption| caption.start).min();
    let last = shown.clone().map(|caption| caption.end).max();
    assert!(laid.captions.first().is_none_or(|caption| Some(caption.start) >= first));
    assert!(laid.captions.last().is_none_or(|caption| Some(caption.end) <= last));
    if laid.left_out == 0 && captions.len() <= 100 {
        for caption in shown {
            let holds = |one: &&Caption| one.start <= caption.start && caption.start < one.end;
            let found = laid.captions.iter().find(holds);
            assert!(found.is_some_and(|one| one.text.contains(&caption.text)), "{caption:?} is not shown");
        }
    }
}

/// Captions out of bytes: a kind, times in one of two widths, and a text behind its length.
fn captions(mut bytes: &[u8]) -> Vec<Caption> {
    let mut captions = Vec::new();
    while let Some((caption, rest)) = caption(bytes) {
        captions.push(caption);
        bytes = rest;
    }
    captions
}

fn caption(bytes: &[u8]) -> Option<(Caption, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (start, end, rest) = if kind & 1 == 0 {
        let (start, rest) = rest.split_first_chunk()?;
        let (long, rest) = rest.split_first_chunk()?;
        let start = i64::from(i16::from_be_bytes(*start));
        (start, start + i64::from(i16::from_be_bytes(*long)), rest)
    } else {
        let (start, rest) = rest.split_first_chunk()?;
        let (end, rest) = rest.split_first_chunk()?;
        (i64::from_be_bytes(*start), i64::from_be_bytes(*end), rest)
    };
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (text, rest) = rest.split_at(length);
    Some((Caption { start, end, text: String::from_utf8_lossy(text).into() }, rest))
}

fn written(captions: &[(i16, i16, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (start, long, text) in captions {
        bytes.push(0);
        bytes.extend(start.to_be_bytes());
        bytes.extend(long.to_be_bytes());
        bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn seeds(rng: &mut Rng) -> Vec<Vec<u8>> {
    let overlap = written(&[(1000, 2000, "one"), (2000, 2000, "two\\Ntwo"), (5000, 1000, "{\\i1}three")]);
    let many: Vec<(i16, i16, &str)> = (0..200)
        .map(|at| (at, rng.i16(1..300), ["a", "Grüße", "a longer text than others"][rng.usize(0..3)]))
        .collect();
    let wide = {
        let mut bytes = vec![1];
        bytes.extend(0_i64.to_be_bytes());
        bytes.extend(i64::MAX.to_be_bytes());
        bytes.extend([0, 3]);
        bytes.extend(b"end");
        bytes
    };
    // A text of mp4 in Latin-1, which is longer in UTF-8, and its styles.
    let framed = |text: &[u8]| {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&length[..], text, b"\0\0\0\x10styl\0\x01\0\0\0\x02\0\x01"].concat()
    };
    let latin = b"Gr\xfc\xdfe aus K\xf6ln ";
    vec![
        overlap,
        written(&many),
        wide,
        framed(latin),
        framed(&latin.repeat(4000)),
        b"\xcf\xf0\xe8\xe2\xe5\xf2 \xec\xe8\xf0".to_vec(),
        b"0,0,Default,,0,0,0,,Hello, world".to_vec(),
    ]
}
