//! What a scoped fiber borrows must outlive the scope, not only its closure.
fn main() {
    fibers::scope(|s| {
        let text = String::from("inside the scope");
        s.spawn(|| text.len());
    });
}
