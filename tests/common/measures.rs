//! What the kernel knows of this process: threads, descriptors, memory, CPU time.

use std::time::Duration;

/// The calling OS thread's number.
pub fn thread_id() -> i32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::gettid() }
}

/// The descriptors that this process has open, with what they are.
pub fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("a folder");
    let mut all: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            // The one that reads the folder is gone when it is asked for, or is the folder.
            let what = std::fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().into_string().ok()?;
            (!what.starts_with("/proc")).then(|| format!("{number} {}", what.display()))
        })
        .collect();
    all.sort_unstable();
    all
}

/// The value of a line of `/proc/self/status`, in its unit.
pub fn status_field(name: &str) -> u64 {
    field_of("/proc/self/status", name)
}

/// The value of a line `name: value` of a file.
pub fn field_of(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Resident memory and page tables, in bytes.
pub fn resident_bytes() -> u64 {
    (status_field("VmRSS") + status_field("VmPTE")) << 10
}

/// Mappings of this process.
pub fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap_or_default()
        .lines()
        .count()
}

/// The CPU time that this process has used.
pub fn cpu_time() -> Duration {
    // SAFETY: all of it is integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a live struct of the kernel's shape.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let of = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// True if there is a stretch of that length, among the next hundred, in which this process hardly computes:
/// nothing in it spins. What the last burst left behind may take a while on a loaded machine.
pub fn comes_to_rest(stretch: Duration) -> bool {
    (0..100).any(|_| {
        let before = cpu_time();
        std::thread::sleep(stretch);
        let used = cpu_time() - before;
        println!("{used:?} of CPU time in {stretch:?}");
        used < stretch / 4
    })
}
