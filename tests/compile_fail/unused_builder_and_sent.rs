//! What must not be ignored is an error where warnings are.
#![deny(unused_must_use)]

fn main() {
    let slot = fibers::CallSlot::new(|| ());
    slot.send(&fibers::current());
    fibers::Runtime::builder().workers(1);
}
