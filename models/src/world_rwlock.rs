//! Models of the reader-writer lock, with the slow path that waits for it. Included into each variant, after
//! `world_mutex.rs`.

use super::rwlock::RwLock;
use super::rwlock_guards::RwLockWriteGuard;
use crate::wait::cancel::until_unwound;
use loom::sync::atomic::AtomicU32;
use std::time::Duration;

/// What a lock guards: readers look at it, writers count.
struct Book {
    lock: RwLock<()>,
    written: UnsafeCell<u32>,
    /// How many readers are inside, or were.
    readers: AtomicU32,
}

// SAFETY: the cell is loom's, which checks every access.
unsafe impl Sync for Book {}
// SAFETY: as above.
unsafe impl Send for Book {}

/// As `Ask`; the time is the models'.
const WHILE: Duration = Duration::ZERO;

impl Book {
    fn new() -> Arc<Self> {
        header::begin();
        Arc::new(Self {
            lock: RwLock::new(()),
            written: UnsafeCell::new(0),
            readers: AtomicU32::new(0),
        })
    }

    fn write_in(&self) {
        // SAFETY: checked by loom.
        self.written.with_mut(|written| unsafe { *written += 1 });
    }

    fn look(&self) -> u32 {
        // SAFETY: checked by loom.
        self.written.with(|written| unsafe { *written })
    }

    /// In a thread of its own; how often it wrote.
    fn writer(this: &Arc<Self>, patience: Patience, ask: Ask) -> thread::JoinHandle<u32> {
        let this = this.clone();
        thread::spawn(move || {
            header::i_am(patience);
            let guard = match ask {
                Ask::Lock => this.lock.write().ok(),
                Ask::Timed => this.lock.write_timeout(WHILE).ok(),
                Ask::Interruptible => {
                    until_unwound(|| this.lock.write_interruptible()).map(Result::unwrap)
                }
            };
            if guard.is_none() {
                return 0;
            }
            this.write_in();
            1
        })
    }

    fn reader(this: &Arc<Self>, patience: Patience) -> thread::JoinHandle<()> {
        let this = this.clone();
        thread::spawn(move || {
            header::i_am(patience);
            let _guard = this.lock.read().unwrap();
            this.look();
        })
    }

    /// It stays inside until another one is there, too.
    fn reader_in_company(this: &Arc<Self>) -> thread::JoinHandle<()> {
        let this = this.clone();
        thread::spawn(move || {
            header::i_am(Patience::Endless);
            let _guard = this.lock.read().unwrap();
            this.readers.fetch_add(1, Ordering::AcqRel);
            while this.readers.load(Ordering::Acquire) < 2 {
                thread::yield_now();
            }
            this.look();
        })
    }

    fn end(&self, expected: u32) {
        assert!(self.lock.try_write().is_ok(), "something is left in the word");
        assert_eq!(self.look(), expected);
    }
}

/// A writer holds it; a reader and a writer come, and the first writer perhaps comes back as a reader (RWLOCK-1).
fn a_writer_and_others(reader: Patience, comes_back: bool) {
    let book = Book::new();
    let guard = book.lock.write().unwrap();
    let writer = Book::writer(&book, Patience::Endless, Ask::Lock);
    let reader = Book::reader(&book, reader);
    book.write_in();
    drop(guard);
    if comes_back {
        let _guard = book.lock.read().unwrap();
        book.look();
    }
    reader.join().unwrap();
    writer.join().unwrap();
    book.end(2);
}

pub(crate) fn readers_and_writers_exclude_each_other() {
    a_writer_and_others(Patience::Endless, true);
}

/// It starves as the writer before it is woken (RWLOCK-3).
pub(crate) fn a_starved_reader_is_let_in() {
    a_writer_and_others(Patience::Starves, false);
}

/// A reader holds it: a writer comes, which starves, and another reader.
pub(crate) fn a_starved_writer_is_let_in() {
    let book = Book::new();
    let guard = book.lock.read().unwrap();
    let writer = Book::writer(&book, Patience::Starves, Ask::Lock);
    let reader = Book::reader(&book, Patience::Endless);
    book.look();
    drop(guard);
    writer.join().unwrap();
    reader.join().unwrap();
    book.end(1);
}

/// Two readers wait for a writer: both are in as soon as it is gone (RWLOCK-2).
pub(crate) fn readers_are_let_in_together() {
    let book = Book::new();
    let guard = book.lock.write().unwrap();
    let readers = [Book::reader_in_company(&book), Book::reader_in_company(&book)];
    book.write_in();
    drop(guard);
    for reader in readers {
        reader.join().unwrap();
    }
    book.end(1);
}

/// So, too, if it goes on as a reader.
pub(crate) fn a_downgrade_lets_readers_in() {
    let book = Book::new();
    let guard = book.lock.write().unwrap();
    let readers = [Patience::Endless, Patience::Starves].map(|patience| Book::reader(&book, patience));
    book.write_in();
    let guard = RwLockWriteGuard::downgrade(guard);
    for reader in readers {
        reader.join().unwrap();
    }
    drop(guard);
    book.end(1);
}

/// But no writer.
pub(crate) fn a_downgrade_keeps_writers_out() {
    let book = Book::new();
    let guard = book.lock.write().unwrap();
    let writer = Book::writer(&book, Patience::Endless, Ask::Lock);
    book.write_in();
    let guard = RwLockWriteGuard::downgrade(guard);
    book.look();
    drop(guard);
    writer.join().unwrap();
    book.end(2);
}

/// A reader holds it all the time. A reader that waits only because of a starved writer gets in when that one leaves
/// the line (RWLOCK-2).
fn a_writer_leaves(patience: Patience, ask: Ask) {
    let book = Book::new();
    let guard = book.lock.read().unwrap();
    let writer = Book::writer(&book, patience, ask);
    let reader = Book::reader(&book, Patience::Endless);
    reader.join().unwrap();
    assert_eq!(writer.join().unwrap(), 0);
    drop(guard);
    book.end(0);
}

pub(crate) fn who_waited_for_a_writer_that_gave_up_is_let_in() {
    a_writer_leaves(Patience::Starves, Ask::Timed);
}

pub(crate) fn who_waited_for_a_writer_that_was_cancelled_is_let_in() {
    a_writer_leaves(Patience::StarvesThenCancelled, Ask::Interruptible);
}

/// A writer that was woken, or is about to be, gives up; the other one is not stranded (RWLOCK-4).
fn a_woken_writer_leaves(patience: Patience, ask: Ask) {
    let book = Book::new();
    let guard = book.lock.write().unwrap();
    let hasty = Book::writer(&book, patience, ask);
    let other = Book::writer(&book, Patience::Endless, Ask::Lock);
    book.write_in();
    drop(guard);
    let written = hasty.join().unwrap() + other.join().unwrap();
    book.end(1 + written);
}

pub(crate) fn a_writer_that_gives_up_strands_nobody() {
    a_woken_writer_leaves(Patience::Endless, Ask::Timed);
}

pub(crate) fn a_writer_that_is_cancelled_strands_nobody() {
    a_woken_writer_leaves(Patience::Cancelled, Ask::Interruptible);
}
