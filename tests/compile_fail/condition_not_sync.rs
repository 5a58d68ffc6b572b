//! Whoever wakes evaluates the condition, on his own thread.
fn main() {
    let ready = std::cell::Cell::new(false);
    fibers::wait::WaitQueue::new().wait_until(|| ready.get());
}
