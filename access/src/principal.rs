//! Principals: on whose behalf something is asked, and what each may reach and do. Pure.

use std::collections::BTreeMap;

use crate::{Location, Purpose, Reach, Refusal, Scheme};

/// The longest name of a principal, in bytes.
const LONGEST_NAME: usize = 100;

/// What somebody may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To have sources made, and to have them probed.
    Submit,
    /// To see its own executions.
    Read,
    /// To cancel its own executions, and to try them again.
    Cancel,
    /// Metrics, dead letters, cleanup, and everybody's executions.
    Admin,
}

impl Right {
    /// Every right, in the order in which refusals list them.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Cancel, Self::Admin];

    /// The right of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == name)
    }

    /// Its name, as settings have it.
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

/// What an upload of somebody may ask of the machines; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Bytes of a source.
    pub bytes: Option<u64>,
    /// Pixels of a picture: its width times its height.
    pub pixels: Option<u64>,
    /// How long a source plays, in seconds.
    pub duration_seconds: Option<f64>,
    /// Streams of a source that are taken.
    pub streams: Option<usize>,
    /// Segments of an execution.
    pub segments: Option<usize>,
    /// Executions that have not ended.
    pub at_once: Option<usize>,
}

/// What is known of a source and its plan, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Asked {
    /// Bytes of the source.
    pub bytes: u64,
    /// Pixels of a picture.
    pub pixels: u64,
    /// How long it plays, in seconds.
    pub duration_seconds: f64,
    /// Streams that are taken.
    pub streams: usize,
    /// Segments that are planned.
    pub segments: usize,
}

impl Limits {
    /// Holds what is asked for to the limits.
    ///
    /// # Errors
    /// Where it is more, which, how much and how much may be.
    pub fn check(&self, asked: &Asked) -> Result<(), String> {
        let more = |what: &str, is: f64, most: Option<f64>| match most {
            Some(most) if is > most => Err(format!("{what} is {is}, and at most {most} may be")),
            _ => Ok(()),
        };
        let count = |most: Option<usize>| most.map(|most| most as f64);
        more("its size in bytes", asked.bytes as f64, self.bytes.map(|most| most as f64))?;
        more("the number of its pixels", asked.pixels as f64, self.pixels.map(|most| most as f64))?;
        more("its length in seconds", asked.duration_seconds, self.duration_seconds)?;
        more("the number of its streams", asked.streams as f64, count(self.streams))?;
        more("the number of its segments", asked.segments as f64, count(self.segments))
    }
}

/// Somebody on whose behalf uploads are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// Its name; that of the default one is empty.
    pub name: String,
    /// Where its sources lie.
    pub sources: Reach,
    /// Where its outputs go.
    pub outputs: Reach,
    /// The schemes that its URLs may have, `file` among them; none are all.
    pub schemes: Vec<String>,
    /// What it may ask of the machines.
    pub limits: Limits,
    /// What it may do.
    pub may: Vec<Right>,
}

impl Principal {
    /// The default one, which reaches this, and may do everything.
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

    /// Whether it may do that; who may administer may do all.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.may.contains(&right) || self.may.contains(&Right::Admin)
    }

    /// Whether an execution of this principal's is its own, or its to see.
    #[must_use]
    pub fn sees(&self, owner: &str) -> bool {
        self.name == owner || self.may.contains(&Right::Admin)
    }

    /// Whether there is nothing that it may not read and write: the person who types a command.
    #[must_use]
    pub fn reaches_everything(&self) -> bool {
        let all = [&self.sources, &self.outputs].into_iter().all(|reach| *reach == Reach::Everything);
        all && self.schemes.is_empty()
    }

    /// Holds a location to what it may read or write.
    ///
    /// # Errors
    /// Where it may not, with the flag or the setting that would allow it.
    pub fn check(&self, purpose: Purpose, location: &Location) -> Result<(), String> {
        let scheme = location.scheme().map_or("file", Scheme::as_str);
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
                    "{location} lies in no place where '{}' may {what} (in its settings: {setting})",
                    self.name
                )
            }
            other => other.to_string(),
        })
    }
}

/// Everybody on whose behalf this process takes uploads, by name; the default principal's is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    principals: BTreeMap<String, Principal>,
}

impl Access {
    /// One who may do everything and reaches everything: the person who types a command.
    #[must_use]
    pub fn everything() -> Self {
        let all = Principal::default_of(Reach::Everything, Reach::Everything);
        Self { principals: BTreeMap::from([(String::new(), all)]) }
    }

    /// The default principal, and these.
    ///
    /// # Errors
    /// Where two have one name, or a name is none.
    pub fn of(default: Principal, others: Vec<Principal>) -> Result<Self, String> {
        let mut principals = BTreeMap::from([(String::new(), default)]);
        for principal in others {
            let name = principal.name.clone();
            let is_name = !name.is_empty()
                && name.len() <= LONGEST_NAME
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
            if !is_name {
                return Err(format!("'{name}' is no name of a principal: 1 to 100 letters, digits and -_.@"));
            }
            if principals.insert(name.clone(), principal).is_some() {
                return Err(format!("there are two principals '{name}'"));
            }
        }
        Ok(Self { principals })
    }

    /// The principal of that name.
    ///
    /// # Errors
    /// Where there is none (any more).
    pub fn principal(&self, name: &str) -> Result<&Principal, String> {
        self.principals
            .get(name)
            .ok_or_else(|| format!("there is no principal '{name}' in the settings of this process"))
    }

    /// Whether any of them may have only so many executions at once.
    #[must_use]
    pub fn counts_executions(&self) -> bool {
        self.principals.values().any(|principal| principal.limits.at_once.is_some())
    }

    /// All that any of them may read.
    #[must_use]
    pub fn sources(&self) -> Reach {
        union(self.principals.values().map(|principal| &principal.sources))
    }

    /// All that any of them may write.
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
    fn a_principal_reaches_its_own_places_and_a_refusal_names_the_setting() {
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
    fn all_together_reach_what_each_reaches_and_a_stranger_is_none_of_them() {
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
    fn who_administers_sees_what_is_anybodys() {
        let admin = Principal { name: "ops".into(), may: vec![Right::Admin], ..film() };
        assert!(admin.sees("film") && admin.may(Right::Cancel));
        assert!(film().sees("film") && !film().sees("") && !film().may(Right::Cancel));
    }

    #[test]
    fn a_limit_says_what_is_too_much() {
        let limits = Limits { pixels: Some(1920 * 1080), duration_seconds: Some(60.0), ..Limits::default() };
        let asked =
            Asked { bytes: u64::MAX, pixels: 1920 * 1080, duration_seconds: 60.0, ..Asked::default() };
        assert_eq!(limits.check(&asked), Ok(()));
        let said = limits.check(&Asked { duration_seconds: 61.5, ..asked }).unwrap_err();
        assert!(said.contains("61.5") && said.contains("60"), "{said}");
    }
}
