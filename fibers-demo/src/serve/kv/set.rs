//! The options of `SET`, the one command that has some: when, whether, and what is said about it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::serve::kv::commands::{NOT_INTEGER, Refusal, SYNTAX, bad_expiry, moment};
use crate::serve::kv::resp::{Command, integer};
use crate::serve::kv::store::Expiry;

/// What stands behind the value in a `SET`.
pub struct SetOptions {
    pub expiry: Expiry,
    pub only_if_exists: Option<bool>,
    pub wants_old: bool,
}

impl SetOptions {
    /// Reads them from a `SET`.
    pub fn read(command: &Command) -> Result<SetOptions, Refusal> {
        let mut options = SetOptions {
            expiry: Expiry::Never,
            only_if_exists: None,
            wants_old: false,
        };
        let mut has_expiry = false;
        let mut words = command.from(3);
        while let Some(word) = words.next() {
            match word.to_ascii_lowercase().as_slice() {
                b"nx" if options.only_if_exists != Some(true) => {
                    options.only_if_exists = Some(false);
                }
                b"xx" if options.only_if_exists != Some(false) => {
                    options.only_if_exists = Some(true);
                }
                b"get" => options.wants_old = true,
                b"keepttl" if !has_expiry => {
                    (options.expiry, has_expiry) = (Expiry::AsBefore, true);
                }
                unit @ (b"ex" | b"px" | b"exat" | b"pxat") if !has_expiry => {
                    let amount = integer(words.next().ok_or(SYNTAX)?).ok_or(NOT_INTEGER)?;
                    let at = expiry(unit, amount).ok_or_else(|| bad_expiry(command))?;
                    (options.expiry, has_expiry) = (Expiry::At(at), true);
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(options)
    }
}

/// The moment that `EX 10` and its like stand for; `None` if there is none.
fn expiry(unit: &[u8], amount: i64) -> Option<Instant> {
    let unit_ms = if unit.starts_with(b"e") { 1_000 } else { 1 };
    let ms = amount.checked_mul(unit_ms).filter(|ms| *ms > 0)?;
    if !unit.ends_with(b"at") {
        return moment(ms);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let until = Duration::from_millis(ms as u64).saturating_sub(now);
    Instant::now().checked_add(until)
}
