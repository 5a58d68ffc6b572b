//! The house rules that a machine can check: imports point downward, system calls and thread-locals stay in
//! their rooms, files stay small.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their floors. A room may use rooms of its own floor's number or lower; the longest prefix wins.
const FLOORS: &[(&str, u32)] = &[
    ("os", 0),
    ("primitive", 0),
    ("stack", 1),
    ("queue", 1),
    ("latch", 1),
    ("reactor", 2),
    ("fiber", 2),
    ("machine", 3),
    ("wait", 4),
    ("handle", 4),
    ("cancel", 4),
    ("instant", 4),
    ("spawn", 5),
    ("runtime", 5),
    ("current", 5),
    ("time", 5),
    ("io", 5),
    ("net", 6),
    ("blocking", 5),
    ("fs", 5),
    ("signal", 6),
    ("process", 6),
    ("sync", 5),
    ("channel", 5),
    ("future", 6),
    ("testing", 5),
    ("thread", 6),
    ("lib", 7),
];

/// Files that a rule exempts, each with its reason.
const EXEMPT: &[(&str, &str, &str)] = &[(
    "floor",
    "primitive.rs",
    "re-exports the barrier of os, the same floor",
)];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

fn room_of(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = path.strip_prefix(src).expect("a source file");
    let first = inside.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn floor_of(room: &str) -> Option<u32> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every import in `text` that points to a higher floor than `room`'s.
fn upward(room: &str, text: &str) -> Vec<String> {
    let floor =
        floor_of(room).unwrap_or_else(|| panic!("room {room} is not in the table of floors"));
    let mut found = Vec::new();
    for (number, line) in code_lines(text) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let target: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if let Some(target_floor) = floor_of(&target)
                && target_floor > floor
            {
                found.push(format!(
                    "line {number}: {room} (floor {floor}) uses {target} (floor {target_floor})"
                ));
            }
        }
    }
    found
}

#[test]
fn imports_point_downward() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room_of(&path);
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if EXEMPT
            .iter()
            .any(|(rule, file, _)| *rule == "floor" && *file == name)
        {
            continue;
        }
        wrong.extend(
            upward(&room, &text)
                .into_iter()
                .map(|what| format!("{}: {what}", path.display())),
        );
    }
    assert!(
        wrong.is_empty(),
        "imports that point up:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn an_upward_import_is_noticed() {
    assert_eq!(
        upward("stack", "use crate::machine::core::Machine;").len(),
        1
    );
    assert!(upward("machine", "use crate::stack::StackPool;").is_empty());
    assert!(upward("machine", "/// see crate::runtime::Runtime").len() <= 1);
}

#[test]
fn system_calls_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if room_of(&path) == "os" {
            continue;
        }
        for (number, line) in code_lines(&text) {
            if ["libc::", "rustix::", "Instant::now", "SystemTime::now"]
                .iter()
                .any(|word| line.contains(word))
            {
                wrong.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    // A caller's patience is measured by the caller's clock, outside the scheduler.
    wrong.retain(|line| {
        !(line.contains("Instant::now")
            && (line.contains("/runtime/") || line.contains("/stop.rs")))
    });
    // The library's own `Instant`, which takes the time from the scheduler's clock.
    wrong.retain(|line| !(line.contains("Instant::now") && line.contains("/time/")));
    wrong.retain(|line| !line.contains("/tests") && !line.contains("/testing/"));
    assert!(
        wrong.is_empty(),
        "system calls or clocks outside src/os:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn thread_locals_stay_in_their_rooms() {
    for (path, text) in sources() {
        let allowed = path.ends_with("fiber/current.rs") || path.ends_with("fiber/slab.rs");
        let test = path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        let found = code_lines(&text)
            .any(|(_, line)| line.contains("thread_local!") && !line.contains('`'));
        assert!(
            allowed || test || !found,
            "a thread-local in {}",
            path.display()
        );
    }
}

#[test]
fn rooms_stay_small() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= 600,
            "{} has {lines} lines; is it one concept?",
            path.display()
        );
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is",
            path.display()
        );
    }
}
