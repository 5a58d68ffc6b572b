//! The options of a machine, checked; from the builder and from `FIBERS_*` variables.

use std::io;
use std::time::Duration;

use crate::machine::offload::Limits;
use crate::os;
use crate::stack::{GuardMethod as StackGuard, PoolConfig, SizeClass};

/// Options that were checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub workers: usize,
    pub name: String,
    pub stack_bytes: usize,
    pub guard_bytes: usize,
    pub guard: GuardMethod,
    pub fibers_max: Option<u64>,
    pub spin_ns: u64,
    pub fairness: u32,
    pub pin_workers: bool,
    pub poller: Poller,
    pub floating: bool,
    pub seed: Option<u64>,
}

/// How the guard page below a stack is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum GuardMethod {
    /// Markers where the kernel has them (Linux 6.13), else `Mprotect`.
    #[default]
    Auto,
    /// `madvise(MADV_GUARD_INSTALL)`: splits no mapping, so a million stacks need a handful of mappings.
    Markers,
    /// `mprotect(PROT_NONE)`: two mappings per stack; `vm.max_map_count` limits it to about 32,000 stacks.
    Mprotect,
}

/// Who waits for sockets, timers, signals and children.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Poller {
    /// A worker that has nothing to do, and each in passing; the machine's dedicated thread while all are busy and
    /// none looks. An event's fiber then needs no second thread.
    #[default]
    Workers,
    /// The dedicated thread, always: workers never make that system call, and each event costs a wake-up of
    /// another thread.
    Dedicated,
}

impl Config {
    pub(crate) fn pool(&self) -> PoolConfig {
        PoolConfig {
            guard_bytes: self.guard_bytes,
            guard: match self.guard {
                GuardMethod::Auto => StackGuard::Auto,
                GuardMethod::Markers => StackGuard::Markers,
                GuardMethod::Mprotect => StackGuard::Mprotect,
            },
            ..PoolConfig::default()
        }
    }
}

/// The most workers that a machine may have.
pub(crate) const WORKERS_MAX: usize = 1024;
/// Fairness may not be rarer than this.
const FAIRNESS_MAX: u32 = 1_000_000;
const SPIN_MAX: Duration = Duration::from_secs(1);
const NAME_MAX: usize = 64;

/// Options as they were given; `None` means: from the environment, else the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub workers: Option<usize>,
    pub name: Option<String>,
    pub stack_bytes: Option<usize>,
    pub guard_bytes: Option<usize>,
    pub guard: Option<GuardMethod>,
    pub fibers_max: Option<u64>,
    pub spin: Option<Duration>,
    pub fairness: Option<u32>,
    pub pin_workers: Option<bool>,
    pub poller: Option<Poller>,
    pub floating: bool,
    pub seed: Option<u64>,
}

/// Where variables come from: the process's environment, or a test's table.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

const VARIABLES: [&str; 13] = [
    "FIBERS_WORKERS",
    "FIBERS_NAME",
    "FIBERS_STACK_SIZE",
    "FIBERS_GUARD_SIZE",
    "FIBERS_GUARD",
    "FIBERS_MAX_FIBERS",
    "FIBERS_SPIN_US",
    "FIBERS_FAIRNESS",
    "FIBERS_PIN",
    "FIBERS_POLLER",
    "FIBERS_BLOCKING_THREADS",
    "FIBERS_BLOCKING_IDLE_MS",
    // Read by `testing::explore`.
    "FIBERS_TEST_SEED",
];

/// Refuses variables that begin with `FIBERS_` and mean nothing: a misspelt one would be ignored silently.
pub(crate) fn check_names(names: impl Iterator<Item = String>) -> io::Result<()> {
    for name in names {
        if name.starts_with("FIBERS_") && !VARIABLES.contains(&name.as_str()) {
            return Err(invalid(format!(
                "unknown environment variable {name}; known are {}",
                VARIABLES.join(", ")
            )));
        }
    }
    Ok(())
}

impl Options {
    /// Fills what is not given, and checks every option.
    pub(crate) fn check(self, env: Lookup<'_>) -> io::Result<Config> {
        let cpus = || os::thread::available_parallelism();
        let workers = pick(
            self.workers.map(|n| n as u64),
            env,
            "FIBERS_WORKERS",
            number,
            "a number from 1 to 1024",
        )?
        .unwrap_or_else(|| cpus().min(WORKERS_MAX) as u64);
        within("workers (FIBERS_WORKERS)", workers, 1, WORKERS_MAX as u64)?;
        let name = self
            .name
            .or_else(|| env("FIBERS_NAME"))
            .unwrap_or_else(|| "fibers".to_owned());
        if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
            return Err(invalid(format!(
                "option name (FIBERS_NAME) is {name:?}; it must be 1 to {NAME_MAX} bytes without NUL"
            )));
        }
        let size = "bytes, or with a suffix K or M";
        let stack_bytes = pick(
            self.stack_bytes.map(|n| n as u64),
            env,
            "FIBERS_STACK_SIZE",
            bytes,
            size,
        )?
        .unwrap_or(256 << 10);
        // Rounded up, as the stacks will be: the range of the guard depends on it.
        let stack_bytes =
            check_stack_bytes("stack_size (FIBERS_STACK_SIZE)", stack_bytes)?.bytes() as u64;
        let page = os::memory::page_size() as u64;
        let guard_bytes = pick(
            self.guard_bytes.map(|n| n as u64),
            env,
            "FIBERS_GUARD_SIZE",
            bytes,
            size,
        )?
        .unwrap_or(page);
        within(
            "guard_size (FIBERS_GUARD_SIZE)",
            guard_bytes,
            page,
            stack_bytes / 4,
        )?;
        let guard = pick(
            self.guard,
            env,
            "FIBERS_GUARD",
            guard_method,
            "auto, markers or mprotect",
        )?
        .unwrap_or_default();
        let fibers_max = pick(
            self.fibers_max,
            env,
            "FIBERS_MAX_FIBERS",
            number,
            "a number from 1",
        )?;
        if let Some(max) = fibers_max {
            within("max_fibers (FIBERS_MAX_FIBERS)", max, 1, u64::MAX)?;
        }
        let micros = |text: &str| number(text).map(Duration::from_micros);
        let spin = pick(
            self.spin,
            env,
            "FIBERS_SPIN_US",
            micros,
            "microseconds, 0 to 1000000",
        )?
        // Spinning pays only where the thread that will bring work has a CPU of its own.
        .unwrap_or_else(|| {
            if cpus() > 1 {
                Duration::from_micros(20)
            } else {
                Duration::ZERO
            }
        });
        within(
            "spin (FIBERS_SPIN_US), in microseconds,",
            spin.as_micros() as u64,
            0,
            SPIN_MAX.as_micros() as u64,
        )?;
        let fairness = pick(
            self.fairness.map(u64::from),
            env,
            "FIBERS_FAIRNESS",
            number,
            "a number from 1",
        )?
        .unwrap_or(61);
        within(
            "fairness (FIBERS_FAIRNESS)",
            fairness,
            1,
            u64::from(FAIRNESS_MAX),
        )?;
        let pin_workers =
            pick(self.pin_workers, env, "FIBERS_PIN", flag, "0 or 1")?.unwrap_or(false);
        let poller = pick(
            self.poller,
            env,
            "FIBERS_POLLER",
            poller,
            "workers or dedicated",
        )?
        .unwrap_or_default();
        // Not the machine's, but nobody else could report them.
        Limits::from(env)?;
        Ok(Config {
            workers: workers as usize,
            name,
            stack_bytes: stack_bytes as usize,
            guard_bytes: (guard_bytes as usize).next_multiple_of(page as usize),
            guard,
            fibers_max,
            spin_ns: spin.as_nanos() as u64,
            fairness: fairness as u32,
            pin_workers,
            poller,
            floating: self.floating,
            seed: self.seed,
        })
    }
}

/// The size class of a stack, or an error that names the option.
pub(crate) fn check_stack_bytes(option: &str, stack_bytes: u64) -> io::Result<SizeClass> {
    let class = usize::try_from(stack_bytes)
        .ok()
        .and_then(SizeClass::for_bytes);
    class.ok_or_else(|| {
        invalid(format!(
            "option {option} is {stack_bytes}; it must be 1 byte to 8 MiB (8388608)"
        ))
    })
}

pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().replace('_', "").parse().ok()
}

pub(super) fn pick<T>(
    given: Option<T>,
    env: Lookup<'_>,
    variable: &str,
    parse: impl Fn(&str) -> Option<T>,
    expected: &str,
) -> io::Result<Option<T>> {
    if given.is_some() {
        return Ok(given);
    }
    match env(variable) {
        None => Ok(None),
        Some(text) => match parse(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(invalid(format!(
                "environment variable {variable} is {text:?}; expected {expected}"
            ))),
        },
    }
}

pub(super) fn within(option: &str, value: u64, min: u64, max: u64) -> io::Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(invalid(format!(
        "option {option} is {value}; it must be {min} to {max}"
    )))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn flag(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn guard_method(text: &str) -> Option<GuardMethod> {
    match text.trim() {
        "auto" => Some(GuardMethod::Auto),
        "markers" => Some(GuardMethod::Markers),
        "mprotect" => Some(GuardMethod::Mprotect),
        _ => None,
    }
}

fn poller(text: &str) -> Option<Poller> {
    match text.trim() {
        "workers" => Some(Poller::Workers),
        "dedicated" => Some(Poller::Dedicated),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: Options, table: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| {
            table
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        options.check(&lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn the_builder_wins_over_the_environment() {
        let options = Options {
            workers: Some(3),
            ..Options::default()
        };
        let config = check(
            options,
            &[("FIBERS_WORKERS", "5"), ("FIBERS_STACK_SIZE", "64K")],
        )
        .unwrap();
        assert_eq!((config.workers, config.stack_bytes), (3, 64 << 10));
    }

    #[test]
    fn every_bad_value_is_named_with_its_range() {
        for (variable, value, wanted) in [
            (
                "FIBERS_WORKERS",
                "0",
                "workers (FIBERS_WORKERS) is 0; it must be 1 to 1024",
            ),
            ("FIBERS_WORKERS", "1025", "is 1025"),
            (
                "FIBERS_WORKERS",
                "many",
                "FIBERS_WORKERS is \"many\"; expected a number from 1 to 1024",
            ),
            (
                "FIBERS_STACK_SIZE",
                "0",
                "stack_size (FIBERS_STACK_SIZE) is 0",
            ),
            ("FIBERS_STACK_SIZE", "1G", "expected bytes"),
            ("FIBERS_STACK_SIZE", "99M", "8 MiB"),
            ("FIBERS_GUARD_SIZE", "1", "guard_size"),
            ("FIBERS_GUARD", "none", "auto, markers or mprotect"),
            ("FIBERS_MAX_FIBERS", "0", "max_fibers"),
            ("FIBERS_SPIN_US", "1000001", "spin"),
            ("FIBERS_FAIRNESS", "0", "fairness"),
            ("FIBERS_PIN", "maybe", "0 or 1"),
            ("FIBERS_POLLER", "nobody", "workers or dedicated"),
            ("FIBERS_NAME", "", "name"),
            (
                "FIBERS_BLOCKING_THREADS",
                "0",
                "FIBERS_BLOCKING_THREADS is 0; it must be 1 to 16384",
            ),
            ("FIBERS_BLOCKING_THREADS", "16385", "1 to 16384"),
            ("FIBERS_BLOCKING_THREADS", "all", "1 to 16384"),
            ("FIBERS_BLOCKING_IDLE_MS", "10s", "milliseconds"),
            ("FIBERS_BLOCKING_IDLE_MS", "86400001", "0 to 86400000"),
        ] {
            let error = check(Options::default(), &[(variable, value)]).unwrap_err();
            assert!(error.contains(wanted), "{variable}={value}: {error}");
        }
    }

    #[test]
    fn misspelt_variables_are_refused() {
        let names = ["PATH".to_owned(), "FIBERS_WORKER".to_owned()];
        let error = check_names(names.into_iter()).unwrap_err().to_string();
        assert!(
            error.contains("FIBERS_WORKER;") && error.contains("FIBERS_WORKERS"),
            "{error}"
        );
        assert!(check_names(VARIABLES.iter().map(|name| (*name).to_owned())).is_ok());
    }
}
