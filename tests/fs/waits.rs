//! Only the fiber waits for a file; the wait can be cut short, and then the file is left as it was.

use std::ffi::CString;
use std::io::{BufRead, BufReader, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::common::{
    self, Gate, Test, eventually, in_both_modes, joined_as_cancelled, on_all_machines, scaled,
};
use crate::{Temp, tree};
use fibers::Cancelled;
use fibers::fs::{self, DirBuilder, File, FileTimes, OpenOptions, TryLockError};

fn mkfifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

#[test]
fn only_the_fiber_waits_for_a_file() {
    // A FIFO: each side waits, in `open` and in `read`, for the other, on one worker.
    for mode in common::MODES {
        let test = Test::new(60);
        let machine = test.machine(mode, 1);
        let temp = Temp::new();
        let path = temp.at("fifo");
        mkfifo(&path);
        let reader = machine.spawn({
            let path = path.clone();
            move || {
                let mut file = BufReader::new(File::open(path).unwrap());
                let mut line = String::new();
                file.read_line(&mut line).unwrap();
                let mut rest = Vec::new();
                file.read_to_end(&mut rest).unwrap();
                (line, rest.len())
            }
        });
        let writer = machine.spawn({
            let path = path.clone();
            move || {
                // As the reader waits in `open`, the worker is free for this.
                fibers::yield_now();
                let mut file = OpenOptions::new().write(true).open(path).unwrap();
                file.write_all(b"first line\n").unwrap();
                fibers::yield_now();
                // More than the FIFO holds.
                file.write_all(&[1; 300_000]).unwrap();
            }
        });
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), ("first line\n".to_owned(), 300_000));
        // Whole files, the same way.
        let reader = machine.spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        machine.run(move || fs::write(path, "all of it").unwrap());
        assert_eq!(reader.join().unwrap(), b"all of it");
    }
}

type Call = fn(&Path, &mut File);

/// Calls that go to an offload thread: that is where a cancelled fiber is unwound.
const CALLS: &[(&str, Call)] = &[
    ("read", |path, _| drop(fs::read(path))),
    ("read_to_string", |path, _| drop(fs::read_to_string(path))),
    ("write", |path, _| drop(fs::write(path, "changed"))),
    ("copy", |path, _| {
        drop(fs::copy(path, path.with_extension("copy")))
    }),
    ("rename", |path, _| {
        drop(fs::rename(path, path.with_extension("new")))
    }),
    ("hard_link", |path, _| {
        drop(fs::hard_link(path, path.with_extension("link")))
    }),
    ("create_dir", |path, _| {
        drop(fs::create_dir(path.with_extension("dir")))
    }),
    ("create_dir_all", |path, _| {
        drop(fs::create_dir_all(path.with_extension("dir")))
    }),
    ("remove_file", |path, _| drop(fs::remove_file(path))),
    ("remove_dir", |path, _| drop(fs::remove_dir(path))),
    ("remove_dir_all", |path, _| drop(fs::remove_dir_all(path))),
    ("canonicalize", |path, _| drop(fs::canonicalize(path))),
    ("read_link", |path, _| drop(fs::read_link(path))),
    ("metadata", |path, _| drop(fs::metadata(path))),
    ("symlink_metadata", |path, _| {
        drop(fs::symlink_metadata(path))
    }),
    ("set_permissions", |path, _| {
        drop(fs::set_permissions(path, fs::Permissions::from_mode(0o0)));
    }),
    ("exists", |path, _| drop(fs::exists(path))),
    ("read_dir", |path, _| drop(fs::read_dir(path))),
    ("DirBuilder::create", |path, _| {
        drop(DirBuilder::new().create(path.with_extension("dir")))
    }),
    ("File::open", |path, _| drop(File::open(path))),
    ("File::create", |path, _| drop(File::create(path))),
    ("File::create_new", |path, _| {
        drop(File::create_new(path.with_extension("new")))
    }),
    ("OpenOptions::open", |path, _| {
        drop(OpenOptions::new().read(true).open(path))
    }),
    ("sync_all", |_, file| drop(file.sync_all())),
    ("sync_data", |_, file| drop(file.sync_data())),
    ("set_len", |_, file| drop(file.set_len(0))),
    ("File::metadata", |_, file| drop(file.metadata())),
    ("File::set_permissions", |_, file| {
        drop(file.set_permissions(fs::Permissions::from_mode(0o0)));
    }),
    ("set_times", |_, file| {
        drop(file.set_times(FileTimes::new()))
    }),
    ("set_modified", |_, file| {
        drop(file.set_modified(SystemTime::UNIX_EPOCH))
    }),
    ("lock", |_, file| drop(file.lock())),
    ("lock_shared", |_, file| drop(file.lock_shared())),
    ("try_lock", |_, file| drop(file.try_lock())),
    ("try_lock_shared", |_, file| drop(file.try_lock_shared())),
    ("unlock", |_, file| drop(file.unlock())),
    ("File::read", |_, file| drop(file.read(&mut [0; 4]))),
    ("read_vectored", |_, file| drop(file.read_vectored(&mut []))),
    ("read_to_end", |_, file| {
        drop(file.read_to_end(&mut Vec::new()))
    }),
    ("File::read_to_string", |_, file| {
        drop(file.read_to_string(&mut String::new()))
    }),
    ("read_exact", |_, file| drop(file.read_exact(&mut [0; 4]))),
    ("File::write", |_, file| {
        drop(Write::write(file, b"changed"))
    }),
    ("write_vectored", |_, file| {
        drop(file.write_vectored(&[IoSlice::new(b"changed")]))
    }),
    ("write_all", |_, file| drop(file.write_all(b"changed"))),
    ("write_fmt", |path, file| {
        drop(write!(file, "changed {path:?}"))
    }),
    ("seek", |_, file| drop(file.seek(SeekFrom::End(0)))),
    ("read_at", |_, file| drop(file.read_at(&mut [0; 4], 0))),
    ("read_exact_at", |_, file| {
        drop(file.read_exact_at(&mut [0; 4], 0))
    }),
    ("write_at", |_, file| drop(file.write_at(b"changed", 0))),
    ("write_all_at", |_, file| {
        drop(file.write_all_at(b"changed", 0))
    }),
];

#[test]
fn a_cancelled_fiber_touches_no_file() {
    in_both_modes(60, 2, |_, machine, _| {
        let fiber = machine.spawn(|| {
            let temp = Temp::new();
            let path = temp.at("file");
            fs::write(&path, "contents").unwrap();
            let mut file = File::options().read(true).write(true).open(&path).unwrap();
            let many = temp.at("many");
            fs::create_dir(&many).unwrap();
            (0..200).for_each(|name| fs::write(many.join(name.to_string()), "").unwrap());
            let mut entries = fs::read_dir(&many).unwrap();
            let before = tree(&temp.0);
            fibers::current().cancel().unwrap();
            for (name, call) in CALLS {
                let unwound = catch_unwind(AssertUnwindSafe(|| call(&path, &mut file)));
                let payload = unwound.expect_err(name);
                assert!(payload.is::<Cancelled>(), "{name}");
                assert_eq!(tree(&temp.0), before, "{name}");
            }
            // What has been read ahead is there without a wait; the rest is not.
            let first = entries.next().unwrap().unwrap();
            assert!(catch_unwind(AssertUnwindSafe(|| first.metadata())).is_err());
            assert!(catch_unwind(AssertUnwindSafe(|| entries.count())).is_err());
            // Shielded, all goes on; and so do duplicates and closing.
            fibers::shield(|| assert_eq!(fs::read(&path).unwrap(), b"contents"));
            drop(file.try_clone().unwrap());
            fs::read(path)
        });
        joined_as_cancelled(fiber);
    });
}

#[test]
fn a_file_s_lock_is_waited_for_and_the_wait_can_be_ended() {
    on_all_machines(60, |_, machine| {
        let temp = Arc::new(Temp::new());
        let path = temp.at("locked");
        let first = machine.run({
            let path = path.clone();
            move || {
                let file = File::create(path).unwrap();
                file.lock().unwrap();
                file
            }
        });
        let second = || {
            let path = path.clone();
            let asked = Arc::new(Gate::new());
            let fiber = machine.spawn({
                let asked = Arc::clone(&asked);
                move || {
                    let file = File::open(path).unwrap();
                    assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
                    assert!(matches!(
                        file.try_lock_shared(),
                        Err(TryLockError::WouldBlock)
                    ));
                    asked.open();
                    file.lock_shared().unwrap();
                    let late = file.try_clone().unwrap();
                    file.unlock().unwrap();
                    late.try_lock().unwrap();
                }
            });
            asked.wait();
            fiber
        };
        let cancelled = second();
        cancelled.cancel().unwrap();
        joined_as_cancelled(cancelled);
        let waits = second();
        eventually(|| machine.metrics().timers_fired > 1);
        assert!(!waits.is_finished());
        // From a plain thread, in place.
        first.unlock().unwrap();
        waits.join().unwrap();
        first.lock().unwrap();
        first.unlock().unwrap();
        first.lock_shared().unwrap();
        machine.run({
            let path = path.clone();
            move || {
                let file = File::open(path).unwrap();
                file.lock_shared().unwrap();
                file.try_lock_shared().unwrap();
                assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
            }
        });
    });
}

#[test]
fn many_fibers_have_files_at_once() {
    in_both_modes(60, 2, |_, machine, _| {
        let temp = Arc::new(Temp::new());
        let done = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = (0..100_usize)
            .map(|index| {
                let (temp, done) = (Arc::clone(&temp), Arc::clone(&done));
                machine.spawn(move || {
                    let path = temp.at(&index.to_string());
                    let contents = vec![index as u8; 10_000 + index];
                    for _ in 0..scaled(20, 200) {
                        fs::write(&path, &contents).unwrap();
                        let mut file = File::open(&path).unwrap();
                        let mut read = Vec::new();
                        file.read_to_end(&mut read).unwrap();
                        assert_eq!(read, contents);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        all.into_iter().for_each(|fiber| fiber.join().unwrap());
        assert_eq!(done.load(Ordering::Relaxed), 100);
        let names = machine.run(move || fs::read_dir(&temp.0).unwrap().count());
        assert_eq!(names, 100);
    });
}
