//! What once went wrong with locks and channels: each test failed before its fix.

mod common;

use std::thread;
use std::time::Duration;

use common::in_both_modes;
use fibers::channel::{Select, bounded};

/// Long enough that what was started waits by then; if it does not, the test shows less, and passes.
const A_WHILE: Duration = Duration::from_millis(50);

/// A place was promised to a selection; meanwhile two senders and three receivers came. When the selection's message
/// came, one sender's place was found, and nobody looked again: the other sender waited, and so did a receiver.
#[test]
fn regression_senders_and_receivers_do_not_both_wait_while_a_place_is_promised() {
    in_both_modes(20, 1, |_, machine, _| {
        let (sender, receiver) = bounded(1);
        let mut select = Select::new();
        select.send(&sender);
        let promised = select.select();
        let senders = [1, 2].map(|n| {
            let sender = sender.clone();
            machine.spawn(move || sender.send(n).unwrap())
        });
        thread::sleep(A_WHILE);
        let receivers = [(); 3].map(|()| {
            let receiver = receiver.clone();
            machine.spawn(move || receiver.recv().unwrap())
        });
        thread::sleep(A_WHILE);
        promised.send(&sender, 3).unwrap();
        let mut got = receivers.map(|fiber| fiber.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3]);
        senders.into_iter().for_each(|fiber| fiber.join().unwrap());
    });
}

/// The message of a selected send may take its time, and use the same channel.
#[test]
fn regression_a_message_is_received_past_a_place_that_was_promised() {
    in_both_modes(20, 1, |_, machine, _| {
        let (sender, receiver) = bounded(1);
        let receives = receiver.clone();
        let receives = machine.spawn(move || {
            fibers::sleep(A_WHILE);
            (receives.recv().unwrap(), receives.recv().unwrap())
        });
        let sends = machine.spawn(move || {
            fibers::channel::select! {
                send(sender, { sender.send(1).unwrap(); 2 }) -> sent => sent.unwrap(),
            }
        });
        sends.join().unwrap();
        assert_eq!(receives.join().unwrap(), (1, 2));
    });
}
