//! What all tests share, a file for each concept; a test finds all of it here.
//!
//! Environment:
//!
//! | variable | meaning |
//! |---|---|
//! | `STRESS=1` | the same tests with the sizes of a long run |
//! | `TEST_SEED=n` | the seed of every random choice; each test prints the one it uses |
//! | `TEST_PATIENCE=n` | multiplies every watchdog's limit, for slow or emulated machines |
//!
//! Tests never sleep in order to be in time for something. Where they have to wait for a state that nobody
//! announces, they look again and again until it is there (`eventually`), and a watchdog ends a
//! test that hangs: it prints what every fiber of the test's machines does, and the process dies.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

mod children;
mod gates;
mod machines;
mod measures;
mod outcomes;
mod sizes;
mod watchdog;

pub use children::*;
pub use gates::*;
pub use machines::*;
pub use measures::*;
pub use outcomes::*;
pub use sizes::*;
pub use watchdog::*;
