//! A slot may be sent from anywhere while it runs elsewhere.
fn main() {
    let count = std::cell::Cell::new(0);
    let _ = fibers::CallSlot::new(move || count.set(count.get() + 1));
}
