//! Models of a waker that awaits a fiber's end. Included into each variant; uses the fiber of `world_fiber.rs`.

use super::awaiter::Awaiter;

/// Stands for a waker.
struct Token {
    woken: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Token {
    fn new() -> (Self, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let (woken, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        (Self { woken: woken.clone(), dropped: dropped.clone() }, woken, dropped)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

struct Awaited {
    fiber: Arc<Fiber>,
    awaiter: Awaiter<Token>,
}

// SAFETY: the cell in the awaiter is loom's, which checks every access.
unsafe impl Sync for Awaited {}
// SAFETY: as above.
unsafe impl Send for Awaited {}

fn awaited() -> Arc<Awaited> {
    Arc::new(Awaited { fiber: fiber(Kind::Floating, 2, true), awaiter: Awaiter::default() })
}

impl Awaited {
    /// As `finish` and `pay_awaiter` do it.
    fn end(&self, dropped: &AtomicUsize) {
        if !end(&self.fiber, dropped) {
            return;
        }
        // SAFETY: told.
        let token = unsafe { self.awaiter.take() }.expect("a waker that was announced");
        if self.fiber.word.release() {
            self.fiber.free();
        }
        token.woken.fetch_add(1, Ordering::Release);
    }

    /// As `JoinFuture::poll` does it, with another waker each time. True: pending.
    fn poll(&self, registered: &mut bool, token: Token) -> bool {
        if self.fiber.word.is_done() {
            *registered = false;
            return false;
        }
        if std::mem::take(registered) {
            // SAFETY: registered.
            if unsafe { self.awaiter.withdraw(&self.fiber.word) }.is_none() {
                return false;
            }
        }
        // SAFETY: idle.
        *registered = unsafe { self.awaiter.register(&self.fiber.word, token) }.is_ok();
        *registered
    }

    fn give_up_handle(&self, dropped: &AtomicUsize) {
        match self.fiber.word.detach() {
            Detached::Running => {}
            Detached::Done => {
                self.fiber.write_own();
                dropped.fetch_add(1, Ordering::Relaxed);
                if self.fiber.word.release_handle() {
                    self.fiber.free();
                }
            }
        }
    }
}

/// Polled twice, with two wakers, while the fiber ends: the last that was registered is called, once; the other one is
/// called only if the second poll came too late. Each is dropped once; the result is there; the cell is freed once.
pub(crate) fn an_awaiter_is_told_once() {
    let this = awaited();
    let ender = {
        let this = this.clone();
        thread::spawn(move || this.end(&AtomicUsize::new(0)))
    };
    let ((first, first_woken, first_dropped), (second, second_woken, second_dropped)) = (Token::new(), Token::new());
    let mut registered = false;
    let pending_first = this.poll(&mut registered, first);
    let pending_second = this.poll(&mut registered, second);
    let before_result = |ender: thread::JoinHandle<()>| ender.join().unwrap();
    let mut ender = Some(ender);
    if pending_second {
        before_result(ender.take().unwrap());
    }
    assert!(this.fiber.word.is_done());
    assert_eq!(this.fiber.read_own(), 1, "the result");
    if this.fiber.word.release_handle() {
        this.fiber.free();
    }
    ender.into_iter().for_each(before_result);
    assert_eq!(second_woken.load(Ordering::Acquire), usize::from(pending_second), "the second waker");
    let first_called = pending_first && !pending_second;
    assert!(first_woken.load(Ordering::Acquire) <= usize::from(first_called), "the first waker");
    assert_eq!(first_dropped.load(Ordering::Relaxed), 1);
    assert_eq!(second_dropped.load(Ordering::Relaxed), 1);
    assert_eq!(this.fiber.freed.load(Ordering::Relaxed), 1, "freed exactly once");
}

/// A future that is dropped while the fiber ends: the waker is dropped once, the result by one side, the cell is freed.
pub(crate) fn an_awaiter_may_give_up() {
    let this = awaited();
    let dropped = Arc::new(AtomicUsize::new(0));
    let ender = {
        let (this, dropped) = (this.clone(), dropped.clone());
        thread::spawn(move || this.end(&dropped))
    };
    let (token, woken, token_dropped) = Token::new();
    let mut registered = false;
    let _ = this.poll(&mut registered, token);
    let mut withdrawn = false;
    if registered {
        // SAFETY: registered.
        withdrawn = unsafe { this.awaiter.withdraw(&this.fiber.word) }.is_some();
    }
    this.give_up_handle(&dropped);
    ender.join().unwrap();
    assert_eq!(woken.load(Ordering::Acquire), usize::from(registered && !withdrawn));
    assert_eq!(token_dropped.load(Ordering::Relaxed), 1);
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "the result is dropped exactly once");
    assert_eq!(this.fiber.freed.load(Ordering::Relaxed), 1, "freed exactly once");
}
