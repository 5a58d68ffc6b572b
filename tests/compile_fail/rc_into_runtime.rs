//! Nor does it go to a machine or through a handle.
fn main() {
    let shared = std::rc::Rc::new(5);
    let machine = fibers::Runtime::new().unwrap();
    let again = shared.clone();
    machine.run(move || *shared);
    let _ = machine.handle().try_spawn(move || *again);
}
