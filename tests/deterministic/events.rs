//! Barriers, once, events, notifications, semaphores; fairness; and what is left of channels and selections when one
//! side goes, or a message does not come. As `sync.rs`: everybody comes to an end, whoever is cancelled meanwhile.
//!
//! A million runs: `DETERMINISTIC_SEEDS=12000 cargo test --release --test deterministic events::`

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use fibers::channel::{self, select};
use fibers::sync::{Barrier, Event, Mutex, Notify, Once, OnceLock, Semaphore, WaitGroup};
use fibers::time::{Instant, sleep, timeout};
use fibers::{JoinHandle, testing};

use crate::sync::{Books, some_time, with_cancels};
use crate::{Counted, HOUR, LATE, all, perhaps_yield, us};

/// So many fibers do that, each with its number.
fn crew(count: usize, f: impl Fn(usize) + Clone + Send + 'static) -> Vec<JoinHandle<()>> {
    (0..count)
        .map(|id| {
            let f = f.clone();
            fibers::spawn(move || f(id))
        })
        .collect()
}

/// One that is cancelled has not arrived: somebody else goes on in its place.
#[test]
fn a_barrier_lets_all_go_at_once() {
    const ROUNDS: usize = 3;
    all(|| {
        let size = 1 + testing::random(4);
        let barrier = Arc::new(Barrier::new(size));
        let (arrived, leaders) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let done: Arc<[AtomicUsize]> = (0..size).map(|_| AtomicUsize::new(0)).collect();
        let take_part = {
            let (arrived, leaders, done) = (arrived, Arc::clone(&leaders), Arc::clone(&done));
            move |id: usize| {
                /// Takes back an arrival that was none.
                struct Arrival<'a>(&'a AtomicUsize, bool);
                impl Drop for Arrival<'_> {
                    fn drop(&mut self) {
                        if !self.1 {
                            self.0.fetch_sub(1, SeqCst);
                        }
                    }
                }
                while done[id].load(SeqCst) < ROUNDS {
                    arrived.fetch_add(1, SeqCst);
                    let mut arrival = Arrival(&arrived, false);
                    let led = barrier.wait().is_leader();
                    arrival.1 = true;
                    let round = done[id].fetch_add(1, SeqCst) + 1;
                    assert!(arrived.load(SeqCst) >= round * size, "some are missing");
                    leaders.fetch_add(usize::from(led), SeqCst);
                    some_time();
                }
            }
        };
        let fibers = crew(size, take_part.clone());
        let ids: Vec<_> = fibers
            .iter()
            .enumerate()
            .filter(|_| testing::random(3) == 0)
            .map(|(id, fiber)| {
                some_time();
                fiber.cancel().unwrap();
                id
            })
            .collect();
        // Who takes a place waits until the one before has left it.
        let mut fibers: Vec<_> = fibers.into_iter().map(Some).collect();
        let spare: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let before = fibers[id].take().expect("each once");
                let take_part = take_part.clone();
                fibers::spawn(move || {
                    drop(before.join());
                    take_part(id);
                })
            })
            .collect();
        for fiber in fibers.into_iter().flatten().chain(spare) {
            fiber.join().unwrap();
        }
        assert_eq!(leaders.load(SeqCst), ROUNDS, "one a round");
        assert!(done.iter().all(|rounds| rounds.load(SeqCst) == ROUNDS));
    });
}

#[test]
fn it_is_done_once_whoever_gives_up() {
    all(|| {
        let once = Arc::new((Once::new(), OnceLock::new()));
        let done = Arc::new(AtomicUsize::new(0));
        let busy = Arc::new(AtomicBool::new(false));
        let fibers = {
            let (once, done) = (Arc::clone(&once), Arc::clone(&done));
            crew(4, move |id| {
                /// Also by an unwind.
                struct Busy<'a>(&'a AtomicBool);
                impl Drop for Busy<'_> {
                    fn drop(&mut self) {
                        self.0.store(false, SeqCst);
                    }
                }
                let work = || {
                    assert!(!busy.swap(true, SeqCst), "two at a time");
                    let _busy = Busy(&busy);
                    some_time();
                    done.fetch_add(1, SeqCst);
                };
                let limit = us(testing::random(1500));
                let called = match testing::random(3) {
                    0 => timeout(limit, || once.0.call_once(work)).is_ok(),
                    1 => timeout(limit, || once.0.wait()).is_ok(),
                    _ => {
                        once.0.call_once(work);
                        true
                    }
                };
                assert!(
                    !called || done.load(SeqCst) == 1,
                    "not done when it returned"
                );
                let value = once.1.get_or_init(|| {
                    some_time();
                    id
                });
                assert_eq!(once.1.get(), Some(value));
            })
        };
        // Those that only wait need one that does it.
        some_time();
        once.0.call_once(|| {
            done.fetch_add(1, SeqCst);
        });
        with_cancels(fibers, 0);
        assert_eq!(done.load(SeqCst), 1);
    });
}

#[test]
fn an_event_lets_all_go_that_waited() {
    all(|| {
        let event = Arc::new(Event::new());
        let told = Arc::new(AtomicBool::new(false));
        let waiters = {
            let (event, told) = (Arc::clone(&event), Arc::clone(&told));
            crew(5, move |_| {
                for _ in 0..3 {
                    let limit = us(testing::random(1500));
                    let heard = match testing::random(3) {
                        0 => event.wait_timeout(limit),
                        1 => timeout(limit, || event.wait()).is_ok(),
                        _ => {
                            event.wait();
                            true
                        }
                    };
                    assert!(!heard || told.load(SeqCst), "before anything happened");
                    some_time();
                }
            })
        };
        for _ in 0..testing::random(4) {
            some_time();
            told.store(true, SeqCst);
            event.set();
            perhaps_yield();
            event.reset();
        }
        some_time();
        told.store(true, SeqCst);
        event.set();
        with_cancels(waiters, 0);
    });
}

/// A queue of work, and those who are told that there is some.
#[test]
fn notified_workers_leave_nothing_undone() {
    #[derive(Default)]
    struct Work {
        queue: std::sync::Mutex<VecDeque<usize>>,
        over: AtomicBool,
        done: AtomicUsize,
        notify: Notify,
    }
    all(|| {
        let work = Arc::new(Work::default());
        let workers = {
            let work = Arc::clone(&work);
            crew(1 + testing::random(3), move |id| {
                loop {
                    // Until there is nothing: several notifications may have come as one.
                    loop {
                        let item = work.queue.lock().unwrap().pop_front();
                        let Some(item) = item else { break };
                        work.done.fetch_add(item, SeqCst);
                        fibers::shield(perhaps_yield);
                    }
                    // What comes now finds nobody waiting, and is kept.
                    fibers::shield(perhaps_yield);
                    if work.over.load(SeqCst) {
                        return;
                    }
                    let limit = us(testing::random(1000));
                    // The first one waits for nothing else.
                    match if id == 0 { 2 } else { testing::random(4) } {
                        0 => drop(work.notify.wait_timeout(limit)),
                        1 => drop(timeout(limit, || work.notify.wait())),
                        _ => work.notify.wait(),
                    }
                }
            })
        };
        let givers = {
            let work = Arc::clone(&work);
            crew(2, move |_| {
                for item in 1..=5 {
                    work.queue.lock().unwrap().push_back(item);
                    work.notify.notify_one();
                    some_time();
                }
            })
        };
        for worker in &workers[1..] {
            if testing::random(3) == 0 {
                some_time();
                worker.cancel().unwrap();
            }
        }
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        let start = Instant::now();
        while work.done.load(SeqCst) < 30 {
            assert!(start.elapsed() < HOUR, "a notification was lost");
            sleep(us(1000));
        }
        work.over.store(true, SeqCst);
        work.notify.notify_waiters();
        // One that comes late finds it kept.
        work.notify.notify_one();
        for (id, worker) in workers.into_iter().enumerate() {
            let end = worker.join();
            assert!(id > 0 || end.is_ok());
        }
        assert_eq!(work.done.load(SeqCst), 30);
    });
}

#[test]
fn a_wait_group_waits_for_all_its_members() {
    all(|| {
        let ended = Arc::new(AtomicUsize::new(0));
        let group = WaitGroup::new();
        let members: Vec<_> = (0..4)
            .map(|_| {
                let (group, counted) = (group.clone(), Counted(Arc::clone(&ended)));
                fibers::spawn(move || {
                    // Dropped in this order, also by an unwind.
                    let (_group, _counted) = (group, counted);
                    some_time();
                    sleep(us(testing::random(1000)));
                })
            })
            .collect();
        let waiter = {
            let (group, ended) = (group.clone(), Arc::clone(&ended));
            fibers::spawn(move || {
                group.wait();
                assert_eq!(ended.load(SeqCst), 4, "it did not wait for all");
            })
        };
        drop(group);
        with_cancels(members, 0);
        waiter.join().unwrap();
    });
}

/// One permit: who waits for it gets it in the order of coming, whoever gives up meanwhile; and tries get none.
#[test]
fn nobody_overtakes_at_a_semaphore() {
    all(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let (tickets, last) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
        let waiting = Arc::new(AtomicUsize::new(0));
        let fibers = {
            let semaphore = Arc::clone(&semaphore);
            crew(5, move |_| {
                for _ in 0..3 {
                    if testing::random(4) == 0 {
                        let line = waiting.load(SeqCst);
                        let permit = semaphore.try_acquire();
                        assert!(permit.is_err() || line == 0, "past those who wait");
                        continue;
                    }
                    // Nothing comes between the ticket and the line.
                    let ticket = tickets.fetch_add(1, SeqCst);
                    waiting.fetch_add(1, SeqCst);
                    let limit = us(testing::random(2500));
                    let got = catch_unwind(AssertUnwindSafe(|| match testing::random(3) {
                        0 => semaphore.acquire_timeout(limit).ok(),
                        1 => timeout(limit, || semaphore.acquire().unwrap()).ok(),
                        _ => semaphore.acquire().ok(),
                    }));
                    waiting.fetch_sub(1, SeqCst);
                    let Ok(permit) = got else { return };
                    if permit.is_some() {
                        let before = last.swap(ticket, SeqCst);
                        assert!(before < ticket, "{ticket} after {before}");
                        fibers::shield(some_time);
                    }
                    drop(permit);
                    fibers::shield(some_time);
                }
            })
        };
        with_cancels(fibers, 0);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// Who wants more than there is keeps those behind it waiting, and is not kept waiting itself; gone, it keeps nobody.
#[test]
fn who_wants_much_at_a_semaphore_is_served() {
    all(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let over = Arc::new(AtomicBool::new(false));
        let modest = {
            let (semaphore, over) = (Arc::clone(&semaphore), Arc::clone(&over));
            crew(3, move |_| {
                while !over.load(SeqCst) {
                    let _permit = semaphore.acquire().unwrap();
                    sleep(us(200 + testing::random(400)));
                }
            })
        };
        sleep(us(testing::random(1000)));
        let start = Instant::now();
        drop(semaphore.acquire_many(2).unwrap());
        let waited = start.elapsed();
        over.store(true, SeqCst);
        assert!(waited < LATE, "it waited for {waited:?}");
        modest.into_iter().for_each(|fiber| fiber.join().unwrap());
        // Held until somebody else has had one, too; and two are never there.
        let held = semaphore.acquire().unwrap();
        let greedy = {
            let semaphore = Arc::clone(&semaphore);
            crew(1, move |_| {
                let limit = us(testing::random(1500));
                let got = match testing::random(2) {
                    0 => semaphore.acquire_many_timeout(2, limit).is_ok(),
                    _ => timeout(limit, || semaphore.acquire_many(2).is_ok()).is_ok(),
                };
                assert!(!got, "more than there are");
            })
        };
        let behind = {
            let semaphore = Arc::clone(&semaphore);
            fibers::spawn(move || {
                some_time();
                drop(semaphore.acquire().unwrap());
            })
        };
        behind.join().unwrap();
        with_cancels(greedy, 0);
        drop(held);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

/// One that takes the lock again and again, at once, keeps nobody else out for long.
#[test]
fn a_mutex_that_is_taken_again_and_again_is_handed_over() {
    all(|| {
        let lock = Arc::new(Mutex::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let hogs = {
            let (lock, over) = (Arc::clone(&lock), Arc::clone(&over));
            crew(1 + testing::random(2), move |_| {
                while !over.load(SeqCst) {
                    let mut count = lock.lock().unwrap();
                    *count += 1;
                    sleep(us(200 + testing::random(1000)));
                }
            })
        };
        sleep(us(500));
        let before = Instant::now();
        let fair = Arc::clone(&lock);
        let guard = match testing::random(2) {
            0 => fair.lock().unwrap(),
            _ => fair.lock_interruptible().unwrap(),
        };
        let waited = before.elapsed();
        // A millisecond, then those before it in the line.
        assert!(waited < LATE, "it waited for {waited:?}");
        over.store(true, SeqCst);
        drop(guard);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

/// The receivers go, one after the other: each message was received, came back, or was dropped with the channel; and
/// no sender is left waiting.
#[test]
fn a_channel_that_the_receivers_leave() {
    all(|| {
        let books = Arc::new(Books::default());
        let (to, from) = channel::bounded(testing::random(3));
        let receivers: Vec<_> = (0..1 + testing::random(2))
            .map(|_| {
                let (books, from) = (Arc::clone(&books), from.clone());
                fibers::spawn(move || {
                    let mut last = vec![None; 3];
                    for _ in 0..testing::random(6) {
                        match from.recv_timeout(us(testing::random(1200))) {
                            Ok(message) => books.received(&message, &mut last),
                            Err(error) if error.is_timeout() => {}
                            Err(_) => return,
                        }
                        some_time();
                    }
                })
            })
            .collect();
        drop(from);
        let senders = {
            let books = Arc::clone(&books);
            crew(3, move |id| {
                for number in 0..4 {
                    let message = books.make(id, number);
                    let sent = match testing::random(3) {
                        0 => to.send(message).map_err(|error| error.0),
                        1 => to.try_send(message).map_err(|error| error.into_inner()),
                        _ => select! {
                            send(to, message) -> sent => sent.map_err(|error| error.0),
                            default(us(testing::random(1200))) => Ok(()),
                        },
                    };
                    if let Err(back) = sent {
                        assert_eq!((back.producer, back.number), (id, number));
                    }
                    some_time();
                }
            })
        };
        with_cancels(receivers.into_iter().chain(senders).collect(), 0);
        assert_eq!(books.made.load(SeqCst), books.dropped.load(SeqCst), "drops");
    });
}

/// Selected sends whose messages take their time, and do not always come.
#[test]
fn messages_that_do_not_come_strand_nobody() {
    all(|| {
        let books = Arc::new(Books::default());
        let capacity = testing::random(3);
        let ends: Arc<[_]> = (0..2).map(|_| channel::bounded(capacity)).collect();
        let stop = channel::bounded::<()>(0);
        let receivers = {
            let (books, ends, stop) = (Arc::clone(&books), Arc::clone(&ends), stop.1.clone());
            crew(2, move |id| {
                let mut last = [vec![None; 4], vec![None; 4]];
                loop {
                    let (end, message) = match testing::random(3) {
                        0 => (id, ends[id].1.recv_timeout(us(testing::random(1000))).ok()),
                        _ => select! {
                            // The senders are not gone.
                            recv(ends[0].1) -> message => (0, Some(message.unwrap())),
                            recv(ends[1].1) -> message => (1, Some(message.unwrap())),
                            recv(stop) -> _ => break,
                        },
                    };
                    if let Some(message) = message {
                        books.received(&message, &mut last[end]);
                    }
                    perhaps_yield();
                }
                for end in 0..2 {
                    while let Ok(message) = ends[end].1.try_recv() {
                        books.received(&message, &mut last[end]);
                    }
                }
            })
        };
        let senders = {
            let (books, ends) = (Arc::clone(&books), Arc::clone(&ends));
            crew(4, move |id| {
                for number in 0..3 {
                    let make = || {
                        some_time();
                        books.make(id, number)
                    };
                    let both = || {
                        select! {
                            send(ends[0].0, make()) -> sent => sent.is_ok(),
                            send(ends[1].0, make()) -> sent => sent.is_ok(),
                        }
                    };
                    let sent = match testing::random(3) {
                        0 => timeout(us(testing::random(1500)), both).unwrap_or(false),
                        1 => {
                            let message = make();
                            ends[id % 2].0.send(message).is_ok()
                        }
                        _ => both(),
                    };
                    if sent {
                        books.sent(id, number);
                    }
                    some_time();
                }
            })
        };
        with_cancels(senders, 0);
        drop(stop.0);
        receivers
            .into_iter()
            .for_each(|fiber| fiber.join().unwrap());
        books.balance();
    });
}
