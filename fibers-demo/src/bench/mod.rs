//! Loads for servers. One so far: `echo`.

mod echo;
mod latencies;

use crate::options::Common;
use crate::report::Report;
use crate::screen::Screen;

/// Options of this part.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Send, wait for the echo, compare, and again: how many a second, and how long each takes
    Echo(echo::Args),
}

impl Args {
    /// What the tour runs.
    pub fn tour() -> Args {
        Args {
            what: What::Echo(echo::Args::tour()),
        }
    }

    /// The part's name.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Echo(_) => "bench echo",
        }
    }
}

/// Runs the load and checks every byte that comes back.
pub fn run(args: &Args, common: &Common, screen: &Screen) -> Result<Report, String> {
    match &args.what {
        What::Echo(args) => echo::run(args, common, screen),
    }
}
