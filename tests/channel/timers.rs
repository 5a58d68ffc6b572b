//! Promises of crossbeam's `after`, `at`, `tick` and `never`.

use std::time::{Duration, Instant};

use super::channel::{RecvError, RecvTimeoutError, Select, TryRecvError, after, at, never, tick};
use super::thread;

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_secs(1000);

pub fn after_fires_once_and_not_early() {
    let begin = Instant::now();
    let rx = after(SHORT);
    let fired = rx.recv().unwrap();
    assert!(fired >= begin + SHORT && begin.elapsed() >= SHORT);
    // Never again, and never disconnected.
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
}

pub fn after_nothing_is_there_at_once() {
    let rx = after(Duration::ZERO);
    assert!(rx.try_recv().is_ok());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

pub fn one_who_comes_late_gets_the_time_it_fired_for() {
    let begin = Instant::now();
    let rx = after(Duration::from_millis(1));
    while begin.elapsed() < SHORT {
        thread::yield_now();
    }
    assert_eq!(rx.len(), 1);
    assert!(rx.is_full() && !rx.is_empty());
    let fired = rx.recv().unwrap();
    assert!(fired >= begin + Duration::from_millis(1));
    assert!(rx.is_empty() && !rx.is_full());
}

pub fn lengths_and_capacities() {
    let (one, many, none) = (after(LONG), tick(LONG), never::<u8>());
    assert_eq!((one.len(), many.len(), none.len()), (0, 0, 0));
    assert_eq!(
        (one.capacity(), many.capacity(), none.capacity()),
        (Some(1), Some(1), Some(0))
    );
    assert!(one.is_empty() && many.is_empty() && none.is_empty());
    assert!(!one.is_full() && !many.is_full() && none.is_full());
}

pub fn clones_share_one_message() {
    let rx = after(Duration::ZERO);
    let other = rx.clone();
    assert!(rx.same_channel(&other));
    assert!(!rx.same_channel(&after(Duration::ZERO)));
    let got = [rx.try_recv().is_ok(), other.try_recv().is_ok()];
    assert_eq!(got, [true, false]);
    let rx = after(SHORT);
    let taken: usize = thread::scope(|s| {
        let handles: Vec<_> = (0..4)
            .map(|_| s.spawn(|| rx.recv_timeout(Duration::from_millis(30)).is_ok()))
            .collect();
        handles
            .into_iter()
            .map(|handle| usize::from(handle.join().unwrap()))
            .sum()
    });
    assert_eq!(taken, 1);
}

pub fn at_a_moment_past_or_to_come() {
    let past = Instant::now();
    let rx = at(past);
    assert!(rx.recv().unwrap() >= past);
    let when = Instant::now() + SHORT;
    let rx = at(when);
    // Not equal: a moment of another clock's may have to be converted.
    assert!(rx.recv().unwrap() >= when);
    assert!(Instant::now() >= when);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

pub fn tick_fires_again_and_again() {
    let period = Duration::from_millis(2);
    let begin = Instant::now();
    let rx = tick(period);
    let mut last = begin;
    for n in 1..=5 {
        let fired = rx.recv().unwrap();
        assert!(begin.elapsed() >= period * n);
        assert!(fired >= last && fired >= begin + period);
        last = fired;
    }
}

pub fn ticks_that_nobody_takes_do_not_pile_up() {
    let rx = tick(Duration::from_millis(20));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(70) {
        thread::yield_now();
    }
    assert_eq!(rx.len(), 1);
    assert!(rx.try_recv().is_ok());
}

pub fn clones_share_the_ticks() {
    let rx = tick(Duration::from_millis(1));
    thread::scope(|s| {
        for _ in 0..3 {
            let rx = rx.clone();
            s.spawn(move || assert_eq!(rx.iter().take(3).count(), 3));
        }
    });
}

pub fn never_is_never_ready_and_never_gone() {
    let rx = never::<u8>();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let begin = Instant::now();
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(begin.elapsed() >= SHORT);
    assert_eq!(
        rx.recv_deadline(Instant::now()),
        Err(RecvTimeoutError::Timeout)
    );
    assert_eq!(rx.try_iter().count(), 0);
    assert!(rx.same_channel(&never()));
}

pub fn a_time_that_never_comes() {
    let (far, ticks) = (after(Duration::MAX), tick(Duration::MAX));
    assert_eq!(far.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(ticks.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
}

pub fn the_sooner_of_two_is_selected() {
    let (soon, late) = (after(SHORT), after(LONG));
    let mut select = Select::new();
    let sooner = select.recv(&soon);
    select.recv(&late);
    let begin = Instant::now();
    let operation = select.select();
    assert_eq!(operation.index(), sooner);
    assert!(operation.recv(&soon).is_ok());
    assert!(begin.elapsed() <= LONG);
    // What has fired is not ready again.
    assert!(select.try_select().is_err());
    assert!(select.select_timeout(SHORT).is_err());
}

pub fn no_timer_is_a_closed_channel() {
    // After its message, a receive would wait; only a closed channel would return this.
    for rx in [after(Duration::ZERO), tick(Duration::from_millis(1))] {
        assert_ne!(rx.recv(), Err(RecvError));
    }
}
