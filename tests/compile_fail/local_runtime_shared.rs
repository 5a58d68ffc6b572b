//! Nor can another thread run it by reference.
fn main() {
    let machine = fibers::Runtime::builder().build_local().unwrap();
    std::thread::scope(|s| {
        s.spawn(|| machine.run(|| ()));
    });
}
