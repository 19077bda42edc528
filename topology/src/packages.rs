//! The order in which a package appears and goes, so that it is visible whole or not at all (PK-1). Stores and the simulation follow the
//! same lists.

use millrace_schemas::hash_of;

use crate::faults::Fault;

/// The digits of the name of a package's folder.
const FOLDER_DIGITS: usize = 8;

/// Returns the name of the folder in which the objects of a package lie, beside its main manifest: eight hexadecimal digits. `planned` is
/// the attempt's, and `token` names the staging. Each staging has a folder of its own: one that a killed process left, or a slow one is
/// still at, is removed without another's objects.
#[must_use]
pub fn folder(planned: &str, token: &str) -> String {
    if Fault::FolderShared.is_planted() {
        return planned.to_owned();
    }
    hash_of(&[planned, token]).chars().take(FOLDER_DIGITS).collect()
}

/// A step of the publication of a staged package, whose objects are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicationStep {
    /// The manifests beside the main one get their names.
    ShowManifests,
    /// The main manifest gets its name, at once: the package is visible from here on.
    ShowMain,
    /// The objects of the packages that it replaced are removed.
    RemoveReplaced,
}

/// A step of the removal of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalStep {
    /// The main manifest is removed: the package is not visible from here on.
    HideMain,
    /// The manifests beside the main one are removed.
    HideManifests,
    /// All objects are removed.
    RemoveObjects,
}

/// Returns the steps by which a staged package is published.
#[must_use]
pub fn publication() -> [PublicationStep; 3] {
    use PublicationStep::{RemoveReplaced, ShowMain, ShowManifests};
    if Fault::MainManifestFirst.is_planted() {
        return [ShowMain, ShowManifests, RemoveReplaced];
    }
    [ShowManifests, ShowMain, RemoveReplaced]
}

/// Returns the steps by which a package is removed, whether it was published or not.
#[must_use]
pub fn removal() -> [RemovalStep; 3] {
    use RemovalStep::{HideMain, HideManifests, RemoveObjects};
    if Fault::ObjectsRemovedFirst.is_planted() {
        return [RemoveObjects, HideMain, HideManifests];
    }
    [HideMain, HideManifests, RemoveObjects]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_staging_has_a_folder_of_its_own() {
        let one = folder("3f2a9c1b", "0123456789abcdef");
        assert_eq!(one.len(), FOLDER_DIGITS);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, folder("3f2a9c1b", "0123456789abcdee"));
        assert_ne!(one, folder("3f2a9c1c", "0123456789abcdef"));
    }

    #[test]
    fn a_package_is_visible_only_while_all_else_of_it_is_there() {
        let [first, second, third] = publication();
        assert_eq!((first, second), (PublicationStep::ShowManifests, PublicationStep::ShowMain));
        assert_eq!(third, PublicationStep::RemoveReplaced, "what is replaced is visible until then");
        let [first, _, last] = removal();
        assert_eq!((first, last), (RemovalStep::HideMain, RemovalStep::RemoveObjects));
    }
}
