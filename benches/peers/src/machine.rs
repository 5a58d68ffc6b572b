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

/// The most bytes that were resident at a time in the process `pid`, since it began to run its present program.
pub(crate) fn peak_bytes(pid: u32) -> u64 {
    // A process that has ended has no memory to tell of.
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

/// The processor's name.
pub(crate) fn processor() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    model.map_or("unknown processor".to_string(), |rest| {
        rest.trim_start_matches([' ', '\t', ':']).to_string()
    })
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// The kernel's version.
pub(crate) fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// All memory of the machine, in bytes.
pub(crate) fn memory_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field_kib(&meminfo, "MemTotal:") * 1024
}

/// How many threads wanted a core, on average over the last minute.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_string()
}

/// One line: processor, cores, kernel, load.
pub(crate) fn describe() -> String {
    let (model, cores, kernel, load) = (processor(), cores(), kernel(), load());
    format!("{model}, {cores} cores, {kernel}, load {load} at start")
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
