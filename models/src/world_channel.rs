//! Models of channels, with the waits. Included into each variant.
//!
//! Each channel lies under a simple latch here; the library's own is a model apart (`world_latch.rs`).

use super::core::Side;
use super::ends::Close;
use super::flow::{Failed, Flow};
use crate::fiber::alarm::NEVER;
use crate::fiber::header::{self, Patience};
use crate::wait::cancel::until_unwound;
use crate::wait::deadline::SOON;
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many messages there are, for all channels of a run; no part of the schedule.
#[derive(Default)]
struct Counts {
    made: AtomicU32,
    dropped: AtomicU32,
}

struct Message {
    number: u32,
    /// What the sender wrote.
    text: UnsafeCell<u32>,
    counts: Arc<Counts>,
}

// SAFETY: the cell is loom's, which checks every access.
unsafe impl Sync for Message {}
// SAFETY: as above.
unsafe impl Send for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Whoever drops it sees what the sender wrote.
            self.text.with(|_| ());
        }
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Message {
    /// By its receiver.
    fn read(self) -> u32 {
        // SAFETY: checked by loom.
        assert_eq!(self.text.with(|text| unsafe { *text }), self.number);
        self.number
    }
}

/// One channel.
#[derive(Clone)]
struct Channel {
    flow: Arc<Flow<Message>>,
    counts: Arc<Counts>,
}

/// Begins a run with these channels.
fn channels<const N: usize>(capacity: usize) -> [Channel; N] {
    header::begin();
    let counts = Arc::new(Counts::default());
    std::array::from_fn(|_| Channel {
        flow: Arc::new(Flow::new(capacity)),
        counts: counts.clone(),
    })
}

fn channel(capacity: usize) -> Channel {
    let [channel] = channels(capacity);
    channel
}

/// No message was lost, and none dropped twice.
fn end<const N: usize>(channels: [Channel; N]) {
    let counts = channels[0].counts.clone();
    drop(channels);
    let (made, dropped) = (&counts.made, &counts.dropped);
    assert_eq!(made.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed));
}

impl Channel {
    fn message(&self, number: u32) -> Message {
        self.counts.made.fetch_add(1, Ordering::Relaxed);
        let text = UnsafeCell::new(0);
        // SAFETY: checked by loom.
        text.with_mut(|text| unsafe { *text = number });
        Message {
            number,
            text,
            counts: self.counts.clone(),
        }
    }

    fn send(&self, number: u32, at_ns: u64) -> Result<(), Failed> {
        let sent = self.flow.send(self.message(number), at_ns);
        sent.map_err(|(message, failed)| {
            assert_eq!(message.read(), number, "another one came back");
            failed
        })
    }

    fn recv(&self, at_ns: u64) -> Result<u32, Failed> {
        self.flow.recv(at_ns).map(Message::read)
    }

    fn try_recv(&self) -> Result<u32, Failed> {
        self.flow.try_recv().map(Message::read)
    }

    /// In a thread of its own, which is a fiber of that patience.
    fn elsewhere<R: 'static>(
        &self,
        patience: Patience,
        f: impl FnOnce(&Self) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let this = self.clone();
        thread::spawn(move || {
            header::i_am(patience);
            f(&this)
        })
    }

    fn sender(&self, number: u32) -> thread::JoinHandle<Result<(), Failed>> {
        self.elsewhere(Patience::Endless, move |this| this.send(number, NEVER))
    }

    fn receiver(&self) -> thread::JoinHandle<Result<u32, Failed>> {
        self.elsewhere(Patience::Endless, |this| this.recv(NEVER))
    }
}

/// One sender, who has to wait for room: its messages come in their order.
fn in_order(capacity: usize, sender: Patience) {
    let channel = channel(capacity);
    let sender = channel.elsewhere(sender, |this| (this.send(1, NEVER), this.send(2, NEVER)));
    assert_eq!(channel.recv(NEVER), Ok(1));
    assert_eq!(channel.recv(NEVER), Ok(2));
    assert_eq!(sender.join().unwrap(), (Ok(()), Ok(())));
    end([channel]);
}

pub(crate) fn messages_come_in_order() {
    in_order(1, Patience::Endless);
}

pub(crate) fn messages_come_in_order_the_long_way() {
    in_order(1, Patience::Cautious);
}

pub(crate) fn messages_that_are_handed_over_come_in_order() {
    in_order(0, Patience::Endless);
}

/// The receiver goes the long way, the sender the short one.
pub(crate) fn a_cautious_receiver_gets_its_messages() {
    let channel = channel(1);
    let receiver = channel.elsewhere(Patience::Cautious, |this| {
        (this.recv(NEVER), this.recv(NEVER))
    });
    assert_eq!(channel.send(1, NEVER), Ok(()));
    assert_eq!(channel.send(2, NEVER), Ok(()));
    assert_eq!(receiver.join().unwrap(), (Ok(1), Ok(2)));
    end([channel]);
}

/// Two senders and one place: both get it (CORE-1).
pub(crate) fn two_senders_share_a_place() {
    let channel = channel(1);
    let senders = [1, 2].map(|number| channel.sender(number));
    assert_eq!(channel.recv(NEVER).unwrap() + channel.recv(NEVER).unwrap(), 3);
    for sender in senders {
        assert_eq!(sender.join().unwrap(), Ok(()));
    }
    assert_eq!(channel.try_recv(), Err(Failed::NotYet));
    end([channel]);
}

/// Who takes a message without a wait makes room for the sender that waits.
pub(crate) fn an_attempt_makes_room() {
    let channel = channel(1);
    assert_eq!(channel.send(1, NEVER), Ok(()));
    let sender = channel.sender(2);
    assert_eq!(channel.try_recv(), Ok(1));
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(channel.try_recv(), Ok(2));
    end([channel]);
}

/// A message that is not waited with meets a receiver that waits.
pub(crate) fn a_receiver_waits_for_an_attempt() {
    let channel = channel(1);
    let receiver = channel.receiver();
    assert!(channel.flow.try_send(channel.message(1)).is_ok());
    assert_eq!(receiver.join().unwrap(), Ok(1));
    end([channel]);
}

/// Two receivers, one of which gives up as the message comes: it goes to one of them, and the next to the other.
pub(crate) fn a_receiver_gives_up_beside_another() {
    let channel = channel(0);
    let hasty = channel.elsewhere(Patience::Endless, |this| this.recv(SOON));
    let patient = channel.receiver();
    assert_eq!(channel.send(1, NEVER), Ok(()));
    if hasty.join().unwrap().is_ok() {
        assert_eq!(channel.send(2, NEVER), Ok(()));
    }
    assert!(patient.join().unwrap().is_ok());
    end([channel]);
}

/// The receiver gives up as the message comes: it has the message, or the channel has.
pub(crate) fn a_receiver_gives_up() {
    let channel = channel(1);
    let sender = channel.sender(1);
    let received = channel.recv(SOON);
    assert_eq!(sender.join().unwrap(), Ok(()));
    let left = channel.try_recv();
    match received {
        Ok(number) => assert_eq!((number, left), (1, Err(Failed::NotYet))),
        Err(failed) => assert_eq!((failed, left), (Failed::NotYet, Ok(1))),
    }
    end([channel]);
}

/// Both sides of a channel without places give up as they meet: they agree on whether they have met.
pub(crate) fn both_sides_give_up() {
    let channel = channel(0);
    let sender = channel.elsewhere(Patience::Endless, |this| this.send(1, SOON));
    let received = channel.recv(SOON);
    assert_eq!(sender.join().unwrap().is_ok(), received.is_ok());
    end([channel]);
}

/// As above, where the receiver is cancelled.
pub(crate) fn a_receiver_is_cancelled() {
    let channel = channel(0);
    let receiver = channel.elsewhere(Patience::Cancelled, |this| {
        until_unwound(|| this.recv(NEVER))
    });
    let sent = channel.send(1, SOON);
    let received = receiver.join().unwrap();
    assert_eq!(sent.is_ok(), received == Some(Ok(1)));
    end([channel]);
}

/// The last sender leaves while two receivers come: both are told (CORE-2).
pub(crate) fn the_last_sender_leaves() {
    let channel = channel(1);
    let receivers = [channel.receiver(), channel.receiver()];
    drop(channel.flow.close(Side::Senders));
    for receiver in receivers {
        assert_eq!(receiver.join().unwrap(), Err(Failed::Closed));
    }
    end([channel]);
}

/// It has sent something before: that comes first.
pub(crate) fn the_last_message_comes_before_the_end() {
    let channel = channel(1);
    let sender = channel.elsewhere(Patience::Endless, |this| {
        assert_eq!(this.send(1, NEVER), Ok(()));
        drop(this.flow.close(Side::Senders));
    });
    assert_eq!(channel.recv(NEVER), Ok(1));
    assert_eq!(channel.recv(NEVER), Err(Failed::Closed));
    sender.join().unwrap();
    end([channel]);
}

/// The last receiver leaves while a sender waits for room: it gets its message back, and what it had sent before is
/// dropped.
pub(crate) fn the_last_receiver_leaves() {
    let channel = channel(1);
    let sender = channel.elsewhere(Patience::Endless, |this| {
        (this.send(1, NEVER), this.send(2, NEVER))
    });
    drop(channel.flow.close(Side::Receivers));
    let (_, second) = sender.join().unwrap();
    assert_eq!(second, Err(Failed::Closed));
    let (made, dropped) = (&channel.counts.made, &channel.counts.dropped);
    assert_eq!((made.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed)), (2, 2));
    end([channel]);
}

/// A task that polls is woken if it found nothing.
pub(crate) fn a_waker_is_woken() {
    struct Task(AtomicU32);
    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let channel = channel(1);
    let sender = channel.sender(1);
    let task = Arc::new(Task(AtomicU32::new(0)));
    let mut key = None;
    let waits = channel.flow.watch_by(&mut key, task.clone().into());
    assert_eq!(waits, key.is_some());
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(task.0.load(Ordering::Relaxed), u32::from(waits));
    assert_eq!(channel.try_recv(), Ok(1));
    end([channel]);
}
