//! Promises of std's `mpsc`: sending and receiving.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::sync::Arc;
use super::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError,
    TrySendError, channel, sync_channel,
};
use super::thread;
use crate::common::{Once, Random};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(1000);

pub fn what_is_sent_is_received() {
    let (tx, rx) = channel();
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok(1), Ok(2)));
    let (tx, rx) = sync_channel(2);
    tx.send("a").unwrap();
    tx.send("b").unwrap();
    assert_eq!((rx.recv(), rx.recv()), (Ok("a"), Ok("b")));
}

pub fn across_threads_in_order() {
    for bound in [None, Some(0), Some(1), Some(3), Some(1000)] {
        let (tx, rx): (Box<dyn Fn(u32) + Send>, _) = match bound {
            None => {
                let (tx, rx) = channel();
                (Box::new(move |n| tx.send(n).unwrap()), rx)
            }
            Some(bound) => {
                let (tx, rx) = sync_channel(bound);
                (Box::new(move |n| tx.send(n).unwrap()), rx)
            }
        };
        let sender = thread::spawn(move || (0..300).for_each(tx));
        for n in 0..300 {
            assert_eq!(rx.recv(), Ok(n));
        }
        assert_eq!(rx.recv(), Err(RecvError));
        sender.join().unwrap();
    }
}

pub fn many_senders_each_in_order() {
    const SENDERS: usize = 6;
    const EACH: usize = 100;
    for bound in [None, Some(0), Some(2)] {
        let (tx, rx) = channel();
        let (sync_tx, sync_rx) = sync_channel(bound.unwrap_or(0));
        let handles: Vec<_> = (0..SENDERS)
            .map(|me| {
                let (tx, sync_tx) = (tx.clone(), sync_tx.clone());
                thread::spawn(move || {
                    for n in 0..EACH {
                        match bound {
                            None => tx.send((me, n)).unwrap(),
                            Some(_) => sync_tx.send((me, n)).unwrap(),
                        }
                    }
                })
            })
            .collect();
        drop((tx, sync_tx));
        let mut next = [0; SENDERS];
        let receive = |(me, n): (usize, usize)| {
            assert_eq!(next[me], n);
            next[me] += 1;
        };
        if bound.is_none() {
            rx.iter().for_each(receive);
        } else {
            sync_rx.iter().for_each(receive);
        }
        assert_eq!(next, [EACH; SENDERS]);
        for handle in handles {
            handle.join().unwrap();
        }
    }
}

pub fn a_sender_alone_is_told() {
    let (tx, rx) = channel();
    tx.send(1).unwrap();
    drop(rx);
    assert_eq!(tx.send(2), Err(SendError(2)));
    assert_eq!(tx.clone().send(3).unwrap_err().0, 3);
    for bound in [0, 1, 5] {
        let (tx, rx) = sync_channel(bound);
        drop(rx);
        assert_eq!(tx.send(2), Err(SendError(2)));
        assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
    }
}

pub fn a_receiver_alone_gets_what_is_left_and_is_told() {
    let (tx, rx) = channel();
    let other = tx.clone();
    tx.send(1).unwrap();
    drop(tx);
    other.send(2).unwrap();
    drop(other);
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.try_recv(), Ok(2));
    assert_eq!(rx.recv(), Err(RecvError));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(rx.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    assert_eq!(
        rx.recv_timeout(Duration::ZERO),
        Err(RecvTimeoutError::Disconnected)
    );
    let (tx, rx) = sync_channel(1);
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(rx.recv(), Err(RecvError));
}

pub fn who_waits_is_told_when_the_other_side_goes() {
    for bound in [0, 1] {
        let (tx, rx) = sync_channel::<u8>(bound);
        let receiver = thread::spawn(move || rx.recv());
        thread::yield_now();
        drop(tx);
        assert_eq!(receiver.join().unwrap(), Err(RecvError));
        let (tx, rx) = sync_channel(bound);
        let senders: Vec<_> = (0..3)
            .map(|n| {
                let tx = tx.clone();
                thread::spawn(move || {
                    while tx.send(n).is_ok() {}
                    tx.send(n)
                })
            })
            .collect();
        thread::yield_now();
        drop(rx);
        for (n, sender) in senders.into_iter().enumerate() {
            assert_eq!(sender.join().unwrap(), Err(SendError(n)));
        }
    }
    let (tx, rx) = channel::<u8>();
    let receiver = thread::spawn(move || rx.recv_timeout(LONG));
    thread::yield_now();
    drop(tx);
    assert_eq!(
        receiver.join().unwrap(),
        Err(RecvTimeoutError::Disconnected)
    );
}

pub fn try_recv_never_waits() {
    let (tx, rx) = channel();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let (tx, rx) = sync_channel::<u8>(0);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    drop(tx);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

pub fn try_send_never_waits() {
    let (tx, rx) = sync_channel(1);
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(tx.try_send(3), Ok(()));
    assert_eq!(rx.recv(), Ok(3));
    let (tx, rx) = sync_channel(0);
    // Nobody is there to take it.
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    let receiver = thread::spawn(move || rx.recv());
    let mut tried = tx.try_send(2);
    while tried.is_err() {
        thread::yield_now();
        tried = tx.try_send(2);
    }
    assert_eq!(receiver.join().unwrap(), Ok(2));
}

pub fn a_send_without_room_is_over_when_it_is_taken() {
    let (tx, rx) = sync_channel(0);
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
        assert_eq!(rx.recv(), Ok(n));
    }
    sender.join().unwrap();
}

pub fn a_bound_is_kept() {
    let (tx, rx) = sync_channel(3);
    let sent = Arc::new(AtomicUsize::new(0));
    let sender = thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            for n in 0..100 {
                tx.send(n).unwrap();
                sent.store(n + 1, Ordering::Release);
            }
        }
    });
    for n in 0..100 {
        thread::yield_now();
        assert!(sent.load(Ordering::Acquire) <= n + 3);
        assert_eq!(rx.recv(), Ok(n));
    }
    sender.join().unwrap();
}

pub fn recv_timeout_is_never_early() {
    let (tx, rx) = channel::<u8>();
    let (sync_tx, sync_rx) = sync_channel::<u8>(0);
    for wanted in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let begin = Instant::now();
        assert_eq!(rx.recv_timeout(wanted), Err(RecvTimeoutError::Timeout));
        assert_eq!(sync_rx.recv_timeout(wanted), Err(RecvTimeoutError::Timeout));
        assert!(begin.elapsed() >= wanted * 2);
    }
    tx.send(1).unwrap();
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(1));
    drop(sync_tx);
}

pub fn recv_timeout_gets_what_comes_in_time() {
    for limit in [LONG, Duration::MAX] {
        let (tx, rx) = channel();
        let sender = thread::spawn(move || {
            for n in 0..50 {
                thread::yield_now();
                tx.send(n).unwrap();
            }
        });
        for n in 0..50 {
            assert_eq!(rx.recv_timeout(limit), Ok(n));
        }
        sender.join().unwrap();
    }
}

pub fn short_time_outs_lose_nothing() {
    let mut random = Random::new();
    for bound in [None, Some(0), Some(1)] {
        let (tx, rx) = channel();
        let (sync_tx, sync_rx) = sync_channel(bound.unwrap_or(0));
        let mut waits = random.clone();
        let sender = thread::spawn(move || {
            for n in 0..200 {
                if waits.below(4) == 0 {
                    thread::yield_now();
                }
                match bound {
                    None => tx.send(n).unwrap(),
                    Some(_) => sync_tx.send(n).unwrap(),
                }
            }
        });
        let rx = if bound.is_none() { rx } else { sync_rx };
        let mut next = 0;
        loop {
            match rx.recv_timeout(Duration::from_micros(random.below(60))) {
                Ok(n) => {
                    assert_eq!(n, next);
                    next += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(next, 200);
        sender.join().unwrap();
    }
}

pub fn iterators() {
    let (tx, rx) = channel();
    let sender = thread::spawn(move || {
        for n in 0..10 {
            tx.send(n).unwrap();
            thread::yield_now();
        }
    });
    assert_eq!(rx.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    let mut seen = Vec::new();
    for n in &rx {
        seen.push(n);
        if n == 5 {
            break;
        }
    }
    assert_eq!(seen, [3, 4, 5]);
    assert_eq!(rx.into_iter().collect::<Vec<_>>(), [6, 7, 8, 9]);
    sender.join().unwrap();

    let (tx, rx) = channel();
    assert_eq!(rx.try_iter().next(), None);
    (0..4).for_each(|n| tx.send(n).unwrap());
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    tx.send(4).unwrap();
    drop(tx);
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [4]);
    let mut all = rx.into_iter();
    assert_eq!((all.next(), all.next()), (None, None));
}

pub fn an_iterator_ends_when_the_last_sender_goes() {
    let (tx, rx) = sync_channel(1);
    let handles: Vec<_> = (0..4)
        .map(|n| {
            let tx = tx.clone();
            thread::spawn(move || tx.send(n).unwrap())
        })
        .collect();
    drop(tx);
    let mut all: Vec<u32> = rx.iter().collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    for handle in handles {
        handle.join().unwrap();
    }
}

pub fn what_nobody_takes_is_dropped_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let item = || Once(Arc::clone(&drops));
    let dropped = || drops.load(Ordering::Relaxed);
    let (tx, rx) = channel();
    (0..70).for_each(|_| tx.send(item()).unwrap());
    drop(rx.recv());
    assert_eq!(dropped(), 1);
    // With the receiver, not with the last sender.
    drop(rx);
    assert_eq!(dropped(), 70);
    drop(tx.send(item()));
    assert_eq!(dropped(), 71);
    let (tx, rx) = channel();
    (0..5).for_each(|_| tx.send(item()).unwrap());
    drop(tx);
    assert_eq!(dropped(), 71);
    drop(rx);
    assert_eq!(dropped(), 76);
    let (tx, rx) = sync_channel(3);
    (0..3).for_each(|_| tx.send(item()).unwrap());
    let back = tx.try_send(item());
    assert_eq!(dropped(), 76);
    drop(back);
    assert_eq!(dropped(), 77);
    drop(rx);
    assert_eq!(dropped(), 80);
    // A value that a sender could not deliver comes back to it.
    let (tx, rx) = sync_channel(0);
    let late = item();
    let sender = thread::spawn(move || tx.send(late).unwrap_err().0);
    thread::yield_now();
    drop(rx);
    let back = sender.join().unwrap();
    assert_eq!(dropped(), 80);
    drop(back);
    assert_eq!(dropped(), 81);
}

pub fn senders_may_be_shared_and_sent() {
    let (tx, rx) = channel();
    thread::scope(|s| {
        for n in 0..4 {
            let tx: &Sender<u32> = &tx;
            s.spawn(move || tx.send(n).unwrap());
        }
        s.spawn(move || assert_eq!(rx.iter().take(4).sum::<u32>(), 6));
    });
    let (tx, rx) = sync_channel(0);
    thread::scope(|s| {
        for n in 0..4 {
            let tx: &SyncSender<u32> = &tx;
            s.spawn(move || tx.send(n).unwrap());
        }
        assert_eq!(rx.iter().take(4).sum::<u32>(), 6);
    });
}

pub fn a_channel_sent_over_a_channel() {
    let (tx, rx) = channel::<(u32, Sender<u32>)>();
    let server = thread::spawn(move || {
        for (n, answer) in rx {
            answer.send(n * n).unwrap();
        }
    });
    for n in 0..50 {
        let (answer, answers): (_, Receiver<u32>) = channel();
        tx.send((n, answer)).unwrap();
        assert_eq!(answers.recv(), Ok(n * n));
        assert_eq!(answers.recv(), Err(RecvError));
    }
    drop(tx);
    server.join().unwrap();
}

pub fn a_receiver_goes_from_hand_to_hand() {
    let (tx, mut rx) = channel();
    for n in 0..10 {
        tx.send(n).unwrap();
        rx = thread::spawn(move || {
            assert_eq!(rx.recv(), Ok(n));
            rx
        })
        .join()
        .unwrap();
    }
}

pub fn values_of_all_sizes() {
    let (tx, rx) = channel::<[u64; 300]>();
    let (none, nones) = sync_channel::<()>(2);
    let handle = thread::spawn(move || {
        tx.send([7; 300]).unwrap();
        (0..9).for_each(|_| none.send(()).unwrap());
    });
    assert_eq!(rx.recv().unwrap(), [7; 300]);
    assert_eq!(nones.iter().count(), 9);
    handle.join().unwrap();
}

pub fn ping_pong() {
    let (ping, pings) = sync_channel(0);
    let (pong, pongs) = channel();
    let other = thread::spawn(move || {
        for n in pings {
            pong.send(n + 1).unwrap();
        }
    });
    let mut n = 0;
    while n < 300 {
        ping.send(n).unwrap();
        n = pongs.recv().unwrap();
    }
    drop(ping);
    other.join().unwrap();
}

pub fn texts() -> Vec<String> {
    fn said<E: std::error::Error + 'static>(error: E) -> String {
        format!("{error:?}, {error}, {}", error.source().is_none())
    }
    let (tx, rx) = channel::<u8>();
    let (sync_tx, sync_rx) = sync_channel::<u8>(1);
    let ends = format!("{tx:?}, {rx:?}, {sync_tx:?}, {sync_rx:?}");
    let iterators = format!(
        "{:?}, {:?}, {:?}",
        rx.iter(),
        rx.try_iter(),
        sync_rx.into_iter()
    );
    let mut all = vec![
        ends,
        iterators,
        said(SendError(1)),
        said(sync_tx.send(1).unwrap_err()),
        said(TrySendError::Full(1)),
        said(sync_tx.try_send(1).unwrap_err()),
        said(rx.try_recv().unwrap_err()),
        said(rx.recv_timeout(Duration::ZERO).unwrap_err()),
    ];
    drop(tx);
    all.push(said(rx.recv().unwrap_err()));
    all.push(said(rx.try_recv().unwrap_err()));
    all.push(said(rx.recv_timeout(SHORT).unwrap_err()));
    all
}

pub fn errors_become_each_other() {
    let try_send: TrySendError<u8> = SendError(1).into();
    assert_eq!(try_send, TrySendError::Disconnected(1));
    let try_recv: TryRecvError = RecvError.into();
    assert_eq!(try_recv, TryRecvError::Disconnected);
    let timeout: RecvTimeoutError = RecvError.into();
    assert_eq!(timeout, RecvTimeoutError::Disconnected);
    // They are std's own, so a program's From impls serve both.
    let stds: std::sync::mpsc::RecvError = RecvError;
    assert_eq!(stds, RecvError);
}
