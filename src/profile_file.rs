//! Profiles in files, and folders of them.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use millrace_processors::request;
use millrace_profiles::{Asset, Catalog, Profile, ProfileName, ProfileVersion};
use millrace_schemas::{LONGEST_PROFILE, Upload};
use millrace_storage::as_url;

use crate::inputs::parse_url;

/// The most profiles of a folder.
const MOST_FILES: usize = 1000;
/// For how long after a change a file may change again without another time: file systems count in steps of up to two seconds.
const SETTLING: Duration = Duration::from_secs(3);

/// Reads a profile from a file in TOML or JSON. Its images have URLs: relative paths begin at the folder of the file.
///
/// # Errors
/// If the file can't be read, or is no profile.
pub(crate) fn read_profile_file(path: &Path) -> Result<Profile, String> {
    let mut text = String::new();
    let most = u64::try_from(LONGEST_PROFILE).unwrap_or(u64::MAX);
    let mut file = File::open(path).map_err(|error| error.to_string())?.take(most + 1);
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > LONGEST_PROFILE {
        return Err(format!("it is too long for a profile: at most {LONGEST_PROFILE} bytes are taken"));
    }
    let profile = if text.trim_start().starts_with('{') {
        Profile::from_json(&text)
    } else {
        Profile::from_toml(&text)
    };
    let mut profile = profile.map_err(|error| error.to_string())?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for asset in profile.assets_mut() {
        if let Asset::Located(path) = asset
            && as_url(path.as_ref()).is_none()
        {
            // A file of another machine would be another one: the profile that goes out names a URL.
            *path = parse_url(folder.join(&*path).as_os_str()).map_err(|error| format!("{path}: {error}"))?;
        }
    }
    Ok(profile)
}

/// Reads a profile of a folder, and checks it.
fn read_checked(file: &str, path: &Path) -> Result<(ProfileName, Profile), String> {
    let name: ProfileName =
        file.trim_end_matches(".toml").parse().map_err(|error| format!("the name of the file: {error}"))?;
    let profile = Profile { name: name.as_str().into(), ..read_profile_file(path)? };
    let upload = Upload { profile: Some(profile.to_json()), ..Upload::of("", "") };
    request::wanted(&upload).map_err(|reason| reason.trim_start_matches("profile: ").to_owned())?;
    Ok((name, profile))
}

/// What shows that a file has changed, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    /// The time of the last change of the file or of its metadata, in seconds and nanoseconds.
    changed: (i64, i64),
    inode: u64,
    bytes: u64,
}

impl Stamp {
    /// Returns the stamp of a file that is about to be read; `None` if the file is so new that a later change could have the same one.
    fn of(metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?;
        let age = SystemTime::now().duration_since(modified).ok()?;
        (age > SETTLING).then_some(Self {
            modified,
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            bytes: metadata.len(),
        })
    }
}

/// A file of a folder.
#[derive(Debug, Default)]
struct Known {
    /// The stamp of what was read; `None` if the file is to be read again in any case.
    stamp: Option<Stamp>,
    /// The last version without faults.
    good: Option<(ProfileName, Profile)>,
    /// What is wrong with the file as it is now.
    fault: Option<String>,
}

/// A change of a folder.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// A profile is in force, in a version that is new.
    Read(ProfileName, ProfileVersion),
    /// A file is faulty; the version before it, if there is one, stays in force.
    Faulty { file: String, reason: String, in_force: Option<ProfileVersion> },
    /// A file is no longer there, and neither is its profile.
    Removed(String),
}

/// The profiles of a folder, over time: each `NAME.toml` in it is the profile NAME. Hidden files, folders and other files are none.
#[derive(Debug, Default)]
pub(crate) struct FolderFiles {
    files: BTreeMap<String, Known>,
}

impl FolderFiles {
    /// Reads those files that have changed; returns what is otherwise than before.
    ///
    /// # Errors
    /// If the folder can't be read, or has too many files: all stays as it was.
    pub(crate) fn refresh(&mut self, folder: &Path) -> io::Result<Vec<Change>> {
        let found = list(folder)?;
        let mut changes = Vec::new();
        self.files.retain(|file, _| {
            let is_there = found.contains_key(file);
            if !is_there {
                changes.push(Change::Removed(file.clone()));
            }
            is_there
        });
        for (file, path) in found {
            let known = self.files.entry(file.clone()).or_default();
            // Before it is read: a change while it is read is found the next time.
            let stamp = fs::metadata(&path).ok().and_then(|metadata| Stamp::of(&metadata));
            if stamp.is_some() && stamp == known.stamp {
                continue;
            }
            known.stamp = stamp;
            match read_checked(&file, &path) {
                Ok(read) => {
                    let was_faulty = known.fault.take().is_some();
                    if was_faulty || known.good.as_ref() != Some(&read) {
                        changes.push(Change::Read(read.0.clone(), ProfileVersion::of(&read.1)));
                    }
                    known.good = Some(read);
                }
                Err(reason) => {
                    if known.fault.as_ref() != Some(&reason) {
                        let in_force = known.good.as_ref().map(|(_, profile)| ProfileVersion::of(profile));
                        changes.push(Change::Faulty { file, reason: reason.clone(), in_force });
                    }
                    known.fault = Some(reason);
                }
            }
        }
        Ok(changes)
    }

    /// Returns the profiles in force, and those that ship.
    pub(crate) fn catalog(&self) -> Catalog {
        let own = self.files.values().filter_map(|known| known.good.clone());
        let fault = |(file, known): (&String, &Known)| Some((file.clone(), known.fault.clone()?));
        Catalog::of(own.collect(), self.files.iter().filter_map(fault).collect())
    }
}

/// Returns the files of profiles in a folder. Links are followed: a mounted ConfigMap has nothing else.
fn list(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(file) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        if file.ends_with(".toml") && !file.starts_with('.') && !path.is_dir() {
            found.insert(file, path);
        }
        if found.len() > MOST_FILES {
            return Err(io::Error::other(format!("it has more than {MOST_FILES} profiles")));
        }
    }
    Ok(found)
}

/// Returns the profiles of a folder as they are now, and those that ship; without a folder, only those.
///
/// # Errors
/// If the folder can't be read.
pub(crate) fn read_catalog(folder: Option<&Path>) -> Result<Catalog, String> {
    let mut files = FolderFiles::default();
    if let Some(folder) = folder {
        files.refresh(folder).map_err(|error| format!("--profiles {}: {error}", folder.display()))?;
    }
    Ok(files.catalog())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str) -> String {
        format!("[[output]]\nformat = \"{format}\"")
    }

    /// Says what has changed, shortly.
    fn refreshed(files: &mut FolderFiles, folder: &Path) -> Vec<String> {
        let say = |change| match change {
            Change::Read(name, _) => format!("read {name}"),
            Change::Faulty { file, in_force, .. } => format!("faulty {file} {}", in_force.is_some()),
            Change::Removed(file) => format!("removed {file}"),
        };
        files.refresh(folder).unwrap().into_iter().map(say).collect()
    }

    fn format_of(files: &FolderFiles, name: &str) -> String {
        files.catalog().resolve(name).unwrap().outputs[0].format.clone()
    }

    #[test]
    fn a_file_is_a_profile_by_its_name_and_is_read_again_when_it_changes() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut files) = (place.path(), FolderFiles::default());
        fs::write(folder.join("ours.toml"), text("mp4")).unwrap();
        for other in [".hidden.toml", "ours.toml~", "readme.md"] {
            fs::write(folder.join(other), "no profile").unwrap();
        }
        fs::create_dir(folder.join("folder.toml")).unwrap();
        assert_eq!(refreshed(&mut files, folder), ["read ours"]);
        assert_eq!(refreshed(&mut files, folder), [""; 0]);
        // Of equal length, and at once.
        fs::write(folder.join("ours.toml"), text("flv")).unwrap();
        assert_eq!(refreshed(&mut files, folder), ["read ours"]);
        assert_eq!(format_of(&files, "ours"), "flv");
        fs::remove_file(folder.join("ours.toml")).unwrap();
        assert_eq!(refreshed(&mut files, folder), ["removed ours.toml"]);
        assert!(files.catalog().resolve("ours").is_err());
    }

    #[test]
    fn the_last_good_version_stays_in_force_while_its_file_is_faulty() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut files) = (place.path(), FolderFiles::default());
        let write = |text: &str| fs::write(folder.join("ours.toml"), text).unwrap();
        write(&text("mp4"));
        refreshed(&mut files, folder);
        write(&text("mp5"));
        assert_eq!(refreshed(&mut files, folder), ["faulty ours.toml true"]);
        assert_eq!(refreshed(&mut files, folder), [""; 0], "it is said once");
        assert_eq!(format_of(&files, "ours"), "mp4");
        assert!(files.catalog().faults()["ours.toml"].contains("known formats"));
        write("[[outp");
        assert_eq!(refreshed(&mut files, folder), ["faulty ours.toml true"]);
        write(&text("mp4"));
        assert_eq!(refreshed(&mut files, folder), ["read ours"], "as before, and right again");
        assert!(files.catalog().faults().is_empty());
    }

    #[test]
    fn what_can_be_no_profile_is_a_fault_with_the_reason() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        fs::write(folder.join("a b.toml"), text("mp4")).unwrap();
        fs::write(folder.join("long.toml"), "#".repeat(LONGEST_PROFILE + 1)).unwrap();
        fs::write(folder.join("bytes.toml"), b"\xff").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("dead.toml")).unwrap();
        let catalog = read_catalog(Some(folder)).unwrap();
        let reason = |file: &str| catalog.faults()[file].as_str();
        assert!(reason("a b.toml").contains("letters, digits"));
        assert!(reason("long.toml").contains("at most 20000 bytes"));
        assert!(reason("bytes.toml").contains("UTF-8"), "{}", reason("bytes.toml"));
        assert!(reason("dead.toml").contains("No such file"));
        assert_eq!(catalog.faults().len(), 4);
        assert!(read_catalog(Some(&folder.join("none"))).unwrap_err().contains("--profiles"));
    }

    #[test]
    fn a_folder_that_is_away_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut files) = (place.path().join("profiles"), FolderFiles::default());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("ours.toml"), text("mp4")).unwrap();
        refreshed(&mut files, &folder);
        fs::rename(&folder, place.path().join("other")).unwrap();
        assert!(files.refresh(&folder).is_err());
        assert_eq!(format_of(&files, "ours"), "mp4");
    }

    #[test]
    fn images_are_found_from_the_folder_of_the_profile() {
        let place = tempfile::tempdir().unwrap();
        let text =
            format!("{}\n[video.a]\ncodec = \"h264\"\nwatermark = {{ image = \"l.png\" }}", text("mp4"));
        fs::write(place.path().join("ours.toml"), text).unwrap();
        let profile = read_catalog(Some(place.path())).unwrap().resolve("ours").unwrap();
        let url = profile.assets().next().unwrap().1.url().to_owned();
        assert_eq!(url, parse_url(place.path().join("l.png").as_os_str()).unwrap());
    }
}
