//! Files as they come from broken disks, cut transfers and people who mean harm: each by a seed, the same every time.

/// A small generator of numbers (SplitMix64): a seed is all that a failure needs to be seen again.
pub struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Where lengths are told: of boxes (mp4), of elements (Matroska), and whatever stands before four letters.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let is_name = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (0..bytes.len().saturating_sub(8)).filter(|at| is_name(&bytes[at + 4..at + 8])).collect()
}

/// Changes a file.
pub fn mutate(bytes: &mut Vec<u8>, seed: u64) {
    let mut rng = Rng(seed);
    for _ in 0..=rng.below(3) {
        let size = bytes.len();
        // Headers are where the harm is.
        let at = if rng.below(2) == 0 { rng.below(size.min(4096)) } else { rng.below(size) };
        match rng.below(8) {
            // Bytes flipped.
            0 | 1 => {
                for _ in 0..=rng.below(20) {
                    let at = (at + rng.below(2000)).min(size.saturating_sub(1));
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << rng.below(8);
                    }
                }
            }
            // Bytes that are anything.
            2 => {
                let long = 1 + rng.below(64);
                for byte in bytes.iter_mut().skip(at).take(long) {
                    *byte = rng.below(256) as u8;
                }
            }
            // Cut off.
            3 => bytes.truncate(1 + rng.below(size)),
            // Boxes of another size.
            4 | 5 => {
                let all = lengths(bytes);
                if let Some(at) = all.get(rng.below(all.len())).copied() {
                    let extreme = [0, 1, 7, 8, 0x7fff_ffff, 0xffff_ffff];
                    let size = match rng.below(3) {
                        0 => extreme[rng.below(extreme.len())],
                        1 => u32::try_from(rng.below(1 << 20)).unwrap(),
                        _ => u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
                            .wrapping_add(rng.below(64) as u32),
                    };
                    bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
                }
            }
            // A part left out, or there twice.
            6 => {
                let end = (at + rng.below(3000)).min(size);
                bytes.drain(at.min(end)..end);
            }
            _ => {
                let end = (at + rng.below(3000)).min(size);
                let part = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}
