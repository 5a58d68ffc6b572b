//! `block_on` with the combinators, channels, locks and events of crates that know no runtime.

use std::sync::Arc;

use crate::common::everywhere;
use fibers::block_on;
use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt, join, select};

#[test]
fn select_join_and_unordered_work() {
    fn promise() {
        let (numbers, mut from_numbers) = mpsc::unbounded::<u64>();
        let (words, mut from_words) = mpsc::channel::<&str>(1);
        let first = fibers::spawn(move || {
            for number in 0..100 {
                numbers.unbounded_send(number).unwrap();
                fibers::yield_now();
            }
        });
        let second = fibers::spawn(move || {
            let mut words = words;
            block_on(async {
                for _ in 0..100 {
                    words.send("word").await.unwrap();
                }
            });
        });
        let (sum, count) = block_on(async {
            let (mut sum, mut count) = (0, 0);
            loop {
                select! {
                    number = from_numbers.select_next_some() => sum += number,
                    word = from_words.select_next_some() => count += word.len(),
                    complete => break (sum, count),
                }
            }
        });
        assert_eq!((sum, count), (4950, 400));
        let joined = block_on(async { join!(first.into_future(), second.into_future()) });
        assert!(joined.0.is_ok() && joined.1.is_ok());
        let mut all: FuturesUnordered<_> = (0..100_u64)
            .map(|n| fibers::spawn(move || n).into_future())
            .collect();
        let mut sum = 0;
        block_on(async {
            while let Some(one) = all.next().await {
                sum += one.unwrap();
            }
        });
        assert_eq!(sum, 4950);
    }
    everywhere(60, promise);
}

#[test]
fn channels_locks_and_events_of_other_crates_work() {
    fn promise() {
        let (sender, receiver) = async_channel::bounded(2);
        let lock = Arc::new(async_lock::Mutex::new(0));
        let event = Arc::new(event_listener::Event::new());
        let fibers: Vec<_> = (0..8)
            .map(|n| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                let (lock, event) = (Arc::clone(&lock), Arc::clone(&event));
                fibers::spawn(move || {
                    block_on(async {
                        for _ in 0..50 {
                            if n % 2 == 0 {
                                sender.send(1).await.unwrap();
                            } else {
                                *lock.lock().await += receiver.recv().await.unwrap();
                            }
                        }
                        event.notify(usize::MAX);
                    });
                })
            })
            .collect();
        loop {
            let listener = event.listen();
            if block_on(async { *lock.lock().await == 200 }) {
                break;
            }
            block_on(listener);
        }
        block_on(async {
            for fiber in fibers {
                fiber.await.unwrap();
            }
        });
    }
    everywhere(60, promise);
}
