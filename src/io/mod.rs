//! Floor 5: descriptors as fibers use them.

pub(crate) mod source;
