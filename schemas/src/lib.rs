//! The records on Millrace's topics, as Avro schemas (`avro/*/*.avsc`) and as Rust types.
//!
//! Each version of a record has an `.avsc` file; a test checks that the latest one equals the Rust type. Values are in the
//! Confluent frame ([`frame`]). A new version only adds fields with defaults, so that two versions of Millrace can run side by
//! side.

mod area;
mod bounds;
pub mod catalogue;
mod error;
mod foreign;
pub mod frame;
mod identity;
pub mod ids;
pub mod range_protocol;
mod records;
mod source;
mod urls;

pub use bounds::LONGEST_SCHEMA;
pub use error::RecordError;
pub use identity::{
    Encoders, Fingerprint, KeyError, RenditionId, RenditionKind, WorkKey, WorkPrefix, add_digest,
    canonical_text, execution_id, hash_of, object_url, output_prefix, path_encoded, rendition_id,
    source_stem, source_url,
};
pub use records::*;
pub use source::{
    AssetKind, AudioTrack, AuxiliaryTrack, COPY, CodedStream, ImageFacts, Keyframe, Picture, Sound,
    SourceFacts, VideoTrack, all_streams,
};
pub use urls::masked_url;
