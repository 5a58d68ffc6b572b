//! What once went wrong with locks and channels: each test failed before its fix.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{Expected, Gate, everywhere, in_both_modes, joined_as_cancelled};
use fibers::channel::{RecvTimeoutError, Select, Sender, bounded, select, unbounded};
use fibers::sync::Mutex;
use fibers::timeout;

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
            select! {
                send(sender, { sender.send(1).unwrap(); 2 }) -> sent => sent.unwrap(),
            }
        });
        sends.join().unwrap();
        assert_eq!(receives.join().unwrap(), (1, 2));
    });
}

/// Selects a send whose message does not come.
fn sends_nothing(sender: &Sender<i32>, panics: bool) -> Option<()> {
    let nothing = || -> Option<i32> {
        if panics {
            resume_unwind(Box::new(Expected(1)));
        }
        None
    };
    select! { send(sender, nothing()?) -> _ => {} }
    Some(())
}

/// The place was lost; and a receiver that had been told of the message waited for ever, cancelled or not.
#[test]
fn regression_a_message_that_is_not_evaluated_is_waited_for_by_nobody() {
    in_both_modes(20, 2, |_, machine, _| {
        for panics in [false, true] {
            let (sender, receiver) = bounded(1);
            let ended = catch_unwind(AssertUnwindSafe(|| sends_nothing(&sender, panics)));
            assert_eq!(ended.is_err(), panics);
            sender.try_send(7).expect("the place was given back");
            assert_eq!(receiver.recv(), Ok(7));

            for capacity in [0, 1] {
                let (sender, receiver) = bounded(capacity);
                let receives = machine.spawn(move || receiver.recv_timeout(4 * A_WHILE));
                thread::sleep(A_WHILE);
                let ended = catch_unwind(AssertUnwindSafe(|| sends_nothing(&sender, panics)));
                assert_eq!(ended.is_err(), panics);
                let received = receives.join().unwrap();
                assert_eq!(received, Err(RecvTimeoutError::Timeout));
            }
        }
    });
}

#[test]
fn regression_a_fiber_cancelled_while_it_evaluates_a_message_gives_its_place_back() {
    in_both_modes(20, 2, |_, machine, _| {
        let (sender, receiver) = bounded(1);
        let (_silent, never) = bounded::<i32>(0);
        let sends = machine.spawn({
            let sender = sender.clone();
            move || {
                select! { send(sender, never.recv().unwrap()) -> _ => {} }
            }
        });
        thread::sleep(A_WHILE);
        sends.cancel().unwrap();
        joined_as_cancelled(sends);
        sender.try_send(7).expect("the place was given back");
        assert_eq!(receiver.recv(), Ok(7));
    });
}

/// A receiver that selects was claimed for a message that did not come: it said that the channel had no senders any more.
#[test]
fn regression_a_selection_that_was_promised_a_message_in_vain_begins_again() {
    in_both_modes(20, 2, |_, machine, _| {
        for capacity in [0, 1] {
            let (sender, receiver) = bounded(capacity);
            let receives = machine.spawn(move || select! { recv(receiver) -> message => message });
            thread::sleep(A_WHILE);
            let mut select = Select::new();
            select.send(&sender);
            let promised = select.select();
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(promised)));
            dropped.expect_err("it is to be carried out");
            sender.send(7).expect("there is a receiver");
            assert_eq!(receives.join().unwrap(), Ok(7));
        }
    });
}

/// The messages behind it were leaked, and with them whatever they held.
#[test]
fn regression_a_message_whose_destructor_panics_keeps_no_other_from_being_dropped() {
    struct Bomb(Arc<AtomicUsize>, bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            if self.1 {
                resume_unwind(Box::new(Expected(1)));
            }
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    for explodes in 0..5 {
        let (sender, receiver) = unbounded();
        for n in 0..5 {
            let sent = sender.send(Bomb(Arc::clone(&drops), n == explodes));
            assert!(sent.is_ok());
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(receiver)));
        dropped.expect_err("one of them panics");
        assert_eq!(drops.swap(0, SeqCst), 5);
    }
    assert_eq!(Arc::strong_count(&drops), 1);
}

fn is_too_slow() -> bool {
    let slept = timeout(Duration::from_millis(1), || {
        fibers::sleep(Duration::from_secs(100));
    });
    slept.is_err()
}

/// The time-out's own unwind made that of the panic look like one that poisons nothing.
#[test]
fn regression_a_timeout_in_a_destructor_leaves_a_panic_what_it_is() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            assert!(is_too_slow());
        }
    }
    in_both_modes(20, 2, |_, machine, _| {
        let mutex = Arc::new(Mutex::new(()));
        let panics = machine.spawn({
            let mutex = Arc::clone(&mutex);
            move || {
                let _guard = mutex.lock();
                let _waits = Waits;
                resume_unwind(Box::new(Expected(1)));
            }
        });
        panics.join().unwrap_err();
        assert!(mutex.is_poisoned());
    });
}

/// Whoever caught the unwind of a deadline poisoned nothing any more.
#[test]
fn regression_a_panic_after_a_deadline_that_was_caught_poisons() {
    fn promise() {
        let mutex = Mutex::new(());
        let caught = timeout(Duration::from_millis(1), || {
            catch_unwind(|| fibers::sleep(Duration::from_secs(100))).expect_err("it is time");
            let panics = AssertUnwindSafe(|| {
                let _guard = mutex.lock();
                resume_unwind(Box::new(Expected(1)));
            });
            catch_unwind(panics).expect_err("it panics");
        });
        assert!(caught.is_ok());
        assert!(mutex.is_poisoned());
        mutex.clear_poison();
        let cancels = AssertUnwindSafe(|| {
            let _guard = mutex.lock();
            is_too_slow()
        });
        assert!(catch_unwind(cancels).is_ok() && !mutex.is_poisoned());
    }
    everywhere(20, promise);
}

/// A cancelled fiber waits for the children of its scope; a call that it runs meanwhile panics on its own account.
#[test]
fn regression_a_panic_in_a_call_poisons_though_its_fiber_is_cancelled() {
    in_both_modes(20, 2, |_, machine, _| {
        let (mutex, outer) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let gates = Arc::new([const { Gate::new() }; 2]);
        let waits = machine.spawn({
            let (gates, outer) = (Arc::clone(&gates), Arc::clone(&outer));
            move || {
                let _guard = outer.lock();
                fibers::scope(|scope| {
                    scope.spawn(|| {
                        fibers::shield(|| {
                            gates[0].open();
                            gates[1].wait();
                        });
                    });
                    fibers::sleep(Duration::from_secs(100));
                });
            }
        });
        gates[0].wait();
        waits.cancel().unwrap();
        thread::sleep(A_WHILE);
        let call = waits.fiber().call({
            let mutex = Arc::clone(&mutex);
            move || {
                let _guard = mutex.lock();
                resume_unwind(Box::new(Expected(1)));
            }
        });
        call.unwrap().wait().unwrap_err();
        gates[1].open();
        joined_as_cancelled(waits);
        assert!(mutex.is_poisoned() && !outer.is_poisoned());
    });
}

/// A selection's send waits; a call that it serves meanwhile receives from the same channel. It met the selection,
/// and waited for the message of whoever waited for the call.
#[test]
fn regression_a_call_does_not_wait_for_the_message_of_the_selection_that_serves_it() {
    in_both_modes(20, 1, |_, machine, _| {
        let (sender, receiver) = bounded(0);
        let sends = machine.spawn({
            let sender = sender.clone();
            move || select! { send(sender, 1) -> sent => sent.unwrap() }
        });
        thread::sleep(A_WHILE);
        let (receives, short) = (receiver.clone(), Duration::from_millis(1));
        let call = sends.fiber().call(move || {
            let mut select = Select::new();
            select.recv(&receives);
            (
                receives.try_recv().is_err(),
                receives.recv_timeout(short).is_err(),
                select.select_timeout(short).is_err(),
                select.ready_timeout(short).is_err(),
            )
        });
        assert_eq!(call.unwrap().wait().unwrap(), (true, true, true, true));
        // It meets all others.
        let receives = receiver.clone();
        let call = sends.fiber().call(move || receives.recv());
        thread::sleep(A_WHILE);
        sender.send(2).unwrap();
        assert_eq!(call.unwrap().wait().unwrap(), Ok(2));
        assert_eq!(receiver.recv(), Ok(1));
        sends.join().unwrap();
    });
}

/// In a deterministic run, where nobody may block the one thread: the process was aborted, as the receiver had been told
/// of a message by then.
#[test]
fn regression_a_selection_that_would_block_the_only_thread_is_refused_in_time() {
    let run = || {
        fibers::testing::Check::new().seed(1).workers(1).run(|| {
            let (sender, receiver) = bounded(0);
            let sends = fibers::spawn(move || select! { send(sender, 1) -> _ => {} });
            fibers::sleep(Duration::from_millis(1));
            fibers::on_worker_stack(|| {
                select! { recv(receiver) -> _ => {}, default => {} }
            });
            sends.join().unwrap();
        });
    };
    let refused = catch_unwind(run).expect_err("it has to wait for the message");
    let text = refused.downcast_ref::<String>().unwrap();
    assert!(text.contains("must not switch"), "{text}");
}
