//! Animated GIF, of one palette of 256 colours.

use millrace_schemas::Ratio;

use super::{Animation, Coding, Palette, PictureFormat, RGB};

pub(super) const ENTRY: &PictureFormat = &PictureFormat {
    name: "gif",
    extensions: &["gif"],
    media_type: "image/gif",
    still: None,
    animation: Some(Animation {
        coding: Coding {
            encoders: &["gif"],
            scaled_format: "yuv420p",
            pixel_format: "pal8",
            color: RGB,
            options: &[],
            is_lossless: true,
        },
        palette: Some(Palette {
            pixel_format: "bgra",
            graph: "[in]split[a][b];[a]palettegen=stats_mode=full:reserve_transparent=1[p];\
                    [b][p]paletteuse=diff_mode=rectangle[out0]",
            needs: &["split", "palettegen", "paletteuse"],
        }),
        muxer: "gif",
        clock: Ratio { num: 1, den: 100 },
        options,
    }),
    longest_side: 16_384,
};

/// The extension of Netscape counts how often pictures are shown again; without it they are shown once.
fn options(plays: u32, last: i64) -> Vec<(&'static str, String)> {
    let again = match plays {
        0 => 0,
        1 => -1,
        plays => i64::from(plays) - 1,
    };
    vec![("loop", again.to_string()), ("final_delay", last.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_are_shown_once_are_not_shown_again() {
        let again = |plays| options(plays, 8).remove(0).1;
        assert_eq!((again(0), again(1), again(3)), ("0".into(), "-1".into(), "2".into()));
        assert_eq!(options(1, 8)[1], ("final_delay", "8".into()));
    }
}
