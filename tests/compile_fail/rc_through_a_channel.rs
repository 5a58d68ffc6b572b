//! What goes through a channel to another fiber must be Send.
use fibers::channel::unbounded;
use std::rc::Rc;

fn main() {
    let (sender, receiver) = unbounded();
    sender.send(Rc::new(0)).unwrap();
    fibers::spawn(move || receiver.recv());
}
