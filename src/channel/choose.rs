//! Choose: how one of several operations is selected.
//!
//! First every case is tried, in random order; if none can go on, all go into the lines of their channels, with
//! one token; whoever takes the token has carried one of them out. A case that turns out to be ready while the cases
//! go into the lines is not carried out there: the token is aborted, all leave, and it begins anew. So a selection
//! claims others only while nobody can claim it, and two of them cannot wait for each other. (As crossbeam-channel;
//! Go locks all channels instead.)

use crate::channel::case::AnyCase;
use crate::channel::flow::until_paid;
use crate::channel::party::{Party, Token};
use crate::fiber::alarm::NEVER;
use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::waiters::Waiter;
use crate::machine::clock::has_come;
use crate::machine::park;
use crate::wait::cancel::Me;
use crate::wait::line::{self, Early};

/// How a selection goes about it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Tries the cases in their order.
    pub(super) biased: bool,
    /// Waits until then; 0: not at all.
    pub(super) at_ns: u64,
}

/// The numbers of cases in random order, each drawn when it is asked for: most selections need one.
struct Order {
    few: [u8; FEW],
    many: Vec<usize>,
    count: usize,
    drawn: usize,
    biased: bool,
}

/// So many fit without an allocation.
const FEW: usize = 16;

impl Order {
    #[inline(always)]
    fn of(count: usize, biased: bool) -> Self {
        Self {
            few: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            many: if count > FEW {
                (0..count).collect()
            } else {
                Vec::new()
            },
            count,
            drawn: 0,
            biased,
        }
    }
}

impl Order {
    /// That one has been drawn.
    fn begin_with(&mut self, case: usize) {
        self.drawn = 1;
        if self.many.is_empty() {
            self.few.swap(0, case);
        } else {
            self.many.swap(0, case);
        }
    }
}

impl Iterator for Order {
    type Item = usize;
    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let at = self.drawn;
        if at == self.count {
            return None;
        }
        self.drawn += 1;
        if self.biased {
            return Some(at);
        }
        // Fisher and Yates.
        let with = at + park::random(self.count - at);
        if self.many.is_empty() {
            self.few.swap(at, with);
            Some(self.few[at].into())
        } else {
            self.many.swap(at, with);
            Some(self.many[at])
        }
    }
}

/// Tries each case once. Which one could go on.
#[inline]
pub(super) fn try_choose(cases: &[AnyCase<'_>], biased: bool) -> Option<usize> {
    let count = cases.len();
    if count == 0 {
        return None;
    }
    // The usual end of it, without an order.
    let first = if biased { 0 } else { park::random(count) };
    if cases[first].0.try_now() {
        return Some(first);
    }
    let mut rest = Order::of(count, biased);
    rest.begin_with(first);
    rest.find(|case| cases[*case].0.try_now())
}

/// Selects one. `None`: none could go on in time.
#[inline]
pub(super) fn choose(cases: &[AnyCase<'_>], choice: Choice) -> Option<usize> {
    loop {
        let chosen = try_choose(cases, choice.biased);
        if chosen.is_some() || choice.at_ns == 0 {
            return chosen;
        }
        match wait(cases, choice) {
            Waited::Chosen(case) => return Some(case),
            Waited::Again => {}
            Waited::TimedOut => return None,
        }
    }
}

enum Waited {
    Chosen(usize),
    Again,
    TimedOut,
}

#[inline(never)]
fn wait(cases: &[AnyCase<'_>], choice: Choice) -> Waited {
    let Choice { biased, at_ns } = choice;
    let due_ns = cases
        .iter()
        .map(|case| case.0.due_ns())
        .fold(at_ns, u64::min);
    if due_ns == NEVER {
        park::refuse_if_stuck();
    }
    // Nothing may unwind while a case is in a line.
    let bomb = AbortOnUnwind("a selection panicked while it waited");
    let token = Token::new(Me::get().header());
    let mut aborted = false;
    // In random order, too: a channel that is in several cases finds the one first that entered first.
    for number in Order::of(cases.len(), biased) {
        if !token.is_waiting() {
            break;
        }
        // SAFETY: both stay until all have left, below.
        if !unsafe { cases[number].0.enter(&token, number) } {
            aborted = token.abort();
            break;
        }
    }
    let paid = || until_paid(&token.due);
    let stayed = if aborted {
        Ok(())
    } else {
        line::stay_until_paid(
            &token.due.owed,
            due_ns,
            |leave| {
                if leave {
                    token.abort()
                } else {
                    token.is_waiting()
                }
            },
            paid,
        )
    };
    for case in cases {
        case.0.leave();
    }
    std::mem::forget(bomb);
    match stayed {
        Ok(()) => match token.selected() {
            Some(case) if !cases[case].0.begins_again() => Waited::Chosen(case),
            _ => Waited::Again,
        },
        Err(Early::Unwind(unwind)) => unwind.unwind(),
        // Its own time, or that of a case that can go on now.
        Err(Early::TimedOut) if due_ns == at_ns || (at_ns != NEVER && has_come(at_ns)) => {
            try_choose(cases, biased).map_or(Waited::TimedOut, Waited::Chosen)
        }
        Err(Early::TimedOut) => Waited::Again,
    }
}

/// Waits until one of the cases seems ready. `None`: none was in time.
pub(super) fn ready(cases: &[AnyCase<'_>], choice: Choice) -> Option<usize> {
    loop {
        let is_ready = Order::of(cases.len(), choice.biased).find(|case| cases[*case].0.is_ready());
        if is_ready.is_some()
            || choice.at_ns == 0
            || (choice.at_ns != NEVER && has_come(choice.at_ns))
        {
            return is_ready;
        }
        watch(cases, choice.at_ns);
    }
}

fn watch(cases: &[AnyCase<'_>], at_ns: u64) {
    let due_ns = cases
        .iter()
        .map(|case| case.0.due_ns())
        .fold(at_ns, u64::min);
    if due_ns == NEVER {
        park::refuse_if_stuck();
    }
    let me = Me::get();
    let token = Token::new(me.header());
    let records: Vec<_> = cases
        .iter()
        .map(|_| Waiter::of_nobody(Party::new(None)))
        .collect();
    drop(me);
    let bomb = AbortOnUnwind("a selection panicked while it waited");
    let mut watched = 0;
    let mut aborted = false;
    for (case, record) in cases.iter().zip(&records) {
        record.what.begin(&token, watched);
        watched += 1;
        // SAFETY: all three stay until the watch has ended, below.
        if !unsafe { case.0.watch(record) } {
            aborted = token.abort();
            break;
        }
    }
    let paid = || until_paid(&token.due);
    let stayed = if aborted {
        Ok(())
    } else {
        line::stay_until_paid(
            &token.due.owed,
            due_ns,
            |leave| {
                if leave {
                    token.abort()
                } else {
                    token.is_waiting()
                }
            },
            paid,
        )
    };
    for (case, record) in cases[..watched].iter().zip(&records) {
        case.0.unwatch(record);
    }
    std::mem::forget(bomb);
    if let Err(Early::Unwind(unwind)) = stayed {
        unwind.unwind();
    }
}
