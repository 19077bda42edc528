//! What a simulated package is made of.

use millrace_schemas::{OutputPlan, PackagePlan};
use millrace_topology::packages::folder;

/// The number of segments of a simulated package.
const SEGMENTS: usize = 3;

/// What there is of a package besides its main manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// The URL of its folder, with a slash at its end.
    pub(crate) folder: String,
    /// The URLs of its objects.
    pub(crate) objects: Vec<String>,
    /// The URL of the manifest beside the main one.
    pub(crate) manifest: String,
}

impl Package {
    /// Returns the package that a plan asks for, as it is staged with this token.
    pub(crate) fn of(output: &OutputPlan, plan: &PackagePlan, token: &str) -> Self {
        let top = output.url.rsplit_once('/').map_or("", |(top, _)| top);
        let folder = format!("{top}/{}/", folder(&plan.folder, token));
        let objects = (1..=SEGMENTS).map(|number| format!("{folder}{number}.m4s")).collect();
        Self { folder, objects, manifest: format!("{top}/beside.manifest") }
    }
}
