//! `fibers::fs` beside `std::fs`: the same results, the same errors, and only the fiber waits.

mod common;

use std::ffi::CString;
use std::fmt;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, DirEntryExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use common::{
    Gate, Mode, Random, Test, eventually, in_both_modes, in_every_place, joined_as_cancelled,
    on_all_machines, scaled,
};
use fibers::Cancelled;
use fibers::fs::{self, DirBuilder, File, FileTimes, OpenOptions, TryLockError};

/// A directory of one test's own, gone with it.
#[derive(Debug)]
struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fibers-test-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn mkfifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

/// What of an outcome must be as std's.
fn shown<T: fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} {:?} {error}", error.kind(), error.raw_os_error()),
    }
}

/// Everything below a directory: names, kinds, contents, modes, links.
fn tree(root: &Path) -> Vec<String> {
    fn walk(root: &Path, path: &Path, out: &mut Vec<String>) {
        let about = std::fs::symlink_metadata(path).unwrap();
        let name = path.strip_prefix(root).unwrap().display();
        let mode = about.permissions().mode();
        let what = if about.is_dir() {
            String::new()
        } else if about.is_symlink() {
            format!("{:?}", std::fs::read_link(path).unwrap())
        } else {
            format!("{:?} x{}", std::fs::read(path).unwrap(), about.nlink())
        };
        out.push(format!("{name} {mode:o} {what}"));
        if about.is_dir() {
            let entries = std::fs::read_dir(path).unwrap();
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths.iter().for_each(|path| walk(root, path, out));
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out
}

/// The same call by either library. Paths differ in the root alone, which is taken out of the answer.
macro_rules! both {
    ($pick:expr, $fs:ident, $File:ident, $Options:ident, $body:expr) => {
        if $pick {
            #[allow(unused_imports)]
            use fibers::fs::{self as $fs, File as $File, OpenOptions as $Options};
            $body
        } else {
            #[allow(unused_imports)]
            use std::fs::{self as $fs, File as $File, OpenOptions as $Options};
            $body
        }
    };
}

/// One random call, by fibers or by std, in `root`; what it answered.
fn random_call(ours: bool, root: &Path, mut random: Random) -> String {
    let names = ["a", "b", "c", "a/x", "a/y", "b/x", "b/z/w", "no/such/path"];
    let mut name = || root.join(names[random.below(names.len() as u64) as usize]);
    let (one, two) = (name(), name());
    let bytes = vec![random.below(256) as u8; random.below(2000) as usize];
    let at = random.below(3000);
    let mode = [0o600, 0o640, 0o644][random.below(3) as usize];
    let answer = match random.below(27) {
        0 => both!(ours, fs, File, Options, shown(fs::read(&one))),
        1 => both!(ours, fs, File, Options, shown(fs::read_to_string(&one))),
        2 | 3 => both!(ours, fs, File, Options, shown(fs::write(&one, &bytes))),
        4 => both!(ours, fs, File, Options, shown(fs::copy(&one, &two))),
        5 => both!(ours, fs, File, Options, shown(fs::rename(&one, &two))),
        6 => both!(ours, fs, File, Options, shown(fs::hard_link(&one, &two))),
        7 => both!(ours, fs, File, Options, shown(fs::create_dir(&one))),
        8 | 9 => both!(ours, fs, File, Options, shown(fs::create_dir_all(&one))),
        10 => both!(ours, fs, File, Options, shown(fs::remove_file(&one))),
        11 => both!(ours, fs, File, Options, shown(fs::remove_dir(&one))),
        12 => both!(ours, fs, File, Options, shown(fs::remove_dir_all(&one))),
        13 => both!(ours, fs, File, Options, shown(fs::canonicalize(&one))),
        14 => both!(ours, fs, File, Options, shown(fs::read_link(&one))),
        15 => both!(ours, fs, File, Options, shown(fs::exists(&one))),
        16 => both!(ours, fs, File, Options, {
            shown(fs::metadata(&one).map(|about| (about.is_dir(), about.mode(), about.nlink())))
        }),
        17 => both!(ours, fs, File, Options, {
            shown(
                fs::symlink_metadata(&one)
                    .map(|about| (about.file_type().is_symlink(), about.mode())),
            )
        }),
        18 => both!(ours, fs, File, Options, {
            // Of files only: a directory without its bits would hide what is in it.
            match fs::metadata(&one) {
                Ok(about) if about.is_file() => {
                    let mut permissions = about.permissions();
                    permissions.set_mode(mode);
                    shown(fs::set_permissions(&one, permissions))
                }
                other => shown(other.map(|_| ())),
            }
        }),
        19 => both!(ours, fs, File, Options, {
            shown(fs::read_dir(&one).map(|entries| {
                let mut names: Vec<_> = entries
                    .map(|entry| {
                        let entry = entry.unwrap();
                        let kind = entry.file_type().unwrap();
                        let same = kind.is_dir() == entry.metadata().unwrap().is_dir();
                        let path = entry.path().strip_prefix(&one).unwrap().to_owned();
                        (entry.file_name(), path, kind.is_dir(), same)
                    })
                    .collect();
                names.sort();
                names
            }))
        }),
        20 => both!(ours, fs, File, Options, {
            shown(File::create(&one).and_then(|mut file| {
                file.write_all(&bytes)?;
                file.set_len(at)?;
                file.sync_data()?;
                file.seek(SeekFrom::End(-1))
            }))
        }),
        21 => both!(ours, fs, File, Options, {
            shown(File::open(&one).and_then(|mut file| {
                let place = file.seek(SeekFrom::Start(at))?;
                let mut rest = Vec::new();
                let more = file.read_to_end(&mut rest)?;
                Ok((place, more, rest, file.stream_position()?))
            }))
        }),
        22 => both!(ours, fs, File, Options, {
            shown(
                Options::new()
                    .append(true)
                    .create(at.is_multiple_of(2))
                    .open(&one)
                    .and_then(|mut file| {
                        let written = file.write(&bytes)?;
                        Ok((written, file.metadata()?.len(), file.sync_all()?))
                    }),
            )
        }),
        23 => both!(ours, fs, File, Options, {
            shown(
                Options::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&one)
                    .map(|_| ()),
            )
        }),
        24 => both!(ours, fs, File, Options, {
            shown(
                Options::new()
                    .read(true)
                    .write(true)
                    .open(&one)
                    .and_then(|file| {
                        file.write_all_at(&bytes, at)?;
                        let mut back = vec![0; bytes.len()];
                        file.read_exact_at(&mut back, at / 2)?;
                        Ok(back)
                    }),
            )
        }),
        25 => both!(
            ours,
            fs,
            File,
            Options,
            shown(Options::new().open(&one).map(|_| ()))
        ),
        _ => both!(ours, fs, File, Options, {
            shown(File::open(&one).and_then(|file| {
                let mut buffer = [0; 64];
                let read = (&file).read(&mut buffer)?;
                (&file).read_exact(&mut buffer)?;
                Ok((read, buffer))
            }))
        }),
    };
    answer.replace(&*root.to_string_lossy(), "ROOT")
}

#[test]
fn random_calls_do_what_std_s_do() {
    on_all_machines(120, |_, machine| {
        let mut random = Random::new();
        machine.run(move || {
            let (ours, stds) = (Temp::new(), Temp::new());
            for step in 0..scaled(2_000, 100_000) {
                let call = Random::of(random.next());
                let [by_us, by_std] = [(true, &ours), (false, &stds)]
                    .map(|(us, root)| random_call(us, &root.0, call.clone()));
                assert_eq!(by_us, by_std, "step {step}");
                if step % 50 == 0 {
                    assert_eq!(tree(&ours.0), tree(&stds.0), "after step {step}");
                }
            }
            assert_eq!(tree(&ours.0), tree(&stds.0));
        });
    });
}

#[test]
fn a_file_reads_writes_and_seeks_as_std_s() {
    in_every_place(60, || {
        let temp = Temp::new();
        let path = temp.at("file");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        write!(file, "formatted-{:>4}", 7).unwrap();
        writeln!(&file).unwrap();
        let parts = [IoSlice::new(b"two "), IoSlice::new(b"parts")];
        assert_eq!(file.write_vectored(&parts).unwrap(), 9);
        file.flush().unwrap();
        assert_eq!(file.stream_position().unwrap(), 24);
        file.rewind().unwrap();
        let mut text = String::from("kept ");
        assert_eq!(file.read_to_string(&mut text).unwrap(), 24);
        assert_eq!(text, "kept formatted-   7\ntwo parts");
        assert_eq!(file.seek(SeekFrom::Current(-5)).unwrap(), 19);
        let (mut first, mut second) = ([0; 2], [0; 2]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!((&file).read_vectored(&mut parts).unwrap(), 4);
        assert_eq!((&first, &second), (b"pa", b"rt"));
        // At offsets, the place stays.
        file.write_all_at(b"TWO", 15).unwrap();
        let mut buffer = [0; 3];
        file.read_exact_at(&mut buffer, 15).unwrap();
        assert_eq!(&buffer, b"TWO");
        assert_eq!(file.read_at(&mut buffer, 24).unwrap(), 0);
        assert_eq!(file.write_at(b"!", 24).unwrap(), 1);
        let short = file.read_exact_at(&mut buffer, 23).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(file.stream_position().unwrap(), 23);
        // A clone shares the place.
        let mut clone = file.try_clone().unwrap();
        clone.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(file.stream_position().unwrap(), 25);
        file.set_len(3).unwrap();
        file.sync_all().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"for");
        let invalid = file.seek(SeekFrom::Current(-100)).unwrap_err();
        assert_eq!(invalid.kind(), io::ErrorKind::InvalidInput);
        // Buffered, through std's own adapters, and generic code.
        let lines = "one\ntwo\nthree\n";
        fs::write(&path, lines).unwrap();
        let read: Result<Vec<_>, _> = BufReader::new(File::open(&path).unwrap()).lines().collect();
        assert_eq!(read.unwrap(), ["one", "two", "three"]);
        let mut copy = Vec::new();
        io::copy(&mut File::open(&path).unwrap(), &mut copy).unwrap();
        assert_eq!(copy, lines.as_bytes());
        // Not UTF-8: std's error, and nothing is added.
        fs::write(&path, [0xff, b'a']).unwrap();
        let mut text = String::from("kept");
        let invalid = File::open(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap_err();
        assert_eq!(
            (invalid.kind(), &*text),
            (io::ErrorKind::InvalidData, "kept")
        );
    });
}

#[test]
fn a_file_has_times_permissions_and_a_debug_as_std_s() {
    in_every_place(60, || {
        let temp = Temp::new();
        let path = temp.at("file");
        let file = File::create_new(&path).unwrap();
        let again = File::create_new(&path).map(drop).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.set_modified(then).unwrap();
        file.set_times(FileTimes::new().set_accessed(then)).unwrap();
        let about = file.metadata().unwrap();
        assert_eq!(
            (about.modified().unwrap(), about.accessed().unwrap()),
            (then, then)
        );
        let mut permissions = about.permissions();
        permissions.set_mode(0o604);
        file.set_permissions(permissions).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o604);
        let shown = format!("{file:?}");
        let std_file = std::fs::File::from(file);
        assert_eq!(shown, format!("{std_file:?}"));
        // There and back, by every way.
        let file = File::from(std_file);
        let raw = file.as_raw_fd();
        assert_eq!(file.as_fd().as_raw_fd(), raw);
        let file = File::from(OwnedFd::from(file));
        let raw_again = file.into_raw_fd();
        assert_eq!(raw_again, raw);
        // SAFETY: just given up.
        let file = unsafe { File::from_raw_fd(raw_again) };
        assert_eq!(file.metadata().unwrap().len(), 0);
        let _stdio = std::process::Stdio::from(file);
        let options = OpenOptions::from(std::fs::OpenOptions::new().read(true).clone());
        let mut opened = options.clone().open(&path).unwrap();
        assert!(opened.write(b"x").is_err());
        let mut flags = OpenOptions::new();
        let file = flags
            .write(true)
            .truncate(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path);
        assert!(file.is_ok());
        std::os::unix::fs::symlink(&path, temp.at("link")).unwrap();
        let refused = flags.open(temp.at("link")).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
        assert_eq!(fs::read_link(temp.at("link")).unwrap(), path);
        assert!(fs::symlink_metadata(temp.at("link")).unwrap().is_symlink());
    });
}

#[test]
fn directories_are_made_and_read_whole() {
    in_every_place(60, || {
        let temp = Temp::new();
        let deep = temp.at("deep/er");
        DirBuilder::new().create(&deep).unwrap_err();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&deep)
            .unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o777, 0o700);
        // Around the number of entries that are read at a time.
        for count in [0, 1, 127, 128, 129, 300] {
            let dir = temp.at(&format!("dir-{count}"));
            fs::create_dir(&dir).unwrap();
            for index in 0..count {
                fs::write(dir.join(index.to_string()), [0; 3]).unwrap();
            }
            let mut names = Vec::new();
            for entry in fs::read_dir(&dir).unwrap() {
                let entry = entry.unwrap();
                assert!(entry.file_type().unwrap().is_file());
                assert_eq!(entry.path(), dir.join(entry.file_name()));
                let about = entry.metadata().unwrap();
                assert_eq!((about.len(), about.ino()), (3, entry.ino()));
                names.push(
                    entry
                        .file_name()
                        .into_string()
                        .unwrap()
                        .parse::<usize>()
                        .unwrap(),
                );
            }
            names.sort_unstable();
            assert!(names.into_iter().eq(0..count));
            // Left before its end.
            assert_eq!(fs::read_dir(&dir).unwrap().take(2).count(), count.min(2));
        }
        let mut ended = fs::read_dir(&deep).unwrap();
        assert!(ended.next().is_none() && ended.next().is_none());
        // Gone since it was read: the type is known, the rest is std's error.
        fs::write(deep.join("gone"), "").unwrap();
        let entry = fs::read_dir(&deep).unwrap().next().unwrap().unwrap();
        fs::remove_file(entry.path()).unwrap();
        assert!(entry.file_type().unwrap().is_file());
        assert_eq!(
            entry.metadata().unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(format!("{entry:?}").contains("gone"));
    });
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

#[test]
fn a_format_that_fails_panics_as_with_std() {
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }
    let test = Test::new(60);
    let temp = Temp::new();
    let said = |unwound: std::thread::Result<io::Result<()>>| {
        let payload = unwound.expect_err("std panics");
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap()
    };
    let path = temp.at("std");
    let mut file = std::fs::File::create(&path).unwrap();
    let by_std = said(catch_unwind(AssertUnwindSafe(|| write!(file, "{}", Fails))));
    let written = std::fs::read(&path).unwrap();
    let path = temp.at("ours");
    let by_us = test.machine(Mode::Pinned, 1).run({
        let path = path.clone();
        move || {
            let mut file = File::create(path).unwrap();
            said(catch_unwind(AssertUnwindSafe(|| write!(file, "{}", Fails))))
        }
    });
    assert_eq!((by_us, std::fs::read(&path).unwrap()), (by_std, written));
}
