//! Nor does the scope itself.
fn main() {
    let mut kept = None;
    fibers::scope(|s| {
        kept = Some(s);
    });
    if let Some(s) = kept {
        s.spawn(|| ());
    }
}
