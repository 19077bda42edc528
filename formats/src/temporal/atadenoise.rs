//! Noise is averaged away over time, by libavfilter's atadenoise.
//!
//! hqdn3d, which is better known, remembers all pictures so far: what it gives depends on where a segment begins. Measured with noise
//! over a film of 640x360, in dB of PSNR to the film (`noise=alls=…:allf=t`, 60 pictures):
//!
//! | noise | none | hqdn3d, its default | medium here | hqdn3d=8:6:12:9 | strong here |
//! |---|---|---|---|---|---|
//! | 6 | 38.4 | 40.2 | 40.4 | 40.6 | 39.4 |
//! | 14 | 30.5 | 31.0 | 30.9 | 32.6 | 32.9 |

use millrace_schemas::VideoFilters;

use super::TemporalFilter;

pub(super) const ENTRY: &dyn TemporalFilter = &Atadenoise;

/// The pictures that are averaged, with the one itself in the middle: the filter's default.
const PICTURES: usize = 9;

/// Averages each sample over pictures before and behind it, as far as they are alike.
#[derive(Debug)]
struct Atadenoise;

impl TemporalFilter for Atadenoise {
    fn name(&self) -> &'static str {
        "atadenoise"
    }

    fn describe(&self, asked: &VideoFilters) -> Option<String> {
        // How far a sample may be from the one in the middle, and how far all together, as parts of white: the filter's default,
        // twice and four times that, and more for all together, so that strong noise is averaged over more than two pictures.
        let (one, all) = match asked.denoise.as_str() {
            "light" => ("0.02", "0.04"),
            "medium" => ("0.04", "0.08"),
            "strong" => ("0.08", "0.24"),
            _ => return None,
        };
        Some(format!("atadenoise=s={PICTURES}:0a={one}:0b={all}:1a={one}:1b={all}:2a={one}:2b={all}:a=p"))
    }

    fn leads(&self) -> (usize, usize) {
        (PICTURES / 2, PICTURES / 2)
    }
}
