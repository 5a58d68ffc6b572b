//! The CPU quota of the cgroup that this process is in, of both versions.
//!
//! Pure but for reading files below a given root: the kernel's tree in production, a made-up one in
//! tests. What cannot be read or understood counts as no quota: a wrong guess here may only cost
//! speed, never a start.
//!
//! Where the figures are: `/proc/self/cgroup` names the group (version 2 on the line `0::PATH`,
//! version 1 on the line whose controllers include `cpu`), `/proc/self/mountinfo` says where that
//! tree is mounted and which of its folders is the mount's root (in a container not the tree's).
//! Each folder from the group's own up to the mount may hold a quota, and the smallest holds.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The two generations of cgroups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    V1,
    V2,
}

/// The smallest CPU quota that applies to this process, in whole CPUs rounded up and at least 1;
/// none when there is none. `root` stands for `/`.
pub(super) fn quota_cpus(root: &Path) -> Option<usize> {
    let groups = read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let quota = |version| {
        let group = group_path(&groups, version)?;
        let (mount, mount_root) = mount_of(&mounts, version)?;
        smallest_quota(
            &root.join(mount.strip_prefix("/").ok()?),
            &inside(group, &mount_root),
            version,
        )
    };
    // Under a hybrid setup the cpu controller is in one of the trees; the other has no such files.
    [quota(Version::V2), quota(Version::V1)]
        .into_iter()
        .flatten()
        .min()
}

/// The path of this process's group inside its tree.
fn group_path(groups: &str, version: Version) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match version {
            Version::V2 => id == "0" && controllers.is_empty(),
            Version::V1 => controllers.split(',').any(|name| name == "cpu"),
        };
        ours.then_some(path)
    })
}

/// Where the tree is mounted, and which folder of the tree is the mount's root.
fn mount_of(mounts: &str, version: Version) -> Option<(PathBuf, String)> {
    mounts.lines().find_map(|line| {
        // "id parent dev ROOT MOUNT options [tags] - TYPE source SUPEROPTIONS"
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, mount) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let ours = match version {
            Version::V2 => kind == "cgroup2",
            Version::V1 => kind == "cgroup" && options.split(',').any(|name| name == "cpu"),
        };
        ours.then(|| (PathBuf::from(unescape(mount)), unescape(root)))
    })
}

/// The group's path as seen below the mount: without the part that the mount's root already is.
/// A group outside the mount (seen so from some containers) is taken as the mount's root itself.
fn inside(group: &str, mount_root: &str) -> PathBuf {
    let below = Path::new(group)
        .strip_prefix(mount_root)
        .unwrap_or(Path::new(""));
    let escapes = below
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    if escapes {
        PathBuf::new()
    } else {
        below.to_path_buf()
    }
}

/// The smallest quota from the group's folder up to the mount itself.
fn smallest_quota(mount: &Path, group: &Path, version: Version) -> Option<usize> {
    group
        .ancestors()
        .filter_map(|folder| {
            let folder = mount.join(folder);
            let read = |file| read_to_string(folder.join(file)).ok();
            match version {
                Version::V2 => {
                    let text = read("cpu.max")?;
                    let mut fields = text.split_whitespace();
                    cpus(fields.next()?, fields.next()?)
                }
                Version::V1 => cpus(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?),
            }
        })
        .min()
}

/// Whole CPUs for a quota of microseconds each period. "max" and -1 mean none.
fn cpus(quota: &str, period: &str) -> Option<usize> {
    let quota_us: u64 = quota.trim().parse().ok()?;
    let period_us: u64 = period.trim().parse().ok()?;
    if quota_us == 0 || period_us == 0 {
        return None;
    }
    usize::try_from(quota_us.div_ceil(period_us)).ok()
}

/// Undoes mountinfo's octal escapes (`\040` for a space).
fn unescape(field: &str) -> String {
    let mut plain = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 4);
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                plain.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    plain + rest
}
