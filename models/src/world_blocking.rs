//! Models of the offload threads: jobs, idle threads, threads that leave or never start. Included into each variant.

use super::jobs::{Job, Jobs, Offered, Seat};
use loom::sync::atomic::AtomicBool;

/// A job: what its owner wrote before it offered it, and how often it was run.
#[repr(C)]
struct Work {
    job: Job,
    data: UnsafeCell<u32>,
    runs: AtomicUsize,
}

// SAFETY: the cell is loom's, which checks every access; the links are what is checked.
unsafe impl Sync for Work {}
// SAFETY: as above.
unsafe impl Send for Work {}

fn work() -> Arc<Work> {
    Arc::new(Work {
        job: Job::new(run_work, |_| ()),
        data: UnsafeCell::new(0),
        runs: AtomicUsize::new(0),
    })
}

unsafe fn run_work(job: *const Job) {
    // SAFETY: the first field of a Work that the model keeps.
    let this = unsafe { &*job.cast::<Work>() };
    // SAFETY: checked by loom.
    this.data.with(|data| assert_eq!(unsafe { *data }, 1));
    this.runs.fetch_add(1, Ordering::Relaxed);
}

fn run(job: *const Job) {
    // SAFETY: the model keeps the record.
    unsafe { ((*job).run)(job) };
}

fn offer(jobs: &Jobs, work: &Arc<Work>) -> Offered {
    // SAFETY: checked by loom.
    work.data.with_mut(|data| unsafe { *data = 1 });
    // SAFETY: the model keeps the record.
    unsafe { jobs.offer(&raw const work.job) }
}

/// An offload thread without any patience, as pool.rs has it.
fn hasty_thread(jobs: &Jobs) {
    // Leaked: a planted bug may use it when its thread is gone, and must not hit anything else.
    let seat = Box::leak(Box::new(Seat::new()));
    loop {
        let next = jobs.next(seat).or_else(|| seat.look());
        let next = next.or_else(|| jobs.leave(seat).err());
        match next {
            Some(job) => run(job),
            None => return,
        }
    }
}

fn ran(works: &[Arc<Work>]) {
    for work in works {
        assert_eq!(work.runs.load(Ordering::Relaxed), 1, "lost, or run twice");
    }
}

/// A thread runs a job, is idle and leaves, while the next job comes: it is run by that thread, or a new one.
pub(crate) fn a_job_meets_a_leaving_thread() {
    let jobs = Arc::new(Jobs::new(1));
    let works = [work(), work()];
    assert!(matches!(offer(&jobs, &works[0]), Offered::Start));
    let thread = {
        let jobs = jobs.clone();
        thread::spawn(move || hasty_thread(&jobs))
    };
    if matches!(offer(&jobs, &works[1]), Offered::Start) {
        hasty_thread(&jobs);
    }
    thread.join().unwrap();
    ran(&works);
}

/// Two jobs come while a thread goes to sleep: if it sleeps with a job in its seat, its futex was called.
pub(crate) fn a_job_wakes_a_sleeping_thread() {
    let jobs = Arc::new(Jobs::new(1));
    let works = [work(), work()];
    let rung = Arc::new(AtomicBool::new(false));
    assert!(matches!(offer(&jobs, &works[0]), Offered::Start));
    let offerer = {
        let (jobs, work, rung) = (jobs.clone(), works[1].clone(), rung.clone());
        thread::spawn(move || match offer(&jobs, &work) {
            Offered::Handed { wake: Some(_) } => rung.store(true, Ordering::Relaxed),
            Offered::Handed { wake: None } | Offered::Queued => {}
            Offered::Start => panic!("the thread has not left"),
        })
    };
    let seat = Seat::new();
    let mut next = jobs.next(&seat);
    let mut asleep = false;
    for _ in 0..works.len() {
        if next.is_none() {
            next = seat.look();
        }
        if next.is_none() {
            seat.lie_down();
            // The futex: it goes to sleep if the word says so, and then it stays there until it is called.
            asleep = seat.futex().load(Ordering::Relaxed) == super::jobs::ASLEEP;
            if asleep {
                break;
            }
            next = seat.look();
        }
        run(next.take().expect("a filled seat, or a queued job"));
        if works.iter().all(|work| work.runs.load(Ordering::Relaxed) == 1) {
            break;
        }
        next = jobs.next(&seat);
    }
    offerer.join().unwrap();
    if asleep {
        assert!(rung.load(Ordering::Relaxed), "asleep beside its job");
        run(seat.look().expect("the job that it was woken for"));
    }
    ran(&works);
}

/// One offerer's thread starts, the other's does not: both jobs are run.
pub(crate) fn a_thread_that_does_not_start_strands_nothing() {
    not_started_case(2, true);
}

/// No thread starts, and one job was queued because one was about to.
pub(crate) fn a_starter_that_fails_runs_what_is_queued() {
    not_started_case(1, false);
}

fn not_started_case(threads_max: usize, first_starts: bool) {
    let jobs = Arc::new(Jobs::new(threads_max));
    let works = [work(), work()];
    let owner = |index: usize, starts: bool| {
        let (jobs, work) = (jobs.clone(), works[index].clone());
        move || {
            if !matches!(offer(&jobs, &work), Offered::Start) {
                return;
            }
            if starts {
                return hasty_thread(&jobs);
            }
            jobs.not_started();
            while let Some(job) = jobs.take_orphan() {
                run(job);
            }
        }
    };
    let other = thread::spawn(owner(1, false));
    owner(0, first_starts)();
    other.join().unwrap();
    ran(&works);
}

fn told_case(idle_first: bool) {
    let jobs = Arc::new(Jobs::new(2));
    let works = [work(), work()];
    let told = Arc::new(AtomicBool::new(false));
    assert!(matches!(offer(&jobs, &works[0]), Offered::Start));
    let thread = {
        let (jobs, told) = (jobs.clone(), told.clone());
        thread::spawn(move || {
            let seat = Seat::new();
            run(jobs.next(&seat).expect("the first job"));
            if !idle_first {
                told.store(true, Ordering::Release);
            }
            let mut next = jobs.next(&seat);
            if idle_first {
                told.store(true, Ordering::Release);
            }
            while next.is_none() {
                next = seat.look();
                thread::yield_now();
            }
            run(next.expect("looked for above"));
        })
    };
    while !told.load(Ordering::Acquire) {
        thread::yield_now();
    }
    let offered = offer(&jobs, &works[1]);
    assert!(matches!(offered, Offered::Handed { .. }), "one caller, two threads");
    thread.join().unwrap();
    ran(&works);
}

/// A fiber that calls again at once finds the thread that ran its last job.
pub(crate) fn who_is_told_finds_the_thread_idle() {
    told_case(true);
}

pub(crate) fn told_before_idle() {
    told_case(false);
}
