//! Models of the ends of a channel: who closes it, who frees it. Included into each variant, after `world_channel.rs`.

use super::ends::{self, End, Of, Receiving, Sending};

/// What became of a `Room`; no part of the schedule.
#[derive(Default)]
struct Fate {
    closed: [AtomicU32; 2],
    freed: AtomicU32,
}

/// Stands for a channel. A handle that is used reads a cell, the close of its side writes it, and so does the free: who
/// comes late, or is not ordered, is seen by loom.
struct Room {
    used: [UnsafeCell<bool>; 2],
    fate: Arc<Fate>,
}

impl Room {
    fn touch(&self, side: Side) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: checked by loom.
        self.used[side as usize].with(|closed| assert!(!unsafe { *closed }, "used after its end"));
    }

    fn end(&self, side: Side) {
        if std::thread::panicking() {
            return;
        }
        // SAFETY: checked by loom.
        self.used[side as usize].with_mut(|closed| unsafe { *closed = true });
    }
}

impl Close for Room {
    type Left = ();

    fn close(&self, side: Side) {
        self.touch(side);
        self.end(side);
        self.fate.closed[side as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.end(Side::Senders);
        self.end(Side::Receivers);
        self.fate.freed.fetch_add(1, Ordering::Relaxed);
    }
}

type Ends = (End<Room, Sending>, End<Room, Receiving>);

fn room() -> (Ends, Arc<Fate>) {
    let fate = Arc::new(Fate::default());
    let used = std::array::from_fn(|_| UnsafeCell::new(false));
    let ends = ends::pair(Room { used, fate: fate.clone() });
    (ends, fate)
}

fn use_up<S: Of>(end: End<Room, S>) {
    end.touch(S::SIDE);
}

/// It was freed once, and the sides were closed so often.
fn ended(fate: &Fate, closed: [std::ops::RangeInclusive<u32>; 2]) {
    assert_eq!(fate.freed.load(Ordering::Relaxed), 1);
    for (count, wanted) in fate.closed.iter().zip(closed) {
        assert!(wanted.contains(&count.load(Ordering::Relaxed)));
    }
}

/// Both sides leave at once: one of them frees the channel, and whoever came first has closed its side (ENDS-2).
pub(crate) fn both_sides_leave() {
    let ((sender, receiver), fate) = room();
    let other = thread::spawn(move || use_up(sender));
    use_up(receiver);
    other.join().unwrap();
    ended(&fate, [0..=1, 0..=1]);
    assert!(fate.closed.iter().any(|count| count.load(Ordering::Relaxed) == 1));
}

/// Two handles of one side leave at once, while the other side stays: it is told once, after both (ENDS-1).
pub(crate) fn two_handles_of_a_side_leave() {
    let ((sender, receiver), fate) = room();
    let clone = sender.clone();
    let other = thread::spawn(move || use_up(clone));
    use_up(sender);
    other.join().unwrap();
    assert_eq!(fate.freed.load(Ordering::Relaxed), 0);
    use_up(receiver);
    ended(&fate, [1..=1, 0..=0]);
}

/// One handle leaves while another is cloned, and that one leaves, too.
pub(crate) fn a_handle_is_cloned_while_another_leaves() {
    let ((sender, receiver), fate) = room();
    let clone = sender.clone();
    let other = thread::spawn(move || {
        let another = clone.clone();
        use_up(clone);
        use_up(another);
    });
    use_up(sender);
    other.join().unwrap();
    use_up(receiver);
    ended(&fate, [1..=1, 0..=0]);
}

/// Two handles of one side leave beside the one of the other.
pub(crate) fn three_handles_leave() {
    let ((sender, receiver), fate) = room();
    let clone = sender.clone();
    let others = [
        thread::spawn(move || use_up(clone)),
        thread::spawn(move || use_up(receiver)),
    ];
    use_up(sender);
    for other in others {
        other.join().unwrap();
    }
    ended(&fate, [0..=1, 0..=1]);
}

/// A message is sent as the receiver leaves: it comes back, or it is dropped; once, by whom it may be.
pub(crate) fn a_send_is_under_way_at_the_end() {
    let makes = channel(1);
    let (sender, receiver) = ends::pair::<Flow<Message>>(Flow::new(1));
    let other = makes.elsewhere(Patience::Endless, move |makes| {
        let sent = sender.send(makes.message(1), NEVER);
        drop(sender);
        if let Err((message, failed)) = sent {
            assert_eq!((message.read(), failed), (1, Failed::Closed));
        }
    });
    drop(receiver);
    other.join().unwrap();
    end([makes]);
}

/// A receiver waits as the last of two senders leaves: it is told, and frees the channel.
pub(crate) fn who_waits_outlives_the_other_side() {
    let makes = channel(1);
    let (sender, receiver) = ends::pair::<Flow<Message>>(Flow::new(1));
    let clone = sender.clone();
    let other = makes.elsewhere(Patience::Endless, move |makes| {
        assert!(clone.send(makes.message(1), NEVER).is_ok());
        drop(clone);
    });
    drop(sender);
    assert_eq!(receiver.recv(NEVER).map(Message::read), Ok(1));
    assert_eq!(receiver.recv(NEVER).map(Message::read), Err(Failed::Closed));
    drop(receiver);
    other.join().unwrap();
    end([makes]);
}
