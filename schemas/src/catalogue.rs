//! The list of all records, with their schemas.

use std::collections::HashMap;

use apache_avro::Schema;

use crate::{
    bounds,
    foreign::ForeignSchema,
    frame::{Record, schema_id},
    ids::{self, SchemaIds},
    records::{
        Arrival, Assembly, Control, ExecutionEvent, LogLine, Merge, Merged, Progress, Seen, Segment, Signal,
        Upload,
    },
};

/// The schemas of a record.
pub struct RecordSchemas {
    /// The record's name.
    pub name: &'static str,
    /// The fixed id of the latest version, which is the one that is written.
    pub fixed_id: u32,
    /// The texts of all versions, oldest first.
    pub versions: &'static [&'static str],
    /// The parsed schemas of all versions, oldest first.
    schemas: &'static [&'static Schema],
    number: u32,
}

impl RecordSchemas {
    fn of<R: Record>() -> Self {
        let codec = R::codec();
        Self {
            name: R::NAME,
            fixed_id: codec.id(),
            versions: R::VERSIONS,
            schemas: codec.schemas(),
            number: R::NUMBER,
        }
    }

    fn latest(&self) -> &'static Schema {
        self.schemas[self.schemas.len() - 1]
    }

    /// Returns the canonical form and the fixed id of each version.
    fn fixed_ids(&self) -> impl Iterator<Item = (String, u32)> {
        (1..)
            .zip(self.schemas)
            .map(|(version, schema)| (schema.canonical_form(), schema_id(self.number, version)))
    }
}

/// Returns the schemas of all records, in the order of the records' numbers.
#[must_use]
pub fn all() -> Vec<RecordSchemas> {
    vec![
        RecordSchemas::of::<Upload>(),
        RecordSchemas::of::<Segment>(),
        RecordSchemas::of::<Signal>(),
        RecordSchemas::of::<Assembly>(),
        RecordSchemas::of::<Merge>(),
        RecordSchemas::of::<Merged>(),
        RecordSchemas::of::<ExecutionEvent>(),
        RecordSchemas::of::<Progress>(),
        RecordSchemas::of::<LogLine>(),
        RecordSchemas::of::<Control>(),
        RecordSchemas::of::<Arrival>(),
        RecordSchemas::of::<Seen>(),
    ]
}

/// Returns a table of a registry's ids that knows all versions of all records. `written` has the registry's id for each
/// [`RecordSchemas::fixed_id`].
#[must_use]
pub fn schema_ids(written: HashMap<u32, u32>) -> SchemaIds {
    SchemaIds::new(all().iter().flat_map(RecordSchemas::fixed_ids).collect(), written)
}

/// Makes this process write and read records by a registry's ids; `written` as for [`schema_ids`]. Only the first call has an
/// effect.
pub fn install(written: HashMap<u32, u32>) {
    ids::install(schema_ids(written));
}

/// Returns the record that a schema has the form of a newer version of: it has the record's name, all of its fields, and more. It
/// is one only if it is registered under the subject of that record.
#[must_use]
pub fn newer_version_of(text: &str) -> Option<&'static str> {
    let schema = bounds::parse(text).ok()?;
    let schema = ForeignSchema::new(schema, text.len(), false);
    all().into_iter().find(|record| schema.is_newer(record.name, record.latest())).map(|record| record.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RegistryAnswer;

    #[test]
    fn every_schema_of_ours_is_within_bounds() {
        for record in all() {
            for text in record.versions {
                assert_eq!(bounds::check(&Schema::parse_str(text).unwrap()), Ok(()), "{}", record.name);
            }
        }
    }

    #[test]
    fn two_registries_in_one_process_have_ids_of_their_own() {
        let upload = Upload::of("file:///a.mov", "file:///out");
        let table = |id: u32| schema_ids(HashMap::from([(Upload::codec().id(), id)]));
        let (one, other) = (table(7), table(8));
        let (by_one, by_other) =
            (upload.encode_with(Some(&one)).unwrap(), upload.encode_with(Some(&other)).unwrap());
        assert_eq!((by_one[4], by_other[4]), (7, 8));
        assert_eq!(by_one[5..], by_other[5..]);
        assert_eq!(Upload::decode_with(&by_one, Some(&one)).unwrap(), upload);
        assert!(Upload::decode_with(&by_one, Some(&other)).is_err());
        assert_eq!((one.unresolved_id(&by_one), other.unresolved_id(&by_one)), (None, Some(7)));
        let text = Upload::VERSIONS[Upload::VERSIONS.len() - 1];
        other.register(7, RegistryAnswer::Schema { text, is_announced: false }).unwrap();
        assert_eq!(Upload::decode_with(&by_one, Some(&other)).unwrap(), upload);
    }
}
