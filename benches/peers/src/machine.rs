//! What the figures were measured on, and what a process weighs. Reads `/proc` and `Cargo.lock`.

use std::fs;
use std::time::Duration;

/// Resident memory of this process, page tables included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footprint {
    /// VmRSS + VmPTE.
    pub(crate) bytes: u64,
    /// Lines of `/proc/self/maps`.
    pub(crate) mappings: u64,
}

impl Footprint {
    /// Reads the present footprint.
    pub(crate) fn read() -> Footprint {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let maps = fs::read("/proc/self/maps").unwrap_or_default();
        Footprint {
            bytes: (field_kib(&status, "VmRSS:") + field_kib(&status, "VmPTE:")) * 1024,
            mappings: maps.iter().filter(|&&byte| byte == b'\n').count() as u64,
        }
    }
}

/// The most resident memory that the process `pid` has had so far; 0 if it is gone.
pub(crate) fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    field_kib(&status, "VmHWM:") * 1024
}

fn field_kib(status: &str, name: &str) -> u64 {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}

/// The unit of `/proc/stat`, the same on all Linux that this library runs on.
const TICK: Duration = Duration::from_millis(10);

/// What all cores have worked so far, for whomever, and what a hypervisor took away from them.
pub(crate) fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let total = stat.lines().next().unwrap_or_default();
    // cpu user nice system idle iowait irq softirq steal
    let ticks = |column: usize| total.split_whitespace().nth(column)?.parse::<u32>().ok();
    let busy = [1, 2, 3, 6, 7, 8].into_iter().filter_map(ticks);
    busy.map(|ticks| TICK * ticks).sum()
}

/// One line: processor, cores, kernel, load.
pub(crate) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "{model}, {cores} cores, Linux {}, load {load} at start",
        kernel.trim()
    )
}

/// The version of a dependency in the workspace's lock file.
pub(crate) fn locked_version(package: &str) -> String {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
    let lock = lock.unwrap_or_default();
    // The last one, which is the newest, if several versions are locked: it is ours.
    let entry = lock.rsplit_once(&format!("name = \"{package}\"\n"));
    let version = entry
        .and_then(|(_, entry)| entry.lines().next())
        .and_then(|line| line.strip_prefix("version = "));
    version.map_or("?".to_string(), |version| {
        version.trim_matches('"').to_string()
    })
}
