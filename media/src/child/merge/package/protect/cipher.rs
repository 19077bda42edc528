//! AES-128 in CBC mode. What is written is encrypted by one implementation of the mode; the proof decrypts blocks by itself.

use aes::{
    Aes128, Aes128Dec, Block,
    cipher::{BlockCipherDecrypt as _, BlockModeEncrypt as _, KeyInit as _, KeyIvInit as _},
};

use crate::protocol::ContentKey;

/// The bytes of a block.
pub(super) const BLOCK: usize = 16;

/// What encrypts bytes that follow each other.
pub(super) struct EncryptionMode(cbc::Encryptor<Aes128>);

impl EncryptionMode {
    pub(super) fn new(key: &ContentKey, vector: [u8; BLOCK]) -> Self {
        Self(cbc::Encryptor::new(&(*key.bytes()).into(), &vector.into()))
    }

    /// Encrypts all whole blocks of these bytes.
    pub(super) fn encrypt(&mut self, bytes: &mut [u8]) {
        for bytes in bytes.as_chunks_mut::<BLOCK>().0 {
            let mut block = Block::from(*bytes);
            self.0.encrypt_block(&mut block);
            *bytes = block.into();
        }
    }
}

/// What decrypts bytes that follow each other: each block is decrypted, and combined with the encrypted one before it (NIST SP 800-38A,
/// 6.2).
pub(super) struct Decryption {
    cipher: Aes128Dec,
    before: [u8; BLOCK],
}

impl Decryption {
    pub(super) fn new(key: &ContentKey, vector: [u8; BLOCK]) -> Self {
        Self { cipher: Aes128Dec::new(&(*key.bytes()).into()), before: vector }
    }

    /// Decrypts these bytes; `None` if they are no whole number of blocks.
    pub(super) fn decrypt(&mut self, bytes: &mut [u8]) -> Option<()> {
        let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
        for bytes in blocks {
            let encrypted = *bytes;
            let mut block = Block::from(encrypted);
            self.cipher.decrypt_block(&mut block);
            let block: [u8; BLOCK] = block.into();
            for ((byte, decrypted), before) in bytes.iter_mut().zip(block).zip(self.before) {
                *byte = decrypted ^ before;
            }
            self.before = encrypted;
        }
        rest.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_standards_example() {
        // NIST SP 800-38A, F.2.1 and F.2.2.
        let key: ContentKey = "2b7e151628aed2a6abf7158809cf4f3c".parse().unwrap();
        let vector: [u8; 16] = std::array::from_fn(|at| at as u8);
        let hex = |text: &str| u128::from_str_radix(text, 16).unwrap().to_be_bytes();
        let clear =
            [hex("6bc1bee22e409f96e93d7e117393172a"), hex("ae2d8a571e03ac9c9eb76fac45af8e51")].concat();
        let asked =
            [hex("7649abac8119b246cee98e9b12e9197d"), hex("5086cb9b507219ee95db113a917678b2")].concat();
        let mut bytes = clear.clone();
        EncryptionMode::new(&key, vector).encrypt(&mut bytes);
        assert_eq!(bytes, asked);
        Decryption::new(&key, vector).decrypt(&mut bytes).unwrap();
        assert_eq!(bytes, clear);
        assert_eq!(Decryption::new(&key, vector).decrypt(&mut bytes[1..]), None);
    }
}
