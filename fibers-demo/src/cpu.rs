//! Reads how much processor time this process has used. One file under /proc, no state.

use std::fs;
use std::time::Duration;

/// The kernel's unit in that file, USER_HZ: 100 a second wherever Rust runs on Linux.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of all threads so far, user and system; zero when /proc cannot be read.
pub fn time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    TICK * ticks(&stat).unwrap_or(0)
}

/// The 14th and 15th field. The second, the program's name, may hold anything, but ends at the last `)`.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn user_and_system_ticks_are_added() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 1234 66 0 0 20 0 3 0 99";
        assert_eq!(ticks(stat), Some(1300));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn this_process_grows_older() {
        let (before, start) = (time(), Instant::now());
        while time() == before {
            assert!(start.elapsed() < Duration::from_secs(60));
        }
    }
}
