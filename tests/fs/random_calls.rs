//! Random calls, each made by either library in a directory of its own: they answer the same and leave the same behind.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::common::{Random, on_all_machines, scaled};
use crate::{Temp, tree};

/// What of an outcome must be as std's.
fn shown<T: fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} {:?} {error}", error.kind(), error.raw_os_error()),
    }
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
