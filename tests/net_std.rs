//! `fibers::net` against `std::net`: each program is compiled twice, once with std's sockets and threads and once with
//! ours, and must say the same, error codes included. Many are std's own tests, retold.

mod common;

use common::{MODES, Test};

/// Runs the program with std, then in every place with fibers.
fn same(theirs: fn() -> Vec<String>, ours: fn() -> Vec<String>) {
    let test = Test::new(60);
    let expected = theirs();
    assert_eq!(ours(), expected, "on a plain thread");
    for mode in MODES {
        for workers in [1, 3] {
            let machine = test.machine(mode, workers);
            assert_eq!(machine.run(ours), expected, "{mode:?}, {workers} workers");
        }
    }
    assert_eq!(
        test.local().run(ours),
        expected,
        "on a machine of this thread"
    );
}

macro_rules! programs {
    ($module:ident, $file:literal: $($name:ident),* $(,)?) => {
        mod $module {
            mod with_std {
                #![allow(unused_imports, reason = "each file uses its own part")]
                use std::net::{self, ToSocketAddrs};
                use std::os::unix::net as unix;
                use std::thread;
                include!("net_std/said.rs");
                include!($file);
            }
            mod with_fibers {
                #![allow(unused_imports, reason = "each file uses its own part")]
                use fibers::net::unix;
                use fibers::net::{self, ToSocketAddrs};
                use fibers::thread;
                include!("net_std/said.rs");
                include!($file);
            }
            $(#[test]
            fn $name() {
                super::same(with_std::$name, with_fibers::$name);
            })*
        }
    };
}

programs!(tcp, "net_std/tcp.rs":
    bind_errors,
    connect_errors,
    connect_timeouts,
    smoke,
    end_of_file,
    write_to_a_closed_peer,
    many_connections_at_once,
    names,
    short_reads,
    vectored,
    options,
    double_bind,
    clones,
    clones_read,
    clones_write,
    shut_down,
    half_closed,
    shut_down_wakes_readers,
    clone_while_reading,
    accept_on_clones,
    incoming,
    debug,
    timeouts,
    time_outs_that_pass,
    timeouts_are_shared,
    non_blocking,
    peek,
    big_writes,
    reset,
    blocked_by_a_slow_reader,
    not_connected,
    reads_of_nothing,
);

programs!(addresses, "net_std/addresses.rs": addresses);

programs!(udp, "net_std/udp.rs":
    bind_error,
    smoke,
    connected,
    clones,
    two_readers,
    timeouts,
    time_outs_that_pass,
    options,
    groups,
    refused,
    peek,
    truncated,
    non_blocking,
    debug,
    too_long,
);

programs!(unix_sockets, "net_std/unix.rs":
    basic,
    vectored,
    pairs,
    try_clone,
    iterated,
    paths,
    no_such_path,
    timeouts,
    time_outs_that_pass,
    non_blocking,
    shut_down,
    datagrams,
    datagrams_unnamed,
    datagrams_connected,
    datagram_pairs,
    datagrams_shut_down,
    datagram_timeouts,
    abstract_names,
    big_writes,
    closed,
    debug,
);
