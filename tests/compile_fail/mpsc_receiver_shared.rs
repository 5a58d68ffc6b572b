//! An mpsc receiver has one owner at a time.
use fibers::sync::mpsc;

fn main() {
    let (sender, receiver) = mpsc::channel::<u32>();
    fibers::scope(|s| {
        s.spawn(|| receiver.recv());
        s.spawn(|| sender.send(1));
    });
}
