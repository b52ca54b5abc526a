//! The project's own files.

use std::path::{Path, PathBuf};

/// A file or folder of the project.
pub fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a file of the project holds.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All sources in a folder: their names within the project, and what they hold.
pub fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut folders, mut all) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(path(&folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let name = format!("{folder}/{}", name.to_string_lossy());
            if path(&name).is_dir() {
                folders.push(name);
            } else if name.ends_with(".rs") {
                let source = text(&name);
                all.push((name, source));
            }
        }
    }
    assert!(!all.is_empty());
    all.sort();
    all
}
