//! What the servers share: the listener, a fiber for each connection, the list of who is connected, and
//! the graceful stop. It knows nothing of what is spoken.
//!
//! The stop, in order:
//! 1. `stopping` is set. Whoever becomes idle from now on has its reads ended by itself.
//! 2. Who has come and waits to be let in still is. Then the listener is closed.
//! 3. The reads of all who are idle are ended. What the kernel holds for them can still be read: it was
//!    sent before the stop and is answered. Then they read the end, and leave.
//! 4. Whoever is in the middle of a request gets until the deadline. Then its connection is cut.
//!
//! STOP-1: no idle connection is missed. It says "idle" and then looks at `stopping`; the stop sets
//! `stopping` and then looks who is idle. Both are SeqCst, so one of the two sees the other.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::serve::os::{self, TcpListener, TcpStream, thread};
use crate::serve::wire::{End, Protocol, Transport, Wire};

/// A peer that takes nothing of its answers for so long has its connection cut.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// No more than this wait to be let in when the stop comes, or somebody never ceases to come.
const BACKLOG_MAX: usize = 4_096;
/// A connection that has been cut ends at once; if not, something is wrong.
const CUT_TIME_MAX: Duration = Duration::from_secs(5);

/// What happened so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub connections: AtomicU64,
    /// Connections closed at once, because there were too many.
    pub refused: AtomicU64,
    /// Requests whose answers were written.
    pub requests: AtomicU64,
    /// Conversations that were ended because what came was no request.
    pub faults: AtomicU64,
    /// Connections that the peer or the network broke.
    pub broken: AtomicU64,
    /// Connections cut by the deadline of the stop.
    pub cut_off: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
}

/// A server that runs.
pub struct Server<P> {
    shared: Arc<Shared<P>>,
    listener: Arc<TcpListener>,
    address: SocketAddr,
    acceptor: thread::JoinHandle<()>,
}

struct Shared<P> {
    protocol: P,
    connections_max: usize,
    stopping: AtomicBool,
    peers: Mutex<HashMap<u64, Arc<Peer>>>,
    next_id: AtomicU64,
    /// Who waits for the last peer to leave.
    stopper: Mutex<Option<thread::Thread>>,
    tally: Arc<Tally>,
}

/// One connection, as the list of all sees it.
struct Peer {
    stream: TcpStream,
    is_idle: AtomicBool,
}

/// One connection, as its wire sees it.
struct Link<P> {
    peer: Arc<Peer>,
    shared: Arc<Shared<P>>,
    /// The limit in force; `None` before the first.
    limit: Option<Option<Duration>>,
}

/// A place in the list of peers, given back when the conversation is over, also by a panic.
struct Place<P> {
    id: u64,
    shared: Arc<Shared<P>>,
}

impl<P: Protocol> Server<P> {
    /// Listens there and lets in up to `connections_max` at a time.
    pub fn start(protocol: P, address: &str, connections_max: usize) -> Result<Server<P>, String> {
        let listener = Arc::new(listen(address)?);
        let address = (listener.local_addr()).map_err(|error| format!("--addr: {error}"))?;
        let shared = Arc::new(Shared {
            protocol,
            connections_max,
            stopping: AtomicBool::new(false),
            peers: Mutex::default(),
            next_id: AtomicU64::new(0),
            stopper: Mutex::default(),
            tally: Arc::default(),
        });
        let acceptor = thread::Builder::new()
            .name("acceptor".into())
            .spawn({
                let (shared, listener) = (shared.clone(), listener.clone());
                move || accept_all(&shared, &listener)
            })
            .map_err(|error| format!("the acceptor did not start: {error}"))?;
        Ok(Server {
            shared,
            listener,
            address,
            acceptor,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops as the head of the file tells. Whoever is not done after `grace` is cut off.
    pub fn stop(self, grace: Duration) -> Result<Arc<Tally>, String> {
        let shared = self.shared;
        // SeqCst: STOP-1.
        shared.stopping.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + grace;
        *lock(&shared.stopper) = Some(thread::current());
        os::stop_accepting(&self.acceptor);
        let _ = self.acceptor.join();
        admit_last(&shared, self.listener);
        for peer in shared.list() {
            // SeqCst: STOP-1.
            if peer.is_idle.load(Ordering::SeqCst) {
                let _ = peer.stream.shutdown(Shutdown::Read);
            }
        }
        if shared.is_empty_until(deadline) {
            return Ok(shared.tally.clone());
        }
        let late = shared.list();
        for peer in &late {
            let _ = peer.stream.shutdown(Shutdown::Both);
        }
        shared
            .tally
            .cut_off
            .fetch_add(late.len() as u64, Ordering::Relaxed);
        if shared.is_empty_until(Instant::now() + CUT_TIME_MAX) {
            return Ok(shared.tally.clone());
        }
        Err(format!(
            "{} connections did not end, though they were cut off",
            lock(&shared.peers).len()
        ))
    }
}

fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| {
        let way_out = match error.kind() {
            ErrorKind::AddrInUse => "give another port, or 0 for any that is free",
            ErrorKind::PermissionDenied => "give a port from 1024 on",
            _ => "give an address of this host and a port, such as 127.0.0.1:0",
        };
        format!("--addr {address}: {error}: {way_out}")
    })
}

/// The acceptor: lets peers in until the stop.
fn accept_all<P: Protocol>(shared: &Arc<Shared<P>>, listener: &TcpListener) {
    let mut has_complained = false;
    while !shared.stopping.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => shared.admit(stream),
            // A peer that left before it was let in, and the like.
            Err(error) if is_fleeting(&error) => {}
            Err(error) => {
                if !has_complained {
                    eprintln!("fibers-demo: accept: {error} (a higher `ulimit -n` may help)");
                }
                // The next try waits a little by itself: others may give back what is missing.
                has_complained = true;
            }
        }
    }
}

/// Lets in who has come already, and closes the listener.
fn admit_last<P: Protocol>(shared: &Arc<Shared<P>>, listener: Arc<TcpListener>) {
    if listener.set_nonblocking(true).is_err() {
        return;
    }
    for _ in 0..BACKLOG_MAX {
        match listener.accept() {
            Ok((stream, _)) => shared.admit(stream),
            Err(error) if is_fleeting(&error) => {}
            // There are no more, or there is nothing left to serve them with.
            Err(_) => break,
        }
    }
}

fn is_fleeting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

impl<P> Shared<P> {
    fn list(&self) -> Vec<Arc<Peer>> {
        lock(&self.peers).values().cloned().collect()
    }

    /// Waits for the last peer to leave; false if one is there at the deadline.
    fn is_empty_until(&self, deadline: Instant) -> bool {
        loop {
            if lock(&self.peers).is_empty() {
                return true;
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return false;
            }
            thread::park_timeout(remaining);
        }
    }
}

impl<P: Protocol> Shared<P> {
    /// Gives a new connection its fiber.
    fn admit(self: &Arc<Self>, stream: TcpStream) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer {
            stream,
            is_idle: AtomicBool::new(false),
        });
        let place = {
            let mut peers = lock(&self.peers);
            if peers.len() >= self.connections_max {
                self.tally.refused.fetch_add(1, Ordering::Relaxed);
                return;
            }
            peers.insert(id, peer.clone());
            Place {
                id,
                shared: self.clone(),
            }
        };
        let fiber = thread::Builder::new().name(format!("connection {id}"));
        let link = Link {
            peer,
            shared: self.clone(),
            limit: None,
        };
        match fiber.spawn(move || converse(link, &place)) {
            Ok(_) => self.tally.connections.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.tally.refused.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// The fiber of one connection.
fn converse<P: Protocol>(link: Link<P>, place: &Place<P>) {
    let shared = &place.shared;
    let stream = &link.peer.stream;
    // Answers leave in one write each time: to hold back the last packet would only delay them.
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(WRITE_TIME_MAX));
    let mut wire = Wire::new(link, P::INPUT_MAX);
    let end = match shared.protocol.serve(&mut wire) {
        Ok(End::Theirs) => wire.flush(),
        Ok(End::Ours) => wire.linger(),
        Err(error) => Err(error),
    };
    if end.is_err() {
        shared.tally.broken.fetch_add(1, Ordering::Relaxed);
    }
}

impl<P> Drop for Place<P> {
    fn drop(&mut self) {
        let (peer, is_last) = {
            let mut peers = lock(&self.shared.peers);
            (peers.remove(&self.id), peers.is_empty())
        };
        drop(peer); // closes the socket, after the lock is free
        if is_last && let Some(stopper) = &*lock(&self.shared.stopper) {
            stopper.unpark();
        }
    }
}

impl<P> Read for Link<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.peer.stream).read(buffer)?;
        let bytes = &self.shared.tally.bytes_in;
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<P> Write for Link<P> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = (&self.peer.stream).write(buffer)?;
        let bytes = &self.shared.tally.bytes_out;
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<P> Transport for Link<P> {
    fn limit_reads(&mut self, limit: Option<Duration>) -> io::Result<()> {
        // Nearly always the same as before; with std each change is a system call.
        if self.limit != Some(limit) {
            self.peer.stream.set_read_timeout(limit)?;
            self.limit = Some(limit);
        }
        Ok(())
    }

    fn set_idle(&mut self, is_idle: bool) {
        // SeqCst, both: STOP-1.
        self.peer.is_idle.store(is_idle, Ordering::SeqCst);
        if is_idle && self.shared.stopping.load(Ordering::SeqCst) {
            let _ = self.peer.stream.shutdown(Shutdown::Read);
        }
    }

    fn is_stopping(&self) -> bool {
        // Relaxed: whoever sees it late is idle next, and seen by STOP-1.
        self.shared.stopping.load(Ordering::Relaxed)
    }

    fn answered(&mut self, requests: u64) {
        let count = &self.shared.tally.requests;
        count.fetch_add(requests, Ordering::Relaxed);
    }

    fn complain(&mut self) {
        self.shared.tally.faults.fetch_add(1, Ordering::Relaxed);
    }

    fn end_writes(&mut self) -> io::Result<()> {
        self.peer.stream.shutdown(Shutdown::Write)
    }
}

/// No lock here is held over a wait, and a panic under it leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
