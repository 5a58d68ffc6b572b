//! What a count depends on beside the code: the compiler, what it compiled for, the C library, the kernel's clock.
//!
//! Two counts with the same setting are comparable. Optimisation is not in it: `main.rs` insists on that.

use std::fmt;
use std::fs;
use std::process::Command;

/// See the head of the file. Compared as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Setting(String);

impl Setting {
    /// This binary's, on this machine.
    pub(crate) fn here() -> Self {
        // malloc, memcpy and the wrappers of system calls are the C library's.
        let library = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
        let library = match &library {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout),
            _ => "an unknown C library".into(),
        };
        // Only where it is `tsc` does the library read the cycle counter in place of the clock.
        let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let clock = fs::read_to_string(clock).unwrap_or_else(|_| "unknown".to_owned());
        let (library, clock) = (library.trim(), clock.trim());
        Self(format!("{}, {library}, clock {clock}", env!("COMPILER")))
    }

    /// As it was shown.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
