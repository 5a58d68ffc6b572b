//! Options of the offload pool (`src/blocking/`): the process's, so from the environment alone. Checked when a machine
//! is built, since a call of `blocking` has nobody to report a bad value to.

use std::io;
use std::time::Duration;

use crate::machine::config::{Lookup, number, pick, within};

/// Options that were checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub threads_max: usize,
    pub idle: Duration,
}

/// Each has a stack of its own, which is two mappings.
const THREADS_MAX: u64 = 16_384;
const IDLE_MS_MAX: u64 = 86_400_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            threads_max: 512,
            idle: Duration::from_secs(10),
        }
    }
}

impl Limits {
    pub(crate) fn from(env: Lookup<'_>) -> io::Result<Self> {
        let mut limits = Self::default();
        let variable = "FIBERS_BLOCKING_THREADS";
        if let Some(threads) = pick(None, env, variable, number, "a number from 1 to 16384")? {
            within(variable, threads, 1, THREADS_MAX)?;
            limits.threads_max = threads as usize;
        }
        let variable = "FIBERS_BLOCKING_IDLE_MS";
        if let Some(ms) = pick(None, env, variable, number, "milliseconds, 0 to 86400000")? {
            within(variable, ms, 0, IDLE_MS_MAX)?;
            limits.idle = Duration::from_millis(ms);
        }
        Ok(limits)
    }
}
