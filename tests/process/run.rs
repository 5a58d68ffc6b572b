//! A command starts what it is told to, as std's does, and what it prints is read.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use crate::common::everywhere;
use crate::shell;
use fibers::process::{ChildStdout, Command, Stdio};

#[test]
fn a_program_is_run_everywhere() {
    everywhere(60, || {
        assert!(Command::new("true").status().unwrap().success());
        assert_eq!(shell("exit 7").status().unwrap().code(), Some(7));
        let killed = shell("kill -TERM $$").status().unwrap();
        assert_eq!(killed.signal(), Some(libc::SIGTERM));
        let output = shell("cat; echo out; echo err >&2; exit 3")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
        let mut child = shell("read a; echo got $a")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"it\n").unwrap();
        let mut text = String::new();
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "got it\n");
        assert_eq!(child.wait().unwrap(), child.try_wait().unwrap().unwrap());
    });
}

#[test]
fn a_command_says_and_does_what_std_s_does() {
    everywhere(60, || {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo $0 $FIRST $SECOND $THIRD; pwd"])
            .arg("zero");
        command
            .env("FIRST", "1")
            .envs([("SECOND", "2"), ("THIRD", "3")])
            .env_remove("SECOND")
            .current_dir("/");
        assert_eq!(command.get_program(), "/bin/sh");
        assert_eq!(command.get_args().count(), 3);
        assert_eq!(command.get_current_dir(), Some(Path::new("/")));
        let first = (OsStr::new("FIRST"), Some(OsStr::new("1")));
        assert!(command.get_envs().any(|variable| variable == first));
        assert!(format!("{command:?}").contains("zero"));
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "zero 1 3\n/\n");
        // What `output` does with the streams it does once.
        let mut child = shell("exit 0").spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        child.wait().unwrap();
        command.output().unwrap();
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        child.wait().unwrap();

        let mut env = Command::new("/usr/bin/env");
        assert_eq!(
            env.env_clear().env("ONLY", "1").output().unwrap().stdout,
            b"ONLY=1\n"
        );
        let mut named = shell("echo $0");
        assert_eq!(named.arg0("other").output().unwrap().stdout, b"other\n");
        let mut group = Command::new("sleep")
            .arg("3600")
            .process_group(0)
            .spawn()
            .unwrap();
        // SAFETY: asks, and then ends the group of our own child.
        unsafe {
            assert_eq!(libc::getpgid(group.id() as i32), group.id() as i32);
            libc::kill(-(group.id() as i32), libc::SIGKILL);
        }
        assert_eq!(group.wait().unwrap().signal(), Some(libc::SIGKILL));
        let mut umask = shell("umask");
        // SAFETY: async-signal-safe.
        let before = || unsafe {
            libc::umask(0o123);
            Ok(())
        };
        // SAFETY: as above.
        unsafe { umask.pre_exec(before) };
        assert_eq!(umask.output().unwrap().stdout, b"0123\n");
    });
}

#[test]
fn what_cannot_be_started_is_an_error() {
    everywhere(60, || {
        let spawn = |name: &str| Command::new(name).spawn().unwrap_err().kind();
        assert_eq!(spawn("/no/such/program"), ErrorKind::NotFound);
        assert_eq!(spawn("no-such-program-anywhere"), ErrorKind::NotFound);
        assert_eq!(spawn("/etc/passwd"), ErrorKind::PermissionDenied);
        assert_eq!(spawn("zero\0byte"), ErrorKind::InvalidInput);
        let nowhere = Command::new("true").current_dir("/no/such/folder").status();
        assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(
            Command::new("/no/such/program").exec().kind(),
            ErrorKind::NotFound
        );
    });
}

#[test]
fn a_pipeline_is_made_of_children() {
    everywhere(60, || {
        let mut first = shell("echo one; echo two")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // From a pipe of ours, which the child is to find blocking.
        let (mut reader, writer) = fibers::io::pipe().unwrap();
        let mut second = Command::new("tr")
            .args(["a-z", "A-Z"])
            .stdin(first.stdout.take().unwrap())
            .stdout(writer)
            .spawn()
            .unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ONE\nTWO\n");
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        // And by descriptors.
        let mut child = shell("echo x").stdout(Stdio::piped()).spawn().unwrap();
        let stdout = ChildStdout::from(OwnedFd::from(child.stdout.take().unwrap()));
        let mut bytes = Vec::new();
        { stdout }.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"x\n");
        child.wait().unwrap();
    });
}

#[test]
fn a_megabyte_on_both_pipes_is_read() {
    everywhere(100, || {
        let bytes = 1 << 20;
        let both = format!(
            "head -c {bytes} /dev/zero & head -c {bytes} /dev/zero >&2; wait; head -c {bytes} /dev/zero >&2; exit 5"
        );
        let one_after_the_other = format!(
            "head -c {bytes} /dev/zero; exec >&-; head -c {} /dev/zero >&2; exit 5",
            2 * bytes
        );
        for script in [both, one_after_the_other] {
            let output = shell(&script).output().unwrap();
            assert_eq!(output.status.code(), Some(5));
            assert_eq!(
                (output.stdout.len(), output.stderr.len()),
                (bytes, 2 * bytes)
            );
        }
        let mut slowly = shell("for i in 1 2 3 4 5; do echo $i; echo $i >&2; sleep 0.001; done");
        let child = slowly
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, output.stderr);
        assert_eq!(output.stdout, b"1\n2\n3\n4\n5\n");
        let only = shell("echo x >&2").stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(only.wait_with_output().unwrap().stderr, b"x\n");
        // It waits for the end of its input.
        let reads = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(reads.wait_with_output().unwrap().status.success());
    });
}
