//! The settings `[access]`: who may reach and do what.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use millrace_access::{Access, Limits, Principal, Reach, Right, Scheme};
use millrace_api::Tokens;
use serde::Deserialize;

use crate::error::CommandError;

/// The settings of principals.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessConfig {
    /// Whether the header `millrace-principal` of a record on `uploads` names its principal: only where Kafka's own ACLs, or what
    /// writes there, see to it that nobody names another.
    #[serde(default)]
    pub(crate) trust_header: bool,
    /// The principal of records on `uploads` without a known one; empty for the default principal.
    #[serde(default)]
    pub(crate) kafka: String,
    /// The principals besides the default one.
    #[serde(default)]
    principal: Vec<PrincipalConfig>,
}

/// The settings of one principal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalConfig {
    name: String,
    #[serde(default)]
    tokens: Vec<String>,
    token_file: Option<PathBuf>,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    outputs: Vec<String>,
    #[serde(default)]
    schemes: Vec<String>,
    may: Option<Vec<String>>,
    max_bytes: Option<u64>,
    max_pixels: Option<u64>,
    max_duration_seconds: Option<f64>,
    max_streams: Option<usize>,
    max_segments: Option<usize>,
    max_at_once: Option<usize>,
}

/// What a principal may do unless it is set otherwise.
const DEFAULT_RIGHTS: [Right; 3] = [Right::Submit, Right::Read, Right::Cancel];

/// Returns what is below the roots that a setting names.
pub(super) fn reach(setting: &str, roots: &[String]) -> Result<Reach, CommandError> {
    Reach::of_roots(roots.iter().map(OsStr::new)).map_err(|error| {
        CommandError::Call(format!(
            "{setting}: {error}; a root is a folder, or a URL such as s3://videos/in/"
        ))
    })
}

/// Returns what is below the roots for outputs that a setting names. None is on a web server, which is only read.
pub(super) fn output_reach(setting: &str, roots: &[String]) -> Result<Reach, CommandError> {
    let found = reach(setting, roots)?;
    match found.web_root() {
        None => Ok(found),
        Some(root) => Err(CommandError::Call(format!(
            "{setting}: {root} is on a web server, which is only read; an output root is a folder, or a prefix of a bucket"
        ))),
    }
}

impl PrincipalConfig {
    fn principal(&self) -> Result<Principal, CommandError> {
        let wrong = |text: String| CommandError::Call(format!("access.principal '{}': {text}", self.name));
        let right = |name: &String| {
            Right::named(name).ok_or_else(|| {
                let all: Vec<&str> = Right::ALL.into_iter().map(Right::as_str).collect();
                wrong(format!("'{name}' is nothing that it may do; there are {}", all.join(", ")))
            })
        };
        let may = match &self.may {
            Some(names) => names.iter().map(right).collect::<Result<_, _>>()?,
            None => DEFAULT_RIGHTS.to_vec(),
        };
        let is_scheme =
            |name: &str| ["file", "http", "https"].contains(&name) || Scheme::named(name).is_some();
        if let Some(scheme) = self.schemes.iter().find(|scheme| !is_scheme(scheme)) {
            return Err(wrong(format!(
                "'{scheme}' is no scheme; there are file, s3, gs, az, http and https"
            )));
        }
        Ok(Principal {
            name: self.name.clone(),
            sources: reach(&format!("sources of '{}'", self.name), &self.sources)?,
            outputs: output_reach(&format!("outputs of '{}'", self.name), &self.outputs)?,
            schemes: self.schemes.clone(),
            limits: Limits {
                bytes: self.max_bytes,
                pixels: self.max_pixels,
                duration_seconds: self.max_duration_seconds,
                streams: self.max_streams,
                segments: self.max_segments,
                at_once: self.max_at_once,
            },
            may,
        })
    }
}

impl AccessConfig {
    /// Returns who may reach and do what, given what the default principal may.
    ///
    /// # Errors
    /// If a principal's name, rights or roots are wrong.
    pub(super) fn with_default(&self, default: Principal) -> Result<Access, CommandError> {
        let others = self.principal.iter().map(PrincipalConfig::principal).collect::<Result<_, _>>()?;
        Access::of(default, others).map_err(CommandError::Call)
    }

    /// Returns the tokens of callers over HTTP, each with its principal. `default_file` has those of the default principal.
    ///
    /// # Errors
    /// If a file can't be read, or has no token in it.
    pub(super) fn tokens(&self, default_file: Option<&Path>) -> Result<Tokens, CommandError> {
        let mut tokens = Tokens::default();
        let mut file = |path: &Path, principal: &str| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CommandError::Call(format!("{}: {error}", path.display())))?;
            if tokens.read(&text, principal) == 0 {
                return Err(CommandError::Call(format!("{}: there is no token in it", path.display())));
            }
            Ok(())
        };
        if let Some(path) = default_file {
            file(path, "")?;
        }
        for principal in &self.principal {
            if let Some(path) = &principal.token_file {
                file(path, &principal.name)?;
            }
        }
        for principal in &self.principal {
            tokens.read(&principal.tokens.join("\n"), &principal.name);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use millrace_access::{Location, Purpose};

    use super::*;
    use crate::config::Config;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_default_principal_reaches_roots_and_watches_and_others_their_own() {
        let text = "source_roots = ['/mnt/in', 's3://videos/in/']\noutput_roots = ['/mnt/out']\n\
                    [[watch]]\nfrom = '/watched'\nto = 's3://made/x'\n\
                    [[access.principal]]\nname = 'film'\ntokens = ['secret']\nsources = ['s3://film/']\nmay = ['submit']\nmax_bytes = 5";
        let access = config(text).access().unwrap();
        let at = |url: &str| Location::parse(url).unwrap();
        let default = access.principal("").unwrap();
        for source in ["file:///mnt/in/a.mov", "s3://videos/in/a.mov", "file:///watched/x/a.mov"] {
            assert_eq!(default.check(Purpose::Source, &at(source)), Ok(()), "{source}");
        }
        for output in ["file:///mnt/out/a.mp4", "s3://made/x/a.mp4"] {
            assert_eq!(default.check(Purpose::Output, &at(output)), Ok(()), "{output}");
        }
        assert!(default.check(Purpose::Source, &at("s3://film/a.mov")).is_err());
        let film = access.principal("film").unwrap();
        assert_eq!(film.limits.bytes, Some(5));
        assert!(film.may(Right::Submit) && !film.may(Right::Read));
        assert!(film.check(Purpose::Output, &at("file:///mnt/out/a.mp4")).is_err(), "it has no outputs");
    }

    #[test]
    fn nothing_is_reached_where_nothing_is_said() {
        let access = Config::default().access().unwrap();
        assert_eq!((access.sources(), access.outputs()), (Reach::Only(Vec::new()), Reach::Only(Vec::new())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, what) in [
            ("[[access.principal]]\nname = 'a'\nmay = ['fly']", "'fly'"),
            ("[[access.principal]]\nname = 'a b'", "can't be the name of a principal"),
            ("[[access.principal]]\nname = 'a'\nschemes = ['ftp']", "'ftp'"),
            ("[[access.principal]]\nname = 'a'\nsources = ['ftp://x/']", "sources of 'a'"),
            ("[[access.principal]]\nname = 'a'\nsources = ['https://x/in?a=b']", "a root has no query"),
            (
                "[[access.principal]]\nname = 'a'\noutputs = ['https://x/out/']",
                "https://x/out is on a web server",
            ),
            ("output_roots = ['http://x:8080/out']", "which is only read"),
            ("[access]\nkafka = 'a'", "access.kafka"),
            ("source_roots = ['s3://']", "--source-root"),
        ] {
            let said = config(text).access().unwrap_err().to_string();
            assert!(said.contains(what), "{said}");
        }
        assert!(toml::from_str::<Config>("[[access.principal]]\nname = 'a'\nmax_byte = 1").is_err());
    }
}
