//! The servers as programs of their own: raw sockets talk to them, signals stop them, and the programs
//! that people use against such servers must work as well.

mod http;
mod kv;
mod programs;
mod refusals;
mod running;
mod stop;
