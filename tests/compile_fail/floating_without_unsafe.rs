//! Floating fibers are an unsafe choice.
fn main() {
    let _ = fibers::Runtime::builder().floating();
}
