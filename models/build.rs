//! Writes one module per variant of the library's pure files: the real ones, and one for each mutant.
//!
//! A mutant is the real file with one piece of text replaced: an ordering weakened, a re-check dropped. The
//! text must occur exactly as often as the table says, so that a mutant cannot rot into the real file unseen.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

/// The pure files, and the module that each becomes.
const FILES: &[(&str, &str)] = &[
    ("word", "src/fiber/word.rs"),
    ("calls", "src/fiber/calls.rs"),
    ("owed", "src/fiber/owed.rs"),
    ("awaiter", "src/fiber/awaiter.rs"),
    ("scope", "src/fiber/scope.rs"),
    ("inbox", "src/queue/inbox.rs"),
    ("idle", "src/machine/idle.rs"),
    ("dues", "src/machine/dues.rs"),
    ("baton", "src/machine/baton.rs"),
    ("readiness", "src/reactor/readiness.rs"),
    ("jobs", "src/blocking/jobs.rs"),
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

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    println!("cargo::rerun-if-changed=mutants.rs");
    let mut texts = Vec::new();
    for (module, path) in FILES {
        println!("cargo::rerun-if-changed=../{path}");
        let text = strip_head(&fs::read_to_string(root.join(path)).expect("a pure file"));
        // A variant's files use that variant's records.
        texts.push((
            *module,
            text.replace("use crate::fiber::owed::", "use super::owed::")
                .replace("use crate::fiber::word::", "use super::word::"),
        ));
    }
    let mut worlds = String::new();
    for file in [
        "world_fiber.rs",
        "world_future.rs",
        "world_machine.rs",
        "world_time.rs",
        "world_outside.rs",
        "world_blocking.rs",
    ] {
        println!("cargo::rerun-if-changed=src/{file}");
        worlds +=
            &strip_head(&fs::read_to_string(Path::new("src").join(file)).expect("the models"));
    }
    let mut out = String::new();
    let mut tests = String::new();
    variant(&mut out, "real", &texts, &worlds);
    for mutant in MUTANTS {
        let mut changed = texts.clone();
        let text = &mut changed
            .iter_mut()
            .find(|(name, _)| *name == mutant.file)
            .expect("a known file")
            .1;
        let start = text
            .find(mutant.after)
            .unwrap_or_else(|| panic!("{}: no {:?}", mutant.name, mutant.after));
        let at = text[start..]
            .find(mutant.from)
            .unwrap_or_else(|| panic!("{}: no {:?}", mutant.name, mutant.from));
        text.replace_range(start + at..start + at + mutant.from.len(), mutant.to);
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

/// Without the file's own documentation and imports of models: it becomes the inside of a module.
fn strip_head(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("//!"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn variant(out: &mut String, name: &str, texts: &[(&str, String)], worlds: &str) {
    // A mutant may well leave something unused, or say something foolish.
    let lints = if name == "real" {
        "dead_code, unused_imports"
    } else {
        "warnings, clippy::all"
    };
    writeln!(out, "#[allow({lints})]\nmod {name} {{").expect("a string");
    for (module, text) in texts {
        writeln!(out, "pub(crate) mod {module} {{\n{text}\n}}").expect("a string");
    }
    writeln!(out, "pub(crate) mod models {{\n{worlds}\n}}\n}}").expect("a string");
}
