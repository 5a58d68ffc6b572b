//! Stands for `src/channel/receiver.rs` and `timer.rs`: where messages come from. No model has a timer.

use crate::channel::flow::Flow;
use std::sync::Arc;

pub(crate) enum Source<T> {
    Flow(Arc<Flow<T>>),
    Timer(Timer<T>),
}

impl<T> Source<T> {
    pub(super) fn address(&self) -> *const () {
        match self {
            Self::Flow(flow) => std::ptr::from_ref(&**flow).cast(),
            Self::Timer(timer) => std::ptr::from_ref(timer).cast(),
        }
    }
}

pub(crate) struct Timer<T>(std::convert::Infallible, std::marker::PhantomData<T>);

impl<T> Timer<T> {
    pub(crate) fn try_recv(&self) -> Option<T> {
        match self.0 {}
    }

    pub(crate) fn next_ns(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn is_due(&self) -> bool {
        match self.0 {}
    }
}
