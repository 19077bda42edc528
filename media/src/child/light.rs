//! What a stream says of its light, as libavutil keeps it in side data of streams and pictures.
//!
//! The structures are `AVMasteringDisplayMetadata`, numbers of four bytes in this order: x and y of red, green, blue and white and the
//! least and the greatest luminance, each a numerator and a denominator; whether the points are known, and whether luminance is; and
//! `AVContentLightMetadata`, the greatest light level and the greatest average.

use millrace_schemas::Light;

/// Steps of a coordinate, and of luminance in cd/m² (SMPTE ST 2086; ITU-T H.265, D.3.28).
const POINT: f64 = 50_000.0;
const LUMINANCE: f64 = 10_000.0;
/// The greatest level that streams can state (D.3.35), in cd/m².
const MOST_LEVEL: i32 = u16::MAX as i32;

fn numbers(bytes: &[u8]) -> Vec<i32> {
    bytes
        .chunks_exact(4)
        .map(|number| i32::from_ne_bytes([number[0], number[1], number[2], number[3]]))
        .collect()
}

/// Reads side data: the mastering display, and light levels. Returns `None` if neither says anything that can be.
pub(crate) fn read(display: Option<&[u8]>, levels: Option<&[u8]>) -> Option<Light> {
    let mastering = display.and_then(mastering).unwrap_or_default();
    let levels = levels.map(numbers).unwrap_or_default();
    let level =
        |at: usize| levels.get(at).copied().filter(|level| (0..=MOST_LEVEL).contains(level)).unwrap_or(0);
    let light = Light { mastering, most: level(0), most_average: level(1) };
    (light != Light::default()).then_some(light)
}

/// Reads a mastering display whose points and luminance are both known and can be.
fn mastering(bytes: &[u8]) -> Option<Vec<i32>> {
    let numbers = numbers(bytes);
    let (pairs, known) = numbers.get(..22)?.split_at(20);
    if known.contains(&0) {
        return None;
    }
    let steps = |pair: usize, steps: f64| {
        let (num, den) = (pairs[2 * pair], pairs[2 * pair + 1]);
        let value = f64::from(num) / f64::from(den) * steps;
        // The cast is exact: a whole number within the range of the type.
        (den > 0 && (0.0..f64::from(i32::MAX)).contains(&value)).then(|| value.round() as i32)
    };
    let mut all: Vec<i32> = (0..8).map(|pair| steps(pair, POINT)).collect::<Option<_>>()?;
    let (least, most) = (steps(8, LUMINANCE)?, steps(9, LUMINANCE)?);
    let is_possible = all.iter().all(|point| f64::from(*point) <= POINT) && least < most;
    all.extend([most, least]);
    is_possible.then_some(all)
}

/// Returns the mastering display as side data; `None` if it is unknown.
pub(crate) fn display_data(light: &Light) -> Option<Vec<u8>> {
    let [points @ .., most, least] = light.mastering.as_slice() else { return None };
    let points = points.iter().map(|point| (*point, POINT as i32));
    let luminance = [*least, *most].map(|luminance| (luminance, LUMINANCE as i32));
    let fractions = points.chain(luminance).flat_map(|(num, den)| [num, den]);
    let numbers: Vec<i32> = fractions.chain([1, 1]).collect();
    (numbers.len() == 22).then(|| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect())
}

/// Returns the light levels as side data; `None` if they are unknown.
pub(crate) fn levels_data(light: &Light) -> Option<Vec<u8>> {
    let is_known = light.most > 0 || light.most_average > 0;
    is_known.then(|| [light.most, light.most_average].iter().flat_map(|level| level.to_ne_bytes()).collect())
}

/// Returns what two places say: the first stands over the second, for the display and for the levels each.
pub(crate) fn merged(first: Option<Light>, second: Option<Light>) -> Option<Light> {
    let (Some(first), Some(second)) = (&first, &second) else { return first.or(second) };
    let display = if first.mastering.is_empty() { second } else { first };
    let levels = if first.most == 0 && first.most_average == 0 { second } else { first };
    Some(Light { mastering: display.mastering.clone(), most: levels.most, most_average: levels.most_average })
}

/// Returns light in words, for messages.
pub(crate) fn described(light: Option<&Light>) -> String {
    let Some(Light { mastering, most, most_average }) = light else { return "unknown".into() };
    format!("of the mastering display {mastering:?}, at most {most} and {most_average} cd/m²")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn light() -> Light {
        let mastering = vec![34_000, 16_000, 13_250, 34_500, 7500, 3000, 15_635, 16_450, 10_000_000, 50];
        Light { mastering, most: 1000, most_average: 400 }
    }

    fn through(light: &Light) -> Option<Light> {
        read(display_data(light).as_deref(), levels_data(light).as_deref())
    }

    #[test]
    fn light_is_read_as_it_is_written() {
        assert_eq!(through(&light()), Some(light()));
        for part in
            [Light { mastering: Vec::new(), ..light() }, Light { most: 0, most_average: 0, ..light() }]
        {
            assert_eq!(through(&part), Some(part));
        }
        assert_eq!((through(&Light::default()), read(None, None)), (None, None));
    }

    #[test]
    fn fractions_of_other_denominators_are_rounded_to_steps() {
        let mut data = display_data(&light()).unwrap();
        // 0.68 in parts of 65536, as AV1 has it (AV1, 6.7.4).
        data[..8].copy_from_slice(&[44_564_i32.to_ne_bytes(), 65_536_i32.to_ne_bytes()].concat());
        assert_eq!(read(Some(&data), None).unwrap().mastering, light().mastering);
    }

    #[test]
    fn what_can_not_be_is_unknown() {
        let whole = display_data(&light()).unwrap();
        let changed = |at: usize, number: i32| {
            let mut data = whole.clone();
            data[4 * at..4 * at + 4].copy_from_slice(&number.to_ne_bytes());
            read(Some(&data), None)
        };
        for (at, number) in [(1, 0), (0, 50_001), (0, -1), (16, 10_000_001), (20, 0), (21, 0), (19, -1)] {
            assert_eq!(changed(at, number), None, "{at}: {number}");
        }
        assert_eq!(read(Some(&whole[..80]), None), None, "cut off");
        let levels = [(-1_i32).to_ne_bytes(), 65_536_i32.to_ne_bytes()].concat();
        assert_eq!(read(None, Some(&levels)), None);
    }

    #[test]
    fn one_place_fills_in_what_the_other_does_not_say() {
        let display = Light { most: 0, most_average: 0, ..light() };
        let levels = Light { mastering: Vec::new(), ..light() };
        assert_eq!(merged(Some(display), Some(levels)), Some(light()));
        let other = Light { most: 7, ..light() };
        assert_eq!(merged(Some(light()), Some(other.clone())), Some(light()));
        assert_eq!(
            (merged(None, Some(other.clone())), merged(Some(other.clone()), None)),
            (Some(other.clone()), Some(other))
        );
    }
}
