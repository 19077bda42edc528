use super::{
    assembly::Assembly,
    merge::{Merge, Merged},
    segment::Segment,
};

macro_rules! work_prefix {
    ($($type:ty),+) => {$(
        impl $type {
            /// Returns the first part of the keys of the work objects. Records of versions that did not have the field `work`
            /// have their work objects below the execution's id.
            #[must_use]
            pub fn work(&self) -> &str {
                if self.work.is_empty() { &self.execution } else { &self.work }
            }
        }
    )+};
}

work_prefix!(Segment, Assembly, Merge, Merged);
