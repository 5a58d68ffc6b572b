//! The keys and values, in shards: each behind a mutex of its own that is held for one operation on its
//! map and never over a wait, so that a plain `std::sync::Mutex` is right also between fibers.
//!
//! A value lies behind an `Arc`: who reads it takes a reference under the lock and copies after it.
//! Keys that expire also stand in an order of their deadlines, exactly once (STORE-1), so that the
//! sweep finds what is due without looking at anything else. Whoever meets a key that is past its
//! deadline removes it, so nobody sees one, however rarely the sweep comes by.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const SHARDS: usize = 64;
/// What a key costs beside its bytes: entry, deadline, allocator; about.
const OVERHEAD: usize = 128;
/// Keys that one sweep removes under one lock.
const SWEEP_MAX: usize = 256;

/// See the head of the file.
#[derive(Debug)]
pub struct Store {
    shards: Vec<Mutex<Shard>>,
    /// Chosen by chance: nobody can send keys that all meet in one shard.
    hasher: RandomState,
    bytes: AtomicUsize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// STORE-1: one line for each entry with a deadline. The number tells equal deadlines apart.
    due: BTreeMap<(Instant, u64), Arc<[u8]>>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    value: Arc<[u8]>,
    deadline: Option<(Instant, u64)>,
}

/// The store holds as much as it may.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// What becomes of the deadline of a key that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Never,
    At(Instant),
    AsBefore,
}

/// What an update makes of a value.
pub enum Update<R> {
    /// Nothing: it stays, or stays away.
    Leave(R),
    Write(Vec<u8>, Expiry, R),
}

impl Store {
    /// An empty one that holds about so many bytes, keys and values and what they cost beside.
    pub fn new(bytes_max: usize) -> Store {
        Store {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let mut shard = self.shard(key);
        self.live(&mut shard, key).map(|entry| entry.value.clone())
    }

    /// Looks at the value of a key and writes another, with nobody in between.
    pub fn update<R>(
        &self,
        key: &[u8],
        change: impl FnOnce(Option<&[u8]>) -> Update<R>,
    ) -> Result<R, Full> {
        let mut shard = self.shard(key);
        let old = self.live(&mut shard, key);
        let old_bytes = old.map_or(0, |entry| cost(key, &entry.value));
        let old_deadline = old.and_then(|entry| entry.deadline);
        let (value, expiry, result) = match change(old.map(|entry| &*entry.value)) {
            Update::Leave(result) => return Ok(result),
            Update::Write(value, expiry, result) => (value, expiry, result),
        };
        let new_bytes = cost(key, &value);
        // Relaxed: a count, nothing is published by it. Others may add at the same time, so it may be
        // passed by what the workers write at once.
        if new_bytes > old_bytes
            && self.bytes.load(Ordering::Relaxed) + (new_bytes - old_bytes) > self.bytes_max
        {
            return Err(Full);
        }
        self.bytes.fetch_add(new_bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(old_bytes, Ordering::Relaxed);
        let value: Arc<[u8]> = value.into();
        match shard.entries.get_mut(key) {
            Some(entry) => entry.value = value,
            None => {
                let deadline = None;
                shard.entries.insert(key.into(), Entry { value, deadline });
            }
        }
        match expiry {
            Expiry::Never if old_deadline.is_none() => {}
            Expiry::Never => shard.set_deadline(key, None),
            Expiry::At(deadline) => shard.set_deadline(key, Some(deadline)),
            Expiry::AsBefore => {}
        }
        Ok(result)
    }

    /// Removes a key; whether it was there.
    pub fn remove(&self, key: &[u8]) -> bool {
        let mut shard = self.shard(key);
        self.live(&mut shard, key).is_some() && self.forget(&mut shard, key)
    }

    /// When a key expires: `None` if there is no such key, `Some(None)` if never.
    pub fn deadline(&self, key: &[u8]) -> Option<Option<Instant>> {
        let mut shard = self.shard(key);
        let entry = self.live(&mut shard, key)?;
        Some(entry.deadline.map(|(at, _)| at))
    }

    /// Sets when a key expires; the deadline before that, as `deadline` says it.
    pub fn set_deadline(&self, key: &[u8], deadline: Option<Instant>) -> Option<Option<Instant>> {
        let mut shard = self.shard(key);
        let before = self.live(&mut shard, key)?.deadline.map(|(at, _)| at);
        shard.set_deadline(key, deadline);
        Some(before)
    }

    /// How many keys there are, and how many of them expire; those that are due may still count.
    pub fn counts(&self) -> (usize, usize) {
        let counts = self.shards.iter().map(|shard| {
            let shard = lock(shard);
            (shard.entries.len(), shard.due.len())
        });
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Removes everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            // Counted and dropped after the lock: that may take long.
            let old = std::mem::take(&mut *lock(shard));
            let bytes = old
                .entries
                .iter()
                .map(|(key, entry)| cost(key, &entry.value));
            self.bytes.fetch_sub(bytes.sum(), Ordering::Relaxed);
        }
    }

    /// Removes what is due, of all shards, a few keys under each lock; `pause` is called between locks.
    pub fn sweep(&self, mut pause: impl FnMut()) {
        let now = Instant::now();
        for shard in &self.shards {
            while self.sweep_some(&mut lock(shard), now) {
                pause();
            }
        }
    }

    /// Removes what is due, up to the limit; whether the limit was reached.
    fn sweep_some(&self, shard: &mut Shard, now: Instant) -> bool {
        for _ in 0..SWEEP_MAX {
            match shard.due.first_key_value() {
                Some(((at, _), key)) if *at <= now => {
                    let key = key.clone();
                    self.forget(shard, &key);
                }
                _ => return false,
            }
        }
        true
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key);
        lock(&self.shards[hash as usize % SHARDS])
    }

    /// The entry of a key that has not expired. One that has is removed.
    fn live<'a>(&self, shard: &'a mut Shard, key: &[u8]) -> Option<&'a Entry> {
        let deadline = shard.entries.get(key)?.deadline;
        if deadline.is_some_and(|(at, _)| at <= Instant::now()) {
            self.forget(shard, key);
        }
        shard.entries.get(key)
    }

    fn forget(&self, shard: &mut Shard, key: &[u8]) -> bool {
        let Some(entry) = shard.entries.remove(key) else {
            return false;
        };
        if let Some(deadline) = entry.deadline {
            shard.due.remove(&deadline);
        }
        let bytes = cost(key, &entry.value);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        true
    }
}

impl Shard {
    fn set_deadline(&mut self, key: &[u8], deadline: Option<Instant>) {
        let Some((key, _)) = self.entries.get_key_value(key) else {
            return;
        };
        let key = key.clone();
        let new = deadline.map(|at| (at, self.next));
        self.next += 1;
        let entry = self.entries.get_mut(&key);
        let old = entry.and_then(|entry| std::mem::replace(&mut entry.deadline, new));
        if let Some(old) = old {
            self.due.remove(&old);
        }
        if let Some(new) = new {
            self.due.insert(new, key);
        }
    }
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + OVERHEAD
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chance;

    fn set(store: &Store, key: &[u8], value: &str, expiry: Expiry) -> Result<(), Full> {
        store.update(key, |_| Update::Write(value.into(), expiry, ()))
    }

    /// STORE-1, and that the bytes are those of the entries.
    fn check(store: &Store) {
        let mut bytes = 0;
        for shard in &store.shards {
            let shard = lock(shard);
            let with_deadline = (shard.entries.iter())
                .filter_map(|(key, entry)| Some((entry.deadline?, key.clone())));
            let expected: BTreeMap<_, _> = with_deadline.collect();
            assert_eq!(expected, shard.due);
            let costs = shard
                .entries
                .iter()
                .map(|(key, entry)| cost(key, &entry.value));
            bytes += costs.sum::<usize>();
        }
        assert_eq!(bytes, store.bytes());
    }

    #[test]
    fn a_write_forgets_the_deadline_or_keeps_it() {
        let store = Store::new(1 << 20);
        let at = Instant::now() + Duration::from_secs(100);
        set(&store, b"a", "1", Expiry::At(at)).unwrap();
        set(&store, b"a", "2", Expiry::AsBefore).unwrap();
        assert_eq!(store.deadline(b"a"), Some(Some(at)));
        set(&store, b"a", "3", Expiry::Never).unwrap();
        assert_eq!(store.deadline(b"a"), Some(None));
        assert_eq!(store.deadline(b"b"), None);
        check(&store);
    }

    #[test]
    fn what_is_due_is_gone_for_readers_and_for_the_sweep() {
        let store = Store::new(1 << 20);
        let past = Instant::now();
        for number in 0..1_000_u32 {
            set(&store, &number.to_be_bytes(), "x", Expiry::At(past)).unwrap();
        }
        set(&store, b"stays", "x", Expiry::Never).unwrap();
        assert_eq!(store.counts(), (1_001, 1_000));
        assert_eq!(store.get(&7_u32.to_be_bytes()), None);
        assert!(!store.remove(&8_u32.to_be_bytes()));
        assert_eq!(store.counts().0, 999);
        check(&store);
        store.sweep(|| {});
        assert_eq!(store.counts(), (1, 0));
        check(&store);
    }

    #[test]
    fn a_full_store_refuses_more_and_takes_less() {
        let store = Store::new(2 * (OVERHEAD + 11));
        set(&store, b"a", "0123456789", Expiry::Never).unwrap();
        set(&store, b"b", "0123456789", Expiry::Never).unwrap();
        assert_eq!(set(&store, b"c", "", Expiry::Never), Err(Full));
        assert_eq!(set(&store, b"a", "0123456789+", Expiry::Never), Err(Full));
        set(&store, b"a", "012345678", Expiry::Never).unwrap();
        assert!(store.remove(b"b"));
        set(&store, b"c", "", Expiry::Never).unwrap();
        check(&store);
        store.clear();
        assert_eq!((store.counts(), store.bytes()), ((0, 0), 0));
    }

    #[test]
    fn random_operations_agree_with_a_plain_map() {
        let store = Store::new(1 << 30);
        let mut model: HashMap<u8, (String, bool)> = HashMap::new();
        let later = Instant::now() + Duration::from_secs(1_000);
        for step in 0..20_000_u64 {
            let pick =
                |place: u64, below: u64| (chance::unit(7 + place, step) * below as f64) as u64;
            let key = pick(0, 40) as u8;
            let expires = pick(1, 2) == 0;
            match pick(2, 4) {
                0 => {
                    assert_eq!(store.remove(&[key]), model.remove(&key).is_some());
                }
                1 => {
                    let before = store.set_deadline(&[key], expires.then_some(later));
                    let expected = model
                        .get_mut(&key)
                        .map(|(_, now)| std::mem::replace(now, expires).then_some(later));
                    assert_eq!(before, expected);
                }
                _ => {
                    let value = step.to_string();
                    let expiry = if expires {
                        Expiry::At(later)
                    } else {
                        Expiry::Never
                    };
                    set(&store, &[key], &value, expiry).unwrap();
                    model.insert(key, (value, expires));
                }
            }
            let expected = model.get(&key).map(|(value, _)| value.as_bytes());
            assert_eq!(store.get(&[key]).as_deref(), expected);
        }
        check(&store);
        assert_eq!(store.counts().0, model.len());
    }
}
