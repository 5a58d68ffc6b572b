//! Models of one fiber's protocols: wakes, park, join, calls, scope, inbox. Included into each variant.

use super::calls::{CallNode, CallQueue, Completion};
use super::inbox::{Inbox, Linked};
use super::scope::ScopeWord;
use super::word::{Detached, Finished, Kind, Woken, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// A fiber as the models see it.
struct Fiber {
    word: Word,
    link: AtomicPtr<Fiber>,
    /// One cell per waker: what it wrote before it woke.
    data: [UnsafeCell<u32>; 2],
    /// What the fiber's side wrote: saved registers, or the result.
    own: UnsafeCell<u32>,
    freed: AtomicUsize,
}

// SAFETY: the cells are loom's, which checks every access.
unsafe impl Sync for Fiber {}
// SAFETY: as above.
unsafe impl Send for Fiber {}

// SAFETY: one field, one use.
unsafe impl Linked for Fiber {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

fn fiber(kind: Kind, refs: u64, joinable: bool) -> Arc<Fiber> {
    Arc::new(Fiber {
        word: Word::new(kind, refs, joinable),
        link: AtomicPtr::new(std::ptr::null_mut()),
        data: [UnsafeCell::new(0), UnsafeCell::new(0)],
        own: UnsafeCell::new(0),
        freed: AtomicUsize::new(0),
    })
}

impl Fiber {
    fn write(&self, waker: usize) {
        // SAFETY: checked by loom.
        self.data[waker].with_mut(|cell| unsafe { *cell = 1 });
    }

    fn read(&self, waker: usize) -> u32 {
        // SAFETY: checked by loom.
        self.data[waker].with(|cell| unsafe { *cell })
    }

    fn write_own(&self) {
        // SAFETY: checked by loom.
        self.own.with_mut(|cell| unsafe { *cell = 1 });
    }

    fn read_own(&self) -> u32 {
        // SAFETY: checked by loom.
        self.own.with(|cell| unsafe { *cell })
    }

    /// Stands for the free: nobody may touch the cell at the same time, or twice.
    fn free(&self) {
        self.write_own();
        assert_eq!(self.freed.fetch_add(1, Ordering::Relaxed), 0, "freed twice");
    }
}

fn wake_from_elsewhere(fiber: &Arc<Fiber>, inbox: &Inbox<Fiber>, reason: u16) {
    match fiber.word.wake(reason) {
        Woken::Push => {
            // SAFETY: the Arc outlives the model's run; WORD-1 is what is checked.
            unsafe { inbox.push(Arc::as_ptr(fiber).cast_mut()) }
        }
        Woken::Nothing => {}
        other => panic!("a pinned fiber's waker was told {other:?}"),
    }
}

/// The home takes its mail; what it got, and how many references it gave up.
fn drain(inbox: &Inbox<Fiber>) -> (u16, bool) {
    let mut got = 0;
    let mut last = false;
    for node in inbox.take_all() {
        // SAFETY: in the model's Arc.
        let fiber = unsafe { &*node };
        got |= fiber.word.take_remote();
        last |= fiber.word.release();
    }
    (got, last)
}

/// Two wakers, a fiber that has not waited yet: both reasons arrive, with what the wakers wrote.
pub(crate) fn pinned_wakes_arrive() {
    let fiber = fiber(Kind::Pinned, 1, false);
    let inbox = Arc::new(Inbox::<Fiber>::new());
    let wakers: Vec<_> = (0..2)
        .map(|waker| {
            let (fiber, inbox) = (fiber.clone(), inbox.clone());
            thread::spawn(move || {
                fiber.write(waker);
                wake_from_elsewhere(&fiber, &inbox, 1 << waker);
            })
        })
        .collect();
    let mut got = fiber.word.absorb();
    while got != 3 {
        let (more, last) = drain(&inbox);
        assert!(!last, "the scheduler's reference is still there");
        got |= more;
        if got != 3 {
            thread::yield_now();
        }
    }
    assert_eq!(fiber.read(0) + fiber.read(1), 2);
    for waker in wakers {
        waker.join().unwrap();
    }
    // A second message may be on its way only if bits came in two rounds; all are drained now.
    let _ = drain(&inbox);
    assert_eq!(fiber.word.finish(true, true), Finished::Done { joiner: false, last: true, in_flight: false });
}

/// A waker with a reference of its own, and a fiber that ends: freed once, and no message left behind.
pub(crate) fn a_wake_races_the_end() {
    let fiber = fiber(Kind::Pinned, 2, false);
    let inbox = Arc::new(Inbox::<Fiber>::new());
    let waker = {
        let (fiber, inbox) = (fiber.clone(), inbox.clone());
        thread::spawn(move || {
            wake_from_elsewhere(&fiber, &inbox, 1);
            let _ = fiber.read_own();
            if fiber.word.release() {
                fiber.free();
            }
        })
    };
    let _ = fiber.word.absorb();
    let Finished::Done { last, in_flight, .. } = fiber.word.finish(true, true) else {
        panic!("nothing to do before the end")
    };
    if last {
        fiber.free();
    }
    if in_flight {
        // The home may not leave before the message has come.
        loop {
            if inbox.has_mail() {
                let (_, last) = drain(&inbox);
                if last {
                    fiber.free();
                }
                break;
            }
            thread::yield_now();
        }
    }
    waker.join().unwrap();
    assert!(!inbox.has_mail(), "a message for a worker that has left");
    assert_eq!(fiber.freed.load(Ordering::Relaxed), 1);
}

/// A plain thread parks, two wakers: woken by exactly one of them, which touches it last by the futex word.
pub(crate) fn shared_park_loses_no_wake() {
    let fiber = fiber(Kind::Thread, 3, false);
    let futex = Arc::new(AtomicU32::new(0));
    let wakers: Vec<_> = (0..2)
        .map(|waker| {
            let (fiber, futex) = (fiber.clone(), futex.clone());
            thread::spawn(move || {
                fiber.write(waker);
                match fiber.word.wake(1 << waker) {
                    Woken::Unblock => {
                        let _ = fiber.read_own();
                        futex.store(1, Ordering::Release);
                    }
                    Woken::Nothing => {}
                    other => panic!("a thread's waker was told {other:?}"),
                }
            })
        })
        .collect();
    let mut got = 0;
    while got != 3 {
        let wanted = 3 & !got;
        let taken = fiber.word.try_take(wanted);
        if taken != 0 {
            got |= taken;
            continue;
        }
        futex.store(0, Ordering::Relaxed);
        if fiber.word.commit_park(wanted) {
            while futex.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            // Woken, and its waker has let go: the frame may be written.
            fiber.write_own();
        }
    }
    assert_eq!(fiber.read(0) + fiber.read(1), 2);
    for waker in wakers {
        waker.join().unwrap();
    }
}

/// A floating fiber parks: whoever is told to enqueue it sees the saved registers, and there is one at most.
pub(crate) fn shared_park_publishes_the_registers() {
    let fiber = fiber(Kind::Floating, 3, false);
    let enqueued = Arc::new(AtomicUsize::new(0));
    let wakers: Vec<_> = (0..2)
        .map(|waker| {
            let (fiber, enqueued) = (fiber.clone(), enqueued.clone());
            thread::spawn(move || match fiber.word.wake(1 << waker) {
                Woken::Enqueue => {
                    // Resumes it: reads the registers, and writes its state.
                    fiber.write_own();
                    enqueued.fetch_add(1, Ordering::Relaxed);
                }
                Woken::Nothing => {}
                other => panic!("a floating fiber's waker was told {other:?}"),
            })
        })
        .collect();
    fiber.write_own();
    let parked = fiber.word.commit_park(3);
    for waker in wakers {
        waker.join().unwrap();
    }
    assert_eq!(enqueued.load(Ordering::Relaxed), usize::from(parked));
}

/// Ends a fiber as run.rs does; how often its result was dropped on the fiber's side, and whether a joiner
/// must be woken.
fn end(fiber: &Fiber, dropped: &AtomicUsize) -> bool {
    let mut result_dropped = false;
    fiber.write_own();
    loop {
        match fiber.word.finish(true, result_dropped) {
            Finished::DropResult => {
                fiber.write_own();
                dropped.fetch_add(1, Ordering::Relaxed);
                result_dropped = true;
            }
            Finished::Done { joiner, last, .. } => {
                if last {
                    fiber.free();
                }
                return joiner;
            }
            Finished::CallsPending => panic!("no calls here"),
        }
    }
}

/// The joiner waits only if it must, sees the result, and frees the cell if it is the last.
pub(crate) fn join_gets_the_result_once() {
    let fiber = fiber(Kind::Floating, 2, true);
    let woken = Arc::new(AtomicU32::new(0));
    let ender = {
        let (fiber, woken) = (fiber.clone(), woken.clone());
        thread::spawn(move || {
            if end(&fiber, &AtomicUsize::new(0)) {
                woken.store(1, Ordering::Release);
            }
        })
    };
    if !fiber.word.is_done() && fiber.word.wait_join() {
        while woken.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
    }
    assert!(fiber.word.is_done());
    assert_eq!(fiber.read_own(), 1, "the result");
    if fiber.word.release_handle() {
        fiber.free();
    }
    ender.join().unwrap();
    assert_eq!(fiber.freed.load(Ordering::Relaxed), 1);
}

/// A joiner that is cancelled: either no wake will come, or exactly one does.
pub(crate) fn a_joiner_may_give_up() {
    let fiber = fiber(Kind::Floating, 2, true);
    let woken = Arc::new(AtomicU32::new(0));
    let ender = {
        let (fiber, woken) = (fiber.clone(), woken.clone());
        thread::spawn(move || {
            if end(&fiber, &AtomicUsize::new(0)) {
                woken.fetch_add(1, Ordering::Release);
            }
        })
    };
    let mut owed = 0;
    if fiber.word.wait_join() && !fiber.word.unwait_join() {
        owed = 1;
        while woken.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
    }
    ender.join().unwrap();
    assert_eq!(woken.load(Ordering::Relaxed), owed);
}

/// A handle that is dropped while the fiber ends: the result is dropped by exactly one side.
pub(crate) fn detach_drops_the_result_once() {
    let fiber = fiber(Kind::Floating, 2, true);
    let dropped = Arc::new(AtomicUsize::new(0));
    let ender = {
        let (fiber, dropped) = (fiber.clone(), dropped.clone());
        thread::spawn(move || assert!(!end(&fiber, &dropped)))
    };
    match fiber.word.detach() {
        Detached::Running => {}
        Detached::Done => {
            fiber.write_own();
            dropped.fetch_add(1, Ordering::Relaxed);
            if fiber.word.release_handle() {
                fiber.free();
            }
        }
    }
    ender.join().unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "dropped exactly once");
    assert_eq!(fiber.freed.load(Ordering::Relaxed), 1, "freed exactly once");
}

struct Letter {
    link: AtomicPtr<Letter>,
    text: UnsafeCell<u32>,
}

// SAFETY: one field, one use.
unsafe impl Linked for Letter {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

/// Two senders, two letters each: each arrives once, in its sender's order, with its text.
pub(crate) fn inbox_is_fifo_per_sender() {
    let inbox = Arc::new(Inbox::<Letter>::new());
    let senders: Vec<_> = (0..2)
        .map(|sender| {
            let inbox = inbox.clone();
            thread::spawn(move || {
                for number in 0..2 {
                    let letter = Box::new(Letter {
                        link: AtomicPtr::new(std::ptr::null_mut()),
                        text: UnsafeCell::new(sender * 10 + number),
                    });
                    // SAFETY: alive until the reader takes the box back.
                    unsafe { inbox.push(Box::into_raw(letter)) };
                }
            })
        })
        .collect();
    let mut next = [0, 0];
    while next != [2, 2] {
        for letter in inbox.take_all() {
            // SAFETY: from into_raw above, taken once.
            let letter = unsafe { Box::from_raw(letter) };
            // SAFETY: checked by loom.
            let text = letter.text.with(|text| unsafe { *text });
            let (sender, number) = ((text / 10) as usize, text % 10);
            assert_eq!(number, next[sender], "order of sender {sender}");
            next[sender] += 1;
        }
        thread::yield_now();
    }
    for sender in senders {
        sender.join().unwrap();
    }
}

#[repr(C)]
struct Call {
    node: CallNode,
    runs: AtomicUsize,
}

unsafe fn run_call(node: *mut CallNode) {
    // SAFETY: the first field of a Call that outlives the model.
    unsafe { &*node.cast::<Call>() }.runs.fetch_add(1, Ordering::Relaxed);
}

/// Two callers and a fiber that ends: each call is run, or its caller is told, and never both.
pub(crate) fn calls_run_or_are_refused() {
    let fiber = fiber(Kind::Floating, 3, false);
    let queue = Arc::new(CallQueue::new());
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (fiber, queue) = (fiber.clone(), queue.clone());
            thread::spawn(move || {
                let call = Arc::new(Call { node: CallNode::new(run_call), runs: AtomicUsize::new(0) });
                let raw = Arc::as_ptr(&call).cast_mut().cast::<CallNode>();
                // SAFETY: returned to the model, which keeps it to its end.
                let sent = fiber.word.announce_call() && unsafe { queue.push(raw) };
                (call, sent)
            })
        })
        .collect();
    let run_all = |close| {
        for call in queue.take(close) {
            // SAFETY: taken out, once.
            unsafe { ((*call).run)(call) };
        }
    };
    run_all(false);
    let mut closed = false;
    loop {
        match fiber.word.finish(closed, true) {
            Finished::CallsPending => {
                run_all(true);
                closed = true;
            }
            Finished::Done { .. } => break,
            Finished::DropResult => panic!("said to be dropped"),
        }
    }
    for caller in callers {
        let (call, sent) = caller.join().unwrap();
        assert_eq!(call.runs.load(Ordering::Relaxed), usize::from(sent), "run exactly if it was taken");
    }
}

/// A result is seen by the waiter, which is woken exactly once if it waits, and may give up.
pub(crate) fn completion_wakes_its_waiter_once() {
    let done = Arc::new((Completion::new(), UnsafeCell::new(0_u32), AtomicU32::new(0)));
    let target = {
        let done = done.clone();
        thread::spawn(move || {
            done.0.start();
            // SAFETY: checked by loom.
            done.1.with_mut(|result| unsafe { *result = 7 });
            if done.0.finish() {
                done.2.fetch_add(1, Ordering::Release);
            }
        })
    };
    let mut owed = 0;
    if !done.0.is_done() && done.0.wait() {
        owed = 1;
        while done.2.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
    }
    // SAFETY: checked by loom.
    assert_eq!(done.1.with(|result| unsafe { *result }), 7);
    target.join().unwrap();
    assert_eq!(done.2.load(Ordering::Relaxed), owed);
}

/// Two fibers of a scope: the owner leaves after both, and nobody touches its frame afterwards. Its wake-up is
/// only a hint: here it looks whenever it likes.
pub(crate) fn scope_waits_for_all() {
    struct Frame {
        word: ScopeWord,
        data: [UnsafeCell<u32>; 2],
        /// Stands for the whole frame, which wakers read until they let go.
        frame: UnsafeCell<u32>,
        owed: AtomicUsize,
    }
    // SAFETY: the cells are loom's, which checks every access.
    unsafe impl Sync for Frame {}
    // SAFETY: as above.
    unsafe impl Send for Frame {}
    let frame = Arc::new(Frame {
        word: ScopeWord::new(),
        data: [UnsafeCell::new(0), UnsafeCell::new(0)],
        frame: UnsafeCell::new(0),
        owed: AtomicUsize::new(0),
    });
    let owner: *const crate::fiber::header::Header = std::ptr::without_provenance(8);
    frame.word.add();
    frame.word.add();
    let fibers: Vec<_> = (0..2)
        .map(|index| {
            let frame = frame.clone();
            thread::spawn(move || {
                // SAFETY: checked by loom.
                frame.data[index].with_mut(|data| unsafe { *data = 1 });
                if frame.word.done(false) {
                    frame.owed.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(frame.word.owner.waiter().addr(), 8);
                    // SAFETY: checked by loom.
                    frame.frame.with(|frame| unsafe { *frame });
                    frame.word.owner.let_go();
                }
            })
        })
        .collect();
    let waited = frame.word.wait(owner);
    if waited {
        while !frame.word.is_over() {
            thread::yield_now();
        }
        while !frame.word.owner.has_let_go() {
            thread::yield_now();
        }
    }
    // The frame is the owner's again.
    // SAFETY: checked by loom.
    frame.frame.with_mut(|frame| unsafe { *frame = 1 });
    for data in &frame.data {
        // SAFETY: checked by loom.
        data.with_mut(|data| assert_eq!(unsafe { std::mem::replace(&mut *data, 0) }, 1));
    }
    for fiber in fibers {
        fiber.join().unwrap();
    }
    assert_eq!(frame.owed.load(Ordering::Relaxed), usize::from(waited), "owed exactly if it waited");
}
