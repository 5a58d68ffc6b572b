//! Writes one module per variant of the library's pure files: the real ones, and one for each mutant.
//!
//! A mutant is the real file with one piece of text replaced: an ordering weakened, a re-check dropped. The
//! text must occur exactly as often as the table says, so that a mutant cannot rot into the real file unseen.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

/// Files that are compiled together, and the models of them. A mutant consists of its own part only.
struct Part {
    name: &'static str,
    /// Each becomes the module of the file's name.
    files: &'static [&'static str],
    worlds: &'static [&'static str],
    /// The files' cells and counts become loom's.
    cells: bool,
    /// Other texts that are replaced, each of which must occur: where, what, by what.
    replaced: &'static [(&'static str, &'static str, &'static str)],
}

/// Files of `src` are the library's; of `models/src`, stand-ins for the file that their name says.
const PARTS: &[Part] = &[
    Part {
        name: "",
        files: &[
            "src/fiber/word.rs",
            "src/fiber/calls.rs",
            "src/fiber/owed.rs",
            "src/fiber/awaiter.rs",
            "src/fiber/scope.rs",
            "src/queue/inbox.rs",
            "src/queue/deque.rs",
            "src/machine/idle.rs",
            "src/machine/dues.rs",
            "src/machine/baton.rs",
            "src/reactor/readiness.rs",
            "src/blocking/jobs.rs",
        ],
        worlds: &[
            "world_fiber.rs",
            "world_future.rs",
            "world_machine.rs",
            "world_deque.rs",
            "world_time.rs",
            "world_outside.rs",
            "world_blocking.rs",
        ],
        cells: false,
        // So few that the models come round.
        replaced: &[
            (
                "deque",
                "const ROOM_MIN: usize = 256;",
                "const ROOM_MIN: usize = 4;",
            ),
            ("deque", "const KEPT: u64 = 128;", "const KEPT: u64 = 2;"),
        ],
    },
    Part {
        name: "latch",
        files: &["src/latch.rs"],
        worlds: &["world_latch.rs"],
        cells: true,
        // Each look is a state more, and the twelfth is like the first.
        replaced: &[("latch", "const LOOKS: u32 = 12;", "const LOOKS: u32 = 1;")],
    },
    Part {
        name: "locks",
        files: &[
            "src/fiber/owed.rs",
            "src/fiber/waiters.rs",
            "models/src/machine/wake.rs",
            "src/wait/line.rs",
            "src/sync/poison.rs",
            "src/sync/batch.rs",
            "src/sync/pay.rs",
            "src/sync/contend.rs",
            "src/sync/raw_mutex.rs",
            "src/sync/mutex.rs",
            "src/sync/raw_rwlock.rs",
            "src/sync/rwlock.rs",
            "src/sync/rwlock_guards.rs",
        ],
        worlds: &["world_mutex.rs", "world_rwlock.rs"],
        cells: true,
        replaced: &[],
    },
    Part {
        name: "events",
        files: &[
            "src/fiber/owed.rs",
            "src/fiber/waiters.rs",
            "models/src/machine/wake.rs",
            "src/wait/line.rs",
            "src/sync/poison.rs",
            "src/sync/batch.rs",
            "src/sync/pay.rs",
            "src/sync/crowd.rs",
            "src/sync/contend.rs",
            "src/sync/raw_mutex.rs",
            "src/sync/mutex.rs",
            "src/sync/raw_condvar.rs",
            "src/sync/condvar.rs",
            "src/sync/raw_once.rs",
            "src/sync/once.rs",
            "src/sync/raw_event.rs",
            "src/sync/event.rs",
            "src/sync/notify.rs",
            "src/sync/raw_semaphore.rs",
            "src/sync/semaphore.rs",
        ],
        worlds: &["world_events.rs"],
        cells: true,
        replaced: &[
            (
                "once",
                "pub const ONCE_INIT: Once = Once::new();",
                "pub const ONCE_INIT: () = ();",
            ),
            // What an old value does to a mutex is looked at in its own models; here each would double the states.
            (
                "raw_mutex",
                "let old = self.word.load(Ordering::Relaxed);\n        // Acquire: pairs with unlock.",
                "let old = 0;",
            ),
        ],
    },
    Part {
        name: "channel",
        files: &[
            "src/fiber/owed.rs",
            "src/fiber/waiters.rs",
            "models/src/machine/wake.rs",
            "src/wait/line.rs",
            "src/channel/buffer.rs",
            "src/channel/party.rs",
            "src/channel/core.rs",
            "src/channel/quick.rs",
            "src/channel/watch.rs",
            "src/channel/ends.rs",
            "src/channel/flow.rs",
            "models/src/channel/receiver.rs",
            "src/channel/case.rs",
            "src/channel/choose.rs",
        ],
        worlds: &["world_channel.rs", "world_select.rs", "world_ends.rs"],
        cells: true,
        // What is touched too late is to be seen by loom.
        replaced: &[(
            "ends",
            "drop(unsafe { Box::from_raw(this.as_ptr()) });",
            "unsafe { crate::stand_ins::free(this) };",
        )],
    },
    Part {
        name: "reactors",
        files: &[
            "models/src/fiber/header.rs",
            "src/fiber/owed.rs",
            "src/fiber/waiters.rs",
            "src/machine/baton.rs",
            "src/machine/idle.rs",
            "models/src/machine/park.rs",
            "models/src/machine/wake.rs",
            "models/src/machine/worker.rs",
            "src/reactor/readiness.rs",
            "src/reactor/table.rs",
            "src/reactor/mod.rs",
            "src/machine/tell.rs",
            "src/machine/outside.rs",
            "models/src/wait/cancel.rs",
            "src/io/source.rs",
        ],
        worlds: &["world_bell.rs", "world_homes.rs"],
        cells: true,
        replaced: &[
            (
                "reactor",
                "pub(crate) mod readiness;\npub(crate) mod table;\n",
                "",
            ),
            // Hints.
            (
                "table",
                "use loom::sync::atomic::{AtomicPtr",
                "use std::sync::atomic::{AtomicPtr",
            ),
            // Each run has a table of its own, of two records.
            (
                "table",
                "const CHUNK: usize = 256;",
                "const CHUNK: usize = 2;",
            ),
            (
                "table",
                "const CHUNKS: usize = 1 << 14;",
                "const CHUNKS: usize = 1;",
            ),
            (
                "table",
                "static TABLE: [OnceLock<Box<[Record]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];\nstatic UNUSED: Mutex<Unused> =",
                "loom::lazy_static! { static ref TABLE: [OnceLock<Box<[Record]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS]; static ref UNUSED: Mutex<Unused> =",
            ),
            ("table", "    made: 0,\n});", "    made: 0,\n}); }"),
        ],
    },
];

struct Mutant {
    name: &'static str,
    file: &'static str,
    /// Text to replace, which occurs once after the text of `after`.
    after: &'static str,
    from: &'static str,
    to: &'static str,
    /// The model that must notice.
    model: &'static str,
}

include!("mutants.rs");
include!("mutants_locks.rs");
include!("mutants_events.rs");
include!("mutants_channel.rs");
include!("mutants_ends.rs");
include!("mutants_reactors.rs");

const MUTANTS: &[(&str, &[Mutant])] = &[
    ("mutants.rs", SCHEDULER_MUTANTS),
    ("mutants_locks.rs", LOCK_MUTANTS),
    ("mutants_events.rs", EVENT_MUTANTS),
    ("mutants_channel.rs", CHANNEL_MUTANTS),
    ("mutants_ends.rs", ENDS_MUTANTS),
    ("mutants_reactors.rs", REACTOR_MUTANTS),
];

fn main() {
    for (name, _) in MUTANTS {
        println!("cargo::rerun-if-changed={name}");
    }
    let parts: Vec<_> = PARTS.iter().map(Texts::read).collect();
    let mut out = String::new();
    let mut tests = String::new();
    for part in &parts {
        variant(&mut out, &part.real, &part.files, &part.worlds);
    }
    for mutant in MUTANTS.iter().flat_map(|(_, mutants)| *mutants) {
        let model = format!("pub(crate) fn {}()", mutant.model);
        let part = parts
            .iter()
            .find(|part| part.worlds.contains(&model))
            .unwrap_or_else(|| panic!("{}: no model {}", mutant.name, mutant.model));
        let mut changed = part.files.clone();
        let text = &mut changed
            .iter_mut()
            .find(|(name, _)| *name == mutant.file)
            .unwrap_or_else(|| panic!("{}: no file {}", mutant.name, mutant.file))
            .1;
        let start = text
            .find(mutant.after)
            .unwrap_or_else(|| panic!("{}: no {:?}", mutant.name, mutant.after));
        let at = text[start..]
            .find(mutant.from)
            .unwrap_or_else(|| panic!("{}: no {:?}", mutant.name, mutant.from));
        text.replace_range(start + at..start + at + mutant.from.len(), mutant.to);
        let worlds = only_model(&part.worlds, &model);
        variant(&mut out, mutant.name, &changed, &worlds);
        writeln!(
            tests,
            "#[test]\nfn {}() {{ red({}::models::{}); }}",
            mutant.name, mutant.name, mutant.model
        )
        .expect("a string");
    }
    let dir = env::var("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&dir).join("variants.rs"), out).expect("a writable folder");
    fs::write(Path::new(&dir).join("red.rs"), tests).expect("a writable folder");
}

/// A part as it is compiled.
struct Texts {
    real: String,
    files: Vec<(&'static str, String)>,
    worlds: String,
}

impl Texts {
    fn read(part: &Part) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files: Vec<_> = part
            .files
            .iter()
            .map(|file| {
                println!("cargo::rerun-if-changed=../{file}");
                let text = fs::read_to_string(root.join(file)).expect("a pure file");
                let text = without_tests(&strip_head(&text));
                (module(file), text)
            })
            .collect();
        for (_, text) in &mut files {
            // A variant's files use that variant's own.
            for file in part.files {
                let name = module(file);
                for end in ["::", ";"] {
                    *text = text.replace(
                        &format!("crate::{}{end}", path(file)),
                        &format!("super::{name}{end}"),
                    );
                }
            }
            if part.cells {
                // None of loom's is made at compile time.
                *text = text
                    .replace("pub(crate) const fn ", "pub(crate) fn ")
                    .replace("pub const fn new(", "pub fn new(")
                    .replace("std::cell::", "crate::stand_ins::cells::")
                    .replace("std::sync::atomic::", "loom::sync::atomic::");
            }
        }
        for (name, from, to) in part.replaced {
            let text = files.iter_mut().find(|(module, _)| module == name);
            let text = &mut text.expect("a file of the part").1;
            assert!(text.contains(from), "{name}: no {from:?}");
            *text = text.replace(from, to);
        }
        let mut worlds = String::new();
        for file in part.worlds {
            println!("cargo::rerun-if-changed=src/{file}");
            worlds +=
                &strip_head(&fs::read_to_string(Path::new("src").join(file)).expect("the models"));
        }
        let real = match part.name {
            "" => "real".to_owned(),
            name => format!("real_{name}"),
        };
        Self {
            real,
            files,
            worlds,
        }
    }
}

/// Without the other models, which would be compiled for nothing.
fn only_model(worlds: &str, model: &str) -> String {
    let mut left = String::new();
    let mut lines = worlds.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("pub(crate) fn ") && !line.starts_with(model) {
            let _body = lines.find(|line| *line == "}");
        } else if !line.starts_with("///") {
            left += line;
            left.push('\n');
        }
    }
    left
}

/// The path of what a file holds, in the library.
fn path(file: &str) -> String {
    let inside = file
        .trim_start_matches("models/")
        .trim_start_matches("src/");
    let inside = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    inside.replace('/', "::")
}

fn module(file: &'static str) -> &'static str {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.rsplit('/').next().expect("a name")
}

/// The library runs its own tests.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Without the file's own documentation and imports of models: it becomes the inside of a module.
fn strip_head(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("//!"))
        // With all that there is.
        .filter(|line| line.trim() != r#"#[cfg(feature = "stream")]"#)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn variant(out: &mut String, name: &str, texts: &[(&str, String)], worlds: &str) {
    // A mutant may well leave something unused, or say something foolish.
    let lints = if name.starts_with("real") {
        "dead_code, unused_imports, private_interfaces, unfulfilled_lint_expectations, clippy::drop_non_drop"
    } else {
        "warnings, clippy::all, clippy::undocumented_unsafe_blocks"
    };
    writeln!(out, "#[allow({lints})]\nmod {name} {{").expect("a string");
    for (module, text) in texts {
        writeln!(out, "pub(crate) mod {module} {{\n{text}\n}}").expect("a string");
    }
    writeln!(out, "pub(crate) mod models {{\n{worlds}\n}}\n}}").expect("a string");
}
