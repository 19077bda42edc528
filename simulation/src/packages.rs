//! Packages in the simulated store. They are staged, published and removed step by step, as in the real one, and a process can die between
//! any two steps. After each step PK-1 is checked.

use millrace_topology::{
    invariants::{CheckResult, check_package},
    packages::{PublicationStep, RemovalStep, publication, removal},
    ports::PortError,
};

use crate::{package::Package, ports::Ports, store::Store};

/// The key of a staged output: work prefix and token.
type Key = (String, String);

impl Store {
    /// Checks PK-1: what visible manifests name is there.
    pub(crate) fn check_packages(&self) -> CheckResult {
        let is_there = |url: &str| self.package_objects.contains(url) || self.manifests.contains_key(url);
        for (url, output) in &self.outputs {
            if let Some(package) = &output.package {
                let named = package.objects.iter().chain([&package.manifest]);
                check_package(url, named.map(String::as_str), is_there)?;
            }
        }
        for (url, objects) in &self.manifests {
            check_package(url, objects.iter().map(String::as_str), is_there)?;
        }
        Ok(())
    }

    /// Checks PK-1 once nothing is published or removed any more: no manifest stays without the main one.
    pub(crate) fn check_settled_packages(&self) -> CheckResult {
        self.check_packages()?;
        for (url, objects) in &self.manifests {
            let packages = || self.outputs.values().filter_map(|output| output.package.as_ref());
            let is_shown = |_: &str| packages().any(|p| p.manifest == *url && p.objects == *objects);
            check_package(url, ["its main manifest"], is_shown)?;
        }
        Ok(())
    }

    /// Removes what lies in a package's folder.
    fn remove_package_objects(&mut self, package: &Package) {
        self.package_objects.retain(|url| !url.starts_with(&package.folder));
    }

    /// Removes the manifest beside the main one if it is this package's.
    fn hide_manifest(&mut self, package: &Package) {
        if self.manifests.get(&package.manifest) == Some(&package.objects) {
            self.manifests.remove(&package.manifest);
        }
    }
}

impl Ports {
    /// Changes the store in one step, and checks PK-1.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let (result, checked) = {
            let mut store = self.world.store();
            let result = change(&mut store);
            (result, store.check_packages())
        };
        if let Err(violation) = checked {
            self.world.record_violation(violation);
        }
        result
    }

    /// Puts the objects of a package that is being staged.
    pub(crate) async fn put_package(&self, key: &Key, package: &Package) -> Result<(), PortError> {
        for object in &package.objects {
            self.begin_call("put an object").await?;
            self.change(|store| store.package_objects.insert(object.clone()));
        }
        self.begin_call("list objects").await?;
        self.change(|store| {
            if let Some(staged) = store.staged.get_mut(key) {
                staged.is_complete = true;
            }
        });
        Ok(())
    }

    /// Publishes a staged package.
    pub(crate) async fn publish_package(&self, key: &Key, package: &Package) -> Result<(), PortError> {
        let unstaged = || PortError::Refused(format!("{key:?} is not staged"));
        for step in publication() {
            self.begin_call("publish a package").await?;
            let is_done = self.change(|store| match step {
                PublicationStep::ShowManifests => {
                    let is_staged = store.staged.get(key).is_some_and(|staged| staged.is_complete);
                    if is_staged {
                        store.manifests.insert(package.manifest.clone(), package.objects.clone());
                    }
                    is_staged
                }
                PublicationStep::ShowMain => {
                    let Some(staged) = store.staged.get_mut(key).filter(|staged| staged.is_complete) else {
                        return false;
                    };
                    staged.is_published = true;
                    let (url, output) = (staged.url.clone(), staged.output.clone());
                    store.outputs.insert(url, output);
                    true
                }
                // No two executions of a run have one URL, and what an attempt published is withdrawn before the next.
                PublicationStep::RemoveReplaced => true,
            });
            if !is_done {
                return Err(unstaged());
            }
        }
        Ok(())
    }

    /// Removes a package, whether it was published or not.
    pub(crate) async fn remove_package(&self, key: &Key, package: &Package) -> Result<(), PortError> {
        for step in removal() {
            self.begin_call("remove a package").await?;
            self.change(|store| match step {
                RemovalStep::HideMain => {
                    if let Some(staged) = store.staged.get_mut(key) {
                        // Nobody can publish it any more.
                        staged.is_complete = false;
                        let url = staged.url.clone();
                        if store
                            .outputs
                            .get(&url)
                            .is_some_and(|shown| shown.package.as_ref() == Some(package))
                        {
                            store.outputs.remove(&url);
                        }
                    }
                }
                RemovalStep::HideManifests => store.hide_manifest(package),
                RemovalStep::RemoveObjects => store.remove_package_objects(package),
            });
        }
        Ok(())
    }

    /// Removes what is staged under a work prefix by attempts up to this one, and not published. Returns `true` if there was anything.
    pub(crate) async fn remove_unpublished(&self, work: &str, attempt: i32) -> Result<bool, PortError> {
        let keys = self.world.store().unpublished(work, attempt);
        for key in &keys {
            // From here on nobody can publish it.
            let taken = self.change(|store| {
                let staged = store.staged.get_mut(key).filter(|staged| !staged.is_published)?;
                staged.is_complete = false;
                Some(staged.output.package.clone())
            });
            let Some(package) = taken else { continue };
            if let Some(package) = package {
                self.remove_package(key, &package).await?;
            }
            self.world.store().staged.remove(key);
        }
        Ok(!keys.is_empty())
    }
}
