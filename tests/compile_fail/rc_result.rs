//! An `Rc` does not come out of one either.
fn main() {
    fibers::spawn(|| std::rc::Rc::new(5));
}
