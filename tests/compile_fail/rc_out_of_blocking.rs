//! And its result comes from there.
fn main() {
    fibers::blocking(|| std::rc::Rc::new(5));
}
