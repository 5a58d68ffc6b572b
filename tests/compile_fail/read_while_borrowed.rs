//! Nor does the scope's own frame read what a fiber changes.
fn main() {
    let mut count = 0;
    fibers::scope(|s| {
        s.spawn(|| count += 1);
        println!("{count}");
    });
}
