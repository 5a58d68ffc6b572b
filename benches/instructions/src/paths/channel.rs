//! Channels and selections.

use fibers::channel::{bounded, select};

use super::end;

/// The ready channels of `select8`.
const READY: usize = 8;

/// A message sent and received by one fiber, with room for more.
pub(super) fn send_receive(operations: u64) {
    let (sender, receiver) = bounded(64);
    for i in 0..operations {
        sender.send(i).expect("the receiver is here");
        assert_eq!(receiver.recv(), Ok(i));
    }
}

/// A round trip of two fibers over two channels with room for one message.
pub(super) fn ping_pong(operations: u64) {
    let (ping, pinged) = bounded(1);
    let (pong, ponged) = bounded(1);
    let second = fibers::spawn(move || {
        for i in pinged {
            pong.send(i).expect("the first fiber listens");
        }
    });
    for i in 0..operations {
        ping.send(i).expect("the second fiber listens");
        assert_eq!(ponged.recv(), Ok(i));
    }
    drop(ping);
    end(second);
}

/// A channel made, one message sent and received, the channel dropped.
pub(super) fn oneshot(operations: u64) {
    for i in 0..operations {
        let (sender, receiver) = bounded(1);
        sender.send(i).expect("the receiver is here");
        assert_eq!(receiver.recv(), Ok(i));
    }
}

/// One of eight receives, all ready, and the message sent back.
pub(super) fn select8(operations: u64) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..READY).map(|_| bounded::<usize>(1)).unzip();
    for (index, sender) in senders.iter().enumerate() {
        sender.send(index).expect("the receiver is here");
    }
    let r = receivers;
    for _ in 0..operations {
        let (index, message) = select! {
            recv(r[0]) -> message => (0, message),
            recv(r[1]) -> message => (1, message),
            recv(r[2]) -> message => (2, message),
            recv(r[3]) -> message => (3, message),
            recv(r[4]) -> message => (4, message),
            recv(r[5]) -> message => (5, message),
            recv(r[6]) -> message => (6, message),
            recv(r[7]) -> message => (7, message),
        };
        assert_eq!(message, Ok(index));
        senders[index].send(index).expect("the receiver is here");
    }
}
