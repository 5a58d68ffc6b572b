//! What one child process measured, and the helpers that measure it.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::machine::Footprint;

/// One measurement. The runner turns it into the row's unit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Wall time of the measured part.
    pub(crate) ns: u64,
    /// What `ns` is divided by: operations, tasks or repetitions.
    pub(crate) ops: u64,
    /// Further figures by name, such as `bytes` and `mappings`.
    #[serde(default)]
    pub(crate) extra: BTreeMap<String, u64>,
}

impl Sample {
    /// Times `work`, which does `ops` operations.
    pub(crate) fn timed(ops: u64, work: impl FnOnce()) -> Sample {
        let start = Instant::now();
        work();
        Sample {
            ns: elapsed_ns(start),
            ops,
            extra: BTreeMap::new(),
        }
    }

    /// Runs `work` once to warm up, then times `reps` repetitions of it.
    pub(crate) fn repeated(reps: u64, mut work: impl FnMut()) -> Sample {
        let first = Sample::timed(1, &mut work);
        let sample = Sample::timed(reps, || (0..reps).for_each(|_| work()));
        sample.with("first_ns", first.ns)
    }

    /// The growth of the process since `base`, for `tasks` parked since `start`.
    pub(crate) fn memory(tasks: u64, start: Instant, base: Footprint) -> Sample {
        let ns = elapsed_ns(start);
        // The last tasks have counted themselves but may not have parked yet.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let now = Footprint::read();
        Sample {
            ns,
            ops: tasks,
            extra: BTreeMap::new(),
        }
        .with("bytes", now.bytes.saturating_sub(base.bytes))
        .with("mappings", now.mappings.saturating_sub(base.mappings))
    }

    /// Adds a further figure.
    pub(crate) fn with(mut self, name: &str, value: u64) -> Sample {
        self.extra.insert(name.to_string(), value);
        self
    }
}

fn elapsed_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
