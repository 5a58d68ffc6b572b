//! `fibers::fs` beside `std::fs`: the same results, the same errors, and only the fiber waits.

#[path = "../common/mod.rs"]
mod common;

mod files;
mod random_calls;
mod waits;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory of one test's own, gone with it.
#[derive(Debug)]
struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fibers-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything below a directory: names, kinds, contents, modes, links.
fn tree(root: &Path) -> Vec<String> {
    fn walk(root: &Path, path: &Path, out: &mut Vec<String>) {
        let about = std::fs::symlink_metadata(path).unwrap();
        let name = path.strip_prefix(root).unwrap().display();
        let mode = about.permissions().mode();
        let what = if about.is_dir() {
            String::new()
        } else if about.is_symlink() {
            format!("{:?}", std::fs::read_link(path).unwrap())
        } else {
            format!("{:?} x{}", std::fs::read(path).unwrap(), about.nlink())
        };
        out.push(format!("{name} {mode:o} {what}"));
        if about.is_dir() {
            let entries = std::fs::read_dir(path).unwrap();
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths.iter().for_each(|path| walk(root, path, out));
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out
}
