//! What is held or owed when its holder is cancelled, or out of time: locks are released, permits go to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use fibers::testing;
use fibers::time::{sleep, timeout};
use fibers::wait::WaitQueue;

use crate::{all, perhaps_yield, us};

/// A lock as one would build it: a fiber that is cancelled while it waits, or while it holds it, leaves it usable.
#[derive(Default)]
struct Lock {
    held: AtomicBool,
    queue: WaitQueue,
}

struct Held(Arc<Lock>);

impl Lock {
    fn lock(this: &Arc<Self>) -> Held {
        while this.held.swap(true, SeqCst) {
            this.queue.wait_until(|| !this.held.load(SeqCst));
        }
        Held(Arc::clone(this))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.store(false, SeqCst);
        self.0.queue.wake_one();
    }
}

#[test]
fn a_lock_outlives_those_who_are_cancelled_with_it() {
    all(|| {
        let lock = Arc::new(Lock::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let spawn = |rounds: usize| {
            let (lock, inside) = (Arc::clone(&lock), Arc::clone(&inside));
            fibers::spawn(move || {
                for _ in 0..rounds {
                    struct Leaves(Arc<AtomicUsize>);
                    impl Drop for Leaves {
                        fn drop(&mut self) {
                            self.0.fetch_sub(1, SeqCst);
                        }
                    }
                    let locked = || {
                        let _held = Lock::lock(&lock);
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two hold it");
                        let _leaves = Leaves(Arc::clone(&inside));
                        perhaps_yield();
                        sleep(us(testing::random(20)));
                    };
                    if testing::random(2) == 0 {
                        let _ = timeout(us(testing::random(60)), locked);
                    } else {
                        locked();
                    }
                }
            })
        };
        let steady: Vec<_> = (0..2).map(|_| spawn(5)).collect();
        let victims: Vec<_> = (0..4).map(|_| spawn(20)).collect();
        for victim in &victims {
            sleep(us(testing::random(60)));
            victim.cancel().unwrap();
        }
        victims.into_iter().for_each(|victim| drop(victim.join()));
        steady.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert!(!lock.held.load(SeqCst) && lock.queue.is_empty());
        drop(Lock::lock(&lock));
    });
}

/// A semaphore, some of whose waiters give up: by a time of their own, by a deadline, cancelled. Permits are
/// conserved, and the one waiter that never gives up gets one.
#[test]
fn permits_are_conserved_whoever_gives_up() {
    #[derive(Default)]
    struct Permits(AtomicUsize, WaitQueue);
    impl Permits {
        fn try_take(&self) -> bool {
            let less = |free: usize| free.checked_sub(1);
            self.0.fetch_update(SeqCst, SeqCst, less).is_ok()
        }
        fn give(&self) {
            self.0.fetch_add(1, SeqCst);
            self.1.wake_one();
        }
    }
    struct Taken(Arc<Permits>);
    impl Drop for Taken {
        fn drop(&mut self) {
            self.0.give();
        }
    }
    fn take(permits: &Arc<Permits>, time: Option<std::time::Duration>) -> Option<Taken> {
        loop {
            if permits.try_take() {
                return Some(Taken(Arc::clone(permits)));
            }
            let free = || permits.0.load(SeqCst) > 0;
            match time {
                Some(time) if !permits.1.wait_timeout(time, free) => return None,
                Some(_) => {}
                None => permits.1.wait_until(free),
            }
        }
    }
    all(|| {
        let permits = Arc::new(Permits::default());
        let total = 1 + testing::random(2);
        let waiters: Vec<_> = (0..6)
            .map(|_| {
                let permits = Arc::clone(&permits);
                fibers::spawn(move || {
                    for _ in 0..2 {
                        let time = us(testing::random(60));
                        let taken = match testing::random(3) {
                            0 => take(&permits, Some(time)),
                            1 => timeout(time, || take(&permits, None)).unwrap_or(None),
                            _ => take(&permits, None),
                        };
                        if taken.is_some() {
                            sleep(us(testing::random(20)));
                        }
                    }
                })
            })
            .collect();
        let steady = fibers::spawn({
            let permits = Arc::clone(&permits);
            move || drop(take(&permits, None).expect("without a limit"))
        });
        let givers = (0..total).map(|_| {
            let permits = Arc::clone(&permits);
            fibers::spawn(move || {
                sleep(us(testing::random(60)));
                permits.give();
            })
        });
        let givers: Vec<_> = givers.collect();
        for waiter in &waiters[..4] {
            sleep(us(testing::random(30)));
            waiter.cancel().unwrap();
        }
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        steady.join().unwrap();
        for (n, waiter) in waiters.into_iter().enumerate() {
            let end = waiter.join();
            assert!(n < 4 || end.is_ok());
        }
        assert_eq!(permits.0.load(SeqCst), total);
        assert!(permits.1.is_empty());
    });
}
