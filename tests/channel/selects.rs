//! Promises of crossbeam's `Select`.

use std::time::{Duration, Instant};

use super::channel::{
    ReadyTimeoutError, RecvError, Select, SelectTimeoutError, SendError, TryReadyError,
    TrySelectError, bounded, never, unbounded,
};
use super::thread;
use crate::places::panic_text;

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(1000);

pub fn what_is_ready_is_selected() {
    let (tx, rx) = unbounded();
    let (_other_tx, other_rx) = unbounded::<u8>();
    let mut select = Select::new();
    assert_eq!(select.recv(&other_rx), 0);
    assert_eq!(select.recv(&rx), 1);
    for n in 0..20 {
        tx.send(n).unwrap();
        let operation = select.select();
        assert_eq!(operation.index(), 1);
        assert_eq!(operation.recv(&rx), Ok(n));
    }
    assert_eq!(select.try_select().err(), Some(TrySelectError));
}

pub fn it_waits_for_the_first() {
    let ((tx, rx), (other_tx, other_rx)) = (bounded(0), bounded(0));
    thread::scope(|s| {
        s.spawn(move || (0..60).for_each(|n| tx.send(n).unwrap()));
        s.spawn(move || (0..60).for_each(|n| other_tx.send(n).unwrap()));
        let (mut next, mut other_next, mut closed) = (0, 0, [false; 2]);
        let mut select = Select::new();
        select.recv(&rx);
        select.recv(&other_rx);
        while closed != [true; 2] {
            let operation = select.select();
            let index = operation.index();
            let (rx, next) = match index {
                0 => (&rx, &mut next),
                _ => (&other_rx, &mut other_next),
            };
            match operation.recv(rx) {
                Ok(n) => {
                    assert_eq!(n, *next);
                    *next += 1;
                }
                Err(RecvError) => {
                    closed[index] = true;
                    select.remove(index);
                }
            }
        }
        assert_eq!((next, other_next), (60, 60));
    });
}

pub fn sends_and_receives_together() {
    for bound in [0, 1] {
        let ((out_tx, out_rx), (in_tx, in_rx)) = (bounded(bound), bounded(bound));
        thread::scope(|s| {
            s.spawn(|| assert_eq!(out_rx.iter().take(50).sum::<u32>(), (0..50).sum()));
            s.spawn(|| (0..50u32).for_each(|n| in_tx.send(n).unwrap()));
            let (mut sent, mut got) = (0, 0);
            while (sent, got) != (50, 50) {
                let mut select = Select::new();
                let send = if sent < 50 {
                    select.send(&out_tx)
                } else {
                    usize::MAX
                };
                if got < 50 {
                    select.recv(&in_rx);
                }
                let operation = select.select();
                if operation.index() == send {
                    operation.send(&out_tx, sent).unwrap();
                    sent += 1;
                } else {
                    assert_eq!(operation.recv(&in_rx), Ok(got));
                    got += 1;
                }
            }
        });
    }
}

pub fn two_selects_meet_without_room() {
    let (tx, rx) = bounded(0);
    thread::scope(|s| {
        s.spawn(|| {
            for n in 0..60 {
                let mut select = Select::new();
                select.send(&tx);
                select.select().send(&tx, n).unwrap();
            }
        });
        for n in 0..60 {
            let mut select = Select::new();
            select.recv(&rx);
            assert_eq!(select.select().recv(&rx), Ok(n));
        }
    });
}

pub fn a_select_does_not_meet_itself() {
    let (tx, rx) = bounded::<u8>(0);
    let mut select = Select::new();
    select.send(&tx);
    select.recv(&rx);
    assert!(select.try_select().is_err());
    assert_eq!(select.select_timeout(SHORT).err(), Some(SelectTimeoutError));
}

pub fn each_who_is_ready_is_chosen_at_times() {
    const ROUNDS: usize = 2000;
    let ends: [_; 3] = std::array::from_fn(|_| unbounded());
    ends.iter()
        .for_each(|(tx, _)| (0..ROUNDS).for_each(|n| tx.send(n).unwrap()));
    let (room, _kept) = unbounded();
    let mut select = Select::new();
    ends.iter().for_each(|(_, rx)| {
        select.recv(rx);
    });
    let send = select.send(&room);
    let mut counts = [0; 4];
    for n in 0..ROUNDS {
        let operation = select.select();
        let index = operation.index();
        counts[index] += 1;
        if index == send {
            operation.send(&room, n).unwrap();
        } else {
            operation.recv(&ends[index].1).unwrap();
        }
    }
    assert!(
        counts.iter().all(|count| *count > ROUNDS / 40),
        "{counts:?}"
    );
}

pub fn two_who_are_ready_are_chosen_equally_often() {
    const ROUNDS: usize = 4000;
    // Those that are not ready, and where they stand, make no difference.
    let [first, second, third, fourth] = std::array::from_fn(|_| unbounded());
    (0..ROUNDS).for_each(|n| third.0.send(n).unwrap());
    (0..ROUNDS).for_each(|n| fourth.0.send(n).unwrap());
    let mut select = Select::new();
    for (_, rx) in [&first, &second, &third, &fourth] {
        select.recv(rx);
    }
    let mut counts = [0usize; 4];
    for _ in 0..ROUNDS {
        let operation = select.select();
        let index = operation.index();
        counts[index] += 1;
        operation.recv([&third.1, &fourth.1][index - 2]).unwrap();
    }
    // Six and a half standard deviations.
    assert!(counts[2].abs_diff(ROUNDS / 2) < 205, "{counts:?}");
}

pub fn the_other_end_does_not_always_find_the_same_operation() {
    const ROUNDS: usize = 300;
    let (tx, rx) = bounded(0);
    thread::scope(|s| {
        s.spawn(move || {
            for n in 0..ROUNDS {
                // Succeeds only when the selection waits already.
                while tx.try_send(n).is_err() {
                    thread::yield_now();
                }
            }
        });
        let mut counts = [0; 3];
        for n in 0..ROUNDS {
            let mut select = Select::new();
            for _ in 0..3 {
                select.recv(&rx);
            }
            let operation = select.select();
            counts[operation.index()] += 1;
            assert_eq!(operation.recv(&rx), Ok(n));
        }
        assert!(
            counts.iter().all(|count| *count > ROUNDS / 15),
            "{counts:?}"
        );
    });
}

pub fn a_biased_one_takes_the_first() {
    let ends: [_; 3] = std::array::from_fn(|_| unbounded());
    let mut select = Select::new_biased();
    ends.iter().for_each(|(_, rx)| {
        select.recv(rx);
    });
    for round in 0..50 {
        ends.iter()
            .skip(round % 3)
            .for_each(|(tx, _)| tx.send(round).unwrap());
        for (expected, (_, rx)) in ends.iter().enumerate().skip(round % 3) {
            let operation = select.select();
            assert_eq!(operation.index(), expected);
            assert_eq!(operation.recv(rx), Ok(round));
        }
    }
    assert!(select.try_ready().is_err());
}

pub fn a_closed_channel_is_ready() {
    let (tx, rx) = bounded::<u8>(1);
    tx.send(1).unwrap();
    drop(tx);
    let (full, gone) = bounded::<u8>(0);
    drop(gone);
    let mut select = Select::new();
    select.recv(&rx);
    assert_eq!(select.select().recv(&rx), Ok(1));
    assert_eq!(select.select().recv(&rx), Err(RecvError));
    assert_eq!(select.try_select().unwrap().recv(&rx), Err(RecvError));
    assert_eq!(select.try_ready(), Ok(0));
    let mut select = Select::new();
    select.send(&full);
    assert_eq!(select.select().send(&full, 2), Err(SendError(2)));
    assert_eq!(
        select.select_timeout(LONG).unwrap().send(&full, 3),
        Err(SendError(3))
    );
}

pub fn who_waits_is_told_of_a_close() {
    for bound in [0, 1] {
        let ((tx, rx), (full, gone)) = (bounded::<u8>(bound), bounded::<u8>(bound));
        (0..bound).for_each(|n| full.send(n as u8).unwrap());
        thread::scope(|s| {
            s.spawn(move || {
                thread::yield_now();
                drop(tx);
            });
            let mut select = Select::new();
            select.recv(&rx);
            select.send(&full);
            let operation = select.select();
            assert_eq!(operation.index(), 0);
            assert_eq!(operation.recv(&rx), Err(RecvError));
            select.remove(0);
            s.spawn(move || {
                thread::yield_now();
                drop(gone);
            });
            let operation = select.select();
            assert_eq!(operation.index(), 1);
            assert_eq!(operation.send(&full, 9), Err(SendError(9)));
        });
    }
}

pub fn time_outs_are_never_early() {
    let rx = never::<u8>();
    let (tx, _rx) = bounded::<u8>(0);
    let mut select = Select::new();
    select.recv(&rx);
    select.send(&tx);
    for wanted in [Duration::ZERO, SHORT] {
        let begin = Instant::now();
        assert_eq!(
            select.select_timeout(wanted).err(),
            Some(SelectTimeoutError)
        );
        assert_eq!(select.ready_timeout(wanted), Err(ReadyTimeoutError));
        assert!(begin.elapsed() >= wanted * 2);
        let when = Instant::now() + wanted;
        assert_eq!(select.select_deadline(when).err(), Some(SelectTimeoutError));
        assert_eq!(select.ready_deadline(when), Err(ReadyTimeoutError));
        assert!(Instant::now() >= when);
    }
    assert_eq!(select.try_ready(), Err(TryReadyError));
}

pub fn what_comes_in_time_is_selected() {
    let (tx, rx) = bounded(0);
    thread::scope(|s| {
        s.spawn(move || (0..40).for_each(|n| tx.send(n).unwrap()));
        let mut select = Select::new();
        select.recv(&rx);
        for n in 0..40 {
            let operation = match n % 3 {
                0 => select.select_timeout(LONG).unwrap(),
                1 => select.select_timeout(Duration::MAX).unwrap(),
                _ => select.select_deadline(Instant::now() + LONG).unwrap(),
            };
            assert_eq!(operation.recv(&rx), Ok(n));
        }
    });
}

pub fn ready_tells_and_takes_nothing() {
    let (tx, rx) = bounded(1);
    let mut select = Select::new();
    select.recv(&rx);
    assert_eq!(select.try_ready(), Err(TryReadyError));
    tx.send(1).unwrap();
    assert_eq!(select.try_ready(), Ok(0));
    assert_eq!(select.ready(), 0);
    assert_eq!(select.ready_timeout(LONG), Ok(0));
    assert_eq!(select.ready_deadline(Instant::now()), Ok(0));
    assert_eq!(rx.try_recv(), Ok(1));
    assert!(select.try_ready().is_err());
}

pub fn who_waits_to_be_ready_is_told() {
    for bound in [0, 2] {
        let (tx, rx) = bounded(bound);
        thread::scope(|s| {
            s.spawn(move || (0..60).for_each(|n| tx.send(n).unwrap()));
            let mut select = Select::new();
            select.recv(&rx);
            let mut next = 0;
            while next < 60 {
                // Ready is a hint: another may have been faster, or a sender may have gone on.
                assert_eq!(select.ready(), 0);
                if let Ok(n) = rx.try_recv() {
                    assert_eq!(n, next);
                    next += 1;
                }
            }
        });
    }
}

pub fn operations_can_be_removed() -> Vec<String> {
    let ((tx, rx), (other_tx, other_rx)) = (unbounded(), unbounded());
    tx.send(1).unwrap();
    other_tx.send(2).unwrap();
    let mut select = Select::new();
    let (first, second) = (select.recv(&rx), select.recv(&other_rx));
    select.remove(first);
    let operation = select.select();
    assert_eq!(operation.index(), second);
    assert_eq!(operation.recv(&other_rx), Ok(2));
    // Numbers are not given out again.
    assert_eq!(select.recv(&rx), 2);
    select.remove(second);
    let operation = select.select();
    assert_eq!(operation.index(), 2);
    assert_eq!(operation.recv(&rx), Ok(1));
    vec![
        panic_text(|| select.remove(9)),
        panic_text(|| select.remove(first)),
    ]
}

pub fn with_nothing_added() -> Vec<String> {
    let said = vec![
        panic_text(|| Select::new().select().index()),
        panic_text(|| Select::new().ready()),
    ];
    let mut none = Select::default();
    assert!(none.try_select().is_err() && none.try_ready().is_err());
    let begin = Instant::now();
    assert!(none.select_timeout(SHORT).is_err());
    assert!(none.ready_timeout(SHORT).is_err());
    assert!(begin.elapsed() >= SHORT * 2);
    said
}

pub fn an_operation_must_be_completed() -> Vec<String> {
    let (tx, rx) = unbounded();
    tx.send(1).unwrap();
    let mut select = Select::new();
    select.recv(&rx);
    vec![panic_text(|| drop(select.select()))]
}

pub fn the_same_channel_twice() {
    let (tx, rx) = unbounded();
    (0..10).for_each(|n| tx.send(n).unwrap());
    let mut select = Select::new();
    select.recv(&rx);
    select.recv(&rx);
    let mut next = 0;
    while let Ok(operation) = select.try_select() {
        assert_eq!(operation.recv(&rx), Ok(next));
        next += 1;
    }
    assert_eq!(next, 10);
    let clone = select.clone();
    assert_eq!(format!("{clone:?}"), format!("{select:?}"));
}

pub fn clones_and_texts() -> Vec<String> {
    let (tx, rx) = unbounded();
    let mut select = Select::new();
    select.recv(&rx);
    let mut clone = select.clone();
    tx.send(1).unwrap();
    let operation = clone.select();
    let said = vec![
        format!("{select:?}, {operation:?}, {:?}", Select::new_biased()),
        format!(
            "{TrySelectError:?}, {TrySelectError}, {SelectTimeoutError:?}, {SelectTimeoutError}"
        ),
        format!("{TryReadyError:?}, {ReadyTimeoutError:?}"),
    ];
    operation.recv(&rx).unwrap();
    said
}

pub fn many_select_on_the_same_channels() {
    let ends: [_; 3] = std::array::from_fn(|_| bounded::<usize>(0));
    let total: usize = thread::scope(|s| {
        for (tx, _) in &ends {
            let tx = tx.clone();
            s.spawn(move || (0..60).for_each(|n| tx.send(n).unwrap()));
        }
        let handles: Vec<_> = (0..3)
            .map(|_| {
                let rxs = ends.each_ref().map(|(_, rx)| rx.clone());
                s.spawn(move || {
                    let mut select = Select::new();
                    rxs.iter().for_each(|rx| {
                        select.recv(rx);
                    });
                    let mut sum = 0;
                    for _ in 0..60 {
                        let operation = select.select();
                        let rx = &rxs[operation.index()];
                        sum += operation.recv(rx).unwrap();
                    }
                    sum
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum()
    });
    assert_eq!(total, 3 * (0..60).sum::<usize>());
}
