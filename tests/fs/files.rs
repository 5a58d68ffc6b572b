//! Files and directories, one method after the other, do what std's do.

use std::fmt;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt, DirEntryExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use crate::Temp;
use crate::common::{Mode, Test, in_every_place};
use fibers::fs::{self, DirBuilder, File, FileTimes, OpenOptions};

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
