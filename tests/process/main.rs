//! What `fibers::process` promises: children end with the status that is theirs, are reaped once, and inherit nothing.

#[path = "../common/mod.rs"]
mod common;

mod cut_short;
mod inherit;
mod killed;
mod run;
mod wait;

use std::time::Duration;

use fibers::process::{Child, Command};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(3);

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    command
}

/// Runs until it is killed.
fn sleeper() -> Child {
    Command::new("sleep").arg("3600").spawn().unwrap()
}

/// The children of this process, with their states (`Z`: a zombie).
fn children() -> Vec<(u32, char)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // Behind the name, which may contain anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent == Some(&std::process::id().to_string()) {
            found.push((
                pid,
                state.and_then(|state| state.chars().next()).unwrap_or('?'),
            ));
        }
    }
    found
}
