//! The queue of jobs and the idle list by themselves, on one thread: who gets what, in which order.

use std::ptr;

use super::jobs::{Job, Jobs, Offered, Seat};

fn job() -> Job {
    Job::new(|_| (), |_| ())
}

fn offer(jobs: &Jobs, job: &Job) -> Offered {
    // SAFETY: the tests offer each job once, and keep it.
    unsafe { jobs.offer(job) }
}

/// A thread that has become idle.
fn idle(jobs: &Jobs) -> Box<Seat> {
    let seat = Box::new(Seat::new());
    assert!(jobs.next(&seat).is_none());
    seat
}

#[test]
fn jobs_are_taken_oldest_first_and_threads_counted() {
    let jobs = Jobs::new(2);
    let all = [job(), job(), job(), job()];
    assert!(matches!(offer(&jobs, &all[0]), Offered::Start));
    assert!(matches!(offer(&jobs, &all[1]), Offered::Start));
    assert!(matches!(offer(&jobs, &all[2]), Offered::Queued));
    assert!(jobs.take_orphan().is_none(), "two threads are on their way");
    let seat = Seat::new();
    assert_eq!(jobs.next(&seat), Some(ptr::from_ref(&all[0])));
    jobs.not_started();
    assert!(matches!(offer(&jobs, &all[3]), Offered::Start));
    jobs.not_started();
    jobs.not_started();
    // None is left: what is queued is whose thread did not start.
    for job in &all[1..] {
        assert_eq!(jobs.take_orphan(), Some(ptr::from_ref(job)));
    }
    assert!(jobs.take_orphan().is_none());
}

#[test]
fn the_thread_that_became_idle_last_is_taken_first() {
    let jobs = Jobs::new(4);
    let all = [job(), job(), job(), job()];
    for job in &all {
        assert!(matches!(offer(&jobs, job), Offered::Start));
    }
    let seat = Seat::new();
    for job in &all {
        assert_eq!(jobs.next(&seat), Some(ptr::from_ref(job)));
    }
    let seats = [idle(&jobs), idle(&jobs), idle(&jobs), idle(&jobs)];
    // One from the middle has waited long enough.
    assert!(jobs.leave(&seats[1]).is_ok());
    seats[3].lie_down();
    for (seat, job) in [&seats[3], &seats[2], &seats[0]].into_iter().zip(&all) {
        let asleep = ptr::eq(seat, &seats[3]);
        assert!(seat.look().is_none());
        let Offered::Handed { wake } = offer(&jobs, job) else {
            panic!("somebody is idle")
        };
        assert_eq!(wake, asleep.then(|| ptr::from_ref(seat.futex())));
        assert_eq!(seat.look(), Some(ptr::from_ref(job)));
        assert_eq!(jobs.leave(seat), Err(ptr::from_ref(job)), "it must stay");
    }
    // One has left, so one more may come.
    let more = [job(), job()];
    assert!(matches!(offer(&jobs, &more[0]), Offered::Start));
    assert!(matches!(offer(&jobs, &more[1]), Offered::Queued));
}
