//! The tools suite: the load generators that others use, against servers on the loopback.
//!
//! A measurement is two child processes, a server on the first core and a load on the second. Both end with
//! this process, and each load is bounded by time or by count.
//!
//! | file | holds |
//! |---|---|
//! | `rows` | which tool loads whom, and how: data only |
//! | `wrk`, `redis_benchmark` | command lines, and what the tools print |
//! | `attached` | how a foreign program gets its core, and ends with us |
//! | `servers` | how each server is started |
//! | `runner`, `report` | rounds and statistics; what comes of them |
//! | `table` | the table for terminals |

pub(crate) mod attached;
mod redis_benchmark;
pub(crate) mod report;
pub(crate) mod rows;
pub(crate) mod runner;
mod servers;
pub(crate) mod table;
mod wrk;

pub(crate) use self::runner::{ToolsArgs, run};
