//! Sockets that fibers of several workers use: each worker looks for what its own fibers wait for, so a socket that
//! goes from one to another, or belongs to both, must not wait for a worker that is busy.

mod common;

use std::io::{Read, Write};
use std::os::unix::net as std_unix;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Mode, Test, builder, eventually, thread_id};
use fibers::channel::{Sender, unbounded};
use fibers::net::UnixStream;
use fibers::{Handle, JoinHandle, Poller, Runtime};

type Job = Box<dyn FnOnce() + Send>;

/// A fiber that has started on a worker of its own, and does there what it is given.
struct Resident {
    jobs: Sender<Job>,
    fiber: JoinHandle<()>,
}

impl Resident {
    /// One on each worker of that machine: none lets go of its worker before all have started.
    fn on_each(machine: &Handle, workers: usize) -> Vec<Self> {
        let started = Arc::new(AtomicUsize::new(0));
        let residents = (0..workers).map(|_| {
            let started = Arc::clone(&started);
            let (jobs, given) = unbounded::<Job>();
            let fiber = machine.spawn(move || {
                started.fetch_add(1, Ordering::AcqRel);
                while started.load(Ordering::Acquire) < workers {
                    std::thread::yield_now();
                }
                let home = thread_id();
                for job in given {
                    job();
                    assert_eq!(thread_id(), home);
                }
            });
            Self { jobs, fiber }
        });
        residents.collect()
    }

    fn does(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).expect("the resident lives");
    }

    fn leave(self) {
        drop(self.jobs);
        self.fiber.join().expect("the resident does not panic");
    }
}

/// What one read of one byte has come to.
#[derive(Default)]
struct Reading {
    begun: AtomicBool,
    got: AtomicUsize,
}

impl Reading {
    /// Has the resident read one byte, and returns once it waits for it; `parked`: with so many other fibers.
    fn begin(
        machine: &Runtime,
        who: &Resident,
        stream: &Arc<UnixStream>,
        others: u64,
    ) -> Arc<Self> {
        let reading = Arc::new(Self::default());
        let (mine, stream) = (Arc::clone(&reading), Arc::clone(stream));
        who.does(move || {
            let mut byte = [0];
            mine.begun.store(true, Ordering::Release);
            (&*stream).read_exact(&mut byte).expect("a byte comes");
            mine.got.store(byte[0].into(), Ordering::Release);
        });
        eventually(|| reading.begun.load(Ordering::Acquire));
        eventually(|| machine.metrics().parked == others + 1);
        reading
    }

    fn gets(&self) -> usize {
        eventually(|| self.got.load(Ordering::Acquire) != 0);
        self.got.load(Ordering::Acquire)
    }
}

/// Keeps a worker busy until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn keep(who: &Resident) -> Self {
        let (over, begun) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (until, begins) = (Arc::clone(&over), Arc::clone(&begun));
        who.does(move || {
            begins.store(true, Ordering::Release);
            while !until.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        });
        eventually(|| begun.load(Ordering::Acquire));
        Self(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn pair() -> (Arc<UnixStream>, std_unix::UnixStream) {
    let (ours, theirs) = std_unix::UnixStream::pair().unwrap();
    (Arc::new(UnixStream::from(ours)), theirs)
}

/// Who waited first is busy now; who waits next, on other workers, one after the other, does not care.
#[test]
fn a_socket_goes_from_worker_to_worker() {
    let test = Test::new(60);
    let machine = test.machine(Mode::Pinned, 3);
    let all = Resident::on_each(&machine.handle(), 3);
    let (stream, mut peer) = pair();
    // More often than a socket moves before it is shared by all.
    for round in 0..12_u8 {
        let reader = usize::from(round) % 3;
        let last = (reader + 2) % 3;
        let _busy = (round > 0).then(|| Busy::keep(&all[last]));
        let others = 2 - u64::from(round > 0);
        let reading = Reading::begin(&machine, &all[reader], &stream, others);
        peer.write_all(&[round + 1]).unwrap();
        assert_eq!(reading.gets(), usize::from(round) + 1);
    }
    all.into_iter().for_each(Resident::leave);
}

/// Both wait for the same socket at the same time, and each is told while the other's worker is busy.
#[test]
fn a_socket_belongs_to_fibers_of_two_workers() {
    for busy in [0, 1] {
        let test = Test::new(60);
        let machine = test.machine(Mode::Pinned, 3);
        let all = Resident::on_each(&machine.handle(), 3);
        let (stream, mut peer) = pair();
        let first = Reading::begin(&machine, &all[0], &stream, 2);
        let second = Reading::begin(&machine, &all[1], &stream, 2);
        peer.write_all(&[1]).unwrap();
        // All who wait are woken, one gets the byte.
        eventually(|| {
            [&first, &second]
                .iter()
                .any(|it| it.got.load(Ordering::Acquire) != 0)
        });
        peer.write_all(&[2]).unwrap();
        assert_eq!(first.gets() + second.gets(), 3);
        let _busy = Busy::keep(&all[busy]);
        let again = Reading::begin(&machine, &all[1 - busy], &stream, 1);
        peer.write_all(&[7]).unwrap();
        assert_eq!(again.gets(), 7);
        drop(_busy);
        all.into_iter().for_each(Resident::leave);
    }
}

/// A fiber of another machine waits for what this one has registered with a worker of its own.
#[test]
fn a_socket_goes_to_another_machine() {
    let test = Test::new(60);
    for mode in common::MODES {
        let machine = test.machine(Mode::Pinned, 1);
        let other = test.machine(mode, 1);
        let all = Resident::on_each(&machine.handle(), 1);
        let foreign = Resident::on_each(&other.handle(), 1);
        let (stream, mut peer) = pair();
        let reading = Reading::begin(&machine, &all[0], &stream, 0);
        peer.write_all(&[1]).unwrap();
        assert_eq!(reading.gets(), 1);
        {
            let _busy = Busy::keep(&all[0]);
            let reading = Reading::begin(&other, &foreign[0], &stream, 0);
            peer.write_all(&[2]).unwrap();
            assert_eq!(reading.gets(), 2);
        }
        // And back, when that one is gone.
        foreign.into_iter().for_each(Resident::leave);
        drop(other);
        let reading = Reading::begin(&machine, &all[0], &stream, 0);
        peer.write_all(&[3]).unwrap();
        assert_eq!(reading.gets(), 3);
        all.into_iter().for_each(Resident::leave);
    }
}

#[test]
fn a_socket_is_heard_beside_fibers_that_run_for_long() {
    /// So many turns of a fiber that runs for long may pass before a reader at its side goes on.
    const TURNS_MAX: usize = 16;
    let test = Test::new(60);
    // It is about the workers' own looks: another thread's come when it gets a processor.
    let machine = test.build(builder(Mode::Pinned).workers(1).poller(Poller::Workers));
    machine.run(|| {
        let (reader, mut writer) = pair();
        let heard = Arc::new(AtomicUsize::new(0));
        let listens = fibers::spawn({
            let heard = Arc::clone(&heard);
            move || {
                let mut byte = [0];
                while (&*reader).read(&mut byte).expect("a pair's end") == 1 {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let mut worst = 0;
        for round in 1..=20 {
            writer.write_all(&[1]).expect("a pair's end");
            let mut turns = 0;
            while heard.load(Ordering::Relaxed) < round {
                let begin = std::time::Instant::now();
                while begin.elapsed().as_micros() < 200 {
                    std::hint::spin_loop();
                }
                fibers::yield_now();
                turns += 1;
            }
            if round > 1 {
                // In the first one the reader had to start.
                worst = worst.max(turns);
            }
        }
        drop(writer);
        listens.join().expect("the reader does not panic");
        assert!(worst <= TURNS_MAX, "{worst} turns");
    });
}
