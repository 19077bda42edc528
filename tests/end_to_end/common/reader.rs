//! A second reader of outputs: mkvtoolnix, whose demuxers are its own.

use std::{path::Path, process::Command};

/// Has mkvtoolnix read all packets of a file. It must say nothing, and find this many pictures.
pub fn reads(path: &Path, pictures: Option<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.mkv");
    let mut mkvmerge = Command::new("mkvmerge");
    mkvmerge.args(["--quiet", "--output"]).arg(&copy).arg(path);
    let ran = match mkvmerge.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("mkvmerge is not installed (mkvtoolnix): {} is read by ffmpeg alone", path.display());
            return;
        }
        ran => ran.unwrap(),
    };
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.trim().is_empty(), "{}: {said}", path.display());
    if let Some(pictures) = pictures {
        let count = ["-count_packets", "-select_streams", "v", "-show_entries", "stream=nb_read_packets"];
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-of", "csv=p=0"]).args(count).arg(&copy);
        let counted = String::from_utf8(ffprobe.output().unwrap().stdout).unwrap();
        assert_eq!(counted.trim().trim_end_matches(',').parse(), Ok(pictures), "{}", path.display());
    }
}
