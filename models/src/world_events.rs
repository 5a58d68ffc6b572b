//! Models of what is waited for and is no lock: condition variables, once, events, notifications, semaphores; with
//! their waits. Included into each variant.

use super::condvar::Condvar;
use super::event::Event;
use super::mutex::Mutex;
use super::notify::Notify;
use super::once::Once;
use super::semaphore::Semaphore;
use crate::fiber::header::{self, Patience};
use crate::wait::cancel::{Unwind, until_unwound};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

/// The time is the models'.
const WHILE: Duration = Duration::ZERO;

/// What is waited for, with what was written before.
struct Stage<W> {
    what: W,
    written: UnsafeCell<u32>,
}

// SAFETY: the cell is loom's, which checks every access.
unsafe impl<W: Sync> Sync for Stage<W> {}
// SAFETY: as above.
unsafe impl<W: Send> Send for Stage<W> {}

impl<W: 'static> Stage<W> {
    /// Begins a run.
    fn new(what: impl FnOnce() -> W) -> Arc<Self> {
        header::begin();
        Arc::new(Self {
            what: what(),
            written: UnsafeCell::new(0),
        })
    }

    fn write(&self) {
        // SAFETY: checked by loom.
        self.written.with_mut(|written| unsafe { *written += 1 });
    }

    fn read(&self) -> u32 {
        // SAFETY: checked by loom.
        self.written.with(|written| unsafe { *written })
    }

    /// In a thread of its own, which is a fiber of that patience.
    fn elsewhere<R: 'static>(
        this: &Arc<Self>,
        patience: Patience,
        f: impl FnOnce(&Self) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let this = this.clone();
        thread::spawn(move || {
            header::i_am(patience);
            f(&this)
        })
    }
}

/// Tokens, and who wants one.
type Tokens = Stage<(Mutex<u32>, Condvar)>;

fn tokens() -> Arc<Tokens> {
    Stage::new(|| (Mutex::new(0), Condvar::new()))
}

impl Tokens {
    fn give(&self, all: bool) {
        *self.what.0.lock().unwrap() += 1;
        if all {
            self.what.1.notify_all();
        } else {
            self.what.1.notify_one();
        }
    }

    fn wait_for_some(&self) -> u32 {
        let guard = self.what.0.lock().unwrap();
        *self.what.1.wait_while(guard, |tokens| *tokens == 0).unwrap()
    }

    /// One notification at the most.
    fn take_soon(&self) -> bool {
        let guard = self.what.0.lock().unwrap();
        let (mut guard, _) = self.what.1.wait_timeout(guard, WHILE).unwrap();
        let some = *guard > 0;
        *guard -= u32::from(some);
        some
    }

    fn take(&self) {
        let guard = self.what.0.lock().unwrap();
        *self.what.1.wait_while(guard, |tokens| *tokens == 0).unwrap() -= 1;
    }
}

/// A notification comes between the unlocking and the sleep, or before, or after (CONDVAR-1).
pub(crate) fn a_notification_is_not_lost() {
    let tokens = tokens();
    let waiter = Stage::elsewhere(&tokens, Patience::Endless, |this| {
        this.wait_for_some();
        this.read()
    });
    tokens.write();
    tokens.give(false);
    assert_eq!(waiter.join().unwrap(), 1);
}

/// All who wait are told.
pub(crate) fn all_are_notified() {
    let tokens = tokens();
    let waiters = [(); 2].map(|()| Stage::elsewhere(&tokens, Patience::Endless, Tokens::wait_for_some));
    tokens.give(true);
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 1);
    }
}

/// One of two gives up as the notification comes: it belongs to one of them (CONDVAR-2).
pub(crate) fn a_notification_is_not_wasted() {
    let tokens = tokens();
    let hasty = Stage::elsewhere(&tokens, Patience::Endless, Tokens::take_soon);
    let patient = Stage::elsewhere(&tokens, Patience::Endless, Tokens::take);
    tokens.give(false);
    if hasty.join().unwrap() {
        tokens.give(false);
    }
    patient.join().unwrap();
}

/// One of two is cancelled as the notification comes; it passes on what it got.
pub(crate) fn a_notification_meets_a_cancelled_one() {
    let tokens = tokens();
    let cancelled = Stage::elsewhere(&tokens, Patience::Cancelled, |this| {
        until_unwound(|| {
            let guard = this.what.0.lock().unwrap();
            drop(this.what.1.wait(guard).unwrap());
            this.what.1.notify_one();
        })
    });
    let patient = Stage::elsewhere(&tokens, Patience::Endless, Tokens::take);
    tokens.give(false);
    patient.join().unwrap();
    let _ = cancelled.join().unwrap();
}

/// Three want to do it: one does, all see it (ONCE-1).
pub(crate) fn it_is_done_once() {
    let once = Stage::new(Once::new);
    let others = [(); 2].map(|()| {
        Stage::elsewhere(&once, Patience::Endless, |this| {
            this.what.call_once(|| this.write());
            this.read()
        })
    });
    once.what.call_once(|| once.write());
    assert_eq!(once.read(), 1);
    for other in others {
        assert_eq!(other.join().unwrap(), 1);
    }
}

/// Who has begun is cancelled while another waits: that one goes on when it is done after all.
pub(crate) fn who_began_is_cancelled() {
    let once = Stage::new(Once::new);
    let mut waiter = None;
    let done = until_unwound(|| {
        once.what.call_once(|| {
            waiter = Some(Stage::elsewhere(&once, Patience::Endless, |this| {
                this.what.wait();
                this.read()
            }));
            Unwind::Cancelled.unwind()
        });
    });
    assert_eq!(done, None);
    once.what.call_once(|| once.write());
    assert_eq!(waiter.unwrap().join().unwrap(), 1);
}

/// An event is set while two come to wait for it (EVENT-1).
pub(crate) fn all_hear_of_the_event() {
    let event = Stage::new(Event::new);
    let waiters = [(); 2].map(|()| {
        Stage::elsewhere(&event, Patience::Endless, |this| {
            this.what.wait();
            this.read()
        })
    });
    event.write();
    event.what.set();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 1);
    }
}

/// It is reset at once, and set by somebody else: who gives up meanwhile takes nothing from the other.
pub(crate) fn an_event_is_set_again() {
    let event = Stage::new(Event::new);
    let hasty = Stage::elsewhere(&event, Patience::Endless, |this| {
        this.what.wait_timeout(WHILE)
    });
    let patient = Stage::elsewhere(&event, Patience::Endless, |this| this.what.wait());
    event.what.set();
    event.what.reset();
    event.what.set();
    patient.join().unwrap();
    let _ = hasty.join().unwrap();
}

/// A notification comes while one gives up and another waits: one of them has it.
pub(crate) fn a_kept_notification_is_taken_once() {
    let notify = Stage::new(Notify::new);
    let hasty = Stage::elsewhere(&notify, Patience::Endless, |this| {
        this.what.wait_timeout(WHILE)
    });
    let patient = Stage::elsewhere(&notify, Patience::Endless, |this| {
        this.what.wait();
        this.read()
    });
    notify.write();
    notify.what.notify_one();
    if hasty.join().unwrap() {
        notify.what.notify_one();
    }
    assert_eq!(patient.join().unwrap(), 1);
    assert!(!notify.what.wait_timeout(WHILE), "it was there twice");
}

fn permits(count: usize) -> Arc<Stage<Semaphore>> {
    Stage::new(|| Semaphore::new(count))
}

/// One permit, three who want it (SEM-2).
pub(crate) fn one_permit_goes_round() {
    let semaphore = permits(1);
    let work = |this: &Stage<Semaphore>| {
        let _permit = this.what.acquire().unwrap();
        this.write();
    };
    let others = [(); 2].map(|()| Stage::elsewhere(&semaphore, Patience::Endless, work));
    work(&semaphore);
    for other in others {
        other.join().unwrap();
    }
    let _permit = semaphore.what.try_acquire().unwrap();
    assert_eq!((semaphore.read(), semaphore.what.available_permits()), (3, 0));
}

/// One that wants more than there is leaves the line: who waited behind it only goes on (SEM-2, SEM-3).
fn one_leaves(patience: Patience) {
    let semaphore = permits(2);
    let held = semaphore.what.acquire().unwrap();
    let greedy = Stage::elsewhere(&semaphore, patience, |this| {
        until_unwound(|| drop(this.what.acquire_many_timeout(2, WHILE).ok()))
    });
    let modest = Stage::elsewhere(&semaphore, Patience::Endless, |this| {
        drop(this.what.acquire().unwrap());
    });
    modest.join().unwrap();
    let _ = greedy.join().unwrap();
    drop(held);
    assert_eq!(semaphore.what.available_permits(), 2);
    assert!(semaphore.what.try_acquire_many(2).is_ok(), "something is left in the word");
}

pub(crate) fn who_gives_up_lets_the_next_one_go_on() {
    one_leaves(Patience::Endless);
}

pub(crate) fn who_is_cancelled_lets_the_next_one_go_on() {
    one_leaves(Patience::Cancelled);
}

/// Permits are given back as one who waits for them gives up: it has them, or they are there (SEM-3).
pub(crate) fn permits_meet_one_who_gives_up() {
    let semaphore = permits(1);
    let held = semaphore.what.acquire().unwrap();
    let hasty = Stage::elsewhere(&semaphore, Patience::Endless, |this| {
        drop(this.what.acquire_timeout(WHILE));
    });
    drop(held);
    hasty.join().unwrap();
    assert!(semaphore.what.try_acquire().is_ok(), "a permit was lost");
}

/// It is closed while one waits, and one comes: both are told.
pub(crate) fn all_hear_of_the_close() {
    let semaphore = permits(0);
    let waiters = [(); 2].map(|()| {
        Stage::elsewhere(&semaphore, Patience::Endless, |this| this.what.acquire().is_err())
    });
    semaphore.what.close();
    for waiter in waiters {
        assert!(waiter.join().unwrap());
    }
}
