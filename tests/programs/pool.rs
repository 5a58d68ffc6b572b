//! A pool of workers: jobs over a bounded channel, urgent ones past them, results back, a ticker that reports, and an
//! orderly end. A job that panics is told of and costs no worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::channel::{Receiver, Sender, after, bounded, select, select_biased, tick, unbounded};
use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::{Arc, Mutex};
use super::thread;

type Job = Box<dyn FnOnce() -> u64 + Send>;

struct Pool {
    jobs: Sender<Job>,
    urgent: Sender<Job>,
    results: Receiver<Result<u64, String>>,
    workers: Vec<thread::JoinHandle<usize>>,
}

impl Pool {
    fn new(size: usize) -> Self {
        let (jobs, jobs_rx) = bounded::<Job>(2);
        let (urgent, urgent_rx) = bounded::<Job>(0);
        let (results_tx, results) = unbounded();
        let workers = (0..size)
            .map(|_| {
                let (jobs, urgent, out) = (jobs_rx.clone(), urgent_rx.clone(), results_tx.clone());
                thread::spawn(move || Self::work(&jobs, &urgent, &out))
            })
            .collect();
        Self {
            jobs,
            urgent,
            results,
            workers,
        }
    }

    fn work(
        jobs: &Receiver<Job>,
        urgent: &Receiver<Job>,
        out: &Sender<Result<u64, String>>,
    ) -> usize {
        let mut done = 0;
        loop {
            let job = select_biased! {
                recv(urgent) -> job => match job {
                    Ok(job) => job,
                    // Then what is left of the others.
                    Err(_) => match jobs.recv() {
                        Ok(job) => job,
                        Err(_) => return done,
                    },
                },
                recv(jobs) -> job => match job {
                    Ok(job) => job,
                    Err(_) => return done,
                },
            };
            let ended = catch_unwind(AssertUnwindSafe(job));
            let told = ended.map_err(|payload| {
                let text = payload.downcast_ref::<&str>().copied();
                text.unwrap_or("another payload").to_owned()
            });
            out.send(told).unwrap();
            done += 1;
        }
    }
}

pub fn run() -> String {
    const JOBS: u64 = 300;
    let pool = Pool::new(3);
    let ran = Arc::new(AtomicUsize::new(0));
    let job = |n: u64| -> Job {
        let ran = Arc::clone(&ran);
        Box::new(move || {
            ran.fetch_add(1, Ordering::Relaxed);
            if n.is_multiple_of(7) {
                thread::yield_now();
            }
            assert!(n % 50 != 49, "expected");
            n * n
        })
    };
    let failures = Mutex::new(Vec::new());
    let (mut sent, mut received, mut sum, mut ticks) = (0, 0, 0, 0);
    let ticker = tick(Duration::from_millis(1));
    let end = after(Duration::from_secs(1000));
    // Where nobody receives, so that there is no arm to send by once all are sent.
    let (idle, _kept) = bounded::<Job>(0);
    while received < JOBS {
        let (plain, urgent) = match (sent < JOBS, sent % 5 == 0) {
            (false, _) => (&idle, &idle),
            (true, true) => (&pool.jobs, &pool.urgent),
            (true, false) => (&pool.jobs, &idle),
        };
        select! {
            send(plain, job(sent)) -> result => {
                result.unwrap();
                sent += 1;
            }
            send(urgent, job(sent)) -> result => {
                result.unwrap();
                sent += 1;
            }
            recv(pool.results) -> result => {
                received += 1;
                match result.unwrap() {
                    Ok(value) => sum += value,
                    Err(text) => failures.lock().unwrap().push(text),
                }
            }
            recv(ticker) -> _ => ticks += 1,
            recv(end) -> _ => panic!("{received} of {JOBS} after {ticks} ticks"),
        }
    }
    drop((pool.jobs, pool.urgent));
    let done: usize = pool
        .workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    assert_eq!(
        (done, ran.load(Ordering::Relaxed)),
        (JOBS as usize, JOBS as usize)
    );
    assert!(pool.results.recv().is_err());
    let failures = failures.into_inner().unwrap();
    format!("{sum}, {failures:?}")
}
