//! Slabs: big mappings, cut into slots that become stacks one by one.
//!
//! No lock and no guard here: the pool calls with its class's lock held. A slot is claimed before
//! its guard is installed, so that the lock need not be held for the system call; if the guard
//! fails, the slot is put back and claimed again later.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use super::class::{SizeClass, StackRef};
use crate::os::memory;

/// The first slab of a class has at least so many slots, and so many bytes.
const SLOTS_MIN: usize = 16;
const SLAB_BYTES_MIN: usize = 4 << 20;
/// No slab is larger. Up to here each is as large as all before it together.
const SLAB_BYTES_MAX: usize = 1 << 30;

const _: () = assert!(SizeClass::BYTES_MAX * SLOTS_MIN <= SLAB_BYTES_MAX);

/// One mapping.
#[derive(Debug)]
struct Slab {
    /// What was mapped. Up to one slot longer than the slots need, for their alignment; not
    /// trimmed, because neighbouring slabs merge into one mapping only without gaps.
    map: NonNull<u8>,
    map_bytes: usize,
    /// The first slot, aligned to the slots' size.
    first: NonNull<u8>,
    /// How many slots there are, and how many were claimed, the lowest first.
    slots: usize,
    claimed: usize,
}

/// All slabs of one class.
#[derive(Debug)]
pub(super) struct Slabs {
    class: SizeClass,
    slabs: Vec<Slab>,
    /// Slots that were claimed and put back.
    again: Vec<StackRef>,
    mapped_bytes: usize,
}

// SAFETY: the pointers are addresses of mappings that belong to this value, whichever thread holds
// it.
unsafe impl Send for Slabs {}

impl Slabs {
    /// No slab yet.
    pub(super) fn new(class: SizeClass) -> Slabs {
        Slabs {
            class,
            slabs: Vec::new(),
            again: Vec::new(),
            mapped_bytes: 0,
        }
    }

    /// Claims 1 to `want` slots, mapping a slab if none is left. `want` is at least 1.
    ///
    /// # Errors
    /// Not even the smallest slab could be mapped.
    pub(super) fn claim(&mut self, want: usize) -> io::Result<Vec<StackRef>> {
        debug_assert!(want > 0);
        if !self.again.is_empty() {
            let from = self.again.len().saturating_sub(want);
            return Ok(self.again.drain(from..).collect());
        }
        if self
            .slabs
            .last()
            .is_none_or(|slab| slab.claimed == slab.slots)
        {
            let slab = self.map_slab()?;
            self.mapped_bytes += slab.map_bytes;
            self.slabs.push(slab);
        }
        let slab = self
            .slabs
            .last_mut()
            .expect("one was pushed if there was none");
        let end = slab.slots.min(slab.claimed + want);
        let range = std::mem::replace(&mut slab.claimed, end)..end;
        Ok(self
            .slabs
            .last()
            .expect("as above")
            .stacks(self.class, range)
            .collect())
    }

    /// Takes back a slot whose guard could not be installed.
    pub(super) fn put_back(&mut self, slot: StackRef) {
        self.again.push(slot);
    }

    /// Bytes of address space mapped.
    pub(super) fn mapped_bytes(&self) -> usize {
        self.mapped_bytes
    }

    /// How many slots have become stacks, or are just becoming it.
    pub(super) fn cut(&self) -> usize {
        self.slabs.iter().map(|slab| slab.claimed).sum::<usize>() - self.again.len()
    }

    /// Every stack, but for those in the sorted list `except`.
    pub(super) fn all_except(&self, except: &[StackRef]) -> impl Iterator<Item = StackRef> {
        let stacks = self
            .slabs
            .iter()
            .flat_map(|slab| slab.stacks(self.class, 0..slab.claimed));
        stacks.filter(|stack| except.binary_search(stack).is_err() && !self.again.contains(stack))
    }

    /// Unmaps every slab all of whose stacks are among `idle`, and leaks the others (STACK-3).
    /// Returns how many stacks have gone.
    pub(super) fn unmap(&mut self, idle: &mut [StackRef]) -> usize {
        idle.sort_unstable();
        self.again.sort_unstable();
        let mut gone = 0;
        let mut doomed = Vec::with_capacity(self.slabs.len());
        for slab in self.slabs.drain(..) {
            let end = slab.first.as_ptr() as usize + slab.slots * self.class.bytes();
            let range = slab.first.as_ptr() as usize..end;
            let again = count_inside(&self.again, &range);
            if count_inside(idle, &range) + again == slab.claimed {
                gone += slab.claimed - again;
                doomed.push(slab);
            }
        }
        // At the limit of mappings the kernel refuses a call that would cut a mapping in two, until
        // others have gone: so whatever was refused is tried once more after the rest.
        for _ in 0..2 {
            doomed.retain(|slab| {
                // SAFETY: our mapping, and no stack of it is out.
                unsafe { memory::release(slab.map, slab.map_bytes) }.is_err()
            });
        }
        gone
    }

    /// Maps the next slab: as large as all before, smaller if that is refused.
    fn map_slab(&self) -> io::Result<Slab> {
        let bytes = self.class.bytes();
        let slots_min = (SLAB_BYTES_MIN / bytes).max(SLOTS_MIN);
        let slots_max = SLAB_BYTES_MAX / bytes;
        let mut slots = (self.mapped_bytes / bytes).clamp(slots_min, slots_max);
        loop {
            match map(bytes, slots) {
                Ok(slab) => return Ok(slab),
                Err(error) if slots == slots_min => return Err(explain(error, bytes * slots)),
                Err(_) => slots = (slots / 2).max(slots_min),
            }
        }
    }
}

impl Slab {
    /// The stacks in a range of slots.
    fn stacks(&self, class: SizeClass, range: Range<usize>) -> impl Iterator<Item = StackRef> {
        debug_assert!(range.end <= self.slots);
        let first = self.first;
        range.map(move |slot| {
            // SAFETY: slot numbers below `slots` lie inside the mapping, one whole slot each.
            unsafe { class.stack_at(first.add(slot * class.bytes())) }
        })
    }
}

/// Maps room for `slots` slots of `bytes`, each aligned to its size.
fn map(bytes: usize, slots: usize) -> io::Result<Slab> {
    let map_bytes = bytes * slots + bytes - memory::page_size();
    let map = memory::reserve(map_bytes)?;
    let skip = (map.as_ptr() as usize).next_multiple_of(bytes) - map.as_ptr() as usize;
    // SAFETY: `skip` is less than a slot, by whole pages, and the mapping is that much longer.
    let first = unsafe { map.add(skip) };
    Ok(Slab {
        map,
        map_bytes,
        first,
        slots,
        claimed: 0,
    })
}

/// How many of these sorted stacks lie in a range of addresses.
fn count_inside(sorted: &[StackRef], range: &Range<usize>) -> usize {
    let below = |address: usize| sorted.partition_point(|stack| stack.base() < address);
    below(range.end) - below(range.start)
}

/// The error for a slab that could not be mapped.
#[cold]
fn explain(error: io::Error, bytes: usize) -> io::Error {
    let kib = bytes >> 10;
    io::Error::new(
        error.kind(),
        format!(
            "cannot map {kib} KiB for fiber stacks: {error} (limits: `ulimit -v`, \
             vm.overcommit_memory, vm.max_map_count)"
        ),
    )
}
