//! Principals: the users on whose behalf requests are made, and what each may do, read and write.

use std::collections::BTreeMap;

use crate::{
    location::Location,
    reach::{Purpose, Reach, Refusal},
};

/// The longest name of a principal, in bytes.
const LONGEST_NAME: usize = 100;

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Submit and probe sources.
    Submit,
    /// Read its own executions.
    Read,
    /// Cancel and retry its own executions.
    Cancel,
    /// Do all of that to everybody's executions, and use metrics, dead letters and cleanup.
    Admin,
}

impl Right {
    /// Every right, in the order in which refusals list them.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Cancel, Self::Admin];

    /// Returns the right of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == name)
    }

    /// Returns the right's name, as in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Cancel => "cancel",
            Self::Admin => "admin",
        }
    }
}

/// Limits of a principal's uploads; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// The size of a source, in bytes.
    pub bytes: Option<u64>,
    /// The pixels of a picture: width times height.
    pub pixels: Option<u64>,
    /// The duration of a source, in seconds.
    pub duration_seconds: Option<f64>,
    /// The streams of a source that are transcoded.
    pub streams: Option<usize>,
    /// The segments of an execution.
    pub segments: Option<usize>,
    /// The executions that run at once.
    pub at_once: Option<usize>,
}

/// What an upload needs, as far as that is known yet; the rest is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UploadUsage {
    /// The size of the source, in bytes.
    pub bytes: u64,
    /// The pixels of a picture: width times height.
    pub pixels: u64,
    /// The duration of the source, in seconds.
    pub duration_seconds: f64,
    /// The streams that are transcoded.
    pub streams: usize,
    /// How many segments all of its tracks are cut into.
    pub segments: usize,
}

impl Limits {
    /// Compares what an upload would use with these limits.
    ///
    /// # Errors
    /// If it is above a limit: which one, the upload's figure, and the limit.
    pub fn check(&self, usage: &UploadUsage) -> Result<(), String> {
        let check = |what: &str, is: f64, most: Option<f64>| match most {
            Some(most) if is > most => Err(format!("{what} is {is}; the limit is {most}")),
            _ => Ok(()),
        };
        let count = |most: Option<usize>| most.map(|most| most as f64);
        check("its size in bytes", usage.bytes as f64, self.bytes.map(|most| most as f64))?;
        check("the number of its pixels", usage.pixels as f64, self.pixels.map(|most| most as f64))?;
        check("its length in seconds", usage.duration_seconds, self.duration_seconds)?;
        check("the number of its streams", usage.streams as f64, count(self.streams))?;
        check("the number of its segments", usage.segments as f64, count(self.segments))
    }
}

/// A user, team or program on whose behalf uploads are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// Its name; empty for the default principal.
    pub name: String,
    /// The sources that it may read.
    pub sources: Reach,
    /// The outputs that it may write.
    pub outputs: Reach,
    /// The URL schemes that it may use, such as `s3` and `file`; if empty, all.
    pub schemes: Vec<String>,
    /// The limits of its uploads.
    pub limits: Limits,
    /// What it may do.
    pub may: Vec<Right>,
}

impl Principal {
    /// Returns the default principal, which has every right and no limits.
    #[must_use]
    pub fn default_of(sources: Reach, outputs: Reach) -> Self {
        Self {
            name: String::new(),
            sources,
            outputs,
            schemes: Vec::new(),
            limits: Limits::default(),
            may: Right::ALL.to_vec(),
        }
    }

    /// Returns `true` if it has the right, or the right `admin`.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.may.contains(&right) || self.may.contains(&Right::Admin)
    }

    /// Returns `true` if it may read the executions of the principal `owner`.
    #[must_use]
    pub fn sees(&self, owner: &str) -> bool {
        self.name == owner || self.may.contains(&Right::Admin)
    }

    /// Returns `true` if it may read and write everything, as a user of the command line may.
    #[must_use]
    pub fn reaches_everything(&self) -> bool {
        let all = [&self.sources, &self.outputs].into_iter().all(|reach| *reach == Reach::Everything);
        all && self.schemes.is_empty()
    }

    /// Checks that it may read or write a location.
    ///
    /// # Errors
    /// If it may not: the message names the flag or the setting that would allow it.
    pub fn check(&self, purpose: Purpose, location: &Location) -> Result<(), String> {
        let scheme = location.scheme();
        if !self.schemes.is_empty() && !self.schemes.iter().any(|allowed| allowed == scheme) {
            return Err(format!(
                "{location} can't be used: '{}' uses {} URLs only (in the settings: schemes)",
                self.name,
                self.schemes.join(", ")
            ));
        }
        let reach = match purpose {
            Purpose::Source => &self.sources,
            Purpose::Output => &self.outputs,
        };
        reach.check(purpose, location).map_err(|refusal| match refusal {
            Refusal::Outside { .. } if !self.name.is_empty() => {
                let (what, setting) = match purpose {
                    Purpose::Source => ("read sources", "sources"),
                    Purpose::Output => ("write outputs", "outputs"),
                };
                format!(
                    "{location} is not below a root from which '{}' may {what} (in its settings: {setting})",
                    self.name
                )
            }
            other => other.to_string(),
        })
    }
}

/// All principals of this process, by name. The default principal's name is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    principals: BTreeMap<String, Principal>,
}

impl Access {
    /// Returns the default principal alone, which may read and write everything: the user of a command line.
    #[must_use]
    pub fn everything() -> Self {
        let all = Principal::default_of(Reach::Everything, Reach::Everything);
        Self { principals: BTreeMap::from([(String::new(), all)]) }
    }

    /// Returns the default principal and these.
    ///
    /// # Errors
    /// If two have the same name, or a name is empty, too long or has other characters than letters, digits and `-_.@`.
    pub fn of(default: Principal, others: Vec<Principal>) -> Result<Self, String> {
        let mut principals = BTreeMap::from([(String::new(), default)]);
        for principal in others {
            let name = principal.name.clone();
            let is_name = !name.is_empty()
                && name.len() <= LONGEST_NAME
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
            if !is_name {
                return Err(format!(
                    "'{name}' can't be the name of a principal: it has 1 to 100 letters, digits and -_.@"
                ));
            }
            if principals.insert(name.clone(), principal).is_some() {
                return Err(format!("there are two principals '{name}'"));
            }
        }
        Ok(Self { principals })
    }

    /// Returns the principal of this name.
    ///
    /// # Errors
    /// If there is none, or no longer.
    pub fn principal(&self, name: &str) -> Result<&Principal, String> {
        self.principals
            .get(name)
            .ok_or_else(|| format!("there is no principal '{name}' in the settings of this process"))
    }

    /// Returns `true` if any principal has a limit of executions at once.
    #[must_use]
    pub fn counts_executions(&self) -> bool {
        self.principals.values().any(|principal| principal.limits.at_once.is_some())
    }

    /// Returns all that any principal may read.
    #[must_use]
    pub fn sources(&self) -> Reach {
        union(self.principals.values().map(|principal| &principal.sources))
    }

    /// Returns all that any principal may write.
    #[must_use]
    pub fn outputs(&self) -> Reach {
        union(self.principals.values().map(|principal| &principal.outputs))
    }
}

fn union<'a>(reaches: impl Iterator<Item = &'a Reach>) -> Reach {
    let mut all = Reach::Only(Vec::new());
    for reach in reaches {
        match reach {
            Reach::Everything => return Reach::Everything,
            Reach::Only(roots) => roots.iter().for_each(|root| all.add(root.clone())),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn reach(root: &str) -> Reach {
        Reach::of_roots([OsStr::new(root)]).unwrap()
    }

    fn film() -> Principal {
        Principal {
            name: "film".into(),
            schemes: vec!["s3".into()],
            may: vec![Right::Submit, Right::Read],
            ..Principal::default_of(reach("s3://videos/film/"), reach("s3://out/film/"))
        }
    }

    fn at(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    #[test]
    fn a_principal_reaches_its_own_roots_and_a_refusal_names_the_setting() {
        let film = film();
        assert_eq!(film.check(Purpose::Source, &at("s3://videos/film/a.mov")), Ok(()));
        assert_eq!(film.check(Purpose::Output, &at("s3://out/film/x/a.mp4")), Ok(()));
        let said = film.check(Purpose::Source, &at("s3://videos/news/a.mov")).unwrap_err();
        assert!(said.contains("'film' may read sources") && said.contains("sources)"), "{said}");
        let said = film.check(Purpose::Output, &at("file:///out/a.mp4")).unwrap_err();
        assert!(said.contains("s3 URLs only"), "{said}");
        let nobody = Principal::default_of(Reach::Only(Vec::new()), Reach::Only(Vec::new()));
        let said = nobody.check(Purpose::Source, &at("file:///in/a.mov")).unwrap_err();
        assert!(said.contains("--source-root /in"), "{said}");
    }

    #[test]
    fn all_principals_together_reach_what_each_reaches_and_unknown_names_are_refused() {
        let access = Access::of(Principal::default_of(reach("/in"), reach("/out")), vec![film()]).unwrap();
        assert!(
            access.sources().holds(&at("file:///in/a")) && access.sources().holds(&at("s3://videos/film/a"))
        );
        assert!(!access.outputs().holds(&at("file:///in/a")));
        assert!(access.principal("news").is_err());
        assert!(Access::of(film(), vec![film(), film()]).is_err());
        let unnamed = Principal { name: "a b".into(), ..film() };
        assert!(Access::of(film(), vec![unnamed]).is_err());
    }

    #[test]
    fn an_administrator_sees_everybodys_executions() {
        let admin = Principal { name: "ops".into(), may: vec![Right::Admin], ..film() };
        assert!(admin.sees("film") && admin.may(Right::Cancel));
        assert!(film().sees("film") && !film().sees("") && !film().may(Right::Cancel));
    }

    #[test]
    fn a_limit_names_what_is_too_much() {
        let limits = Limits { pixels: Some(1920 * 1080), duration_seconds: Some(60.0), ..Limits::default() };
        let usage = UploadUsage {
            bytes: u64::MAX,
            pixels: 1920 * 1080,
            duration_seconds: 60.0,
            ..UploadUsage::default()
        };
        assert_eq!(limits.check(&usage), Ok(()));
        let said = limits.check(&UploadUsage { duration_seconds: 61.5, ..usage }).unwrap_err();
        assert!(said.contains("61.5") && said.contains("60"), "{said}");
    }
}
