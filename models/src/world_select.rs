//! Models of selections, with the waits. Included into each variant, after `world_channel.rs`.

use super::case::{AnyCase, Case, RecvCase, SendCase};
use super::choose::{self, Choice};
use super::receiver::Source;

impl Channel {
    fn source(&self) -> Source<Message> {
        Source::Flow(self.flow.clone())
    }
}

/// Selects in the order of the cases.
fn select(cases: &[AnyCase<'_>], at_ns: u64) -> Option<usize> {
    choose::choose(cases, Choice { biased: true, at_ns })
}

/// Two channels send to one selection: one message is taken, the other is still there (PARTY-1, PARTY-2).
fn two_messages(capacity: usize) {
    let [a, b] = channels(capacity);
    let senders = [a.sender(1), b.sender(2)];
    let sources = [a.source(), b.source()];
    let cases = [RecvCase::new(&sources[0]), RecvCase::new(&sources[1])];
    let chosen = select(&[cases[0].any(), cases[1].any()], NEVER).expect("no end of its time");
    assert_eq!(cases[chosen].finish().unwrap().read(), chosen as u32 + 1);
    let other = [&a, &b][1 - chosen].recv(NEVER);
    assert_eq!(other, Ok(2 - chosen as u32));
    for sender in senders {
        assert_eq!(sender.join().unwrap(), Ok(()));
    }
    drop(sources);
    end([a, b]);
}

pub(crate) fn one_of_two_messages_is_selected() {
    two_messages(1);
}

pub(crate) fn one_of_two_waiting_senders_is_selected() {
    two_messages(0);
}

/// A selection gives up as a message comes: the message was selected, or is still there (PARTY-3).
pub(crate) fn a_selection_gives_up() {
    let channel = channel(1);
    let sender = channel.sender(1);
    let source = channel.source();
    let case = RecvCase::new(&source);
    let received = select(&[case.any()], SOON).map(|_| case.finish().unwrap().read());
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(channel.try_recv().is_ok(), received.is_none());
    drop(source);
    end([channel]);
}

/// It is cancelled then.
pub(crate) fn a_selection_is_cancelled() {
    let channel = channel(1);
    let receiver = channel.elsewhere(Patience::Cancelled, |this| {
        let source = this.source();
        let case = RecvCase::new(&source);
        let chosen = until_unwound(|| select(&[case.any()], NEVER));
        chosen.map(|_| case.finish().unwrap().read())
    });
    assert_eq!(channel.send(1, NEVER), Ok(()));
    let received = receiver.join().unwrap();
    assert_eq!(channel.try_recv().is_ok(), received.is_none());
    end([channel]);
}

/// The senders of one of its channels leave: that one is selected.
pub(crate) fn a_selection_is_told_of_the_end() {
    let [a, b] = channels(1);
    let sources = [a.source(), b.source()];
    let leaver = b.elsewhere(Patience::Endless, |this| drop(this.flow.close(Side::Senders)));
    let cases = [RecvCase::new(&sources[0]), RecvCase::new(&sources[1])];
    assert_eq!(select(&[cases[0].any(), cases[1].any()], NEVER), Some(1));
    assert!(cases[1].finish().is_err());
    leaver.join().unwrap();
    drop(sources);
    end([a, b]);
}

/// A sender that selects waits for room: the place is kept for it until its message is there (CORE-3).
pub(crate) fn a_selecting_sender_is_promised_a_place() {
    let channel = channel(1);
    assert_eq!(channel.send(1, NEVER), Ok(()));
    let receiver = channel.receiver();
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    assert!(case.finish(channel.message(2)).is_ok());
    assert_eq!(receiver.join().unwrap(), Ok(1));
    assert_eq!(channel.try_recv(), Ok(2));
    // The place is anybody's again.
    assert_eq!(channel.send(3, SOON), Ok(()));
    end([channel]);
}

/// Nobody else gets that place meanwhile.
pub(crate) fn a_promised_place_is_kept() {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let other = channel.elsewhere(Patience::Endless, |this| this.send(2, SOON));
    assert!(case.finish(channel.message(1)).is_ok());
    assert_eq!(other.join().unwrap(), Err(Failed::NotYet));
    end([channel]);
}

pub(crate) fn a_promised_place_is_no_place() {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let other = channel.elsewhere(Patience::Endless, |this| {
        this.flow.try_send(this.message(2)).is_err()
    });
    assert!(case.finish(channel.message(1)).is_ok());
    assert!(other.join().unwrap());
    end([channel]);
}

/// A receiver waits for the message that was promised a place.
pub(crate) fn a_promised_message_finds_its_receiver() {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let receiver = channel.receiver();
    assert!(case.finish(channel.message(1)).is_ok());
    assert_eq!(receiver.join().unwrap(), Ok(1));
    // The place is anybody's again.
    assert_eq!(channel.send(2, SOON), Ok(()));
    end([channel]);
}

/// A place is promised; another selection waits to send, and a receiver for a message. Who gets the promised one makes
/// room for the other.
pub(crate) fn a_promise_is_kept() {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let sender = channel.elsewhere(Patience::Endless, |this| {
        let case = SendCase::new(&this.flow);
        assert_eq!(select(&[case.any()], NEVER), Some(0));
        assert!(case.finish(this.message(2)).is_ok());
    });
    let receiver = channel.receiver();
    assert!(case.finish(channel.message(1)).is_ok());
    let received = receiver.join().unwrap().unwrap();
    sender.join().unwrap();
    assert_eq!(channel.try_recv(), Ok(3 - received));
    end([channel]);
}

/// The promise is not kept: a sender that waits gets the place.
pub(crate) fn a_promise_is_given_back() {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let sender = channel.sender(2);
    case.abandon();
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(channel.try_recv(), Ok(2));
    end([channel]);
}

/// All places are promised, to one who takes its time: the message of another passes them (CORE-1).
fn passes(receive: fn(&Channel) -> u32) {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let sender = channel.sender(2);
    let receiver = channel.elsewhere(Patience::Endless, receive);
    assert_eq!(receiver.join().unwrap(), 2);
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert!(case.finish(channel.message(1)).is_ok());
    end([channel]);
}

pub(crate) fn a_message_passes_a_promised_place() {
    passes(|channel| {
        loop {
            match channel.try_recv() {
                Ok(number) => return number,
                Err(_) => thread::yield_now(),
            }
        }
    });
}

pub(crate) fn a_selected_message_passes_a_promised_place() {
    passes(|channel| {
        let source = channel.source();
        let case = RecvCase::new(&source);
        assert_eq!(select(&[case.any()], NEVER), Some(0));
        case.finish().unwrap().read()
    });
}

/// The last receiver leaves while a place is given back for which a sender waits: the message does not stay behind.
pub(crate) fn a_promise_is_given_back_at_the_end() {
    let channel = channel(1);
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    let sender = channel.sender(1);
    let leaver = channel.elsewhere(Patience::Endless, |this| drop(this.flow.close(Side::Receivers)));
    case.abandon();
    leaver.join().unwrap();
    let _ = sender.join().unwrap();
    assert_eq!(channel.counts.dropped.load(Ordering::Relaxed), 1);
    end([channel]);
}

/// A sender that selects meets a receiver where there are no places (PARTY-4).
pub(crate) fn a_selecting_sender_meets_a_receiver() {
    let channel = channel(0);
    let receiver = channel.receiver();
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    assert!(case.finish(channel.message(1)).is_ok());
    assert_eq!(receiver.join().unwrap(), Ok(1));
    end([channel]);
}

/// Both give up as they meet: they agree.
pub(crate) fn a_selecting_sender_meets_one_who_gives_up() {
    let channel = channel(0);
    let receiver = channel.elsewhere(Patience::Endless, |this| this.recv(SOON));
    let case = SendCase::new(&channel.flow);
    let sent = select(&[case.any()], SOON).is_some();
    if sent {
        assert!(case.finish(channel.message(1)).is_ok());
    }
    assert_eq!(receiver.join().unwrap().is_ok(), sent);
    end([channel]);
}

/// A sender that selects has nothing to say after all: its receiver takes the next message.
pub(crate) fn an_abandoned_receiver_begins_again() {
    let channel = channel(0);
    let receiver = channel.receiver();
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    case.abandon();
    assert_eq!(channel.send(2, NEVER), Ok(()));
    assert_eq!(receiver.join().unwrap(), Ok(2));
    end([channel]);
}

pub(crate) fn an_abandoned_selection_begins_again() {
    let channel = channel(0);
    let receiver = channel.elsewhere(Patience::Endless, |this| {
        let source = this.source();
        let case = RecvCase::new(&source);
        assert_eq!(select(&[case.any()], NEVER), Some(0));
        case.finish().unwrap().read()
    });
    let case = SendCase::new(&channel.flow);
    assert_eq!(select(&[case.any()], NEVER), Some(0));
    case.abandon();
    assert_eq!(channel.send(2, NEVER), Ok(()));
    assert_eq!(receiver.join().unwrap(), 2);
    end([channel]);
}

/// Two selections, each of which would send what the other receives: they agree on one of the two messages.
pub(crate) fn two_selections_meet() {
    let [a, b] = channels(0);
    fn half(sends: &Channel, receives: &Channel) -> (Option<u32>, bool) {
        let source = receives.source();
        let (send, receive) = (SendCase::new(&sends.flow), RecvCase::new(&source));
        match select(&[send.any(), receive.any()], NEVER) {
            Some(0) => {
                assert!(send.finish(sends.message(1)).is_ok());
                (None, true)
            }
            _ => (Some(receive.finish().unwrap().read()), false),
        }
    }
    let other = {
        let a = a.clone();
        b.elsewhere(Patience::Endless, move |b| half(b, &a))
    };
    let (received, sent) = half(&a, &b);
    let (other_received, other_sent) = other.join().unwrap();
    assert_eq!((received.is_some(), other_received.is_some()), (other_sent, sent));
    assert_ne!(sent, other_sent);
    end([a, b]);
}

/// A selection with both ends of a channel does not meet itself.
pub(crate) fn a_selection_does_not_meet_itself() {
    let channel = channel(0);
    let receiver = channel.receiver();
    let source = channel.source();
    let (send, receive) = (SendCase::new(&channel.flow), RecvCase::new(&source));
    assert_eq!(select(&[receive.any(), send.any()], NEVER), Some(1));
    assert!(send.finish(channel.message(1)).is_ok());
    assert_eq!(receiver.join().unwrap(), Ok(1));
    drop(source);
    end([channel]);
}

/// Who wants to know when a message can be received is told of it, or of the end.
fn watched(sends: bool) {
    let channel = channel(1);
    let other = channel.elsewhere(Patience::Endless, move |this| {
        if sends {
            assert_eq!(this.send(1, NEVER), Ok(()));
        } else {
            drop(this.flow.close(Side::Senders));
        }
    });
    let source = channel.source();
    let case = RecvCase::new(&source);
    let choice = Choice { biased: true, at_ns: NEVER };
    assert_eq!(choose::ready(&[case.any()], choice), Some(0));
    let wanted = if sends { Ok(1) } else { Err(Failed::Closed) };
    assert_eq!(channel.try_recv(), wanted);
    other.join().unwrap();
    drop(source);
    end([channel]);
}

pub(crate) fn who_watches_is_told_of_a_message() {
    watched(true);
}

pub(crate) fn who_watches_is_told_of_the_end() {
    watched(false);
}
