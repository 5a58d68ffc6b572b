//! Raw epoll without a runtime, the yardstick of the io suite: nothing is done here but the work.
//!
//! Each worker has its own epoll and its own connections. The first one also accepts, and hands the
//! connections out in turn. A connection is added to its epoll once, edge-triggered: a read that
//! leaves room in the buffer has emptied the socket, so each request is one read, one write and a
//! share of an `epoll_wait`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::ptr;
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::io::protocol::Conversation;
use crate::io::server::{ANY_PORT, Service};

/// How many events a worker takes at once.
const EVENTS_MAX: usize = 1024;

struct Connection {
    stream: TcpStream,
    conversation: Conversation,
}

/// The listener, at the worker that accepts.
struct Acceptor<'a> {
    listener: TcpListener,
    service: &'a Service,
    epolls: &'a [OwnedFd],
    accepted: usize,
}

/// Serves until something fails.
pub(super) fn serve(service: &Service) -> io::Result<()> {
    let listener = TcpListener::bind(ANY_PORT)?;
    listener.set_nonblocking(true)?;
    let epolls: Vec<OwnedFd> = (0..service.workers)
        .map(|_| epoll::create(CreateFlags::CLOEXEC))
        .collect::<Result<_, _>>()?;
    let null = EventData::new_ptr(ptr::null_mut());
    epoll::add(&epolls[0], &listener, null, EventFlags::IN)?;
    service.announce(listener.local_addr()?);
    let acceptor = Acceptor {
        listener,
        service,
        epolls: &epolls,
        accepted: 0,
    };
    thread::scope(|scope| {
        for epoll in &epolls[1..] {
            scope.spawn(|| work(epoll, None).expect("epoll works as before"));
        }
        work(&epolls[0], Some(acceptor))
    })
}

fn work(epoll: &OwnedFd, mut acceptor: Option<Acceptor<'_>>) -> io::Result<()> {
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        epoll::wait(epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let connection = event.data.ptr().cast::<Connection>();
            if !connection.is_null() {
                // SAFETY: the pointer comes from `Acceptor::accept`, which gave it to this epoll
                // alone, so that no other worker has it. It was not freed: what is freed below is
                // no longer in the epoll, and one batch of events names no connection twice.
                let open = unsafe { &mut *connection }.converse();
                if open.is_err() {
                    // SAFETY: as above, and the reference above is gone. Closing its socket takes
                    // the connection out of the epoll.
                    drop(unsafe { Box::from_raw(connection) });
                }
            } else if let Some(acceptor) = &mut acceptor {
                acceptor.accept()?;
            }
        }
    }
}

impl Acceptor<'_> {
    /// Accepts one connection. The listener is level-triggered: others are in the next batch.
    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let stream = match accept_with(&self.listener, flags) {
            Err(Errno::WOULDBLOCK) => return Ok(()),
            accepted => TcpStream::from(accepted?),
        };
        stream.set_nodelay(true)?;
        let connection = Box::into_raw(Box::new(Connection {
            stream,
            conversation: Conversation::new(self.service.protocol),
        }));
        let epoll = &self.epolls[self.accepted % self.epolls.len()];
        self.accepted += 1;
        // SAFETY: the connection is alive, and no worker knows it before it is added.
        let stream = unsafe { &(*connection).stream };
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(
            epoll,
            stream,
            EventData::new_ptr(connection.cast()),
            flags,
        )?)
    }
}

impl Connection {
    /// Answers what has come. An error means that the connection has ended.
    fn converse(&mut self) -> io::Result<()> {
        loop {
            let room = self.conversation.room();
            let size = room.len();
            let read = match self.stream.read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                read => read?,
            };
            let answer = self.conversation.answer(read);
            // Small answers in a closed loop never fill the socket's buffer, so there is no
            // waiting for room in it; should one do, the write fails and the load will notice.
            self.stream.write_all(answer)?;
            if read < size {
                return Ok(());
            }
        }
    }
}
