//! `CallSlot`: sent again and again and never twice at once; it tells its state, and runs though it was dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::{self, Gate, eventually, in_both_modes, scaled};
use crate::{close, server};
use fibers::wait::{self, Reasons};
use fibers::{CallSlot, Runtime, Sent, process_calls};

/// T23.
#[test]
fn a_slot_is_sent_again_and_again_and_never_twice_at_once() {
    in_both_modes(120, 2, |_, machine, _| {
        let server = server(machine);
        let ran = Arc::new(AtomicUsize::new(0));
        let slot = Arc::new(CallSlot::new({
            let ran = Arc::clone(&ran);
            move || {
                ran.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let mut queued = 0;
        for _ in 0..scaled(100_000, 1_000_000) {
            match slot.send(server.0.fiber()) {
                Sent::Queued => queued += 1,
                Sent::AlreadyQueued | Sent::Running => {}
                Sent::Ended => panic!("the server lives"),
            }
            if !slot.is_queued() {
                // Once it is not queued, what it did is seen.
                assert_eq!(ran.load(Ordering::Relaxed), queued);
            }
        }
        eventually(|| !slot.is_queued());
        assert_eq!(ran.load(Ordering::Relaxed), queued);
        // Two senders share the slot.
        let senders = [(); 3].map(|()| {
            let (slot, target) = (Arc::clone(&slot), server.0.fiber().clone());
            machine.spawn(move || {
                let sends = (0..scaled(20_000, 1_000_000))
                    .filter(|_| slot.send(&target) == Sent::Queued)
                    .count();
                fibers::yield_now();
                sends
            })
        });
        queued += senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .sum::<usize>();
        eventually(|| !slot.is_queued());
        assert_eq!(ran.load(Ordering::Relaxed), queued);
        close(server);
    });
}

#[test]
fn a_slot_tells_its_state() {
    in_both_modes(60, 2, |_, machine, _| {
        let (gate, entered) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let slot = CallSlot::new({
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            move || {
                entered.open();
                gate.wait();
            }
        });
        let target = machine.spawn(|| {
            wait::sleep(Reasons::USER0);
            process_calls()
        });
        assert!(!slot.is_queued());
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        assert_eq!(slot.send(target.fiber()), Sent::AlreadyQueued);
        assert!(slot.is_queued());
        wait::wake(target.fiber(), Reasons::USER0);
        entered.wait();
        assert_eq!(slot.send(target.fiber()), Sent::Running);
        assert!(slot.is_queued());
        gate.open();
        assert_eq!(target.join().unwrap(), 1);
        assert!(!slot.is_queued());
    });
}

/// A slot that is dropped while it is queued runs all the same.
#[test]
fn a_dropped_slot_still_runs() {
    in_both_modes(60, 1, |_, machine, _| {
        let ran = Arc::new(AtomicBool::new(false));
        let target = machine.spawn(|| wait::sleep(Reasons::USER0));
        let slot = CallSlot::new({
            let ran = Arc::clone(&ran);
            move || ran.store(true, Ordering::Relaxed)
        });
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        drop(slot);
        wait::wake(target.fiber(), Reasons::USER0);
        target.join().unwrap();
        assert!(ran.load(Ordering::Relaxed));
    });
}

#[test]
fn a_slot_whose_call_panics_ends_the_process_with_a_message() {
    const NAME: &str = "slots::a_slot_whose_call_panics_ends_the_process_with_a_message";
    if common::child_case().is_some() {
        let machine = Runtime::new().unwrap();
        let target = machine.spawn(|| wait::sleep(Reasons::USER0));
        let slot = CallSlot::new(|| panic!("in the slot"));
        assert_eq!(slot.send(target.fiber()), Sent::Queued);
        wait::wake(target.fiber(), Reasons::USER0);
        let _ = target.join();
        return;
    }
    let ended = common::child(NAME, "panic", &[]);
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:#?}");
    assert!(
        ended.stderr.contains("a call sent by a CallSlot panicked"),
        "{ended:#?}"
    );
}
