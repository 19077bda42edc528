//! Sound whose length lies around a packet boundary, in the codecs and containers that people have, each by a seed.

use std::path::{Path, PathBuf};

use super::{ffmpeg, mutate::Rng};

/// A codec in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PCM, written by the test itself.
    Wav,
    Flac,
    /// AAC in m4a whose edit list counts samples.
    M4a,
    /// AAC in m4a whose edit list counts milliseconds, as ffmpeg writes it.
    CoarseM4a,
    AacInMatroska,
    Adts,
    Mp3,
    OpusInWebm,
    OpusInOgg,
}

const KINDS: [Kind; 9] = [
    Kind::Wav,
    Kind::Flac,
    Kind::M4a,
    Kind::CoarseM4a,
    Kind::AacInMatroska,
    Kind::Adts,
    Kind::Mp3,
    Kind::OpusInWebm,
    Kind::OpusInOgg,
];

/// Rates of AAC (ISO/IEC 14496-3, table 1.18).
pub const AAC_RATES: [u32; 12] =
    [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];
/// Rates of MPEG-1 and MPEG-2 layer III, and of MPEG-2.5.
const MP3_RATES: [u32; 9] = [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// Rates that an Opus encoder takes; a decoder gives 48,000.
const OPUS_RATES: [u32; 5] = [8000, 12_000, 16_000, 24_000, 48_000];
/// Rates that AAC lacks.
const ODD_RATES: [u32; 4] = [8012, 10_007, 37_800, 50_000];

/// Samples in a packet of AAC.
pub const AAC_PACKET: u32 = 1024;

/// What a source is made of.
#[derive(Debug, Clone, Copy)]
pub struct Sound {
    pub seed: u64,
    pub kind: Kind,
    pub rate: u32,
    pub channels: u32,
    /// How many samples were encoded.
    pub samples: u32,
}

impl Sound {
    /// The sound of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let kind = KINDS[rng.below(KINDS.len())];
        let mut one_of = |rates: &[u32]| rates[rng.below(rates.len())];
        let any_rate = [&AAC_RATES[..], &ODD_RATES].concat();
        let (rate, packet) = match kind {
            Kind::Wav => (one_of(&any_rate), AAC_PACKET),
            Kind::Flac => (one_of(&any_rate), one_of(&[1024, 1152, 4096])),
            Kind::Mp3 => {
                let rate = one_of(&MP3_RATES);
                (rate, if rate >= 32_000 { 1152 } else { 576 })
            }
            Kind::OpusInWebm | Kind::OpusInOgg => {
                let rate = one_of(&OPUS_RATES);
                (rate, rate / 50)
            }
            _ => (one_of(&AAC_RATES), AAC_PACKET),
        };
        // Packets of the source and packets of the output end at different samples.
        let packet = if rng.below(3) == 0 { AAC_PACKET } else { packet };
        let samples = if rng.below(10) == 0 {
            1 + rng.below(20)
        } else {
            (rng.below(7) * packet as usize + rng.below(7)).saturating_sub(3).max(1)
        };
        let mut samples = u32::try_from(samples).unwrap();
        match kind {
            // An edit list of no milliseconds shows nothing.
            Kind::CoarseM4a => samples = samples.max(rate / 1000 + 1),
            // FFmpeg does not know fewer than three packets of ADTS by their bytes; one is priming.
            Kind::Adts => samples = samples.max(AAC_PACKET + 1),
            _ => {}
        }
        Self { seed, kind, rate, channels: 1 + u32::from(rng.below(2) == 1), samples }
    }

    pub fn path(&self, folder: &Path) -> PathBuf {
        let extension = match self.kind {
            Kind::Wav => "wav",
            Kind::Flac => "flac",
            Kind::M4a | Kind::CoarseM4a => "m4a",
            Kind::AacInMatroska => "mkv",
            Kind::Adts => "aac",
            Kind::Mp3 => "mp3",
            Kind::OpusInWebm => "webm",
            Kind::OpusInOgg => "opus",
        };
        folder.join(format!("{}.{extension}", self.seed))
    }

    fn options(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Wav => &[],
            Kind::Flac => &["-c:a", "flac"],
            Kind::M4a => &["-c:a", "aac", "-movie_timescale"],
            Kind::CoarseM4a | Kind::AacInMatroska | Kind::Adts => &["-c:a", "aac"],
            Kind::Mp3 => &["-c:a", "libmp3lame"],
            Kind::OpusInWebm | Kind::OpusInOgg => &["-c:a", "libopus"],
        }
    }
}

/// Writes the sources of these sounds into a folder.
pub fn write(folder: &Path, sounds: &[Sound]) {
    let raw = folder.join("raw");
    std::fs::create_dir_all(&raw).unwrap();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for sound in sounds {
        let path = sound.path(folder).display().to_string();
        if sound.kind == Kind::Wav {
            std::fs::write(path, wav(sound)).unwrap();
            continue;
        }
        let wave = raw.join(format!("{}.wav", sound.seed));
        std::fs::write(&wave, wav(sound)).unwrap();
        outputs.extend(["-map".to_owned(), format!("{}:a", inputs.len() / 2)]);
        outputs.extend(sound.options().iter().map(ToString::to_string));
        if sound.kind == Kind::M4a {
            outputs.push(sound.rate.to_string());
        }
        outputs.push(path);
        inputs.extend(["-i".to_owned(), wave.display().to_string()]);
    }
    if !inputs.is_empty() {
        inputs.append(&mut outputs);
        ffmpeg(&inputs.iter().map(String::as_str).collect::<Vec<_>>());
    }
    std::fs::remove_dir_all(raw).unwrap();
}

/// Decodes the sound of files, each with its number of channels, in one call of ffmpeg; returns how many samples each has.
pub fn count_decoded(files: &[(PathBuf, u32)], folder: &Path) -> Vec<u64> {
    let raw = folder.join("raw");
    std::fs::create_dir_all(&raw).unwrap();
    let path = |i: usize| raw.join(format!("{i}.s16"));
    let mut arguments: Vec<String> = Vec::new();
    for (file, _) in files {
        arguments.extend(["-i".into(), file.display().to_string()]);
    }
    for i in 0..files.len() {
        arguments.extend(["-map", &format!("{i}:a"), "-f", "s16le"].map(ToOwned::to_owned));
        arguments.push(path(i).display().to_string());
    }
    ffmpeg(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let count = |(i, (_, channels)): (usize, &(PathBuf, u32))| {
        std::fs::metadata(path(i)).unwrap().len() / (2 * u64::from(*channels))
    };
    let counts = files.iter().enumerate().map(count).collect();
    std::fs::remove_dir_all(raw).unwrap();
    counts
}

/// A wave file of 16-bit samples: two tones, one a channel.
fn wav(sound: &Sound) -> Vec<u8> {
    let Sound { rate, channels, samples, .. } = *sound;
    let size = samples * channels * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend(u16::try_from(channels).unwrap().to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * channels * 2).to_le_bytes());
    bytes.extend(u16::try_from(channels * 2).unwrap().to_le_bytes());
    bytes.extend(b"\x10\0data");
    bytes.extend(size.to_le_bytes());
    for i in 0..samples {
        for channel in 0..channels {
            let hertz = 300.0 + 400.0 * f64::from(channel);
            let phase = f64::from(i) * hertz / f64::from(rate) * std::f64::consts::TAU;
            bytes.extend(((phase.sin() * 8000.0) as i16).to_le_bytes());
        }
    }
    bytes
}
