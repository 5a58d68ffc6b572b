//! A server in a child process, and a peer that talks to it.
//!
//! Nothing here sleeps in order to be in time: a peer waits for bytes, and what nobody announces is
//! looked at again and again (`eventually`). A watchdog kills a server that has hung, so that whoever
//! waits for it comes to an end.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fibers-demo");
/// Far more than any test needs: it catches hangs, nothing else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
    watchdog: Sender<()>,
    has_hung: Arc<AtomicBool>,
}

impl Running {
    /// Starts `fibers-demo serve` with these arguments at a free port and waits until it listens.
    pub fn start(arguments: &[&str]) -> Running {
        Running::run(Command::new(PROGRAM), arguments)
    }

    /// As `start`, with no more than so many file descriptors.
    pub fn start_with_descriptors(count: u32, arguments: &[&str]) -> Running {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("ulimit -n {count} && exec \"$0\" \"$@\""),
            PROGRAM,
        ]);
        Running::run(shell, arguments)
    }

    fn run(mut command: Command, arguments: &[&str]) -> Running {
        let mut child = command
            .arg("serve")
            .args(arguments)
            .args(["--addr", "127.0.0.1:0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let (watchdog, over) = channel();
        let has_hung = Arc::new(AtomicBool::new(false));
        let (pid, hung) = (child.id(), has_hung.clone());
        thread::spawn(move || {
            if over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                hung.store(true, Ordering::SeqCst);
                signal(pid, "KILL");
            }
        });
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .and_then(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address: {line:?}"));
        // Whatever else it says is for who reads the test's output.
        thread::spawn(move || {
            lines
                .lines()
                .map_while(Result::ok)
                .for_each(|line| eprintln!("{line}"))
        });
        Running {
            child,
            address,
            watchdog,
            has_hung,
        }
    }

    /// A connection to it.
    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Has it stand still until the signal `CONT` comes; the kernel alone answers who connects.
    pub fn pause(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        eventually(|| std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    }

    /// A peer whose first words are there before the server has seen it, and begins to count its time.
    pub fn connect_and_say(&self, text: &str) -> Peer {
        self.pause();
        let mut peer = self.connect();
        peer.say(text);
        self.signal("CONT");
        peer
    }

    /// Waits until nobody listens any more.
    pub fn wait_until_closed(&self) {
        eventually(|| TcpStream::connect(self.address).is_err());
    }

    /// Waits for its end, which must be a good one, and returns its report.
    pub fn report(mut self) -> Value {
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().expect("a pipe");
        stdout.read_to_string(&mut text).expect("its report");
        let status = self.child.wait().expect("its end");
        assert_eq!(status.code(), Some(0), "{text}");
        let report: Value = serde_json::from_str(text.trim()).expect("a line of JSON");
        assert_eq!(report["ok"], true, "{report}");
        report
    }

    /// Waits for its end and returns the signal that caused it.
    pub fn killed_by(mut self) -> Option<i32> {
        self.child.wait().expect("its end").signal()
    }

    /// Stops it and returns its report.
    pub fn stop(self) -> Value {
        self.signal("TERM");
        self.report()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `report` it is gone, and both calls only say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.watchdog.send(());
        // A peer may have taken the server's death for the end that it waited for.
        if self.has_hung.load(Ordering::SeqCst) && !thread::panicking() {
            panic!("the server had hung and was killed by the watchdog");
        }
    }
}

fn signal(pid: u32, name: &str) {
    let line = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &line]).status();
    assert!(status.is_ok_and(|status| status.success()), "{line}");
}

/// Looks again and again until it is so.
pub fn eventually(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never became so");
        thread::yield_now();
    }
}

/// The requests of a report that must tell of no loss: nothing cut off.
pub fn requests(report: &Value) -> u64 {
    assert_eq!(report["cut_off"], 0, "{report}");
    report["requests"].as_u64().expect("a count")
}

/// One end of a connection.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        (stream.set_read_timeout(Some(PATIENCE))).expect("an option");
        Peer { stream }
    }

    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("it listens");
    }

    /// Says that nothing more will come.
    pub fn end(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }

    /// Reads once, whatever signals come meanwhile.
    pub fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Reads just this.
    pub fn hear(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        self.stream.read_exact(&mut bytes).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    /// Reads one line, without its end.
    pub fn line(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a whole line");
            bytes.push(byte[0]);
        }
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    /// Reads to the end, which must be an orderly one.
    pub fn hear_all(mut self) -> String {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("an orderly end");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one answer in HTTP: its head and its body.
    pub fn answer(&mut self) -> (String, String) {
        self.try_answer().expect("an answer")
    }

    /// As `answer`; `None` if the conversation is over, but an answer that has begun must be whole.
    pub fn try_answer(&mut self) -> Option<(String, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) if head.is_empty() => return None,
                Err(error) if head.is_empty() && is_reset(&error) => return None,
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).expect("text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
        self.stream.read_exact(&mut body).expect("the whole body");
        Some((head, String::from_utf8(body).expect("text")))
    }
}

/// A server that leaves while a peer is speaking may look like this to the peer.
pub fn is_reset(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
