//! Sets of locations that may be read or written.

use std::{ffi::OsStr, fmt};

use crate::location::{Location, LocationError};

/// What a location is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read a source.
    Source,
    /// To write an output, or to read an existing one.
    Output,
}

/// The locations that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All locations: for what a user names on the command line.
    Everything,
    /// Locations at or beneath these roots, by whole components; none if there are no roots.
    Only(Vec<Location>),
}

/// Why a location may not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It lies beneath no root.
    Outside {
        /// The location that was requested.
        location: Location,
        /// What it was to be used for.
        purpose: Purpose,
    },
    /// A component of an output's path, below a root, begins with a dot.
    Hidden {
        /// The location that was requested.
        location: Location,
        /// The root that it lies beneath.
        root: Location,
    },
    /// It is on a web server, where nothing is written.
    ReadOnly {
        /// The location that was requested.
        location: Location,
    },
    /// It lies where Millrace keeps its log and work objects.
    Reserved {
        /// The location that was requested.
        location: Location,
        /// The location of the log or of the work objects.
        reserved: Location,
    },
}

impl Refusal {
    /// Returns the location that was refused.
    #[must_use]
    pub fn location(&self) -> &Location {
        match self {
            Self::Outside { location, .. }
            | Self::Hidden { location, .. }
            | Self::ReadOnly { location }
            | Self::Reserved { location, .. } => location,
        }
    }
}

/// The message is for the operator and for the user who uploaded: what was refused, and the flag that would allow it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { location, purpose } => {
                let (what, flag, setting) = match purpose {
                    Purpose::Source => ("sources may be read from", "--source-root", "source_roots"),
                    Purpose::Output => ("outputs may be written to", "--output-root", "output_roots"),
                };
                // The parent has no query; a server's root has no parent, and no query either.
                let folder = location.parent().unwrap_or_else(|| location.clone());
                let root = match &folder {
                    Location::File { path } => path.display().to_string(),
                    Location::Object { .. } | Location::Web(_) => folder.folder_url(),
                };
                write!(
                    f,
                    "{location} is not below a root that {what}; to allow it, start 'millrace serve' with {flag} {root} (in the \
                     settings: {setting})"
                )
            }
            Self::Hidden { location, root } => write!(
                f,
                "{location} can't be an output: below {root} a part of its path begins with a dot, and hidden files and folders are not \
                 written; choose another name"
            ),
            Self::ReadOnly { location } => write!(
                f,
                "{location} can't be an output: web servers are only read; name a folder, or a prefix of a bucket"
            ),
            Self::Reserved { location, reserved } => write!(
                f,
                "{location} can't be used: {reserved} is where Millrace keeps its log and its work objects; choose another location"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

impl Reach {
    /// Parses roots as a person writes them: folders' paths, or URLs such as `s3://videos/in/`. With or without a slash at the
    /// end, a root stands for whole components.
    ///
    /// # Errors
    /// If one is neither a path nor a supported URL, or has a query.
    pub fn of_roots<'a>(roots: impl IntoIterator<Item = &'a OsStr>) -> Result<Self, LocationError> {
        let root = |root: &'a OsStr| match Location::of_argument(root)? {
            location if location.has_query() => Err(LocationError {
                url: location.to_string(),
                reason: "a root has no query; it allows every query of the files below it".into(),
            }),
            location => Ok(location),
        };
        roots.into_iter().map(root).collect::<Result<_, _>>().map(Self::Only)
    }

    /// Returns the first root on a web server, where no output can be written.
    #[must_use]
    pub fn web_root(&self) -> Option<&Location> {
        let Self::Only(roots) = self else { return None };
        roots.iter().find(|root| matches!(root, Location::Web(_)))
    }

    /// Returns `true` if the location is a root or lies beneath one.
    #[must_use]
    pub fn holds(&self, location: &Location) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(_) => self.root_of(location).is_some(),
        }
    }

    /// Returns the root that the location lies beneath, the deepest of several; `None` if there is none, or for `Everything`.
    #[must_use]
    pub fn root_of(&self, location: &Location) -> Option<&Location> {
        let Self::Only(roots) = self else { return None };
        let beneath = roots.iter().filter_map(|root| Some((location.parts_below(root)?.len(), root)));
        beneath.min_by_key(|(depth, _)| *depth).map(|(_, root)| root)
    }

    /// Checks that a location may be used.
    ///
    /// # Errors
    /// If it lies beneath no root, or is an output on a web server or with a hidden component below its root.
    pub fn check(&self, purpose: Purpose, location: &Location) -> Result<(), Refusal> {
        if purpose == Purpose::Output && matches!(location, Location::Web(_)) {
            return Err(Refusal::ReadOnly { location: location.clone() });
        }
        match (self, self.root_of(location)) {
            (Self::Everything, _) => Ok(()),
            (Self::Only(_), None) => Err(Refusal::Outside { location: location.clone(), purpose }),
            (Self::Only(_), Some(root)) if purpose == Purpose::Output && location.is_hidden_below(root) => {
                Err(Refusal::Hidden { location: location.clone(), root: root.clone() })
            }
            (Self::Only(_), Some(_)) => Ok(()),
        }
    }

    /// Adds a root. Does nothing to `Everything`.
    pub fn add(&mut self, root: Location) {
        if let Self::Only(roots) = self
            && !roots.contains(&root)
        {
            roots.push(root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(roots: &[&str]) -> Reach {
        Reach::of_roots(roots.iter().map(OsStr::new)).unwrap()
    }

    fn at(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    #[test]
    fn a_reach_holds_what_lies_beneath_its_roots_by_whole_components() {
        let reach = roots(&["s3://videos/in", "/mnt/nas/", "gs://all"]);
        for url in ["s3://videos/in/a.mov", "file:///mnt/nas/x/a.mov", "file:///mnt/nas", "gs://all/a"] {
            assert!(reach.holds(&at(url)), "{url}");
        }
        for url in [
            "s3://videos/inner/a.mov",
            "s3://videos/a.mov",
            "s3://videos2/in/a.mov",
            "az://videos/in/a.mov",
            "file:///mnt/nas2/a.mov",
            "file:///mnt",
            "gs://all2/a",
        ] {
            assert!(!reach.holds(&at(url)), "{url}");
        }
        assert!(Reach::Everything.holds(&at("file:///etc/passwd")));
        assert!(!roots(&[]).holds(&at("file:///etc/passwd")), "without roots nothing is held");
    }

    #[test]
    fn of_several_roots_the_deepest_counts() {
        let reach = roots(&["/a", "/a/.b", "/"]);
        assert_eq!(reach.root_of(&at("file:///a/.b/c")), Some(&at("file:///a/.b")));
        assert_eq!(reach.root_of(&at("file:///x")), Some(&at("file:///")));
        assert_eq!(reach.check(Purpose::Output, &at("file:///a/.b/c")), Ok(()));
    }

    #[test]
    fn a_refusal_says_which_flag_would_allow_it() {
        let nothing = roots(&[]);
        let said = nothing.check(Purpose::Source, &at("s3://videos/in/a.mov")).unwrap_err().to_string();
        assert!(said.contains("--source-root s3://videos/in/") && said.contains("source_roots"), "{said}");
        let said = nothing.check(Purpose::Output, &at("file:///mnt/o%20ut/a.mp4")).unwrap_err().to_string();
        assert!(
            said.contains("--output-root /mnt/o ut (") && said.contains("/mnt/o ut/a.mp4 is not below"),
            "{said}"
        );
        let said = nothing.check(Purpose::Source, &at("s3://videos/a.mov")).unwrap_err().to_string();
        assert!(said.contains("--source-root s3://videos/ "), "{said}");
    }

    #[test]
    fn outputs_may_not_be_hidden_and_sources_may() {
        let reach = roots(&["/mnt"]);
        let hidden = at("file:///mnt/.trash/a.mp4");
        assert!(matches!(reach.check(Purpose::Output, &hidden), Err(Refusal::Hidden { .. })));
        assert_eq!(reach.check(Purpose::Source, &hidden), Ok(()));
        assert_eq!(Reach::Everything.check(Purpose::Output, &hidden), Ok(()));
    }

    #[test]
    fn a_web_server_is_read_below_its_roots_and_never_written() {
        let reach = roots(&["https://h/in/"]);
        assert_eq!(reach.check(Purpose::Source, &at("https://h/in/a.mov?sig=1")), Ok(()));
        let said = reach.check(Purpose::Source, &at("https://h:81/x/a.mov?sig=1")).unwrap_err().to_string();
        assert!(said.contains("--source-root https://h:81/x/ ") && !said.contains("sig"), "{said}");
        for reach in [reach, Reach::Everything] {
            let refused = reach.check(Purpose::Output, &at("https://h/in/a.mp4"));
            assert!(matches!(refused, Err(Refusal::ReadOnly { .. })), "{refused:?}");
        }
        assert!(roots(&["/a", "https://h"]).web_root().is_some() && roots(&["/a"]).web_root().is_none());
    }

    #[test]
    fn a_root_that_is_no_location_is_refused() {
        for wrong in ["", "https://h/x?a=b", "ftp://h/x", "s3://", "s3://b//x", "file:///a/../b"] {
            assert!(Reach::of_roots([OsStr::new(wrong)]).is_err(), "{wrong}");
        }
    }
}
