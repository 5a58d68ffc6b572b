//! The messages of a channel as a stream: on fibers, on executors that know no fibers, and between both.
//!
//! `cargo test --features stream --test stream`

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{Expected, Test, everywhere, in_both_modes, scaled, silence_panics, stress};
use fibers::block_on;
use fibers::channel::{self, Receiver, after, bounded, never, tick, unbounded};
use futures::stream::{FusedStream, Stream};
use futures::{StreamExt, select};

fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin), waker: &Waker) -> Poll<Option<T>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn all_messages_come_in_order_and_then_the_end() {
    fn promise() {
        for capacity in [0, 1, 7, usize::MAX] {
            let (sender, receiver) = bounded(capacity);
            let fiber = fibers::spawn(move || (0..500).for_each(|n| sender.send(n).unwrap()));
            let mut stream = receiver.into_stream();
            let got: Vec<i32> = block_on((&mut stream).collect());
            assert_eq!(got, (0..500).collect::<Vec<_>>());
            assert!(stream.is_terminated());
            fiber.join().unwrap();
        }
    }
    everywhere(60, promise);
}

#[test]
fn an_executor_that_knows_no_fibers_receives_from_fibers() {
    in_both_modes(60, 2, |_, machine, _| {
        let count = if stress() {
            1_000_000
        } else {
            scaled(100_000, 100_000)
        };
        for capacity in [0, 1, 100] {
            let (sender, receiver) = bounded(capacity);
            let senders: Vec<_> = (0..4)
                .map(|_| {
                    let sender = sender.clone();
                    machine.spawn(move || (0..count / 40).for_each(|_| sender.send(1).unwrap()))
                })
                .collect();
            drop(sender);
            let streams = [receiver.clone(), receiver];
            let threads = streams.map(|receiver: Receiver<usize>| {
                std::thread::spawn(move || {
                    futures::executor::block_on(
                        receiver.stream().fold(0, async |sum, one| sum + one),
                    )
                })
            });
            let sum: usize = threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum();
            assert_eq!(sum, count / 40 * 4);
            senders.into_iter().for_each(|fiber| fiber.join().unwrap());
        }
    });
}

#[test]
fn streams_and_fibers_share_a_channel() {
    in_both_modes(60, 2, |_, machine, _| {
        let (sender, receiver) = bounded(2);
        let consumers: Vec<_> = (0..6)
            .map(|n| {
                let receiver = receiver.clone();
                machine.spawn(move || match n % 2 {
                    0 => receiver.iter().count(),
                    _ => block_on(receiver.into_stream().count()),
                })
            })
            .collect();
        drop(receiver);
        for n in 0..10_000 {
            sender.send(n).unwrap();
        }
        drop(sender);
        let sum: usize = consumers
            .into_iter()
            .map(|fiber| fiber.join().unwrap())
            .sum();
        assert_eq!(sum, 10_000);
    });
}

#[test]
fn a_selection_sends_to_a_stream() {
    in_both_modes(60, 2, |_, machine, _| {
        let (sender, receiver) = bounded(0);
        let (other, nobody) = bounded(0);
        let fiber = machine.spawn(move || {
            for number in 0..200 {
                channel::select! {
                    send(sender, number) -> sent => sent.unwrap(),
                    send(other, 0) -> _ => unreachable!(),
                }
            }
        });
        let got: Vec<i32> = futures::executor::block_on(receiver.into_stream().collect());
        assert_eq!(got, (0..200).collect::<Vec<_>>());
        fiber.join().unwrap();
        drop(nobody);
    });
}

#[test]
fn two_streams_are_selected_from() {
    fn promise() {
        let (first, numbers) = unbounded();
        let (second, words) = bounded(1);
        fibers::spawn(move || (0..100).for_each(|n| first.send(n).unwrap()));
        fibers::spawn(move || (0..100).for_each(|_| second.send("word").unwrap()));
        let (mut numbers, mut words) = (numbers.stream(), words.stream());
        let (mut sum, mut letters) = (0, 0);
        block_on(async {
            loop {
                select! {
                    number = numbers.select_next_some() => sum += number,
                    word = words.select_next_some() => letters += word.len(),
                    complete => break,
                }
            }
        });
        assert_eq!((sum, letters), (4950, 400));
    }
    everywhere(60, promise);
}

/// The one that was told is dropped before it looks: the other one was told, too.
#[test]
fn a_stream_that_is_dropped_takes_nobodys_wake_along() {
    let _test = Test::new(60);
    let (sender, receiver) = unbounded();
    let (mut first, mut second) = (receiver.stream(), receiver.stream());
    let counts = [Arc::new(Counts::default()), Arc::new(Counts::default())];
    let wakers = counts
        .each_ref()
        .map(|counts| Waker::from(Arc::clone(counts)));
    assert!(next(&mut first, &wakers[0]).is_pending());
    assert!(next(&mut second, &wakers[1]).is_pending());
    assert!(next(&mut second, &wakers[1]).is_pending());
    sender.send(1).unwrap();
    assert_eq!(
        counts.each_ref().map(|counts| counts.0.load(SeqCst)),
        [1, 1]
    );
    drop(first);
    assert_eq!(next(&mut second, &wakers[1]), Poll::Ready(Some(1)));
    assert!(next(&mut second, &wakers[1]).is_pending());
    drop(second);
    drop(wakers);
    assert!(
        counts.iter().all(|counts| Arc::strong_count(counts) == 1),
        "wakers let go"
    );
    drop(sender);
}

#[test]
fn a_waker_that_panics_does_no_harm_to_the_sender_and_the_others() {
    struct Wicked;
    impl Wake for Wicked {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(Expected(1));
        }
    }
    silence_panics();
    let _test = Test::new(60);
    let (sender, receiver) = unbounded();
    let (mut first, mut second) = (receiver.stream(), receiver.stream());
    let counts = Arc::new(Counts::default());
    assert!(next(&mut first, &Waker::from(Arc::new(Wicked))).is_pending());
    assert!(next(&mut second, &Waker::from(Arc::clone(&counts))).is_pending());
    sender.send(1).unwrap();
    assert_eq!(counts.0.load(SeqCst), 1);
}

#[test]
fn moments_are_streams_too() {
    fn promise() {
        let started = std::time::Instant::now();
        let short = Duration::from_millis(1);
        assert!(block_on(after(short).into_stream().next()).is_some());
        assert!(started.elapsed() >= short);
        let ticks = block_on(tick(short).into_stream().take(3).count());
        assert_eq!(ticks, 3);
        assert!(started.elapsed() >= 4 * short);
        let mut never = never::<()>().into_stream();
        assert!(next(&mut never, Waker::noop()).is_pending());
        let mut long = after(Duration::from_secs(3600)).into_stream();
        assert!(next(&mut long, Waker::noop()).is_pending());
    }
    everywhere(60, promise);
}
