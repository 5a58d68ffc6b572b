//! Neither a reader's guard nor a writer's may go to another fiber.
use fibers::sync::RwLock;

static LOCK: RwLock<u32> = RwLock::new(0);

fn main() {
    let reader = LOCK.read().unwrap();
    fibers::spawn(move || drop(reader));
    let writer = LOCK.write().unwrap();
    fibers::spawn(move || drop(writer));
}
