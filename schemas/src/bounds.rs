//! Limits of schemas that others registered, so that reading a value costs no more than its bytes.

use std::collections::HashMap;

use apache_avro::{Schema, schema::Name};

use crate::error::RecordError;

/// The greatest length of a schema's text, in bytes.
pub const LONGEST_SCHEMA: usize = 128 * 1024;
/// The most types that a schema may have, each counted as often as it is used.
const TYPES: usize = 2000;
/// The greatest depth of nested types.
const DEPTH: usize = 32;
/// The largest `fixed`, in bytes.
const LARGEST_FIXED: usize = 64 * 1024;

/// Parses the text of a schema.
///
/// # Errors
/// [`RecordError::Schema`] if the text is longer than [`LONGEST_SCHEMA`] or is not a valid schema.
pub(crate) fn parse(text: &str) -> Result<Schema, RecordError> {
    if text.len() > LONGEST_SCHEMA {
        let reason = format!("it has {} bytes, and {LONGEST_SCHEMA} are the most", text.len());
        return Err(RecordError::Schema { reason });
    }
    Schema::parse_str(text).map_err(|error| RecordError::Schema { reason: error.to_string() })
}

/// Checks that reading a value by the schema costs time and memory in proportion to the value's bytes.
///
/// # Errors
/// With the reason, if the schema is recursive or too large, or has an array whose items may have no bytes: a few bytes could
/// then claim any number of items.
pub(crate) fn check(schema: &Schema) -> Result<(), String> {
    let mut named = HashMap::new();
    collect(schema, &mut named);
    let mut walk = SchemaWalk { named, enclosing: Vec::new(), types: 0 };
    walk.least_bytes(schema).map(drop)
}

/// Collects the named types of a schema, so that references can be followed.
fn collect<'a>(schema: &'a Schema, named: &mut HashMap<&'a Name, &'a Schema>) {
    match schema {
        Schema::Record(record) => {
            named.insert(&record.name, schema);
            record.fields.iter().for_each(|field| collect(&field.schema, named));
        }
        Schema::Enum(one) => drop(named.insert(&one.name, schema)),
        Schema::Fixed(one) => drop(named.insert(&one.name, schema)),
        Schema::Array(array) => collect(&array.items, named),
        Schema::Map(map) => collect(&map.types, named),
        Schema::Union(union) => union.variants().iter().for_each(|one| collect(one, named)),
        _ => {}
    }
}

struct SchemaWalk<'a> {
    named: HashMap<&'a Name, &'a Schema>,
    /// The records that enclose the current type.
    enclosing: Vec<&'a Name>,
    /// How many types were visited.
    types: usize,
}

impl<'a> SchemaWalk<'a> {
    /// Returns the fewest bytes that a value of this type has, and checks all types within it.
    fn least_bytes(&mut self, schema: &'a Schema) -> Result<usize, String> {
        self.types += 1;
        if self.types > TYPES {
            return Err(format!("it has more than {TYPES} types"));
        }
        if self.enclosing.len() > DEPTH {
            return Err(format!("its types are nested more than {DEPTH} deep"));
        }
        match schema {
            Schema::Null => Ok(0),
            Schema::Boolean
            | Schema::Int
            | Schema::Long
            | Schema::Bytes
            | Schema::String
            | Schema::Enum(_) => Ok(1),
            Schema::Float => Ok(4),
            Schema::Double => Ok(8),
            Schema::Date
            | Schema::TimeMillis
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Ok(1),
            Schema::Fixed(fixed) if fixed.size <= LARGEST_FIXED => Ok(fixed.size),
            Schema::Fixed(fixed) => {
                Err(format!("it has a fixed type of {} bytes; {LARGEST_FIXED} are the most", fixed.size))
            }
            Schema::Array(array) => match self.least_bytes(&array.items)? {
                0 => Err("it has an array whose items may have no bytes".into()),
                _ => Ok(1),
            },
            Schema::Map(map) => self.least_bytes(&map.types).map(|_| 1),
            Schema::Union(union) => {
                union.variants().iter().try_for_each(|one| self.least_bytes(one).map(drop))?;
                Ok(1)
            }
            Schema::Record(record) => {
                if self.enclosing.contains(&&record.name) {
                    return Err("it is recursive".into());
                }
                self.enclosing.push(&record.name);
                let mut least = 0_usize;
                for field in &record.fields {
                    least = least.saturating_add(self.least_bytes(&field.schema)?);
                }
                self.enclosing.pop();
                Ok(least)
            }
            Schema::Ref { name } => match self.named.get(name).copied() {
                Some(found) => self.least_bytes(found),
                None => Err(format!("it names a type that it does not have: {name}")),
            },
            Schema::Decimal(_) | Schema::BigDecimal | Schema::Uuid(_) | Schema::Duration(_) => {
                Err("it has a type that no field of a record has (decimal, uuid or duration)".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check(&Schema::parse_str(text).unwrap()).unwrap_err()
    }

    fn with_field(kind: &str) -> String {
        format!(r#"{{"type": "record", "name": "Upload", "fields": [{{"name": "made", "type": {kind}}}]}}"#)
    }

    #[test]
    fn each_schema_of_ours_is_one_that_another_process_would_read() {
        for record in crate::catalogue::all() {
            for text in record.versions {
                let checked = parse(text).map(|schema| check(&schema));
                assert!(matches!(checked, Ok(Ok(()))), "{}: {checked:?}", record.name);
            }
        }
    }

    #[test]
    fn a_schema_that_costs_more_than_its_bytes_is_refused() {
        let recursive =
            r#"{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}"#;
        assert_eq!(refusal(recursive), "it is recursive");
        assert_eq!(refusal(&with_field(r#"{"type": "map", "values": "Upload"}"#)), "it is recursive");
        let empty = r#"{"type": "array", "items": "null"}"#;
        assert_eq!(refusal(&with_field(empty)), "it has an array whose items may have no bytes");
        let nothing = r#"{"type": "array", "items": {"type": "record", "name": "N", "fields": []}}"#;
        assert_eq!(refusal(&with_field(nothing)), "it has an array whose items may have no bytes");
        let huge = r#"{"type": "fixed", "name": "F", "size": 4611686018427387904}"#;
        assert!(refusal(&with_field(huge)).contains("4611686018427387904 bytes"));
    }

    #[test]
    fn types_that_double_forty_times_are_refused_at_once() {
        let mut inner = r#"{"type": "record", "name": "R0", "fields": []}"#.to_owned();
        for level in 1..20 {
            inner = format!(
                r#"{{"type": "record", "name": "R{level}", "fields": [{{"name": "a", "type": {inner}}}, {{"name": "b", "type": "R{}"}}]}}"#,
                level - 1
            );
        }
        assert_eq!(refusal(&inner), "it has more than 2000 types");
    }
}
