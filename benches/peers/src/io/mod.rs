//! The io suite: servers on the loopback, each in a process of its own, under one and the same load.
//!
//! A measurement is two child processes: `serve` is one of the peers, `load` drives it and reads the
//! server's CPU clock. Both end with their parent, or after [`lifetime::MAX`].
//!
//! | file | holds |
//! |---|---|
//! | `rows` | workloads, placements, rows: data only |
//! | `protocol` | what is said on a connection; no IO |
//! | `placement` | who runs on which core |
//! | `server` | a server process, seen from the parent and from inside |
//! | `load`, `client`, `histogram` | the load process, one of its threads, its latencies |
//! | `observed` | what the server has used, seen from the load |
//! | `capacity` | how many connections this machine allows |
//! | `lifetime` | no process outlives its parent |
//! | `runner`, `table` | rounds and statistics; the table for terminals |

pub(crate) mod capacity;
mod client;
mod histogram;
pub(crate) mod lifetime;
pub(crate) mod load;
mod observed;
pub(crate) mod placement;
pub(crate) mod protocol;
pub(crate) mod rows;
pub(crate) mod runner;
pub(crate) mod server;
pub(crate) mod table;
