//! The fibers of a local machine are bound to its thread, and so is it.
fn main() {
    let machine = fibers::Runtime::builder().build_local().unwrap();
    std::thread::spawn(move || machine.run(|| ()));
}
