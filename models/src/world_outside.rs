//! Models of what happens outside: readiness, a worker that waits in the reactor, the baton. Included into each variant.

use super::baton::Baton;
use super::readiness::{Direction, Event, Found, Readiness, Told};

const READABLE: Event = Event {
    readable: true,
    writable: false,
    read_closed: false,
    write_closed: false,
    urgent: false,
};

/// A descriptor: what the kernel has received for it, and who waits.
struct Descriptor {
    readiness: Readiness,
    received: AtomicUsize,
    waits: Mutex<bool>,
    woken: AtomicUsize,
}

fn descriptor() -> Arc<Descriptor> {
    Arc::new(Descriptor {
        readiness: Readiness::new(),
        received: AtomicUsize::new(0),
        waits: Mutex::new(false),
        woken: AtomicUsize::new(0),
    })
}

impl Descriptor {
    /// The kernel's part, and the poller's that it tells.
    fn receive(&self) {
        self.received.fetch_add(1, Ordering::Release);
        if let Told::Wake { read: true, .. } = self.readiness.event(0, READABLE) {
            let mut waits = self.waits.lock().unwrap();
            if std::mem::replace(&mut *waits, false) {
                self.woken.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A reader reads what has come, finds out that nothing is left, and lies down, while two more messages come: it
/// does not lie there beside one of them (READY-1, READY-2).
pub(crate) fn an_event_finds_its_waiter() {
    let descriptor = descriptor();
    let poller = thread::spawn({
        let descriptor = descriptor.clone();
        move || {
            descriptor.receive();
            descriptor.receive();
        }
    });
    let mut read = 0;
    let mut lies = false;
    for _ in 0..4 {
        match descriptor.readiness.look(Direction::Read) {
            Some(look) => {
                let now = descriptor.received.load(Ordering::Acquire);
                let found = if now > read {
                    Found::Short
                } else {
                    Found::Blocks
                };
                read = now;
                descriptor.readiness.clear(Direction::Read, look, found);
            }
            None => {
                let mut waits = descriptor.waits.lock().unwrap();
                if descriptor.readiness.announce(Direction::Read) {
                    *waits = true;
                    lies = true;
                    break;
                }
            }
        }
    }
    poller.join().unwrap();
    let woken = descriptor.woken.load(Ordering::Relaxed) > 0;
    if lies && !woken {
        assert_eq!(read, 2, "it lies beside a message");
    }
}

/// An event of a descriptor that was given up comes late: its number's next owner hears nothing of it (READY-3).
pub(crate) fn an_old_event_tells_nobody() {
    let descriptor = descriptor();
    let poller = thread::spawn({
        let descriptor = descriptor.clone();
        move || {
            let _ = descriptor.readiness.event(0, READABLE);
        }
    });
    descriptor.readiness.retire();
    assert_eq!(descriptor.readiness.generation(), 1);
    let look = descriptor.readiness.look(Direction::Read);
    let look = look.expect("a new source is taken to be ready");
    descriptor
        .readiness
        .clear(Direction::Read, look, Found::Blocks);
    poller.join().unwrap();
    let look = descriptor.readiness.look(Direction::Read);
    assert!(look.is_none(), "the old event reached the new owner");
}

/// A worker lies down, waits in the reactor, comes back for an event that is not for it, and waits on its futex,
/// while somebody sends it mail: wherever it blocks by then, it is notified there.
fn mail_for_a_poller(comes_back: bool) {
    let word = Arc::new(SleepWord::new());
    let mail = Arc::new(AtomicUsize::new(0));
    let notifier = thread::spawn({
        let (word, mail) = (word.clone(), mail.clone());
        move || {
            mail.store(1, Ordering::Relaxed);
            light_fence();
            word.notify()
        }
    });
    word.lie_down();
    heavy_fence();
    let up = mail.load(Ordering::Relaxed) != 0
        || !word.begin_polling()
        || (comes_back && !word.end_polling());
    let how = notifier.join().unwrap();
    if !up {
        assert!(word.is_notified(), "it blocks beside its mail");
        let wanted = if comes_back {
            [Notify::Futex, Notify::Bell]
        } else {
            [Notify::Bell, Notify::Bell]
        };
        assert!(wanted.contains(&how), "it is called where it is not");
    }
    if !up && comes_back {
        assert_eq!(how, Notify::Futex, "a bell for one that has come back");
    }
}

pub(crate) fn mail_finds_the_poller() {
    mail_for_a_poller(false);
}

pub(crate) fn mail_finds_who_came_back_from_polling() {
    mail_for_a_poller(true);
}

/// The last holder lets go of the baton while the dedicated thread goes from its nap to a deep sleep (BATON-1).
pub(crate) fn nobody_sleeps_deeply_while_nobody_polls() {
    let baton = Arc::new(Baton::new());
    assert!(baton.take(0) && !baton.take(1));
    let before = baton.seen();
    let holder = thread::spawn({
        let baton = baton.clone();
        move || baton.release(|| true)
    });
    let sleeps = baton.lie_deep(before, || true);
    let woken = holder.join().unwrap();
    assert!(!sleeps || woken, "nobody will ever poll");
    // And who holds it again is told from who held it before.
    assert!(baton.take(1));
    assert!(!baton.lie_deep(before, || true) && !baton.rouse());
}

/// Nobody holds the baton, and nobody need, until the first source is registered while the dedicated thread goes to its
/// deep sleep (BATON-1).
pub(crate) fn the_first_source_rouses() {
    let (baton, sources) = (Arc::new(Baton::new()), Arc::new(AtomicU32::new(0)));
    let before = baton.seen();
    let first = thread::spawn({
        let (baton, sources) = (baton.clone(), sources.clone());
        move || {
            sources.store(1, Ordering::Relaxed);
            light_fence();
            baton.rouse()
        }
    });
    let sleeps = baton.lie_deep(before, || sources.load(Ordering::Relaxed) != 0);
    let woken = first.join().unwrap();
    assert!(!sleeps || woken, "nobody will ever poll");
}
