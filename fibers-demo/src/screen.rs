//! What the human sees while a part runs: a heading on stdout, live bars on stderr.
//!
//! The bars are drawn by a plain OS thread that samples counters many times a second; a fiber
//! never draws, so the bars cost the fibers nothing but the core they borrow. The same thread
//! samples the resident bytes. A `Watch` samples until `finish` or drop; then the bars stay on the
//! screen as they are. indicatif hides the bars when stderr is not a terminal; a part that takes long
//! can then tell its progress in lines (`watch_telling`).

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::memory;
use crate::report::tell;

const SAMPLE_EVERY: Duration = Duration::from_millis(40);
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How wide a bar may be; on a narrow terminal it gives way, so that no line is broken.
const BAR_COLUMNS: std::ops::RangeInclusive<usize> = 8..=36;
/// Everything on a bar's line but the bar and the note, and what notes are given.
const OTHER_COLUMNS: usize = 33;
const NOTE_COLUMNS: usize = 20;

/// Where headings and bars go.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    is_quiet: bool,
}

/// One bar: a counter that runs from 0 to a total.
pub struct Gauge {
    label: String,
    total: u64,
    read: Box<dyn Fn() -> u64 + Send>,
    note: Option<Box<dyn Fn() -> String + Send>>,
}

/// Tells in one line how far a part is.
type Teller = Box<dyn Fn() -> String + Send>;

/// The sampling thread of a part that runs.
#[derive(Debug)]
pub struct Watch {
    stop: Option<Sender<()>>,
    sampler: Option<JoinHandle<u64>>,
}

impl Screen {
    /// A screen for people, or a silent one beside JSON.
    pub fn new(is_quiet: bool) -> Screen {
        Screen { is_quiet }
    }

    /// Prints the heading of a part and what to look for.
    pub fn heading(&self, title: &str, lines: &[&str]) {
        if self.is_quiet {
            return;
        }
        tell!("\n{title}");
        for line in lines {
            tell!("  {line}");
        }
    }

    /// Prints one line of a part's story.
    pub fn say(&self, line: &str) {
        if !self.is_quiet {
            tell!("{}", format!("  {line}").trim_end());
        }
    }

    /// Prints one line that a program may wait for: on stdout, or on stderr where stdout is for JSON.
    pub fn announce(&self, line: &str) {
        if self.is_quiet {
            eprintln!("{line}");
        } else {
            tell!("{line}");
        }
    }

    /// Whether somebody sees story and bars on one terminal; otherwise the story must tell what bars show.
    pub fn is_live(&self) -> bool {
        !self.is_quiet && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Starts to sample and to draw.
    pub fn watch(&self, gauges: Vec<Gauge>) -> Watch {
        self.start(gauges, None)
    }

    /// As `watch`; where the bars are not seen, `tell` is asked for a line of the story now and then.
    pub fn watch_telling(
        &self,
        gauges: Vec<Gauge>,
        tell: impl Fn() -> String + Send + 'static,
    ) -> Watch {
        let must_tell = !self.is_quiet && !self.is_live();
        self.start(gauges, must_tell.then(|| Box::new(tell) as Teller))
    }

    fn start(&self, gauges: Vec<Gauge>, tell: Option<Teller>) -> Watch {
        let target = if self.is_quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let (stop, stopped) = channel();
        let sampler = std::thread::spawn(move || {
            let screen = MultiProgress::with_draw_target(target);
            let columns = bar_columns(&gauges);
            let bars: Vec<ProgressBar> = (gauges.iter())
                .map(|gauge| gauge.bar(&screen, columns))
                .collect();
            let mut peak_bytes = 0;
            let mut told = Instant::now();
            loop {
                let over = stopped.recv_timeout(SAMPLE_EVERY) != Err(RecvTimeoutError::Timeout);
                peak_bytes = peak_bytes.max(memory::resident_bytes());
                for (gauge, bar) in gauges.iter().zip(&bars) {
                    if let Some(note) = &gauge.note {
                        bar.set_message(note());
                    }
                    bar.set_position((gauge.read)().min(gauge.total));
                }
                if let Some(tell) = &tell
                    && told.elapsed() >= TELL_EVERY
                    && !over
                {
                    tell!("  {}", tell());
                    told = Instant::now();
                }
                if over {
                    bars.iter().for_each(ProgressBar::abandon);
                    if !screen.is_hidden() && std::io::stderr().is_terminal() {
                        eprintln!(); // indicatif leaves the cursor behind the last bar
                    }
                    return peak_bytes;
                }
            }
        });
        Watch {
            stop: Some(stop),
            sampler: Some(sampler),
        }
    }
}

/// How wide these bars may be here and now; all alike, for they stand one below the other.
fn bar_columns(gauges: &[Gauge]) -> usize {
    let notes = if gauges.iter().any(|gauge| gauge.note.is_some()) {
        NOTE_COLUMNS
    } else {
        0
    };
    let (_, columns) = Term::stderr().size();
    usize::from(columns)
        .saturating_sub(OTHER_COLUMNS + notes)
        .clamp(*BAR_COLUMNS.start(), *BAR_COLUMNS.end())
}

impl Gauge {
    /// A bar that follows `read`, a cheap look at a counter.
    pub fn new(label: &str, total: u64, read: impl Fn() -> u64 + Send + 'static) -> Gauge {
        Gauge {
            label: label.to_string(),
            total,
            read: Box::new(read),
            note: None,
        }
    }

    /// Adds a text behind the bar, read whenever the bar is.
    pub fn with_note(mut self, note: impl Fn() -> String + Send + 'static) -> Gauge {
        self.note = Some(Box::new(note));
        self
    }

    fn bar(&self, screen: &MultiProgress, columns: usize) -> ProgressBar {
        let style = ProgressStyle::with_template(&format!(
            "  {{prefix:<12}} {{bar:{columns}.cyan/blue}} {{percent:>3}}% {{human_pos:>10}} {{msg}}"
        ))
        .expect("the template is a constant but for a number")
        .progress_chars("━╸─");
        screen.add(
            ProgressBar::new(self.total)
                .with_style(style)
                .with_prefix(self.label.clone()),
        )
    }
}

impl Watch {
    /// Draws the bars a last time and returns the most bytes that were resident.
    pub fn finish(mut self) -> u64 {
        self.end()
    }

    fn end(&mut self) -> u64 {
        drop(self.stop.take());
        self.sampler
            .take()
            .map_or(0, |sampler| sampler.join().unwrap_or(0))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}
