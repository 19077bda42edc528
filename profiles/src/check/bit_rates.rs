//! Checks what a profile asks of the bit rate of pictures.

use millrace_formats::{Tables, codec::VideoCodec};

use crate::{
    amounts::Bits,
    bounds::{BUFFER_SECONDS, VIDEO_BIT_RATES},
    problems::Problems,
    profile::Video,
};

pub(super) fn check(
    tables: &Tables,
    key: &str,
    asked: &Video,
    codec: &dyn VideoCodec,
    problems: &mut Problems,
) {
    let at = |name: &str| format!("{key}.{name}");
    let (average, most) = (asked.bitrate.map(|rate| rate.0), asked.max_bitrate.map(|rate| rate.0));
    problems.within(at("bitrate"), average, VIDEO_BIT_RATES, " bits per second");
    problems.within(at("max_bitrate"), most, VIDEO_BIT_RATES, " bits per second");
    if average.is_some() && asked.quality.is_some() {
        problems.add(at("bitrate"), "set either bitrate or quality: one follows from the other");
    }
    if let (Some(average), Some(most)) = (average, most)
        && average > most
    {
        problems.add(at("max_bitrate"), format!("it is less than bitrate; set {average} or more"));
    }
    let is_bound = most.is_some() || asked.buffer.is_some();
    if is_bound && !codec.holds_buffer() {
        let name = if most.is_some() { "max_bitrate" } else { "buffer" };
        let others = tables.codecs.iter().filter(|codec| codec.video().is_some_and(VideoCodec::holds_buffer));
        let others: Vec<&str> = others.map(|codec| codec.name()).collect();
        problems.add(
            at(name),
            format!(
                "the encoder of this codec can't be held to a buffer; leave it out, or take one of: {}",
                others.join(", ")
            ),
        );
    }
    match (most, asked.buffer) {
        (None, Some(_)) => problems.add(at("buffer"), "with what rate does it fill? set max_bitrate"),
        (Some(most), Some(Bits(bits))) => {
            let (least, largest) = BUFFER_SECONDS;
            let range = ((most as f64 * least) as i64, (most as f64 * largest) as i64);
            problems.within(at("buffer"), Some(bits), range, " bits, a quarter to 60 seconds of max_bitrate");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use millrace_formats::TABLES;

    use crate::{Profile, problems::Problem};

    fn problems(codec: &str, keys: &str) -> Vec<String> {
        let text = format!("[video.a]\ncodec = \"{codec}\"\n{keys}\n[[output]]\nformat = \"mp4\"");
        let found = Profile::from_toml(&text).unwrap().wanted(&TABLES);
        found.err().unwrap_or_default().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn an_average_takes_the_place_of_a_quality_and_a_bound_has_a_rate() {
        assert_eq!(problems("h264", "bitrate = \"4M\""), [""; 0]);
        assert_eq!(problems("hevc", "bitrate = \"4M\"\nmax_bitrate = \"6M\"\nbuffer = \"8M\""), [""; 0]);
        assert_eq!(problems("h264", "quality = 20\nmax_bitrate = \"6M\""), [""; 0]);
        assert_eq!(problems("av1", "bitrate = \"1M\""), [""; 0]);
        let of = |keys: &str| problems("h264", keys).remove(0);
        assert!(of("bitrate = \"4M\"\nquality = 20").contains("either bitrate or quality"));
        assert!(of("bitrate = 100").contains("out of range"));
        assert!(of("bitrate = \"4M\"\nmax_bitrate = \"3M\"").contains("set 4000000 or more"));
        assert!(of("buffer = \"3M\"").contains("set max_bitrate"));
        assert!(of("max_bitrate = \"3M\"\nbuffer = 1000").contains("a quarter to 60 seconds"));
        let unbound = problems("vp9", "max_bitrate = \"3M\"").remove(0);
        assert!(unbound.contains("take one of: h264, hevc"), "{unbound}");
        assert!(problems("copy", "bitrate = \"4M\"")[0].contains("a copy is as the source is"));
    }
}
