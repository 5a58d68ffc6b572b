//! A call runs on another fiber, so it must be `Send`, and its result too.
fn main() {
    let shared = std::rc::Rc::new(5);
    let _ = fibers::current().call(move || *shared);
    let _ = fibers::current().call(|| std::rc::Rc::new(5));
}
