//! The channel layout of an AAC rendition, chosen from the layout of its source.
//!
//! A layout is kept if FFmpeg's `aac` encoder writes it so that the decoders of both FFmpeg 5.1 and 7.1 read the same
//! layout from mp4 and flv, with every channel in its place. Those are the layouts of a channelConfiguration
//! (ISO/IEC 14496-3, table 1.19) and three whose program_config_element (PCE) has no front centre. The encoder's other
//! PCEs list the front centre after the front pair, where the decoder finds no layout (aacdec.c,
//! `count_paired_channels`): ffprobe says "6 channels". Most of them also declare the LFE as a side channel, which
//! players take for a back centre.
//!
//! An LFE element carries 12 coefficients (aacenc.c), at 48 kHz nothing above 281 Hz. So no other channel may become an
//! LFE.

use Fit::{Kept, MixedDown, Renamed, Widened};

/// How the channels of a source fit into the layout of its AAC rendition.
///
/// `Kept` and `Renamed` pass the channels in order: tell the resampler that its input has the rendition's layout.
/// `Widened` and `MixedDown` go by channel name: tell the resampler the source's own layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The same channels under the same names, or a source that names none. Needs no warning.
    Kept,
    /// All channels, each on its own, under other names.
    Renamed,
    /// All channels, each on its own, in a layout with more channels. The additional channels are silent, except that
    /// a lone back centre plays from both back channels at -3 dB.
    Widened,
    /// Some channels are mixed into others, by the coefficients of libswresample (ITU-R BS.775). libswresample drops
    /// channels that it has no coefficients for: heights, wides and a second LFE.
    MixedDown,
}

/// A layout of libav: its name, its channels, the AAC layout for it, and how it fits.
type Row = (&'static str, &'static str, &'static str, Fit);

/// The standard layouts of FFmpeg 5.1 and 7.1.
const LAYOUTS: [Row; 37] = [
    // channelConfiguration 1 to 6.
    ("mono", "FC", "mono", Kept),
    ("stereo", "FL+FR", "stereo", Kept),
    ("3.0", "FL+FR+FC", "3.0", Kept),
    ("4.0", "FL+FR+FC+BC", "4.0", Kept),
    ("5.0", "FL+FR+FC+BL+BR", "5.0", Kept),
    ("5.1", "FL+FR+FC+LFE+BL+BR", "5.1", Kept),
    // channelConfiguration 7. The standard means 7.1(wide) by it; FFmpeg, FAAD and Nero write and read 7.1.
    ("7.1", "FL+FR+FC+LFE+BL+BR+SL+SR", "7.1", Kept),
    // A PCE that both decoders name. Browsers' MediaSource refuses AAC with a PCE.
    ("2.1", "FL+FR+LFE", "2.1", Kept),
    ("3.0(back)", "FL+FR+BC", "3.0(back)", Kept),
    ("quad", "FL+FR+BL+BR", "quad", Kept),
    // The PCE of 5.1(side) is the one that players stumble over; channelConfiguration 5 and 6 say "surround" for side
    // and back alike. FFmpeg 7.1 reads quad(side) as "4 channels".
    ("quad(side)", "FL+FR+SL+SR", "quad", Renamed),
    ("5.0(side)", "FL+FR+FC+SL+SR", "5.0", Renamed),
    ("5.1(side)", "FL+FR+FC+LFE+SL+SR", "5.1", Renamed),
    // The encoder refuses DL and DR.
    ("downmix", "DL+DR", "stereo", Renamed),
    // FLC and FRC become SL and SR. Many files say 7.1(wide) and mean 7.1: WAVE's first 7.1 mask is 0xFF, and ALAC has
    // no other 7.1.
    ("7.1(wide)", "FL+FR+FC+LFE+BL+BR+FLC+FRC", "7.1", Renamed),
    // TFL and TFR take the free pair: libswresample 5.1 would drop them, 7.1 mixes them into FL and FR.
    ("3.1.2", "FL+FR+FC+LFE+TFL+TFR", "5.1", Renamed),
    ("5.1.2", "FL+FR+FC+LFE+BL+BR+TFL+TFR", "7.1", Renamed),
    // No AAC layout of as many channels comes back: the next larger one has a place for each.
    ("3.1", "FL+FR+FC+LFE", "5.1", Widened),
    ("4.1", "FL+FR+FC+LFE+BC", "5.1", Widened),
    ("6.0", "FL+FR+FC+BC+SL+SR", "7.1", Widened),
    ("6.1", "FL+FR+FC+LFE+BC+SL+SR", "7.1", Widened),
    ("7.0", "FL+FR+FC+BL+BR+SL+SR", "7.1", Widened),
    // FLC and FRC are mixed into FL and FR. FFmpeg 7.1 reads 6.0(front) back in another order.
    ("6.0(front)", "FL+FR+FLC+FRC+SL+SR", "quad", MixedDown),
    ("6.1(front)", "FL+FR+LFE+FLC+FRC+SL+SR", "5.1", MixedDown),
    ("7.0(front)", "FL+FR+FC+FLC+FRC+SL+SR", "5.0", MixedDown),
    // Passed in order, FLC and FRC would become BL and BR, behind the listener.
    ("7.1(wide-side)", "FL+FR+FC+LFE+FLC+FRC+SL+SR", "5.1", MixedDown),
    // BC is mixed into BL and BR.
    ("hexagonal", "FL+FR+FC+BL+BR+BC", "5.0", MixedDown),
    ("6.1(back)", "FL+FR+FC+LFE+BL+BR+BC", "5.1", MixedDown),
    ("octagonal", "FL+FR+FC+BL+BR+BC+SL+SR", "7.1", MixedDown),
    // Heights. The encoder refuses all of these but hexadecagonal.
    ("cube", "FL+FR+BL+BR+TFL+TFR+TBL+TBR", "quad", MixedDown),
    ("5.1.4", "FL+FR+FC+LFE+BL+BR+TFL+TFR+TBL+TBR", "5.1", MixedDown),
    ("7.1.2", "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR", "7.1", MixedDown),
    ("7.1.4", "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR", "7.1", MixedDown),
    ("7.2.3", "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBC+LFE2", "7.1", MixedDown),
    ("9.1.4", "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR", "7.1", MixedDown),
    ("hexadecagonal", "FL+FR+FC+BL+BR+BC+SL+SR+TFL+TFC+TFR+TBL+TBC+TBR+WL+WR", "7.1", MixedDown),
    // libswresample mixes only the first nine channels of 22.2.
    (
        "22.2",
        "FL+FR+FC+LFE+BL+BR+FLC+FRC+BC+SL+SR+TC+TFL+TFC+TFR+TBL+TBC+TBR+LFE2+TSL+TSR+BFC+BFL+BFR",
        "7.1",
        MixedDown,
    ),
];

/// The channels that libav orders by a mask, in the order of its bits.
const NATIVE: [&str; 30] = [
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL",
    "TBC", "TBR", "DL", "DR", "WL", "WR", "SDL", "SDR", "LFE2", "TSL", "TSR", "BFC", "BFL", "BFR",
];

/// The layouts that `av_channel_layout_default` returns for 1 to 6 and 8 channels.
pub(crate) const DEFAULTS: [&str; 7] = ["mono", "stereo", "2.1", "4.0", "5.0", "5.1", "7.1"];

/// Returns the layout of the AAC rendition for a source's layout: its name (empty if it is libav's default for its
/// channel count), its channel count, and how the source fits.
///
/// `source` is what `av_channel_layout_describe` returns: "5.1(side)", "2 channels (FL+LFE)", "ambisonic 1"; or it is
/// empty or "3 channels" for a source that names no channels. `channels` is the source's channel count.
///
/// libswresample refuses to mix ambisonics, channels out of order, a left without its right, and most counts above 8
/// without names. Up to five channels of those are passed in order (`Renamed`). With more the result is `MixedDown`,
/// and opening the resampler fails.
pub(super) fn aac_layout(source: &str, channels: i32) -> (String, i32, Fit) {
    let (layout, fit) = if let Some((_, _, layout, fit)) = LAYOUTS.into_iter().find(|row| row.0 == source) {
        (layout, fit)
    } else if let Some(names) = channel_names(source) {
        fit_names(&names)
    } else if source.is_empty() || source.contains(" channels") {
        fit_count(channels)
    } else {
        // Ambisonics, or a layout of a later libav.
        full_band_layout(usize::try_from(channels).unwrap_or(0))
            .map_or(("7.1", MixedDown), |layout| (layout, Renamed))
    };
    let count = channels_of(layout).count();
    let name = if DEFAULTS.contains(&layout) { "" } else { layout };
    (name.into(), i32::try_from(count).unwrap_or(i32::MAX), fit)
}

/// Returns the layout of a channelConfiguration that has a place for each channel of a rendition's layout, by its name and its channel
/// count as [`aac_layout`] returns them; `None` if that layout has a channelConfiguration itself.
pub(super) fn stream_layout(layout: &str, channels: i32) -> Option<(String, i32)> {
    let wider = match (layout, channels) {
        ("", 3) => "5.1",
        ("3.0(back)", _) => "4.0",
        ("quad", _) => "5.0",
        _ => return None,
    };
    let (name, count, _) = aac_layout(wider, 0);
    Some((name, count))
}

/// Returns how a layout is called in a message: its name, libav's default for the channel count if it is empty, else the
/// count: "7.1", "of 7 channels".
pub(crate) fn describe(layout: &str, channels: i32) -> String {
    let named = !layout.is_empty() && layout != format!("{channels} channels");
    if named {
        return layout.into();
    }
    let default = DEFAULTS.into_iter().find(|name| i32::try_from(channels_of(name).count()) == Ok(channels));
    default.map_or_else(|| format!("of {channels} channels"), str::to_owned)
}

/// The layout for a source that names no channels. It is libav's default for the count, with two exceptions: three
/// channels become 3.0, because the LFE of 2.1 would lose everything above 281 Hz, and seven (6.1) are widened.
fn fit_count(channels: i32) -> (&'static str, Fit) {
    match channels {
        6 => ("5.1", Kept),
        7 => ("7.1", Widened),
        8 => ("7.1", Kept),
        count => full_band_layout(usize::try_from(count.max(1)).unwrap_or(0))
            .map_or(("7.1", MixedDown), |layout| (layout, Kept)),
    }
}

/// The layout for channels that make up none of the standard layouts.
fn fit_names(names: &[&str]) -> (&'static str, Fit) {
    if let Some(layout) = find_renaming(names) {
        (layout, Renamed)
    } else if !is_mixable(names) {
        full_band_layout(names.len())
            .map_or_else(|| (choose_mixdown(names), MixedDown), |layout| (layout, Renamed))
    } else if let Some(layout) = find_widening(names) {
        (layout, Widened)
    } else {
        (choose_mixdown(names), MixedDown)
    }
}

/// Returns the kept layout whose places these channels can take one by one.
fn find_renaming(names: &[&str]) -> Option<&'static str> {
    if names.len() == 1 {
        return Some("mono");
    }
    kept_layouts().find(|layout| {
        channels_of(layout).count() == names.len()
            && channels_of(layout).zip(names).all(|(place, name)| can_take(name, place))
    })
}

/// Whether a channel can take a place: its own, or the next one on its side of the listener.
fn can_take(name: &str, place: &str) -> bool {
    name == place
        || match place {
            "FL" => name == "DL",
            "FR" => name == "DR",
            "BL" => matches!(name, "SL" | "SDL" | "TFL" | "TSL" | "TBL"),
            "BR" => matches!(name, "SR" | "SDR" | "TFR" | "TSR" | "TBR"),
            "SL" => matches!(name, "FLC" | "WL" | "SDL" | "TFL" | "TSL" | "TBL"),
            "SR" => matches!(name, "FRC" | "WR" | "SDR" | "TFR" | "TSR" | "TBR"),
            "BC" => matches!(name, "TC" | "TFC" | "TBC"),
            _ => false,
        }
}

/// Returns the smallest kept layout into which libswresample puts these channels without adding one to another.
fn find_widening(names: &[&str]) -> Option<&'static str> {
    let has = |name: &str| names.contains(&name);
    let layouts = kept_layouts().filter(|layout| {
        let place = |name: &str| channels_of(layout).any(|place| place == name);
        names.iter().all(|name| {
            place(name)
                || match *name {
                    // Side channels go to the back, and a back centre to both back channels, if those are free.
                    "SL" | "SR" => place("BL") && !has("BL"),
                    "BC" => place("BL") && !has("BL") && (!has("SL") || place("SL")),
                    _ => false,
                }
        })
    });
    layouts.min_by_key(|layout| channels_of(layout).count())
}

/// The layout that loses least when libswresample mixes these channels.
fn choose_mixdown(names: &[&str]) -> &'static str {
    let has = |name: &str| names.contains(&name);
    match (has("BL") || has("BC"), has("SL")) {
        (true, true) if has("BL") => "7.1",
        (false, false) if has("LFE") => "2.1",
        (false, false) if has("FC") => "3.0",
        (false, false) => "stereo",
        _ if has("LFE") => "5.1",
        _ if has("FC") => "5.0",
        _ => "quad",
    }
}

/// Whether libswresample mixes these channels (rematrix.c, `sane_layout`).
fn is_mixable(names: &[&str]) -> bool {
    let has = |name: &str| names.contains(&name);
    let bits: Option<Vec<_>> =
        names.iter().map(|name| NATIVE.iter().position(|native| native == name)).collect();
    bits.is_some_and(|bits| bits.is_sorted_by(|a, b| a < b))
        && (has("FL") || has("FC"))
        && [("FL", "FR"), ("SL", "SR"), ("BL", "BR"), ("FLC", "FRC")].iter().all(|(l, r)| has(l) == has(r))
}

/// The layout without an LFE that takes so many channels in order.
fn full_band_layout(channels: usize) -> Option<&'static str> {
    ["mono", "stereo", "3.0", "4.0", "5.0"].get(channels.checked_sub(1)?).copied()
}

/// The layouts that AAC keeps.
fn kept_layouts() -> impl Iterator<Item = &'static str> {
    LAYOUTS.into_iter().filter(|row| row.3 == Kept).map(|row| row.0)
}

/// The channels of a standard layout.
pub(crate) fn channels_of(layout: &str) -> impl Iterator<Item = &'static str> {
    LAYOUTS.into_iter().filter(move |row| row.0 == layout).flat_map(|row| row.1.split('+'))
}

/// The channel names in a description like "3 channels (FL+FR+LFE)". None if it lists none, or only channels without a
/// place: DV in MOV is "4 channels (UNSD+UNSD+UNSD+UNSD)".
pub(crate) fn channel_names(description: &str) -> Option<Vec<&str>> {
    let (count, names) = description.strip_suffix(')')?.split_once(" channels (")?;
    count.parse::<u32>().ok()?;
    let names: Vec<_> = names.split('+').collect();
    let placeless = |name: &&str| matches!(*name, "UNSD" | "UNK" | "NONE");
    (!names.iter().all(placeless)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(source: &str) -> (String, i32, Fit) {
        let channels = channel_names(source).map_or_else(|| channels_of(source).count(), |names| names.len());
        aac_layout(source, i32::try_from(channels).unwrap())
    }

    fn to(layout: &str, channels: i32, fit: Fit) -> (String, i32, Fit) {
        (layout.into(), channels, fit)
    }

    #[test]
    fn quad_stays_quad() {
        assert_eq!(fit("quad"), to("quad", 4, Kept));
    }

    #[test]
    fn the_default_layout_of_a_count_has_no_name() {
        assert_eq!(fit("mono"), to("", 1, Kept));
        assert_eq!(fit("stereo"), to("", 2, Kept));
        assert_eq!(fit("2.1"), to("", 3, Kept));
        assert_eq!(fit("3.0"), to("3.0", 3, Kept));
        assert_eq!(fit("4.0"), to("", 4, Kept));
        assert_eq!(fit("5.0"), to("", 5, Kept));
        assert_eq!(fit("5.1"), to("", 6, Kept));
        assert_eq!(fit("7.1"), to("", 8, Kept));
    }

    #[test]
    fn side_channels_become_back_channels_if_there_are_no_back_channels() {
        assert_eq!(fit("quad(side)"), to("quad", 4, Renamed));
        assert_eq!(fit("5.0(side)"), to("", 5, Renamed));
        assert_eq!(fit("5.1(side)"), to("", 6, Renamed));
    }

    #[test]
    fn a_kept_or_renamed_layout_has_as_many_channels_as_its_source() {
        for (name, channels, layout, fit) in LAYOUTS {
            let count = channels.split('+').count();
            match fit {
                Kept => assert_eq!(name, layout),
                Renamed => assert_eq!(channels_of(layout).count(), count, "{name}"),
                Widened => assert!(channels_of(layout).count() > count, "{name}"),
                MixedDown => assert!(channels_of(layout).count() <= 8, "{name}"),
            }
            assert!(kept_layouts().any(|kept| kept == layout), "{name}");
        }
    }

    #[test]
    fn an_lfe_stays_an_lfe_and_no_other_channel_becomes_one() {
        for (name, channels, layout, fit) in LAYOUTS.into_iter().filter(|row| row.3 == Renamed) {
            for (channel, place) in channels.split('+').zip(channels_of(layout)) {
                assert_eq!(channel == "LFE", place == "LFE", "{name} {layout} {fit:?}");
            }
        }
    }

    #[test]
    fn the_rules_for_other_layouts_agree_with_the_table() {
        for (name, channels, layout, fit) in LAYOUTS.into_iter().filter(|row| row.3 != Kept) {
            let names: Vec<_> = channels.split('+').collect();
            assert_eq!(fit_names(&names), (layout, fit), "{name}");
        }
    }

    #[test]
    fn libswresample_mixes_every_standard_layout_but_downmix() {
        for (name, channels, ..) in LAYOUTS {
            let names: Vec<_> = channels.split('+').collect();
            assert_eq!(is_mixable(&names), name != "downmix", "{name}");
        }
    }

    #[test]
    fn channels_of_no_standard_layout_go_to_the_smallest_that_has_a_place_for_each() {
        assert_eq!(fit("5 channels (FL+FR+LFE+BL+BR)"), to("", 6, Widened));
        assert_eq!(fit("5 channels (FL+FR+LFE+SL+SR)"), to("", 6, Widened));
        assert_eq!(fit("4 channels (FL+FR+LFE+BC)"), to("", 6, Widened));
        assert_eq!(fit("2 channels (FC+LFE)"), to("", 6, Widened));
        assert_eq!(fit("2 channels (FC+BC)"), to("", 4, Widened));
    }

    #[test]
    fn heights_take_a_free_pair() {
        assert_eq!(fit("4 channels (FL+FR+TFL+TFR)"), to("quad", 4, Renamed));
        assert_eq!(fit("8 channels (FL+FR+FC+LFE+SL+SR+TFL+TFR)"), to("", 8, Renamed));
    }

    #[test]
    fn one_channel_is_mono_whatever_its_name() {
        assert_eq!(fit("1 channels (FL)"), to("", 1, Renamed));
        assert_eq!(fit("1 channels (LFE)"), to("", 1, Renamed));
    }

    #[test]
    fn channels_that_libswresample_refuses_are_passed_in_order() {
        assert_eq!(fit("2 channels (FL+LFE)"), to("", 2, Renamed));
        assert_eq!(fit("2 channels (SL+SR)"), to("", 2, Renamed));
        assert_eq!(fit("3 channels (FL+FC+FR)"), to("3.0", 3, Renamed));
        assert_eq!(aac_layout("ambisonic 1", 4), to("", 4, Renamed));
        assert_eq!(aac_layout("ambisonic 2", 9), to("", 8, MixedDown));
    }

    #[test]
    fn a_source_without_names_gets_the_default_of_its_count_but_three_channels_keep_their_band() {
        for (channels, expected) in [
            (1, to("", 1, Kept)),
            (2, to("", 2, Kept)),
            (3, to("3.0", 3, Kept)),
            (4, to("", 4, Kept)),
            (5, to("", 5, Kept)),
            (6, to("", 6, Kept)),
            (7, to("", 8, Widened)),
            (8, to("", 8, Kept)),
            (16, to("", 8, MixedDown)),
        ] {
            assert_eq!(aac_layout("", channels), expected);
            assert_eq!(aac_layout(&format!("{channels} channels"), channels), expected);
        }
        assert_eq!(aac_layout("4 channels (UNSD+UNSD+UNSD+UNSD)", 4), to("", 4, Kept));
    }

    #[test]
    fn a_count_that_makes_no_sense_is_one_channel() {
        assert_eq!(aac_layout("", 0), to("", 1, Kept));
        assert_eq!(aac_layout("", -1), to("", 1, Kept));
    }
}
