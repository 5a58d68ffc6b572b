//! Channels under load: nothing is lost, nothing comes twice, each producer's items come in order, and every item is
//! dropped once; between fibers and threads, while waits are cancelled and run out of time.
//!
//! A hundred thousand items a test, with `STRESS=1` ten million (unoptimised builds a tenth of either). The seed is
//! printed.

mod common;
#[path = "common/crew.rs"]
mod crew;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Random, in_both_modes, scaled};
use crew::{Ended, Member, crew, harried, hurried};
use fibers::channel::{Receiver, Select, Sender, TrySendError, bounded, never, select, unbounded};
use fibers::sync::mpsc;

/// What became of each item.
struct Ledger {
    items: Vec<Fate>,
}

#[derive(Default)]
struct Fate {
    received: AtomicU8,
    returned: AtomicU8,
    dropped: AtomicU8,
    /// A send of it has returned Ok.
    sent: AtomicU8,
}

struct Item {
    number: usize,
    ledger: Arc<Ledger>,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.ledger.items[self.number]
            .dropped
            .fetch_add(1, Ordering::Relaxed);
    }
}

impl Ledger {
    fn new(items: usize) -> Arc<Self> {
        let items = (0..items).map(|_| Fate::default()).collect();
        Arc::new(Self { items })
    }

    fn item(self: &Arc<Self>, number: usize) -> Item {
        Item {
            number,
            ledger: Arc::clone(self),
        }
    }

    fn receive(&self, item: &Item) {
        self.items[item.number]
            .received
            .fetch_add(1, Ordering::Relaxed);
    }

    fn sent(&self, number: usize) {
        self.items[number].sent.fetch_add(1, Ordering::Relaxed);
    }

    fn returned(&self, item: &Item) {
        self.items[item.number]
            .returned
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Each was dropped once, and received once if it was sent; one that came back was not received. What a
    /// cancelled send held may have gone either way.
    #[track_caller]
    fn check(&self) -> usize {
        let mut received_all = 0;
        for (number, fate) in self.items.iter().enumerate() {
            let of = |count: &AtomicU8| count.load(Ordering::Relaxed);
            let (received, returned) = (of(&fate.received), of(&fate.returned));
            let (dropped, sent) = (of(&fate.dropped), of(&fate.sent));
            let fine = dropped == 1
                && received <= 1
                && returned <= 1
                && received + returned <= 1
                && sent <= received
                && sent + returned <= 1;
            assert!(
                fine,
                "item {number}: sent {sent}, received {received}, returned {returned}, dropped {dropped}"
            );
            received_all += usize::from(received);
        }
        received_all
    }
}

fn flavour<T>(bound: Option<usize>) -> (Sender<T>, Receiver<T>) {
    bound.map_or_else(unbounded, bounded)
}

const BOUNDS: [Option<usize>; 4] = [None, Some(0), Some(1), Some(32)];

#[test]
fn every_item_once_and_each_producers_in_order() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / BOUNDS.len() / 6;
        for bound in BOUNDS {
            let (tx, rx) = flavour::<(usize, usize)>(bound);
            let rx = std::sync::Mutex::new(Some((tx, rx)));
            let sums = crew(machine, 8, 4, &mut random, move |mut member| {
                let (tx, rx) = {
                    let ends = rx.lock().unwrap();
                    let (tx, rx) = ends.as_ref().unwrap();
                    (tx.clone(), rx.clone())
                };
                if member.number % 2 == 0 {
                    for n in 0..each {
                        tx.send((member.number, n)).unwrap();
                        member.perhaps_yield(64);
                    }
                    return 0;
                }
                drop(tx);
                let (mut last, mut count) = ([None; 12], 0);
                while count < each {
                    let (from, n) = rx.recv().unwrap();
                    assert!(
                        last[from].is_none_or(|last| last < n),
                        "{from}: {last:?}, {n}"
                    );
                    last[from] = Some(n);
                    count += 1;
                    member.perhaps_yield(64);
                }
                count
            });
            assert_eq!(sums.iter().sum::<usize>(), each * 6, "{bound:?}");
        }
    });
}

#[test]
fn std_style_channels_keep_the_order_of_each_producer() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 4 / 6;
        for bound in [0, 1, 32] {
            let (tx, rx) = mpsc::sync_channel(bound);
            let consumer = machine.spawn(move || {
                let (mut next, mut count) = ([0; 6], 0);
                for (from, n) in &rx {
                    let from: usize = from;
                    assert_eq!(next[from], n);
                    next[from] += 1;
                    count += 1;
                }
                count
            });
            let work = move |member: Member| {
                let tx = tx.clone();
                (0..each).for_each(|n| tx.send((member.number, n)).unwrap());
            };
            crew(machine, 4, 2, &mut random, work);
            assert_eq!(consumer.join().unwrap(), each * 6);
        }
        // The unbounded one, received by a thread.
        let (tx, rx) = mpsc::channel();
        let consumer = std::thread::spawn(move || rx.iter().map(|n: usize| n).sum::<usize>());
        let work = move |_| {
            let tx = tx.clone();
            (0..each).for_each(|n| tx.send(n).unwrap());
        };
        crew(machine, 4, 2, &mut random, work);
        assert_eq!(consumer.join().unwrap(), 6 * (0..each).sum::<usize>());
    });
}

#[test]
fn selections_lose_nothing_and_take_nothing_twice() {
    in_both_modes(120, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 2 / 6;
        for bounds in [[Some(0); 3], [None, Some(0), Some(2)]] {
            let ends = Arc::new(bounds.map(flavour::<Item>));
            let ledger = Ledger::new(each * 6);
            let book = Arc::clone(&ledger);
            crew(machine, 8, 4, &mut random, move |mut member| {
                let [(tx0, rx0), (tx1, rx1), (tx2, rx2)] = &*ends;
                for n in 0..each {
                    if member.number % 2 == 0 {
                        let number = member.number / 2 * each + n;
                        let item = ledger.item(number);
                        if member.random.below(2) == 0 {
                            select! {
                                send(tx0, item) -> sent => sent.ok().unwrap(),
                                send(tx1, item) -> sent => sent.ok().unwrap(),
                                send(tx2, item) -> sent => sent.ok().unwrap(),
                            }
                        } else {
                            [tx0, tx1, tx2][member.random.below(3) as usize]
                                .send(item)
                                .ok()
                                .unwrap();
                        }
                        ledger.sent(number);
                    } else {
                        let mut select = Select::new();
                        let rxs = [rx0, rx1, rx2];
                        rxs.iter().for_each(|rx| {
                            select.recv(rx);
                        });
                        let operation = select.select();
                        let rx = rxs[operation.index()];
                        ledger.receive(&operation.recv(rx).unwrap());
                    }
                    member.perhaps_yield(64);
                }
            });
            assert_eq!(book.check(), each * 6);
        }
    });
}

#[test]
fn waits_that_are_ended_from_outside_lose_no_message() {
    in_both_modes(240, 2, |_, machine, _| {
        let mut random = Random::new();
        let each = scaled(100_000, 10_000_000) / 10 / BOUNDS.len() / 6;
        for bound in BOUNDS {
            let (tx, rx) = flavour::<Item>(bound);
            let ledger = Ledger::new(each * 6);
            let (book, left) = (Arc::clone(&ledger), rx.clone());
            let senders = Arc::new(AtomicUsize::new(6));
            crew(machine, 8, 4, &mut random, move |mut member| {
                if member.number % 2 == 0 {
                    for n in 0..each {
                        let item = ledger.item(member.number / 2 * each + n);
                        send_somehow(&mut member, &tx, item);
                    }
                    senders.fetch_sub(1, Ordering::Release);
                } else {
                    while senders.load(Ordering::Acquire) > 0 || !rx.is_empty() {
                        receive_somehow(&mut member, &rx, &ledger);
                    }
                }
            });
            left.try_iter().for_each(|item| book.receive(&item));
            drop(left);
            let received = book.check();
            println!("{bound:?}: {received} of {} were received", each * 6);
            assert!(received > 0);
        }
    });
}

/// Sends it in one of the ways there are, most of which may be ended before it is sent.
fn send_somehow(member: &mut Member, tx: &Sender<Item>, item: Item) {
    let (number, ledger) = (item.number, Arc::clone(&item.ledger));
    let sent = move |result: Result<(), Item>| match result {
        Ok(()) => ledger.sent(number),
        Err(item) => ledger.returned(&item),
    };
    let way = member.random.below(6);
    let short = Duration::from_nanos(member.random.below(30_000));
    match way {
        0 => sent(tx.try_send(item).map_err(TrySendError::into_inner)),
        1 => sent(
            tx.send_timeout(item, short)
                .map_err(|error| error.into_inner()),
        ),
        2 => {
            let mut select = Select::new();
            select.send(tx);
            match select.select_timeout(short) {
                Ok(operation) => sent(operation.send(tx, item).map_err(|error| error.into_inner())),
                Err(_) => sent(Err(item)),
            }
        }
        // Ended from outside, the item is gone with the call, unless it was taken just then.
        3 if member.is_fiber => {
            let tx = tx.clone();
            harried(&mut member.random, 30, move || {
                sent(tx.send(item).map_err(|error| error.into_inner()));
            });
        }
        4 if member.is_fiber => {
            let tx = tx.clone();
            harried(&mut member.random, 30, move || {
                select! {
                    send(tx, item) -> result => sent(result.map_err(|error| error.into_inner())),
                    recv(never::<u8>()) -> _ => unreachable!(),
                }
            });
        }
        5 if member.is_fiber => {
            hurried(&mut member.random, 30, || {
                sent(tx.send(item).map_err(|error| error.into_inner()));
            });
        }
        _ => {
            // Nobody may be left to take it, so not without an end.
            let result = tx.send_timeout(item, Duration::from_millis(2));
            sent(result.map_err(|error| error.into_inner()));
        }
    }
}

/// Receives in one of the ways there are; most of them may be ended first.
fn receive_somehow(member: &mut Member, rx: &Receiver<Item>, ledger: &Arc<Ledger>) {
    let short = Duration::from_nanos(member.random.below(30_000));
    let way = member.random.below(6);
    let (rx, ledger) = (rx.clone(), Arc::clone(ledger));
    match way {
        0 => rx.try_iter().take(3).for_each(|item| ledger.receive(&item)),
        1 => {
            if let Ok(item) = rx.recv_timeout(short) {
                ledger.receive(&item);
            }
        }
        2 => {
            select! {
                recv(rx) -> item => ledger.receive(&item.unwrap()),
                default(short) => {}
            }
        }
        3 if member.is_fiber => {
            let ended = harried(&mut member.random, 30, move || {
                ledger.receive(&rx.recv().unwrap());
            });
            assert!(matches!(
                ended,
                Ended::With(()) | Ended::Late | Ended::Cancelled
            ));
        }
        4 if member.is_fiber => {
            harried(&mut member.random, 30, move || {
                let silent = never::<u8>();
                let mut select = Select::new();
                select.recv(&silent);
                select.recv(&rx);
                let operation = select.select();
                ledger.receive(&operation.recv(&rx).unwrap());
            });
        }
        5 if member.is_fiber => {
            hurried(&mut member.random, 30, || {
                ledger.receive(&rx.recv().unwrap())
            });
        }
        _ => {
            if let Ok(item) = rx.recv_timeout(Duration::from_millis(2)) {
                ledger.receive(&item);
            }
        }
    }
}
