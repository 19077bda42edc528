//! Files of subtitles, and texts as they are laid over pictures.

use fastrand::Rng;
use millrace_media::{
    captions::Caption,
    subtitles::{Laid, read, shown},
};

use crate::Target;

/// Holds that texts are bounded in number and length, and that at each time one text at most is shown at each edge.
pub const TARGET: Target = Target {
    name: "subtitles",
    check,
    seeds,
    words: &[
        "-->",
        "00:00:01,000 --> 00:00:02,500",
        "\n\n",
        "WEBVTT\n",
        "line:0",
        "{\\an8}",
        "{\\p1}",
        "\\N",
        "<i>",
        "&amp;",
        "\u{feff}",
        "99999:59:59.999",
    ],
    memory: (24 << 20, 100),
    longest: 128 << 10,
};

fn check(bytes: &[u8]) -> bool {
    /// The longest text, in bytes: with the mark of its place and a line break.
    const LONGEST: usize = (8 << 10) + 8;
    let Ok(captions) = read(bytes) else { return false };
    assert!(captions.len() <= 100_000);
    for Caption { start, end, text } in &captions {
        assert!(*start >= 0 && *end >= 0 && text.len() <= LONGEST, "{start} {end} {}", text.len());
    }
    let laid = Laid::new(captions.clone(), 1000);
    for side in [&laid.bottom, &laid.top] {
        for (number, caption) in side.iter().enumerate() {
            assert!(caption.start < caption.end && !caption.text.is_empty());
            assert_eq!(shown(side, caption.start), Some(number));
            assert_eq!(shown(side, caption.end - 1), Some(number));
        }
        assert!(side.windows(2).all(|pair| pair[0].end <= pair[1].start), "texts overlap");
    }
    !captions.is_empty()
}

fn seeds(rng: &mut Rng) -> Vec<Vec<u8>> {
    let text = |rng: &mut Rng| ["a", "<i>Grüße</i>\nzwei", "{\\an8}top", "5"][rng.usize(0..4)];
    let mut many = String::new();
    for at in 0..50 {
        let start = rng.u32(0..60);
        let text = text(rng);
        many += &format!("{at}\n00:00:{start:02},{:03} --> 00:01:00,000\n{text}\n\n", rng.u32(0..1000));
    }
    let wide: Vec<u8> = format!("\u{feff}{many}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        many.into_bytes(),
        wide,
        b"WEBVTT\n\nNOTE x\n\n1\n00:01.000 --> 00:02.000 line:0\n<v Bob>a &lt;b\n".to_vec(),
        b"1\n00:00:01,000 --> 00:00:02,000\nGr\xfc\xdfe\n2\n00:00:01,500 --> 00:00:03,000\nb".to_vec(),
    ]
}
