//! The files of a crate depend on each other without circles.
//!
//! A file depends on another if it names it in a path: `crate::…`, `super::…`, or the name of a child module. A re-export (`pub use`) is
//! no dependency of the file that it stands in, unless that file uses the name itself; a path through it leads to the file that defines
//! the name. Tests within the sources do not count.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A module, by the names that lead to it from the root of its crate.
type Module = Vec<String>;

/// A path in a `use` or an expression, such as `["super", "a", "B"]`.
type Names = Vec<String>;

/// What a file says of other files.
#[derive(Default)]
struct File {
    words: Vec<String>,
    /// Paths in private `use`s and in expressions.
    uses: Vec<Names>,
    /// Paths in `pub use`s, by the name that they get; `*` for globs.
    reexports: Vec<(String, Names)>,
}

/// Splits source text into words and punctuation, without comments, literals and what is only compiled for tests.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at): (Vec<String>, usize) = (Vec::new(), 0);
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    while let Some(c) = chars.get(at) {
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            at += 2;
            while at < chars.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if *c == '"' {
            at += 1;
            while chars.get(at).is_some_and(|c| *c != '"') {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if *c == '\'' && chars.get(at + 1) == Some(&'\\') {
            at += 3;
            at += chars[at..].iter().take_while(|c| **c != '\'').count() + 1;
        } else if *c == '\'' {
            // A character, or a lifetime.
            at += if chars.get(at + 2) == Some(&'\'') { 3 } else { 1 };
        } else if is_word(c) {
            let word: String = chars[at..].iter().take_while(|c| is_word(c)).collect();
            at += word.chars().count();
            let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
            if ["r", "br"].contains(&word.as_str()) && chars.get(at + hashes) == Some(&'"') {
                at += hashes + 1;
                let end = format!("\"{}", "#".repeat(hashes));
                while at < chars.len() && !starts(at, &end) {
                    at += 1;
                }
                at += hashes + 1;
            } else {
                found.push(word);
            }
        } else if starts(at, "::") {
            found.push("::".into());
            at += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            at += 1;
        }
    }
    without_tests(&found)
}

/// Leaves out every item behind `#[cfg(test)]`.
fn without_tests(all: &[String]) -> Vec<String> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut found, mut at) = (Vec::new(), 0);
    while at < all.len() {
        if !all[at..].iter().zip(TEST).all(|(a, b)| a == b) {
            found.push(all[at].clone());
            at += 1;
            continue;
        }
        at += TEST.len();
        let mut depth = 0;
        while let Some(token) = all.get(at) {
            at += 1;
            depth += i32::from(token == "{") - i32::from(token == "}");
            if depth == 0 && [";", "}"].contains(&token.as_str()) {
                break;
            }
        }
    }
    found
}

/// Reads the tree of a `use`, from behind `use` to `;`: the paths, each with the name that it gets. Returns where it ends.
fn use_tree(all: &[String], mut at: usize, prefix: &Names, found: &mut Vec<(String, Names)>) -> usize {
    let mut path = prefix.clone();
    loop {
        match all[at].as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while all[at] != "}" {
                    at = use_tree(all, at, &path, found);
                    at += usize::from(all[at] == ",");
                }
                return at + 1;
            }
            "as" => {
                found.push((all[at + 1].clone(), path));
                return at + 2;
            }
            "," | ";" | "}" => {
                let name = path.last().cloned().unwrap_or_default();
                found.push((name, path));
                return at;
            }
            name => {
                // `a::{self}` is `a`.
                if name != "self" || path.is_empty() {
                    path.push(name.to_owned());
                }
                at += 1;
            }
        }
    }
}

fn parse(text: &str) -> File {
    let all = tokens(text);
    let (mut file, mut at) = (File::default(), 0);
    while at < all.len() {
        let is_name = all[at].starts_with(|c: char| c.is_alphabetic() || c == '_');
        // `impl Trait + use<'a>` imports nothing.
        if all[at] == "use" && all[at + 1] != "<" {
            let mut found = Vec::new();
            // `pub use`, or `pub(crate) use`.
            let is_public = at > 0 && ["pub", ")"].contains(&all[at - 1].as_str());
            at = use_tree(&all, at + 1, &Names::new(), &mut found);
            if is_public {
                file.reexports.extend(found);
            } else {
                file.uses.extend(found.into_iter().map(|(_, path)| path));
            }
        } else if is_name && all.get(at + 1).is_some_and(|next| next == "::") {
            let mut path = vec![all[at].clone()];
            while all.get(at + 1).is_some_and(|next| next == "::") {
                path.extend(all.get(at + 2).cloned());
                at += 2;
            }
            file.words.extend(path.first().cloned());
            // `pub(in …)` says who may use something, and uses nothing.
            if file.words.iter().rev().nth(1).is_none_or(|word| word != "in") {
                file.uses.push(path);
            }
            at += 1;
        } else {
            file.words.push(all[at].clone());
            at += 1;
        }
    }
    file
}

/// The module that a file of a crate's `src` is.
fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if ["lib", "main"].contains(&path) { Module::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The files of a crate, by their modules.
struct Crate(BTreeMap<Module, File>);

impl Crate {
    fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(files.into_iter().map(|(path, text)| (module(path), parse(text))).collect())
    }

    /// The module whose file defines what a path in `from` names; none if another crate's does.
    fn resolve(&self, from: &Module, path: &[String]) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Module::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            child => {
                let child = [&from[..], &[child.to_owned()]].concat();
                self.0.contains_key(&child).then_some(child)?
            }
        };
        while let Some((name, behind)) = rest.split_first() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if name == "super" {
                at.pop()?;
            } else if self.0.contains_key(&child) {
                at = child;
            } else {
                return Some(self.definition(&at, name).unwrap_or(at));
            }
            rest = behind;
        }
        Some(at)
    }

    /// The module from which another one re-exports a name.
    fn definition(&self, module: &Module, name: &str) -> Option<Module> {
        let mut all = self.0.get(module)?.reexports.iter();
        all.find_map(|(known, path)| match known.as_str() {
            "*" => {
                let target = self.resolve(module, &path[..path.len() - 1])?;
                let is_there = self.0.get(&target)?.words.iter().any(|word| word == name);
                self.definition(&target, name).or_else(|| is_there.then_some(target))
            }
            known if known == name => self.resolve(module, path),
            _ => None,
        })
    }

    /// The modules that each module depends on.
    fn dependencies(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of_file = |(module, file): (_, &File)| {
            let own = file.reexports.iter().filter(|(name, _)| file.words.contains(name));
            let paths = file.uses.iter().chain(own.map(|(_, path)| path));
            let mut found: BTreeSet<_> = paths.filter_map(|path| self.resolve(module, path)).collect();
            found.remove(module);
            (module, found)
        };
        self.0.iter().map(|(module, file)| of_file((module, file))).collect()
    }

    /// The files that depend on each other, with all through which they do; a group for each circle.
    fn circles(&self) -> BTreeSet<BTreeSet<String>> {
        let dependencies = self.dependencies();
        let reached = |from: &Module| {
            let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
            while let Some(module) = left.pop() {
                left.extend(dependencies[module].iter().filter(|next| seen.insert((*next).clone())));
            }
            seen
        };
        let all: BTreeMap<&Module, BTreeSet<Module>> =
            self.0.keys().map(|module| (module, reached(module))).collect();
        let circle = |module: &Module| {
            let of_circle = all[module].iter().filter(|other| all[other].contains(module));
            of_circle.map(|module| format!("/{}", module.join("/"))).collect::<BTreeSet<_>>()
        };
        self.0.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
    }
}

fn read(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
}

fn circles_of(folder: &Path) -> BTreeSet<BTreeSet<String>> {
    let mut files = Vec::new();
    read(&folder.join("src"), "", &mut files);
    Crate::of(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))).circles()
}

#[test]
fn no_file_depends_on_itself_through_other_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (_, members) = manifest.split_once("members = [").unwrap();
    let members = members.split(']').next().unwrap().split('"').skip(1).step_by(2);
    let mut wrong = Vec::new();
    for member in members.chain(["."]) {
        let circles = circles_of(&root.join(member));
        if !circles.is_empty() {
            wrong.push(format!("{member} has circles: {circles:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_planted_circle_is_found_whichever_way_it_is_written() {
    let circles = |files: &[(&str, &str)]| Crate::of(files.iter().copied()).circles().len();
    let a = ("a.rs", "use crate::b::B; pub struct A(B);");
    for b in [
        "use crate::a::A; pub struct B;",
        "use super::{c::C, a::{self, A}}; pub struct B;",
        "pub struct B; fn f() -> Option<crate::a::A> { None }",
        "pub use crate::a::A; pub struct B(A);",
    ] {
        assert_eq!(circles(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", b)]), 1, "{b}");
    }
    for b in [
        "pub struct B; // crate::a::A",
        "pub struct B; const TEXT: &str = \"crate::a::A\"; const QUOTE: char = '\"';",
        "pub struct B; #[cfg(test)] mod tests { use crate::a::A; fn f() {} }",
        "pub use crate::a::A; pub struct B;",
    ] {
        assert_eq!(circles(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", b)]), 0, "{b}");
    }
    // Parent and child, also through a name of the parent's that is defined elsewhere.
    let parent = "mod child; fn f() { child::g(); } pub struct Shared;";
    assert_eq!(circles(&[("lib.rs", parent), ("child.rs", "use super::Shared; pub fn g() {}")]), 1);
    let facade = "mod child; mod shared; pub use child::g; pub use shared::*;";
    let shared = ("shared.rs", "pub struct Shared;");
    assert_eq!(circles(&[("lib.rs", facade), ("child.rs", "use crate::Shared; pub fn g() {}"), shared]), 0);
    let back = ("shared.rs", "use crate::g; pub struct Shared;");
    assert_eq!(circles(&[("lib.rs", facade), ("child.rs", "use crate::Shared; pub fn g() {}"), back]), 1);
}
