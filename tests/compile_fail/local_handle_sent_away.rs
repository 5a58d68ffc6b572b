//! The handle of a local fiber stays on its thread, for its result need not be `Send`.
fn main() {
    let local = fibers::spawn_local(|| 5);
    std::thread::spawn(move || local.join());
}
