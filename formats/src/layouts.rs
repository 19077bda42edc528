//! The channel layout of a rendition whose codec holds few of them, each with its channels in one order.

use millrace_schemas::{AudioSettings, Sound};

use crate::codec::aac::layouts::{DEFAULTS, channel_names, channels_of, describe};

/// The layouts that readers take channels for of which there are only so many: those of `av_channel_layout_default`.
pub(crate) const USUAL: [&str; 8] = ["mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1"];

/// Returns the settings of a rendition of this sound, without a bit rate, at this rate, in the held layout that keeps most of it, and what is to
/// be said if its channels can't stay as they are. `codec` is the codec's name of libavcodec and that for people.
pub(crate) fn settings(
    (codec, called): (&str, &str),
    held: &[&'static str],
    sound: &Sound,
    sample_rate: i32,
) -> (AudioSettings, Option<String>) {
    let Sound { channels, ref layout, .. } = *sound;
    let (made, fit) = choose(held, layout, channels);
    let count = i32::try_from(channels_of(made).count()).unwrap_or(i32::MAX);
    let name = if DEFAULTS.contains(&made) { "" } else { made };
    let (from, to) = (describe(layout, channels), describe(name, count));
    let remark = match fit {
        Fit::Kept => None,
        Fit::Renamed => Some(format!("{called} has no channel layout {from}: its channels are called {to}")),
        Fit::Widened => Some(format!("{called} has no channel layout {from}: its channels are kept in {to}")),
        Fit::MixedDown => Some(format!("{called} has no channel layout {from}: it is mixed down to {to}")),
    };
    let kept = Sound { sample_rate, channels: count, layout: name.into() };
    (AudioSettings::of(codec, &kept), remark)
}

/// Returns the lowest of these rates, which ascend, that is no less than `rate`; the highest if there is none.
pub(crate) fn rate(rates: &[i32], rate: i32) -> i32 {
    rates.iter().copied().find(|known| *known >= rate).or(rates.last().copied()).unwrap_or(rate)
}

/// How the channels of a source fit into a layout. Where there are as many, they are passed on in order; else by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The same channels, or a source that names none.
    Kept,
    /// All channels, in order, under other names.
    Renamed,
    /// All channels, in a layout with more.
    Widened,
    /// Some channels are mixed into others (libswresample).
    MixedDown,
}

/// Returns the held layout for a source's, and how its channels fit into it.
fn choose(held: &[&'static str], source: &str, channels: i32) -> (&'static str, Fit) {
    let count = usize::try_from(channels).unwrap_or(0);
    let of_count = |layout: &&&str| channels_of(layout).count() == count;
    let names: Vec<&str> = match channel_names(source) {
        Some(names) => names,
        None => channels_of(source).collect(),
    };
    if names.is_empty() {
        if let Some(layout) = held.iter().find(of_count) {
            return (layout, Fit::Kept);
        }
        // As libav takes channels without names: `av_channel_layout_default`.
        let default = DEFAULTS.into_iter().find(|name| channels_of(name).count() == count).unwrap_or("6.1");
        return by_name(held, &channels_of(default).collect::<Vec<_>>());
    }
    let in_order = |same: fn(&str, &str) -> bool| {
        held.iter()
            .filter(of_count)
            .find(|layout| channels_of(layout).zip(&names).all(|(place, name)| same(name, place)))
    };
    if let Some(layout) = in_order(|name, place| name == place) {
        (layout, Fit::Kept)
    } else if let Some(layout) = in_order(is_alike) {
        (layout, Fit::Renamed)
    } else {
        by_name(held, &names)
    }
}

/// Returns the layout of another number of channels in which most of these have a place, the smallest of such.
fn by_name(held: &[&'static str], names: &[&str]) -> (&'static str, Fit) {
    // A place beside its own is a channel's only if no other channel is of that place.
    let has_place =
        |name: &str, place: &str| name == place || (is_alike(name, place) && !names.contains(&place));
    let placed =
        |layout: &str| names.iter().filter(|name| channels_of(layout).any(|p| has_place(name, p))).count();
    let others = held.iter().filter(|layout| channels_of(layout).count() != names.len());
    let best = others.max_by_key(|layout| (placed(layout), std::cmp::Reverse(channels_of(layout).count())));
    let best = best.or(held.first()).copied().unwrap_or("mono");
    let is_whole = placed(best) == names.len() && channels_of(best).count() > names.len();
    (best, if is_whole { Fit::Widened } else { Fit::MixedDown })
}

/// Whether a channel can take a place: its own, or one on the same side of the listener, at the side or behind.
fn is_alike(name: &str, place: &str) -> bool {
    name == place
        || matches!(
            (name, place),
            ("BL", "SL") | ("SL", "BL") | ("BR", "SR") | ("SR", "BR") | ("DL", "FL") | ("DR", "FR")
        )
}

#[cfg(test)]
mod tests {
    use super::{Fit::*, *};

    const SIDES: [&str; 5] = ["mono", "stereo", "3.0", "5.0(side)", "5.1(side)"];

    #[test]
    fn a_held_layout_is_kept_and_one_of_the_same_places_renamed() {
        assert_eq!(choose(&SIDES, "stereo", 2), ("stereo", Kept));
        assert_eq!(choose(&SIDES, "5.1(side)", 6), ("5.1(side)", Kept));
        assert_eq!(choose(&SIDES, "5.1", 6), ("5.1(side)", Renamed));
        assert_eq!(choose(&SIDES, "downmix", 2), ("stereo", Renamed));
        assert_eq!(choose(&SIDES, "3 channels (FL+FR+FC)", 3), ("3.0", Kept));
    }

    #[test]
    fn channels_without_names_are_passed_in_order_where_there_are_as_many() {
        assert_eq!(choose(&SIDES, "", 6), ("5.1(side)", Kept));
        assert_eq!(choose(&SIDES, "3 channels", 3), ("3.0", Kept));
        assert_eq!(choose(&SIDES, "", 8), ("5.1(side)", MixedDown));
        assert_eq!(choose(&["mono", "stereo"], "", 7), ("stereo", MixedDown));
    }

    /// As many channels are passed in order, so they must not be mixed by name.
    #[test]
    fn what_is_mixed_or_widened_has_another_number_of_channels() {
        let alac = ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1(wide)"];
        assert_eq!(choose(&alac, "6.1", 7), ("5.1", MixedDown));
        assert_eq!(choose(&alac, "quad", 4), ("5.0", Widened));
        assert_eq!(choose(&alac, "7.1", 8), ("5.1", MixedDown));
        assert_eq!(choose(&alac, "6 channels (FL+FR+BL+BR+SL+SR)", 6), ("5.0", MixedDown));
        assert_eq!(choose(&["mono", "stereo"], "5.1", 6), ("stereo", MixedDown));
        assert_eq!(choose(&["mono", "stereo"], "2 channels (FC+LFE)", 2), ("mono", MixedDown));
    }

    #[test]
    fn a_rate_becomes_the_next_that_there_is() {
        let of = |asked| rate(&[32_000, 44_100, 48_000], asked);
        assert_eq!([of(8000), of(44_100), of(96_000)], [32_000, 44_100, 48_000]);
    }
}
