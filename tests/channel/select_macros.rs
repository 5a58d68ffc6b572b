//! Promises of crossbeam's `select!` and `select_biased!`.

use std::time::{Duration, Instant};

use super::channel::{
    Receiver, RecvError, Sender, after, bounded, never, select, select_biased, tick, unbounded,
};
use super::thread;
use crate::places::panic_text;

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(1000);

pub fn an_arm_for_each() {
    let ((tx, rx), (other_tx, other_rx)) = (unbounded(), bounded(1));
    tx.send(1).unwrap();
    let got = select! {
        recv(rx) -> got => got,
        recv(other_rx) -> got => got,
    };
    assert_eq!(got, Ok(1));
    select! {
        recv(rx) -> _ => panic!("it is empty"),
        send(other_tx, 2) -> sent => assert_eq!(sent, Ok(())),
    }
    select! {
        recv(rx) -> _ => panic!("it is empty"),
        recv(other_rx) -> got => assert_eq!(got, Ok(2)),
    }
}

pub fn default_when_none_is_ready() {
    let (tx, rx) = unbounded();
    let look = |rx: &Receiver<u8>| {
        select! {
            recv(rx) -> got => got.ok(),
            default => None,
        }
    };
    assert_eq!(look(&rx), None);
    tx.send(1).unwrap();
    assert_eq!(look(&rx), Some(1));
    let said = select! {
        default() => "nothing else",
    };
    assert_eq!(said, "nothing else");
}

pub fn default_after_a_time() {
    let rx = never::<u8>();
    let begin = Instant::now();
    select! {
        recv(rx) -> _ => panic!("never"),
        default(SHORT) => {}
    }
    assert!(begin.elapsed() >= SHORT);
    let (tx, rx) = bounded(0);
    thread::scope(|s| {
        s.spawn(|| (0..20).for_each(|n| tx.send(n).unwrap()));
        for n in 0..20 {
            select! {
                recv(rx) -> got => assert_eq!(got, Ok(n)),
                default(LONG) => panic!("it was to come"),
            }
        }
    });
    let begin = Instant::now();
    select! {
        default(SHORT) => {}
    }
    assert!(begin.elapsed() >= SHORT);
}

pub fn bodies_may_leave() {
    fn first(rx: &Receiver<u8>) -> Option<u8> {
        loop {
            select! {
                recv(rx) -> got => match got {
                    Ok(0) => continue,
                    Ok(n) => return Some(n),
                    Err(_) => break,
                },
            }
        }
        None
    }
    fn tried(rx: &Receiver<u8>) -> Result<u8, RecvError> {
        Ok(select! { recv(rx) -> got => got? } + 1)
    }
    let (tx, rx) = unbounded();
    [0, 0, 3].iter().for_each(|n| tx.send(*n).unwrap());
    assert_eq!(first(&rx), Some(3));
    tx.send(4).unwrap();
    assert_eq!(tried(&rx), Ok(5));
    drop(tx);
    assert_eq!(first(&rx), None);
    assert_eq!(tried(&rx), Err(RecvError));
}

pub fn arms_take_expressions_and_patterns() {
    struct Ends {
        tx: Sender<(u8, String)>,
        rx: Receiver<(u8, String)>,
    }
    impl Ends {
        fn rx(&self) -> &Receiver<(u8, String)> {
            &self.rx
        }
    }
    let (tx, rx) = bounded(1);
    let ends = Ends { tx, rx };
    let text = String::from("moved");
    select! {
        send(ends.tx, (1, text)) -> sent => sent.unwrap(),
        recv(never::<u8>()) -> _ => unreachable!(),
    }
    let size = select! {
        recv(ends.rx()) -> got => {
            let (number, text) = got.unwrap();
            usize::from(number) + text.len()
        }
        recv(if true { never() } else { after(SHORT) }) -> _ => unreachable!(),
    };
    assert_eq!(size, 6);
}

pub fn a_value_is_made_only_for_the_send_that_is_chosen() {
    let ((full, _kept), (tx, rx)) = (bounded(0), bounded(1));
    let mut made = Vec::new();
    select! {
        send(full, { made.push("full"); 1 }) -> _ => unreachable!(),
        send(tx, { made.push("free"); 2 }) -> sent => sent.unwrap(),
    }
    assert_eq!((made, rx.recv()), (vec!["free"], Ok(2)));
}

pub fn closed_channels_are_ready() {
    let ((tx, rx), (full, gone)) = (bounded::<u8>(0), bounded::<u8>(0));
    drop((tx, gone));
    let (mut receives, mut sends) = (0, 0);
    for _ in 0..500 {
        select! {
            recv(rx) -> got => {
                assert_eq!(got, Err(RecvError));
                receives += 1;
            }
            send(full, 1) -> sent => {
                assert!(sent.is_err());
                sends += 1;
            }
        }
    }
    assert!(receives > 20 && sends > 20, "{receives} and {sends}");
}

pub fn each_who_is_ready_is_chosen_at_times() {
    let ends: [_; 3] = std::array::from_fn(|_| unbounded());
    let [(_, first), (_, second), (_, third)] = &ends;
    ends.iter()
        .for_each(|(tx, _)| (0..1000).for_each(|n| tx.send(n).unwrap()));
    let mut counts = [0; 3];
    for _ in 0..1000 {
        select! {
            recv(first) -> _ => counts[0] += 1,
            recv(second) -> _ => counts[1] += 1,
            recv(third) -> _ => counts[2] += 1,
        }
    }
    assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
}

pub fn a_biased_one_takes_the_first() {
    let ((tx, rx), (other_tx, other_rx)) = (unbounded(), unbounded());
    (0..50).for_each(|n| tx.send(n).unwrap());
    (0..50).for_each(|n| other_tx.send(n).unwrap());
    for round in 0..100 {
        select_biased! {
            recv(rx) -> got => assert_eq!(got, Ok(round)),
            recv(other_rx) -> got => assert_eq!(got, Ok(round - 50)),
        }
    }
    select_biased! {
        recv(rx) -> _ => unreachable!(),
        default => {}
    }
}

pub fn it_waits_for_either_side() {
    for bound in [0, 1] {
        let ((tx, rx), (back_tx, back_rx)) = (bounded(bound), bounded(bound));
        // Where there is no room, ever.
        let (idle, _kept) = bounded(0);
        thread::scope(|s| {
            s.spawn(|| {
                let (mut sent, mut got) = (0, 0);
                while sent + got < 100 {
                    select! {
                        send(if sent < 50 { &tx } else { &idle }, sent) -> result => {
                            result.unwrap();
                            sent += 1;
                        }
                        recv(back_rx) -> n => {
                            assert_eq!(n, Ok(got));
                            got += 1;
                        }
                    }
                }
            });
            for n in 0..50 {
                assert_eq!(rx.recv(), Ok(n));
            }
            for n in 0..50 {
                back_tx.send(n).unwrap();
            }
        });
    }
}

pub fn a_loop_with_ticks_and_an_end() {
    let (tx, rx) = bounded(0);
    thread::scope(|s| {
        let (ticks, quit) = (tick(Duration::from_millis(1)), after(LONG));
        s.spawn(move || {
            for n in 0..10 {
                tx.send(n).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let (mut items, mut ticked) = (0, 0);
        loop {
            select! {
                recv(rx) -> got => match got {
                    Ok(n) => {
                        assert_eq!(n, items);
                        items += 1;
                    }
                    Err(RecvError) => break,
                },
                recv(ticks) -> _ => ticked += 1,
                recv(quit) -> _ => panic!("far too late"),
            }
        }
        assert_eq!(items, 10);
        assert!(ticked > 0);
    });
}

pub fn a_panic_in_a_body_leaves_the_channel_whole() -> Vec<String> {
    let (tx, rx) = bounded(2);
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    let said = panic_text(|| {
        select! {
            recv(rx) -> _ => panic!("expected"),
            default => {}
        }
    });
    assert_eq!(rx.len(), 1);
    assert_eq!(rx.recv(), Ok(2));
    vec![said]
}

pub fn no_more_than_one_arm_happens() {
    let ends: [_; 2] = std::array::from_fn(|_| bounded::<u32>(0));
    let [(tx, rx), (other_tx, other_rx)] = &ends;
    let (got, sent): (u32, u32) = thread::scope(|s| {
        let senders: Vec<_> = (0..2)
            .map(|_| {
                s.spawn(|| {
                    let mut sum = 0;
                    for n in 0..100 {
                        select! {
                            send(tx, n) -> sent => sent.unwrap(),
                            send(other_tx, n) -> sent => sent.unwrap(),
                        }
                        sum += n;
                    }
                    sum
                })
            })
            .collect();
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                s.spawn(|| {
                    (0..100)
                        .map(|_| {
                            select! {
                                recv(rx) -> got => got.unwrap(),
                                recv(other_rx) -> got => got.unwrap(),
                            }
                        })
                        .sum::<u32>()
                })
            })
            .collect();
        let sum = |all: Vec<_>| {
            all.into_iter()
                .map(|h: thread::ScopedJoinHandle<'_, u32>| h.join().unwrap())
                .sum()
        };
        (sum(receivers), sum(senders))
    });
    assert_eq!(got, sent);
}
