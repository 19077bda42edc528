//! What the names of profiles stand for: the profiles that ship, and an operator's own.

use std::collections::BTreeMap;

use crate::{
    name::{ProfileName, ProfileReference, ProfileVersion},
    profile::{Profile, ProfileError},
    shipped::{SHIPPED, shipped},
};

/// How many names a message lists at most.
const MOST_LISTED: usize = 30;

/// The profiles that uploads may name, at one moment. By default, those that ship.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    own: BTreeMap<ProfileName, Profile>,
    faults: BTreeMap<String, String>,
}

/// A profile of a [`Catalog`].
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogEntry {
    /// The profile, with its name.
    pub profile: Profile,
    /// Its version.
    pub version: ProfileVersion,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a profile comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It ships with Millrace.
    Shipped,
    /// It is the operator's own.
    Own,
    /// It is the operator's own, and stands in place of the one that ships under its name.
    InPlaceOfShipped,
}

impl Origin {
    /// Returns the origin as `millrace profiles list` and the API show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Own => "own",
            Self::InPlaceOfShipped => "own, in place of the shipped one",
        }
    }
}

impl Catalog {
    /// Returns the profiles that ship and these of the operator's own. `faults` are the files of profiles that can't be used as they
    /// are, each with what is wrong with it; an earlier version of such a profile may be among `own`.
    #[must_use]
    pub fn of(own: BTreeMap<ProfileName, Profile>, faults: BTreeMap<String, String>) -> Self {
        let named = own.into_iter().map(|(name, profile)| {
            let profile = Profile { name: name.as_str().into(), ..profile };
            (name, profile)
        });
        Self { own: named.collect(), faults }
    }

    /// Returns the faulty files, each with what is wrong with it.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<String, String> {
        &self.faults
    }

    /// Returns the profiles in force: the operator's own by name, and then those that ship.
    #[must_use]
    pub fn entries(&self) -> Vec<CatalogEntry> {
        let entry = |profile: Profile, origin| CatalogEntry {
            version: ProfileVersion::of(&profile),
            profile,
            origin,
        };
        let own = self.own.iter().map(|(name, profile)| {
            let is_shipped = SHIPPED.iter().any(|(shipped, _)| *shipped == name.as_str());
            let origin = if is_shipped { Origin::InPlaceOfShipped } else { Origin::Own };
            entry(profile.clone(), origin)
        });
        let is_replaced = |name: &str| self.own.keys().any(|own| own.as_str() == name);
        let others = SHIPPED.iter().filter(|(name, _)| !is_replaced(name));
        let others = others.filter_map(|(name, _)| Some(entry(shipped(name)?, Origin::Shipped)));
        own.chain(others).collect()
    }

    /// Returns the profile that a text stands for: a profile in JSON, `NAME`, or `NAME@VERSION`.
    ///
    /// # Errors
    /// If it is no profile, or there is none of that name or of that version: the text lists the known ones.
    pub fn resolve(&self, text: &str) -> Result<Profile, ProfileError> {
        if is_object(text) {
            return Profile::from_json(text);
        }
        let reference: ProfileReference =
            text.parse().map_err(|error| ProfileError(format!("{error}; {}", self.known())))?;
        // A version is one of what a profile says: the one that ships stays known by its version.
        let name = reference.name.as_str();
        let candidates: Vec<Profile> =
            self.own.get(&reference.name).cloned().into_iter().chain(shipped(name)).collect();
        let is_wanted = |profile: &&Profile| {
            reference.version.as_ref().is_none_or(|version| *version == ProfileVersion::of(profile))
        };
        if let Some(found) = candidates.iter().find(is_wanted) {
            return Ok(found.clone());
        }
        let fault = self.faults.get(&format!("{name}.toml"));
        let fault = fault.map(|fault| format!(" ({name}.toml is faulty: {fault})")).unwrap_or_default();
        Err(ProfileError(match &reference.version {
            Some(version) if !candidates.is_empty() => {
                let known: Vec<String> =
                    candidates.iter().map(|profile| ProfileVersion::of(profile).to_string()).collect();
                format!(
                    "there is no version {version} of the profile '{name}'; known versions: {}{fault}",
                    known.join(", ")
                )
            }
            _ => format!("there is no profile '{name}'{fault}; {}", self.known()),
        }))
    }

    /// Returns the names that are known, for messages.
    fn known(&self) -> String {
        let own = self.own.keys().map(ProfileName::as_str);
        let shipped = SHIPPED.iter().map(|(name, _)| *name);
        let shipped = shipped.filter(|name| !self.own.keys().any(|own| own.as_str() == *name));
        let all: Vec<&str> = own.chain(shipped).collect();
        let more = match all.len().saturating_sub(MOST_LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "known profiles: {}{more}",
            all.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", ")
        )
    }
}

/// Returns whether a text is a profile itself, and not the name of one.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(own: &[(&str, &str)]) -> Catalog {
        let own = own.iter().map(|(name, format)| {
            let text = format!("[[output]]\nformat = \"{format}\"");
            (name.parse().unwrap(), Profile::from_toml(&text).unwrap())
        });
        Catalog::of(own.collect(), BTreeMap::new())
    }

    fn version(profile: &Profile) -> String {
        ProfileVersion::of(profile).to_string()
    }

    #[test]
    fn a_name_is_that_of_the_operators_own_profile_or_of_one_that_ships() {
        let catalog = catalog(&[("ours", "mp4"), ("web", "flv")]);
        assert_eq!(catalog.resolve("ours").unwrap().name, "ours");
        assert_eq!(catalog.resolve("web").unwrap().outputs[0].format, "flv");
        assert_eq!(catalog.resolve("podcast").unwrap(), shipped("podcast").unwrap());
        let origins: Vec<(String, Origin)> =
            catalog.entries().into_iter().map(|entry| (entry.profile.name, entry.origin)).collect();
        assert_eq!(origins[0], ("ours".into(), Origin::Own));
        assert_eq!(origins[1], ("web".into(), Origin::InPlaceOfShipped));
        assert_eq!(origins.len(), SHIPPED.len() + 1);
    }

    #[test]
    fn a_version_is_found_as_long_as_it_is_known_and_refused_with_those_that_are() {
        let catalog = catalog(&[("ours", "mp4"), ("web", "flv")]);
        let ours = version(&catalog.resolve("ours").unwrap());
        assert_eq!(catalog.resolve(&format!("ours@{ours}")).unwrap().name, "ours");
        let said = catalog.resolve("ours@0123456789ab").unwrap_err().0;
        assert_eq!(
            said,
            format!("there is no version 0123456789ab of the profile 'ours'; known versions: {ours}")
        );
        let (own, ships) = (version(&catalog.resolve("web").unwrap()), version(&shipped("web").unwrap()));
        assert_eq!(catalog.resolve(&format!("web@{ships}")).unwrap(), shipped("web").unwrap());
        let said = catalog.resolve("web@0123456789ab").unwrap_err().0;
        assert!(said.ends_with(&format!("known versions: {own}, {ships}")), "{said}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones_and_with_what_is_wrong_with_its_file() {
        let said = catalog(&[("ours", "mp4")]).resolve("wib").unwrap_err().0;
        assert!(said.starts_with("there is no profile 'wib'; known profiles: ours, web"), "{said}");
        let faults = BTreeMap::from([("wib.toml".to_owned(), "line 3".to_owned())]);
        let said = Catalog::of(BTreeMap::new(), faults).resolve("wib").unwrap_err().0;
        assert!(said.starts_with("there is no profile 'wib' (wib.toml is faulty: line 3); known"), "{said}");
        let many: BTreeMap<ProfileName, Profile> =
            (0..1000).map(|i| (format!("p{i}").parse().unwrap(), Profile::default())).collect();
        let said = Catalog::of(many, BTreeMap::new()).resolve("wib").unwrap_err().0;
        assert!(said.ends_with(" more") && said.len() < 1000, "{said}");
    }
}
