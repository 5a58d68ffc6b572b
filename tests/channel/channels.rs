//! Promises of crossbeam's channels: sending and receiving, in all three flavours.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::channel::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError,
    TrySendError, bounded, unbounded,
};
use super::thread;
use crate::common::{Once, Random};
use crate::places::panic_text;

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(1000);

type Ends<T> = (Sender<T>, Receiver<T>);

/// One of each flavour, with what it holds at most.
fn each<T>() -> [(Ends<T>, Option<usize>); 4] {
    [
        (unbounded(), None),
        (bounded(0), Some(0)),
        (bounded(1), Some(1)),
        (bounded(5), Some(5)),
    ]
}

pub fn what_is_sent_is_received_in_order() {
    for ((tx, rx), _) in each() {
        let sender = thread::spawn(move || (0..200).for_each(|n| tx.send(n).unwrap()));
        for n in 0..200 {
            assert_eq!(rx.recv(), Ok(n));
        }
        assert_eq!(rx.recv(), Err(RecvError));
        sender.join().unwrap();
    }
}

pub fn lengths_and_capacities() {
    for ((tx, rx), bound) in each() {
        assert_eq!((tx.capacity(), rx.capacity()), (bound, bound));
        let room = bound.unwrap_or(100);
        for n in 0..=room {
            assert_eq!((tx.len(), rx.len()), (n, n));
            assert_eq!((tx.is_empty(), rx.is_empty()), (n == 0, n == 0));
            let full = bound == Some(n);
            assert_eq!((tx.is_full(), rx.is_full()), (full, full));
            match tx.try_send(n) {
                Ok(()) => assert!(n < room || bound.is_none()),
                Err(error) => assert_eq!(error, TrySendError::Full(room)),
            }
        }
        for n in 0..room {
            assert_eq!(rx.try_recv(), Ok(n));
        }
    }
}

pub fn try_send_and_try_recv_never_wait() {
    for ((tx, rx), bound) in each() {
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        if bound.is_none_or(|bound| bound > 0) {
            tx.try_send(1).unwrap();
            assert_eq!(rx.try_recv(), Ok(1));
        } else {
            assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
        }
        let other = tx.clone();
        drop(tx);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        drop(other);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    }
    for ((tx, rx), _) in each() {
        let other = rx.clone();
        drop(rx);
        drop(other);
        assert_eq!(tx.try_send(2), Err(TrySendError::Disconnected(2)));
    }
}

pub fn a_full_one_without_receivers_is_disconnected() {
    let (tx, rx) = bounded(1);
    tx.send(1).unwrap();
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    drop(rx);
    assert_eq!(tx.try_send(2), Err(TrySendError::Disconnected(2)));
    assert_eq!(tx.send(3), Err(SendError(3)));
    assert_eq!(
        tx.send_timeout(4, LONG),
        Err(SendTimeoutError::Disconnected(4))
    );
}

pub fn what_is_left_is_received_after_the_last_sender() {
    for ((tx, rx), bound) in each() {
        let room = bound.unwrap_or(70);
        (0..room).for_each(|n| tx.send(n).unwrap());
        drop(tx);
        assert_eq!(rx.len(), room);
        for n in 0..room {
            assert_eq!(rx.recv(), Ok(n));
        }
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
        assert_eq!(
            rx.recv_deadline(Instant::now()),
            Err(RecvTimeoutError::Disconnected)
        );
    }
}

pub fn many_to_many_each_item_once() {
    const SENDERS: usize = 4;
    const RECEIVERS: usize = 3;
    const EACH: usize = 100;
    for ((tx, rx), _) in each() {
        let seen = [const { AtomicUsize::new(0) }; SENDERS * EACH];
        thread::scope(|s| {
            for me in 0..SENDERS {
                let tx = tx.clone();
                s.spawn(move || (0..EACH).for_each(|n| tx.send((me, n)).unwrap()));
            }
            for _ in 0..RECEIVERS {
                let (rx, seen) = (rx.clone(), &seen);
                s.spawn(move || {
                    let mut last = [None; SENDERS];
                    for (sender, n) in rx {
                        // Whatever one receiver gets of one sender comes in its order.
                        assert!(last[sender].is_none_or(|last| last < n));
                        last[sender] = Some(n);
                        seen[sender * EACH + n].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            drop((tx, rx));
        });
        assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }
}

pub fn who_waits_is_told_when_the_other_side_goes() {
    for ((tx, rx), bound) in each::<usize>() {
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let rx = rx.clone();
                thread::spawn(move || rx.recv())
            })
            .collect();
        drop(rx);
        thread::yield_now();
        drop(tx);
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), Err(RecvError));
        }
        let Some(bound) = bound else { continue };
        let (tx, rx) = bounded(bound);
        let senders: Vec<_> = (0..3)
            .map(|n| {
                let tx = tx.clone();
                thread::spawn(move || {
                    loop {
                        if let Err(error) = tx.send(n) {
                            break error.into_inner();
                        }
                    }
                })
            })
            .collect();
        thread::yield_now();
        drop(rx);
        for (n, sender) in senders.into_iter().enumerate() {
            assert_eq!(sender.join().unwrap(), n);
        }
    }
}

pub fn timed_receives_are_never_early() {
    for ((tx, rx), _) in each::<u8>() {
        for wanted in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
            let begin = Instant::now();
            assert_eq!(rx.recv_timeout(wanted), Err(RecvTimeoutError::Timeout));
            assert!(begin.elapsed() >= wanted);
            let when = Instant::now() + wanted;
            assert_eq!(rx.recv_deadline(when), Err(RecvTimeoutError::Timeout));
            assert!(Instant::now() >= when);
        }
        drop(tx);
    }
}

pub fn timed_sends_are_never_early() {
    for bound in [0, 1] {
        let (tx, rx) = bounded(bound);
        (0..bound).for_each(|_| tx.send(0).unwrap());
        for wanted in [Duration::ZERO, SHORT] {
            let begin = Instant::now();
            assert_eq!(
                tx.send_timeout(5, wanted),
                Err(SendTimeoutError::Timeout(5))
            );
            assert!(begin.elapsed() >= wanted);
            let when = Instant::now() + wanted;
            assert_eq!(tx.send_deadline(6, when), Err(SendTimeoutError::Timeout(6)));
            assert!(Instant::now() >= when);
        }
        drop(rx);
    }
}

pub fn timed_calls_that_have_time() {
    for ((tx, rx), _) in each() {
        let end = Instant::now() + LONG;
        let sender = thread::spawn(move || {
            for n in 0..40 {
                match n % 3 {
                    0 => tx.send_timeout(n, LONG).unwrap(),
                    1 => tx.send_deadline(n, end).unwrap(),
                    _ => tx.send_timeout(n, Duration::MAX).unwrap(),
                }
            }
        });
        for n in 0..40 {
            let got = match n % 4 {
                0 => rx.recv_timeout(LONG),
                1 => rx.recv_deadline(end),
                2 => rx.recv_timeout(Duration::MAX),
                _ => rx.recv().map_err(RecvTimeoutError::from),
            };
            assert_eq!(got, Ok(n));
        }
        sender.join().unwrap();
    }
}

pub fn a_time_in_the_past_takes_what_is_there() {
    let (tx, rx) = bounded(1);
    let past = Instant::now();
    assert_eq!(tx.send_deadline(1, past), Ok(()));
    assert_eq!(rx.recv_deadline(past), Ok(1));
    assert_eq!(tx.send_timeout(2, Duration::ZERO), Ok(()));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(2));
}

pub fn short_time_outs_lose_nothing() {
    let mut random = Random::new();
    for ((tx, rx), _) in each() {
        let mut others = random.clone();
        others.next();
        let sender = thread::spawn(move || {
            for n in 0..150 {
                let mut item = n;
                while let Err(error) =
                    tx.send_timeout(item, Duration::from_micros(others.below(50)))
                {
                    assert!(error.is_timeout());
                    item = error.into_inner();
                }
            }
        });
        let mut next = 0;
        loop {
            match rx.recv_timeout(Duration::from_micros(random.below(50))) {
                Ok(n) => {
                    assert_eq!(n, next);
                    next += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(next, 150);
        sender.join().unwrap();
    }
}

pub fn a_send_without_room_is_over_when_it_is_taken() {
    let (tx, rx) = bounded(0);
    let sent = Arc::new(AtomicUsize::new(0));
    let sender = thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            for n in 0..50 {
                tx.send(n).unwrap();
                sent.store(n + 1, Ordering::Release);
            }
        }
    });
    for n in 0..50 {
        for _ in 0..3 {
            thread::yield_now();
        }
        assert!(sent.load(Ordering::Acquire) <= n);
        assert_eq!(rx.len(), 0);
        assert_eq!(rx.recv(), Ok(n));
    }
    sender.join().unwrap();
}

pub fn two_meet_by_try_and_wait() {
    let (tx, rx) = bounded(0);
    thread::scope(|s| {
        s.spawn(|| {
            for n in 0..20 {
                while tx.try_send(n).is_err() {
                    thread::yield_now();
                }
                tx.send(n).unwrap();
            }
        });
        for n in 0..20 {
            assert_eq!(rx.recv(), Ok(n));
            let second = loop {
                match rx.try_recv() {
                    Ok(n) => break n,
                    Err(error) => assert!(error.is_empty()),
                }
                thread::yield_now();
            };
            assert_eq!(second, n);
        }
    });
}

pub fn iterators() {
    for ((tx, rx), _) in each() {
        let sender = thread::spawn(move || (0..10).for_each(|n| tx.send(n).unwrap()));
        assert_eq!(rx.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
        let mut seen = Vec::new();
        for n in &rx {
            seen.push(n);
            if n == 5 {
                break;
            }
        }
        assert_eq!(seen, [3, 4, 5]);
        let mut rest = rx.into_iter();
        assert_eq!(rest.by_ref().collect::<Vec<_>>(), [6, 7, 8, 9]);
        assert_eq!(rest.next(), None);
        sender.join().unwrap();
    }
    let (tx, rx) = bounded(4);
    assert_eq!(rx.try_iter().next(), None);
    (0..4).for_each(|n| tx.send(n).unwrap());
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    drop(tx);
    assert_eq!(rx.try_iter().chain(rx.iter()).count(), 0);
}

pub fn what_nobody_takes_is_dropped_once() {
    for ((tx, rx), bound) in each() {
        let drops = Arc::new(AtomicUsize::new(0));
        let dropped = || drops.load(Ordering::Relaxed);
        let room = bound.unwrap_or(100);
        (0..room).for_each(|_| tx.send(Once(Arc::clone(&drops))).unwrap());
        let taken = room.min(40);
        (0..taken).for_each(|_| drop(rx.recv()));
        assert_eq!(dropped(), taken);
        let other = rx.clone();
        drop(rx);
        assert_eq!(dropped(), taken);
        // With the last receiver, though there is a sender.
        drop(other);
        assert_eq!(dropped(), room);
        drop(tx.send(Once(Arc::clone(&drops))));
        assert_eq!(dropped(), room + 1);
        drop(tx);
        assert_eq!(dropped(), room + 1);
        assert_eq!(Arc::strong_count(&drops), 1);
    }
    for ((tx, rx), bound) in each() {
        let drops = Arc::new(AtomicUsize::new(0));
        let room = bound.unwrap_or(100);
        (0..room).for_each(|_| tx.send(Once(Arc::clone(&drops))).unwrap());
        drop(tx);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(rx);
        assert_eq!(drops.load(Ordering::Relaxed), room);
    }
}

pub fn drops_are_exact_when_both_ends_go_at_once() {
    let mut random = Random::new();
    for _ in 0..30 {
        for ((tx, rx), _) in each() {
            let drops = Arc::new(AtomicUsize::new(0));
            let (take, give) = (random.below(40), random.below(40) as usize);
            let receiver = thread::spawn(move || (0..take).for_each(|_| drop(rx.try_recv())));
            let sender = thread::spawn({
                let drops = Arc::clone(&drops);
                move || (0..give).for_each(|_| drop(tx.send(Once(Arc::clone(&drops)))))
            });
            receiver.join().unwrap();
            sender.join().unwrap();
            assert_eq!(drops.load(Ordering::Relaxed), give);
            assert_eq!(Arc::strong_count(&drops), 1);
        }
    }
}

pub fn the_same_channel_or_another() {
    for ((tx, rx), _) in each::<u8>() {
        let (other_tx, other_rx) = unbounded();
        assert!(tx.same_channel(&tx.clone()) && rx.same_channel(&rx.clone()));
        assert!(!tx.same_channel(&other_tx) && !rx.same_channel(&other_rx));
        let (other_tx, other_rx) = bounded(0);
        assert!(!tx.same_channel(&other_tx) && !rx.same_channel(&other_rx));
    }
}

pub fn both_ends_may_be_shared() {
    for ((tx, rx), _) in each() {
        thread::scope(|s| {
            for n in 0..4u32 {
                let tx: &Sender<u32> = &tx;
                s.spawn(move || tx.send(n).unwrap());
            }
            let sums: Vec<_> = (0..2)
                .map(|_| s.spawn(|| rx.iter().take(2).sum::<u32>()))
                .collect();
            let sum: u32 = sums.into_iter().map(|sum| sum.join().unwrap()).sum();
            assert_eq!(sum, 6);
        });
    }
}

pub fn an_end_inside_its_own_channel() {
    let (tx, rx) = unbounded::<Box<dyn std::any::Any + Send>>();
    tx.send(Box::new(tx.clone())).unwrap();
    tx.send(Box::new(rx.clone())).unwrap();
    assert!(
        rx.recv()
            .unwrap()
            .is::<Sender<Box<dyn std::any::Any + Send>>>()
    );
    drop(rx.recv().unwrap());
    drop(rx);
    assert!(tx.send(Box::new(())).is_err());
}

pub fn values_of_no_size_and_of_much() {
    for ((tx, rx), _) in each() {
        let sender = thread::spawn(move || (0..50).for_each(|_| tx.send(()).unwrap()));
        assert_eq!(rx.iter().count(), 50);
        sender.join().unwrap();
    }
    for ((tx, rx), _) in each() {
        let sender = thread::spawn(move || (0..9).for_each(|n| tx.send([n; 200]).unwrap()));
        for n in 0..9u64 {
            assert_eq!(rx.recv().unwrap(), [n; 200]);
        }
        sender.join().unwrap();
    }
}

pub fn a_channel_where_an_unwind_is_caught() -> Vec<String> {
    let (tx, rx) = bounded(1);
    let caught = std::panic::catch_unwind(|| {
        tx.send(1).unwrap();
        rx.recv().unwrap()
    });
    assert_eq!(caught.unwrap(), 1);
    let (gone, _) = bounded::<u8>(0);
    drop(rx);
    let said = [
        panic_text(|| tx.send(1).unwrap()),
        panic_text(|| gone.send(1).expect("a name")),
    ];
    said.map(|text| text.replace('"', "")).to_vec()
}

pub fn texts() -> Vec<String> {
    // Crossbeam's Debug puts some of them in quotes.
    fn said<E: std::error::Error + 'static>(error: E) -> String {
        let debug = format!("{error:?}").replace('"', "");
        format!("{debug}, {error}, {}", error.source().is_none())
    }
    let (tx, rx) = bounded::<u8>(1);
    let mut all = vec![
        format!("{tx:?}, {rx:?}, {tx:>20?}"),
        format!(
            "{:?}, {:?}, {:?}",
            rx.iter(),
            rx.try_iter(),
            rx.clone().into_iter()
        ),
        said(SendError(1)),
        said(TrySendError::Full(1)),
        said(TrySendError::Disconnected(1)),
        SendTimeoutError::Timeout(1).to_string(),
        SendTimeoutError::Disconnected(1).to_string(),
        said(RecvError),
        said(TryRecvError::Empty),
        said(TryRecvError::Disconnected),
        said(RecvTimeoutError::Timeout),
        said(RecvTimeoutError::Disconnected),
    ];
    drop(tx);
    all.push(panic_text(|| rx.recv().unwrap()));
    all
}

pub fn errors_say_which_they_are() {
    assert_eq!(SendError(1).into_inner(), 1);
    let full = TrySendError::Full(1);
    assert!(full.is_full() && !full.is_disconnected() && full.into_inner() == 1);
    let gone: TrySendError<u8> = SendError(2).into();
    assert!(gone.is_disconnected() && !gone.is_full() && gone.into_inner() == 2);
    let late = SendTimeoutError::Timeout(1);
    assert!(late.is_timeout() && !late.is_disconnected() && late.into_inner() == 1);
    let gone: SendTimeoutError<u8> = SendError(2).into();
    assert!(gone.is_disconnected() && !gone.is_timeout() && gone.into_inner() == 2);
    let gone: TryRecvError = RecvError.into();
    assert!(gone.is_disconnected() && !gone.is_empty() && TryRecvError::Empty.is_empty());
    let gone: RecvTimeoutError = RecvError.into();
    assert!(gone.is_disconnected() && !gone.is_timeout());
    assert!(RecvTimeoutError::Timeout.is_timeout());
}
