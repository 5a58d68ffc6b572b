//! Whether the time was up, and whether a fiber can be cancelled, must be looked at.
#![deny(unused_must_use)]

fn main() {
    fibers::timeout(std::time::Duration::MAX, || ());
    fibers::deadline(std::time::Instant::now(), || ());
    fibers::current().cancel();
    fibers::is_cancelled();
    fibers::interval(std::time::Duration::MAX);
}
