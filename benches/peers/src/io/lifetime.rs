//! No child outlives its parent: it watches its stdin, a pipe that nobody writes to and that closes when
//! the parent ends, however it ends.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// After this a child ends by itself.
pub(crate) const MAX: Duration = Duration::from_secs(60);

/// Ends this process when its stdin closes, or after [`MAX`].
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let stdin = io::stdin();
        let limit = Timespec::try_from(MAX).expect("a minute is representable");
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        if poll(&mut watched, Some(&limit)) == Ok(0) {
            eprintln!("took more than {} s", MAX.as_secs());
        }
        process::exit(1);
    });
}
