//! The two halves of a fork do not change the same thing.
fn main() {
    let mut count = 0;
    fibers::join(|| count += 1, || count += 1);
}
