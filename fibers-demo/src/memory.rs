//! Reads what the kernel says about this process's memory. Plain files under /proc, no state.

use std::fs;

/// Bytes resident in memory now; 0 when /proc cannot be read.
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// Bytes of page tables now; 0 when /proc cannot be read. Sparse stacks cost some of these too.
pub fn page_table_bytes() -> u64 {
    status_bytes("VmPTE:")
}

/// Bytes the machine could still hand out; `None` when /proc cannot be read.
pub fn available_bytes() -> Option<u64> {
    field_bytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field_bytes(&status, field).unwrap_or(0)
}

/// Both files hold lines such as `VmRSS:      1234 kB`.
fn field_bytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_holds_some_memory() {
        assert!(super::resident_bytes() > 0);
        assert!(super::page_table_bytes() > 0);
        assert!(super::available_bytes().is_some());
    }
}
