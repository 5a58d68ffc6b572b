//! The CPU quota, on made-up trees of files.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::os::cgroup;

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
const V1: &str = "33 24 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

/// Makes a tree of files and asks for its quota.
fn quota(files: &[(&str, &str)]) -> Option<usize> {
    static TREES: AtomicUsize = AtomicUsize::new(0);
    let tree = TREES.fetch_add(1, Ordering::Relaxed);
    let root = std::env::temp_dir().join(format!("fibers-cgroup-{}-{tree}", std::process::id()));
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let quota = cgroup::quota_cpus(&root);
    let _ = std::fs::remove_dir_all(root);
    quota
}

fn v2(own: &str, parent: &str) -> Option<usize> {
    quota(&[
        ("proc/self/cgroup", "0::/a.slice/b\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/a.slice/b/cpu.max", own),
        ("sys/fs/cgroup/a.slice/cpu.max", parent),
    ])
}

#[test]
fn version_2_takes_the_smallest_from_leaf_to_root() {
    assert_eq!(v2("max 100000\n", "max 100000\n"), None);
    assert_eq!(v2("200000 100000\n", "max 100000\n"), Some(2));
    assert_eq!(v2("max 100000\n", "300000 100000\n"), Some(3));
    assert_eq!(v2("400000 100000\n", "300000 100000\n"), Some(3));
}

#[test]
fn quotas_are_rounded_up_and_at_least_one() {
    assert_eq!(v2("150000 100000\n", ""), Some(2));
    assert_eq!(v2("1000 100000\n", ""), Some(1));
    assert_eq!(v2("100001 100000\n", ""), Some(2));
}

#[test]
fn what_makes_no_sense_is_no_quota() {
    for text in ["", "max", "0 0", "5 0", "-1 100000", "x y", "100000"] {
        assert_eq!(v2(text, text), None, "{text:?}");
    }
    assert_eq!(quota(&[]), None);
    assert_eq!(
        quota(&[
            ("proc/self/cgroup", "garbage\n"),
            ("proc/self/mountinfo", "x - y\n")
        ]),
        None
    );
}

#[test]
fn version_1_reads_cfs_and_knows_minus_one() {
    let tree = |quota_us: &str| {
        quota(&[
            (
                "proc/self/cgroup",
                "4:memory:/d\n3:cpu,cpuacct:/d/e\n1:name=systemd:/\n",
            ),
            ("proc/self/mountinfo", V1),
            ("sys/fs/cgroup/cpu,cpuacct/d/e/cpu.cfs_quota_us", quota_us),
            ("sys/fs/cgroup/cpu,cpuacct/d/e/cpu.cfs_period_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "800000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n"),
        ])
    };
    assert_eq!(tree("-1\n"), Some(8));
    assert_eq!(tree("100000\n"), Some(2));
}

#[test]
fn a_container_sees_its_group_as_the_mounts_root() {
    // Version 1 without a cgroup namespace: the path is the host's, the mount shows a part.
    let mount = "33 24 0:29 /docker/abc /sys/fs/cgroup/cpu ro master:1 - cgroup cgroup rw,cpu\n";
    let tree = [
        ("proc/self/cgroup", "3:cpu:/docker/abc\n"),
        ("proc/self/mountinfo", mount),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(quota(&tree), Some(3));
    // A group outside the namespace must not lead out of the mount.
    let tree = [
        ("proc/self/cgroup", "0::/../../x\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/cpu.max", "700000 100000\n"),
        ("sys/x/cpu.max", "100000 100000\n"),
    ];
    assert_eq!(quota(&tree), Some(7));
}

#[test]
fn hybrid_trees_and_escaped_mounts_are_read() {
    let mounts = format!("31 23 0:27 / /sys/fs/cg\\040roup/unified rw - cgroup2 cgroup2 rw\n{V1}");
    let tree = [
        ("proc/self/cgroup", "3:cpu,cpuacct:/d\n0::/d\n"),
        ("proc/self/mountinfo", mounts.as_str()),
        ("sys/fs/cg roup/unified/d/cpu.max", "600000 100000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "500000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(quota(&tree), Some(5));
}
