//! Sends closures to run on another fiber's stack: state with one owner, and no lock around it.
//!
//! `cargo run --release --example calls`

use std::cell::Cell;

use fibers::wait::{self, Reasons};

fibers::fiber_local! {
    static BALANCE: Cell<i64> = const { Cell::new(0) };
    static IS_OPEN: Cell<bool> = const { Cell::new(true) };
}

fn main() {
    // The account sleeps until calls arrive and serves them until one of them closes it.
    let account = fibers::spawn(|| {
        while IS_OPEN.get() {
            let _ = wait::sleep(Reasons::CALL);
            fibers::process_calls();
        }
        BALANCE.get()
    });
    for amount in [100, -30, 5] {
        // Runs on the account's stack, so it sees the account's locals. `wait` returns its result.
        let call = account.fiber().call(move || {
            BALANCE.set(BALANCE.get() + amount);
            BALANCE.get()
        });
        let balance = call.expect("it is open").wait().unwrap();
        println!("{amount:+} makes {balance}");
    }
    let close = account.fiber().call(|| IS_OPEN.set(false));
    close.expect("it is open").wait().unwrap();
    println!("closed with {}", account.join().unwrap());
}
