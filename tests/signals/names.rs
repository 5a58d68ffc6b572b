//! What signals are called, and which of them cannot be listened for.

use fibers::signal::{self, Signal, Signals};

#[test]
fn what_cannot_be_listened_for_is_refused() {
    let refused = [
        0,
        -1,
        65,
        1 << 20,
        i32::MIN,
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
    ];
    let faults = [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, 32, 33];
    for signal in refused.into_iter().chain(faults) {
        // Among others that could be.
        let error = Signals::new([libc::SIGUSR1, signal]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{signal}");
        assert!(error.to_string().contains(&signal.to_string()), "{error}");
        assert!(signal::wait([signal]).is_err());
        assert!(signal::block([signal]).is_err());
    }
    let error = Signals::new([0; 0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn signals_have_names() {
    assert_eq!(
        format!("{:?}", Signals::new([Signal::ALRM, Signal::IO]).unwrap()),
        "Signals {SIGALRM, SIGIO}"
    );
    assert_eq!(
        format!("{:>9}|{}", Signal::HUP, Signal::from(&40)),
        "   SIGHUP|signal 40"
    );
    assert_eq!(i32::from(Signal::TERM), libc::SIGTERM);
    assert!(Signal::TERM == libc::SIGTERM && Signal::INT != libc::SIGTERM);
}
