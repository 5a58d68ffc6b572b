//! What each command does: a command and a store in, an answer out. Nothing here waits.
//!
//! Commands of several keys (`MSET`, `DEL`) work key by key: others may see some of them done and some
//! not yet. In Redis they would not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::serve::kv::resp::{BULK_MAX, Command, Reply, integer};
use crate::serve::kv::set::SetOptions;
use crate::serve::kv::store::{Expiry, Full, Store, Update};

pub const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
const OVERFLOW: &str = "ERR increment or decrement would overflow";
pub const SYNTAX: &str = "ERR syntax error";
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
const TOO_MUCH: &str = "ERR the answer would be too long";
/// An answer is made in memory, and holds no more than this.
const ANSWER_MAX: usize = 64 << 20;
/// What of an unknown command is repeated in the error.
const SHOWN_MAX: usize = 128;

/// What comes of a command beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Command,
    Close,
}

/// Why a command was not done, in the words that are sent.
pub type Refusal = String;
type Done = Result<(), Refusal>;

/// One command to be done.
struct Call<'a> {
    command: &'a Command,
    store: &'a Store,
    reply: Reply<'a>,
    /// What only the server knows of itself, for `INFO`.
    about: &'a dyn Fn() -> String,
}

/// Name, how many strings at least and at most (0: no limit), and what it does.
type Entry = (&'static str, usize, usize, fn(&mut Call) -> Done);

/// The most frequent first: the search goes through them in order.
const COMMANDS: &[Entry] = &[
    ("get", 2, 2, |call| call.get()),
    ("set", 3, 0, |call| call.set()),
    ("incr", 2, 2, |call| call.add(1)),
    ("mset", 3, 0, |call| call.mset()),
    ("mget", 2, 0, |call| call.mget()),
    ("del", 2, 0, |call| call.del()),
    ("exists", 2, 0, |call| call.exists()),
    ("ping", 1, 2, |call| call.ping()),
    ("echo", 2, 2, |call| call.echo()),
    ("incrby", 3, 3, |call| call.add_given(1)),
    ("decr", 2, 2, |call| call.add(-1)),
    ("decrby", 3, 3, |call| call.add_given(-1)),
    ("append", 3, 3, |call| call.append()),
    ("strlen", 2, 2, |call| call.strlen()),
    ("expire", 3, 3, |call| call.expire(1_000)),
    ("pexpire", 3, 3, |call| call.expire(1)),
    ("ttl", 2, 2, |call| call.ttl(1_000)),
    ("pttl", 2, 2, |call| call.ttl(1)),
    ("persist", 2, 2, |call| call.persist()),
    ("dbsize", 1, 1, |call| call.dbsize()),
    ("flushall", 1, 2, |call| call.flush()),
    ("flushdb", 1, 2, |call| call.flush()),
    ("info", 1, 0, |call| call.info()),
    ("select", 2, 2, |call| call.select()),
    ("config", 2, 0, |call| call.config()),
    ("command", 1, 0, |call| call.empty()),
    ("quit", 1, 0, |call| call.ok()),
];

/// Does a command and appends its answer to `output`.
pub fn run(
    command: &Command,
    store: &Store,
    output: &mut Vec<u8>,
    about: &dyn Fn() -> String,
) -> Next {
    let name = &command[0];
    let mut call = Call {
        command,
        store,
        reply: Reply(output),
        about,
    };
    let known = COMMANDS
        .iter()
        .find(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()));
    let done = match known {
        None => Err(unknown(command)),
        Some((known, least, most, run)) => {
            if command.len() < *least || (*most > 0 && command.len() > *most) {
                Err(wrong_number(known))
            } else {
                run(&mut call)
            }
        }
    };
    if let Err(refusal) = done {
        call.reply.error(&refusal);
    }
    match known {
        Some(("quit", ..)) => Next::Close,
        _ => Next::Command,
    }
}

impl Call<'_> {
    fn get(&mut self) -> Done {
        let value = self.store.get(&self.command[1]);
        self.reply.bulk(value.as_deref());
        Ok(())
    }

    fn mget(&mut self) -> Done {
        let keys = self.command.from(1);
        let values: Vec<_> = keys.map(|key| self.store.get(key)).collect();
        let length = |value: &Option<Arc<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        // One key may be named a million times.
        if values.iter().map(length).sum::<usize>() > ANSWER_MAX {
            return Err(TOO_MUCH.into());
        }
        self.reply.array(values.len());
        for value in values {
            self.reply.bulk(value.as_deref());
        }
        Ok(())
    }

    fn set(&mut self) -> Done {
        let options = SetOptions::read(self.command)?;
        let value = &self.command[2];
        let mut old = None;
        let is_done = self.store.update(&self.command[1], |before| {
            if options.wants_old {
                old = before.map(Arc::<[u8]>::from);
            }
            match options.only_if_exists {
                Some(wanted) if before.is_some() != wanted => Update::Leave(false),
                _ => Update::Write(value.to_vec(), options.expiry, true),
            }
        });
        match (is_done.map_err(full)?, options.wants_old) {
            (_, true) => self.reply.bulk(old.as_deref()),
            (true, false) => self.reply.simple("OK"),
            (false, false) => self.reply.bulk(None),
        }
        Ok(())
    }

    fn mset(&mut self) -> Done {
        if self.command.len().is_multiple_of(2) {
            return Err(wrong_number("mset"));
        }
        for at in (1..self.command.len()).step_by(2) {
            let value = self.command[at + 1].to_vec();
            let change = |_: Option<&[u8]>| Update::Write(value, Expiry::Never, ());
            (self.store.update(&self.command[at], change)).map_err(full)?;
        }
        self.ok()
    }

    fn del(&mut self) -> Done {
        let keys = self.command.from(1);
        let count = keys.filter(|key| self.store.remove(key)).count();
        self.number(count)
    }

    fn exists(&mut self) -> Done {
        let keys = self.command.from(1);
        let count = keys
            .filter(|key| self.store.deadline(key).is_some())
            .count();
        self.number(count)
    }

    fn add_given(&mut self, sign: i64) -> Done {
        let amount = integer(&self.command[2]).ok_or(NOT_INTEGER)?;
        self.add(
            amount
                .checked_mul(sign)
                .ok_or("ERR decrement would overflow")?,
        )
    }

    fn add(&mut self, amount: i64) -> Done {
        let change = |before: Option<&[u8]>| {
            let Some(number) = integer(before.unwrap_or(b"0")) else {
                return Update::Leave(Err(NOT_INTEGER));
            };
            let Some(sum) = number.checked_add(amount) else {
                return Update::Leave(Err(OVERFLOW));
            };
            Update::Write(sum.to_string().into_bytes(), Expiry::AsBefore, Ok(sum))
        };
        let sum = (self.store.update(&self.command[1], change)).map_err(full)??;
        self.reply.integer(sum);
        Ok(())
    }

    fn append(&mut self) -> Done {
        let more = &self.command[2];
        let change = |before: Option<&[u8]>| {
            let value = [before.unwrap_or_default(), more].concat();
            match value.len() {
                length if length > BULK_MAX => Update::Leave(Err(TOO_LONG)),
                length => Update::Write(value, Expiry::AsBefore, Ok(length)),
            }
        };
        let length = (self.store.update(&self.command[1], change)).map_err(full)??;
        self.number(length)
    }

    fn strlen(&mut self) -> Done {
        let value = self.store.get(&self.command[1]);
        self.number(value.map_or(0, |value| value.len()))
    }

    fn expire(&mut self, unit_ms: i64) -> Done {
        let amount = integer(&self.command[2]).ok_or(NOT_INTEGER)?;
        let ms = amount
            .checked_mul(unit_ms)
            .ok_or_else(|| bad_expiry(self.command))?;
        let key = &self.command[1];
        let is_there = if ms <= 0 {
            self.store.remove(key)
        } else {
            let at = moment(ms).ok_or_else(|| bad_expiry(self.command))?;
            self.store.set_deadline(key, Some(at)).is_some()
        };
        self.number(is_there.into())
    }

    fn ttl(&mut self, unit_ms: u128) -> Done {
        self.reply
            .integer(match self.store.deadline(&self.command[1]) {
                None => -2,
                Some(None) => -1,
                Some(Some(at)) => {
                    // Rounded to the nearest, as Redis does.
                    let ms = at.saturating_duration_since(Instant::now()).as_millis();
                    ((ms + unit_ms / 2) / unit_ms) as i64
                }
            });
        Ok(())
    }

    fn persist(&mut self) -> Done {
        let before = self.store.set_deadline(&self.command[1], None);
        self.number(matches!(before, Some(Some(_))).into())
    }

    fn ping(&mut self) -> Done {
        match self.command.len() {
            1 => self.reply.simple("PONG"),
            _ => self.reply.bulk(Some(&self.command[1])),
        }
        Ok(())
    }

    fn echo(&mut self) -> Done {
        self.reply.bulk(Some(&self.command[1]));
        Ok(())
    }

    fn dbsize(&mut self) -> Done {
        self.number(self.store.counts().0)
    }

    fn flush(&mut self) -> Done {
        self.store.clear();
        self.ok()
    }

    fn info(&mut self) -> Done {
        let (keys, expires) = self.store.counts();
        let bytes = self.store.bytes();
        let text = format!(
            "{}\r\n# Memory\r\nused_memory:{bytes}\r\n\r\n# Keyspace\r\ndb0:keys={keys},expires={expires}\r\n",
            (self.about)()
        );
        self.reply.bulk(Some(text.as_bytes()));
        Ok(())
    }

    fn select(&mut self) -> Done {
        match integer(&self.command[1]) {
            Some(0) => self.ok(),
            Some(_) => Err("ERR DB index is out of range".into()),
            None => Err(NOT_INTEGER.into()),
        }
    }

    /// Just what benchmarks ask for before they begin; nothing can be set.
    fn config(&mut self) -> Done {
        if !self.command[1].eq_ignore_ascii_case(b"get") || self.command.len() < 3 {
            return Err("ERR CONFIG knows GET only".into());
        }
        let settings = [("save", ""), ("appendonly", "no")];
        let asked = self.command.from(2).filter_map(|name| {
            let is_it = |setting: &&(&str, _)| name.eq_ignore_ascii_case(setting.0.as_bytes());
            settings.iter().find(is_it)
        });
        let found: Vec<&str> = asked.flat_map(|(name, value)| [*name, *value]).collect();
        self.reply.array(found.len());
        for text in found {
            self.reply.bulk(Some(text.as_bytes()));
        }
        Ok(())
    }

    fn empty(&mut self) -> Done {
        self.reply.array(0);
        Ok(())
    }

    fn ok(&mut self) -> Done {
        self.reply.simple("OK");
        Ok(())
    }

    fn number(&mut self, number: usize) -> Done {
        self.reply.integer(number as i64);
        Ok(())
    }
}

/// So many milliseconds from now.
pub fn moment(ms: i64) -> Option<Instant> {
    let duration = Duration::from_millis(u64::try_from(ms).ok()?);
    Instant::now().checked_add(duration)
}

fn full(_: Full) -> Refusal {
    OUT_OF_MEMORY.into()
}

fn wrong_number(name: &str) -> Refusal {
    format!("ERR wrong number of arguments for '{name}' command")
}

pub fn bad_expiry(command: &Command) -> Refusal {
    let name = shown(&command[0]).to_ascii_lowercase();
    format!("ERR invalid expire time in '{name}' command")
}

fn unknown(command: &Command) -> Refusal {
    let mut text = format!(
        "ERR unknown command '{}', with args beginning with: ",
        shown(&command[0])
    );
    let start = text.len();
    for word in command.from(1) {
        if text.len() - start >= SHOWN_MAX {
            break;
        }
        text.push_str(&format!("'{}' ", shown(word)));
    }
    text
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]).into_owned()
}
