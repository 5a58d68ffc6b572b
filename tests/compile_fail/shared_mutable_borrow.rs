//! Two scoped fibers do not share a mutable borrow.
fn main() {
    let mut count = 0;
    fibers::scope(|s| {
        s.spawn(|| count += 1);
        s.spawn(|| count += 1);
    });
}
