//! A scoped handle does not leave its scope.
fn main() {
    let text = String::from("outside");
    let handle = fibers::scope(|s| s.spawn(|| text.len()));
    let _ = handle.join();
}
