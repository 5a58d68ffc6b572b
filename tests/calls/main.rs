//! What calls between fibers promise: where, when and how often they run, and what becomes of those that
//! cannot.

#[path = "../common/mod.rs"]
mod common;

mod nested;
mod outcomes;
mod serving;
mod slots;

use std::sync::Arc;

use common::Gate;
use fibers::{JoinHandle, Runtime};

/// A fiber that parks until the gate opens, and so serves calls.
fn server(machine: &Runtime) -> (JoinHandle<()>, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let fiber = machine.spawn({
        let gate = Arc::clone(&gate);
        move || {
            while !gate.is_open() {
                fibers::park();
            }
        }
    });
    (fiber, gate)
}

fn close(server: (JoinHandle<()>, Arc<Gate>)) {
    server.1.open();
    server.0.fiber().unpark();
    server.0.join().unwrap();
}
