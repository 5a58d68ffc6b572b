//! A bank: transfers between accounts, each under its own lock, and payments that wait until there is enough.

use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard, OnceLock, RwLock};
use super::thread;
use crate::common::Random;

struct Account {
    balance: Mutex<i64>,
    paid_in: Condvar,
}

struct Bank {
    accounts: Vec<Account>,
    /// Read by who transfers, written by who adds up: no transfer is under way then.
    audit: RwLock<()>,
    transfers: AtomicUsize,
}

impl Bank {
    fn new(accounts: usize, each: i64) -> Self {
        let account = |_| Account {
            balance: Mutex::new(each),
            paid_in: Condvar::new(),
        };
        Self {
            accounts: (0..accounts).map(account).collect(),
            audit: RwLock::new(()),
            transfers: AtomicUsize::new(0),
        }
    }

    /// Both locks, always in the same order.
    fn both(&self, from: usize, to: usize) -> (MutexGuard<'_, i64>, MutexGuard<'_, i64>) {
        let lock = |at: usize| self.accounts[at].balance.lock().unwrap();
        if from < to {
            let first = lock(from);
            (first, lock(to))
        } else {
            let second = lock(to);
            (lock(from), second)
        }
    }

    fn transfer(&self, from: usize, to: usize, amount: i64) -> bool {
        let _reader = self.audit.read().unwrap();
        let (mut source, mut target) = self.both(from, to);
        if *source < amount {
            return false;
        }
        *source -= amount;
        *target += amount;
        self.accounts[to].paid_in.notify_all();
        self.transfers.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Waits until there is enough.
    fn withdraw(&self, from: usize, amount: i64) {
        let account = &self.accounts[from];
        let balance = account.balance.lock().unwrap();
        let mut balance = account
            .paid_in
            .wait_while(balance, |balance| *balance < amount)
            .unwrap();
        *balance -= amount;
    }

    fn total(&self) -> i64 {
        let _writer = self.audit.write().unwrap();
        let balance = |account: &Account| *account.balance.lock().unwrap();
        self.accounts.iter().map(balance).sum()
    }
}

pub fn run() -> String {
    const ACCOUNTS: usize = 8;
    const CLERKS: usize = 6;
    let bank = Arc::new(Bank::new(ACCOUNTS, 1000));
    let opening = Arc::new((Barrier::new(CLERKS), OnceLock::new()));
    let clerks: Vec<_> = (0..CLERKS)
        .map(|clerk| {
            let (bank, opening) = (Arc::clone(&bank), Arc::clone(&opening));
            thread::spawn(move || {
                let mut random = Random::of(clerk as u64);
                if opening.0.wait().is_leader() {
                    opening.1.set("open").unwrap();
                }
                assert_eq!(*opening.1.wait(), "open");
                for round in 0..200 {
                    let from = random.below(ACCOUNTS as u64) as usize;
                    let to = (from + 1 + random.below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
                    bank.transfer(from, to, random.below(400) as i64);
                    if round % 40 == 0 {
                        assert_eq!(bank.total(), 1000 * ACCOUNTS as i64);
                    }
                }
            })
        })
        .collect();
    for clerk in clerks {
        clerk.join().unwrap();
    }
    assert!(bank.transfers.load(Ordering::Relaxed) > 100);
    // Three who want all there is from one account, filled up by the others.
    let payers: Vec<_> = (0..3)
        .map(|_| {
            let bank = Arc::clone(&bank);
            thread::spawn(move || bank.withdraw(0, 2000))
        })
        .collect();
    let mut random = Random::of(77);
    while bank.total() > 1000 * ACCOUNTS as i64 - 6000 {
        for from in 1..ACCOUNTS {
            bank.transfer(from, 0, 1 + random.below(200) as i64);
            bank.transfer(from, 0, 1);
        }
        thread::yield_now();
    }
    for payer in payers {
        payer.join().unwrap();
    }
    format!("{} left", bank.total())
}
