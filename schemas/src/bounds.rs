//! What a schema that others registered may be: reading by it must cost no more than the bytes that are there.

use std::collections::HashMap;

use apache_avro::{Schema, schema::Name};

/// The longest schema of a registry that is looked at, in bytes.
pub const LONGEST_SCHEMA: usize = 64 * 1024;
/// How many types a schema may have, each counted as often as it is used.
const TYPES: usize = 2000;
/// How deep types may lie in one another.
const DEPTH: usize = 32;
/// The largest `fixed`, in bytes.
const LARGEST_FIXED: usize = 64 * 1024;

/// Says why values can't be read by a schema at a cost that follows their bytes, where they can't: it is recursive, or
/// large, or its arrays have items of no bytes, so that a few bytes claim any number of them.
pub(crate) fn check(schema: &Schema) -> Result<(), String> {
    let mut named = HashMap::new();
    collect(schema, &mut named);
    let mut walk = Walk { named, open: Vec::new(), types: 0 };
    walk.least_bytes(schema).map(drop)
}

/// The types of a schema by their names, so that references can be followed.
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

struct Walk<'a> {
    named: HashMap<&'a Name, &'a Schema>,
    /// The records that enclose the type that is looked at.
    open: Vec<&'a Name>,
    types: usize,
}

impl<'a> Walk<'a> {
    /// The least bytes that a value of this type has; looks at all that is in it.
    fn least_bytes(&mut self, schema: &'a Schema) -> Result<usize, String> {
        self.types += 1;
        if self.types > TYPES {
            return Err(format!("it has more than {TYPES} types"));
        }
        if self.open.len() > DEPTH {
            return Err(format!("its types lie more than {DEPTH} deep in one another"));
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
                if self.open.contains(&&record.name) {
                    return Err("it is recursive".into());
                }
                self.open.push(&record.name);
                let mut least = 0_usize;
                for field in &record.fields {
                    least = least.saturating_add(self.least_bytes(&field.schema)?);
                }
                self.open.pop();
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

    fn why_not(text: &str) -> String {
        check(&Schema::parse_str(text).unwrap()).unwrap_err()
    }

    fn with_field(kind: &str) -> String {
        format!(r#"{{"type": "record", "name": "Upload", "fields": [{{"name": "made", "type": {kind}}}]}}"#)
    }

    #[test]
    fn a_schema_that_costs_more_than_its_bytes_is_refused() {
        let recursive =
            r#"{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}"#;
        assert_eq!(why_not(recursive), "it is recursive");
        assert_eq!(why_not(&with_field(r#"{"type": "map", "values": "Upload"}"#)), "it is recursive");
        let empty = r#"{"type": "array", "items": "null"}"#;
        assert_eq!(why_not(&with_field(empty)), "it has an array whose items may have no bytes");
        let nothing = r#"{"type": "array", "items": {"type": "record", "name": "N", "fields": []}}"#;
        assert_eq!(why_not(&with_field(nothing)), "it has an array whose items may have no bytes");
        let huge = r#"{"type": "fixed", "name": "F", "size": 4611686018427387904}"#;
        assert!(why_not(&with_field(huge)).contains("4611686018427387904 bytes"));
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
        assert_eq!(why_not(&inner), "it has more than 2000 types");
    }

    #[test]
    fn every_schema_of_ours_is_within_bounds() {
        for record in crate::ids::all() {
            for text in record.versions {
                assert_eq!(check(&Schema::parse_str(text).unwrap()), Ok(()), "{}", record.name);
            }
        }
    }
}
