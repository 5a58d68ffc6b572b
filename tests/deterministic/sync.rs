//! Locks, channels and selections, with waits that are cancelled and cut short at random: nothing is lost or doubled,
//! order is kept, permits are conserved, and everybody comes to an end (a run that does not is reported as a deadlock).
//!
//! A million runs: `DETERMINISTIC_SEEDS=21000 cargo test --release --test deterministic sync::`

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::SeqCst};

use fibers::channel::{self, Receiver, Select, Sender, select};
use fibers::sync::{Condvar, Mutex, RwLock, Semaphore};
use fibers::time::{sleep, timeout};
use fibers::{Cancelled, JoinHandle, testing};

use crate::{Counted, all, perhaps_yield, us};

pub fn some_time() {
    match testing::random(4) {
        0 => sleep(us(testing::random(1500))),
        1 => fibers::yield_now(),
        _ => {}
    }
}

/// Runs it, and cancels some of the fibers meanwhile; those that are `safe` it spares.
pub fn with_cancels(fibers: Vec<JoinHandle<()>>, safe: usize) {
    for handle in fibers.iter().skip(safe) {
        if testing::random(4) == 0 {
            some_time();
            handle.cancel().unwrap();
        }
    }
    for handle in fibers {
        if let Err(payload) = handle.join() {
            assert!(payload.is::<Cancelled>(), "a fiber panicked");
        }
    }
}

/// A message: who sent it, its number, and a count of drops.
pub struct Message {
    pub producer: usize,
    pub number: usize,
    _counted: Counted,
}

/// What is known of a channel from outside.
#[derive(Default)]
pub struct Books {
    pub made: AtomicUsize,
    pub dropped: Arc<AtomicUsize>,
    sent: std::sync::Mutex<Vec<(usize, usize)>>,
    received: std::sync::Mutex<Vec<(usize, usize)>>,
}

impl Books {
    pub fn make(&self, producer: usize, number: usize) -> Message {
        self.made.fetch_add(1, SeqCst);
        let _counted = Counted(Arc::clone(&self.dropped));
        Message {
            producer,
            number,
            _counted,
        }
    }

    pub fn sent(&self, producer: usize, number: usize) {
        self.sent.lock().unwrap().push((producer, number));
    }

    pub fn received(&self, message: &Message, last: &mut [Option<usize>]) {
        let before = last[message.producer].replace(message.number);
        assert!(
            before < Some(message.number),
            "producer {}: {} after {before:?}",
            message.producer,
            message.number
        );
        let pair = (message.producer, message.number);
        self.received.lock().unwrap().push(pair);
    }

    /// All that was sent was received, once; and every message was dropped, once.
    pub fn balance(&self) {
        let mut sent = self.sent.lock().unwrap().clone();
        let mut received = self.received.lock().unwrap().clone();
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(sent, received, "sent, received");
        assert_eq!(self.made.load(SeqCst), self.dropped.load(SeqCst), "drops");
    }
}

/// Sends one message, in one of all ways. True if it is sent.
fn send(books: &Books, producer: usize, number: usize, to: &Sender<Message>) -> bool {
    let message = books.make(producer, number);
    match testing::random(6) {
        0 => to.try_send(message).is_ok(),
        1 => {
            let limit = us(testing::random(1200));
            to.send_timeout(message, limit).is_ok()
        }
        2 => {
            let limit = us(testing::random(1200));
            timeout(limit, || to.send(message)).is_ok_and(|sent| sent.is_ok())
        }
        3 => select! {
            send(to, message) -> sent => sent.is_ok(),
            default(us(testing::random(1200))) => false,
        },
        4 => {
            let mut select = Select::new();
            select.send(to);
            select.select().send(to, message).is_ok()
        }
        _ => to.send(message).is_ok(),
    }
}

fn producer(books: &Arc<Books>, id: usize, to: Sender<Message>) -> JoinHandle<()> {
    let books = Arc::clone(books);
    fibers::spawn(move || {
        for number in 0..4 {
            if send(&books, id, number, &to) {
                books.sent(id, number);
            }
            some_time();
        }
    })
}

/// Receives until there is no more, in all ways; `for_ever`: also past what a cancellation of others leaves.
fn consumer(books: &Arc<Books>, producers: usize, from: Receiver<Message>) -> JoinHandle<()> {
    let books = Arc::clone(books);
    fibers::spawn(move || {
        let mut last = vec![None; producers];
        loop {
            let received = match testing::random(6) {
                0 => match from.try_recv() {
                    Err(error) if error.is_empty() => {
                        sleep(us(10));
                        continue;
                    }
                    received => received.ok(),
                },
                1 => match from.recv_timeout(us(testing::random(1200))) {
                    Err(error) if error.is_timeout() => continue,
                    received => received.ok(),
                },
                2 => match timeout(us(testing::random(1200)), || from.recv()) {
                    Err(_) => continue,
                    Ok(received) => received.ok(),
                },
                3 => select! {
                    recv(from) -> received => received.ok(),
                    default(us(testing::random(1200))) => continue,
                },
                4 => {
                    let mut select = Select::new();
                    select.recv(&from);
                    select.select().recv(&from).ok()
                }
                _ => from.recv().ok(),
            };
            let Some(message) = received else { return };
            books.received(&message, &mut last);
            some_time();
        }
    })
}

fn a_channel(capacity: Option<usize>) {
    all(move || {
        let books = Arc::new(Books::default());
        let (to, from) = match capacity {
            Some(capacity) => channel::bounded(capacity),
            None => channel::unbounded(),
        };
        let producers = 1 + testing::random(3);
        // The first one is never cancelled, and receives the rest.
        let mut fibers = vec![consumer(&books, producers, from.clone())];
        fibers.extend((0..testing::random(3)).map(|_| consumer(&books, producers, from.clone())));
        fibers.extend((0..producers).map(|id| producer(&books, id, to.clone())));
        drop((to, from));
        with_cancels(fibers, 1);
        books.balance();
    });
}

#[test]
fn a_channel_without_room() {
    a_channel(Some(0));
}

#[test]
fn a_channel_with_one_place() {
    a_channel(Some(1));
}

#[test]
fn a_channel_with_three_places() {
    a_channel(Some(3));
}

#[test]
fn a_channel_without_a_limit() {
    a_channel(None);
}

#[test]
fn selections_meet_selections() {
    all(|| {
        let books = Arc::new(Books::default());
        let capacity = testing::random(2);
        let ends: Vec<_> = (0..3).map(|_| channel::bounded(capacity)).collect();
        let ends: Arc<[(Sender<Message>, Receiver<Message>)]> = ends.into();
        let stop = channel::bounded::<()>(0);
        let mut fibers = Vec::new();
        for _ in 0..2 {
            let (books, ends, stop) = (Arc::clone(&books), Arc::clone(&ends), stop.1.clone());
            fibers.push(fibers::spawn(move || {
                loop {
                    let message = select! {
                        recv(ends[0].1) -> message => message.unwrap(),
                        recv(ends[1].1) -> message => message.unwrap(),
                        recv(ends[2].1) -> message => message.unwrap(),
                        recv(stop) -> _ => break,
                    };
                    let pair = (message.producer, message.number);
                    books.received.lock().unwrap().push(pair);
                    perhaps_yield();
                }
                // What came before the stop.
                for (_, from) in ends.iter() {
                    for message in from.try_iter() {
                        let pair = (message.producer, message.number);
                        books.received.lock().unwrap().push(pair);
                    }
                }
            }));
        }
        let senders: Vec<_> = (0..3)
            .map(|id| {
                let (books, ends) = (Arc::clone(&books), Arc::clone(&ends));
                fibers::spawn(move || {
                    for number in 0..4 {
                        let sent = select! {
                            send(ends[0].0, books.make(id, number)) -> sent => sent.is_ok(),
                            send(ends[1].0, books.make(id, number)) -> sent => sent.is_ok(),
                            send(ends[2].0, books.make(id, number)) -> sent => sent.is_ok(),
                        };
                        assert!(sent);
                        books.sent(id, number);
                        some_time();
                    }
                })
            })
            .collect();
        with_cancels(senders, 0);
        drop(stop.0);
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
        books.balance();
    });
}

/// Takes that lock in one of all ways, for a while; false if it did not get it.
fn locked<T>(lock: &Mutex<T>, f: impl FnOnce(&mut T)) -> bool {
    let limit = us(testing::random(2500));
    let guard = match testing::random(5) {
        0 => lock.try_lock().ok(),
        1 => lock.lock_timeout(limit).ok(),
        2 => timeout(limit, || lock.lock_interruptible().unwrap()).ok(),
        3 => Some(lock.lock_interruptible().unwrap()),
        _ => Some(lock.lock().unwrap()),
    };
    guard.map(|mut guard| f(&mut guard)).is_some()
}

#[test]
fn a_mutex_excludes_and_lets_everybody_in() {
    all(|| {
        let lock = Arc::new(Mutex::new(0));
        let inside = Arc::new(AtomicBool::new(false));
        let times = Arc::new(AtomicUsize::new(0));
        let fibers = (0..4)
            .map(|_| {
                let lock = Arc::clone(&lock);
                let (inside, times) = (Arc::clone(&inside), Arc::clone(&times));
                fibers::spawn(move || {
                    for _ in 0..4 {
                        locked(&lock, |count| {
                            /// Also by an unwind.
                            struct Leave<'a>(&'a AtomicBool);
                            impl Drop for Leave<'_> {
                                fn drop(&mut self) {
                                    self.0.store(false, SeqCst);
                                }
                            }
                            assert!(!inside.swap(true, SeqCst), "two of them");
                            let _leave = Leave(&inside);
                            *count += 1;
                            times.fetch_add(1, SeqCst);
                            some_time();
                        });
                        some_time();
                    }
                })
            })
            .collect();
        with_cancels(fibers, 0);
        // Not poisoned by those that were cancelled inside.
        assert_eq!(*lock.lock().unwrap(), times.load(SeqCst));
    });
}

#[test]
fn a_reader_writer_lock_excludes_and_lets_everybody_in() {
    all(|| {
        let lock = Arc::new(RwLock::new(()));
        // Readers count up, a writer takes a thousand.
        let inside = Arc::new(AtomicIsize::new(0));
        let fibers = (0..5)
            .map(|_| {
                let (lock, inside) = (Arc::clone(&lock), Arc::clone(&inside));
                fibers::spawn(move || {
                    /// Also by an unwind.
                    struct Leave<'a>(&'a AtomicIsize, isize);
                    impl Drop for Leave<'_> {
                        fn drop(&mut self) {
                            self.0.fetch_sub(self.1, SeqCst);
                        }
                    }
                    for _ in 0..4 {
                        let limit = us(testing::random(2500));
                        if testing::random(3) == 0 {
                            let guard = match testing::random(3) {
                                0 => lock.try_write().ok(),
                                1 => lock.write_timeout(limit).ok(),
                                _ => Some(lock.write().unwrap()),
                            };
                            if guard.is_some() {
                                let before = inside.fetch_add(1000, SeqCst);
                                let _leave = Leave(&inside, 1000);
                                assert_eq!(before, 0, "a writer beside others");
                                some_time();
                            }
                        } else {
                            let guard = match testing::random(3) {
                                0 => lock.try_read().ok(),
                                1 => lock.read_timeout(limit).ok(),
                                _ => Some(lock.read().unwrap()),
                            };
                            if guard.is_some() {
                                let before = inside.fetch_add(1, SeqCst);
                                let _leave = Leave(&inside, 1);
                                assert!(before < 1000, "a reader beside a writer");
                                some_time();
                            }
                        }
                        some_time();
                    }
                })
            })
            .collect();
        with_cancels(fibers, 0);
        assert!(lock.try_write().is_ok(), "nobody holds it");
        assert_eq!(inside.load(SeqCst), 0);
    });
}

#[test]
fn a_bounded_buffer_by_condition_variables() {
    all(|| {
        /// Two places, and how many have been through.
        #[derive(Default)]
        struct Shelf {
            full: usize,
            put: usize,
            taken: usize,
        }
        let shelf = Arc::new((Mutex::new(Shelf::default()), Condvar::new(), Condvar::new()));
        let over = Arc::new(AtomicBool::new(false));
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let (shelf, over) = (Arc::clone(&shelf), Arc::clone(&over));
                fibers::spawn(move || {
                    loop {
                        let (lock, filled, freed) = &*shelf;
                        let mut guard = lock.lock().unwrap();
                        while guard.full == 0 {
                            if over.load(SeqCst) {
                                return;
                            }
                            guard = if testing::random(3) == 0 {
                                let limit = us(testing::random(1200));
                                filled.wait_timeout(guard, limit).unwrap().0
                            } else {
                                filled.wait(guard).unwrap()
                            };
                        }
                        guard.full -= 1;
                        guard.taken += 1;
                        drop(guard);
                        freed.notify_one();
                        some_time();
                    }
                })
            })
            .collect();
        let producers = (0..3)
            .map(|_| {
                let shelf = Arc::clone(&shelf);
                fibers::spawn(move || {
                    for _ in 0..4 {
                        let (lock, filled, freed) = &*shelf;
                        let guard = lock.lock().unwrap();
                        let mut guard = freed.wait_while(guard, |shelf| shelf.full == 2).unwrap();
                        guard.full += 1;
                        guard.put += 1;
                        drop(guard);
                        filled.notify_one();
                        some_time();
                    }
                })
            })
            .collect();
        // A producer that is cancelled while it waits passes on what it was told.
        with_cancels(producers, 0);
        {
            let _guard = shelf.0.lock().unwrap();
            over.store(true, SeqCst);
        }
        shelf.1.notify_all();
        consumers
            .into_iter()
            .for_each(|fiber| fiber.join().unwrap());
        let left = shelf.0.lock().unwrap();
        assert_eq!((left.full, left.taken), (0, left.put));
    });
}

#[test]
fn permits_are_conserved() {
    all(|| {
        let permits = 1 + testing::random(4);
        let semaphore = Arc::new(Semaphore::new(permits));
        let out = Arc::new(AtomicUsize::new(0));
        let fibers = (0..5)
            .map(|_| {
                let (semaphore, out) = (Arc::clone(&semaphore), Arc::clone(&out));
                fibers::spawn(move || {
                    for _ in 0..3 {
                        let wanted = 1 + testing::random(permits);
                        let limit = us(testing::random(2000));
                        let many = wanted as u32;
                        let got = catch_unwind(AssertUnwindSafe(|| match testing::random(4) {
                            0 => semaphore.try_acquire_many(many).ok(),
                            1 => semaphore.acquire_many_timeout(many, limit).ok(),
                            2 => timeout(limit, || semaphore.acquire_many(many).unwrap()).ok(),
                            _ => semaphore.acquire_many(many).ok(),
                        }));
                        let Ok(permit) = got else { return };
                        if permit.is_some() {
                            let before = out.fetch_add(wanted, SeqCst);
                            assert!(before + wanted <= permits, "more than there are");
                            fibers::shield(some_time);
                            out.fetch_sub(wanted, SeqCst);
                        }
                        drop(permit);
                        fibers::shield(some_time);
                    }
                })
            })
            .collect();
        with_cancels(fibers, 0);
        assert_eq!(semaphore.available_permits(), permits);
    });
}
