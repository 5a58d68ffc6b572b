//! OnceLock: as std's, for initializers that may wait.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::sync::once::Once;

/// A value that is set once. As [`std::sync::OnceLock`].
///
/// An initializer that panics, is *cancelled*, or is unwound by a deadline leaves it empty, and the next caller's is
/// called. Initializing it from inside its own initializer waits for ever, as with std's.
///
/// ```
/// use fibers::sync::OnceLock;
///
/// static CONFIG: OnceLock<String> = OnceLock::new();
/// let config = CONFIG.get_or_init(|| {
///     fibers::sleep(std::time::Duration::from_millis(1)); // others that ask wait, and their workers do not
///     "loaded".to_owned()
/// });
/// assert_eq!(config, "loaded");
/// assert_eq!(CONFIG.set("again".to_owned()), Err("again".to_owned()));
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// `Some` once `once` is complete. An `Option` drops itself: a `Drop` of our own would ask more of `T`'s lifetime.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: shared, it gives shared access to the value, and lets one thread put in what another takes out.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}
// SAFETY: the value moves with it.
unsafe impl<T: Send> Send for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// An empty one.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            once: Once::new(),
            value: UnsafeCell::new(None),
        }
    }

    /// The value, if it is there. Never blocks.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if self.once.is_completed() {
            // SAFETY: complete, so nobody writes it any more.
            unsafe { &*self.value.get() }.as_ref()
        } else {
            None
        }
    }

    /// As [`get`](Self::get), to change it.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Waits until the value is there.
    ///
    /// *Blocks* the fiber, or the plain thread; serves calls. *Cancelled*, or ended by a deadline that encloses it, it
    /// unwinds.
    #[inline]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.completed()
    }

    /// Puts the value in.
    ///
    /// *Blocks* and is *cancelled* as [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    /// If there is one, or another caller's initializer has put one in meanwhile; what was given is in the error.
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        if self.get().is_none() {
            self.initialize(&mut || value.take());
        }
        value.map_or(Ok(()), Err)
    }

    /// The value; if there is none, that of `f`.
    ///
    /// *Blocks* while another caller initializes it: the fiber, or the plain thread; serves calls. *Cancelled*, or
    /// ended by a deadline that encloses it, it unwinds.
    ///
    /// # Panics
    /// If `f` panics, with that panic.
    #[inline]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        if let Some(value) = self.get() {
            return value;
        }
        let mut f = Some(f);
        self.initialize(&mut || f.take().map(|f| f()));
        self.completed()
    }

    /// The value, if there is one.
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out; it is empty then.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.once = Once::new();
        self.value.get_mut().take()
    }

    /// Calls `init` if nobody has before, once.
    #[cold]
    fn initialize(&self, init: &mut dyn FnMut() -> Option<T>) {
        // What others have tried without success does not matter.
        self.once.call_once_force(|_| {
            let value = init();
            // SAFETY: the one caller that runs this; and before it is complete nobody reads.
            unsafe { *self.value.get() = value };
        });
    }

    fn completed(&self) -> &T {
        match self.get() {
            Some(value) => value,
            None => unreachable!("complete, and without a value"),
        }
    }
}

impl<T> Default for OnceLock<T> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => text.field(value),
            None => text.field(&format_args!("<uninit>")),
        };
        text.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        match cell.set(value) {
            Ok(()) => cell,
            Err(_) => unreachable!("new, and not empty"),
        }
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
