//! The growth suite: what one operation costs as there is more of everything.

pub(crate) mod report;
