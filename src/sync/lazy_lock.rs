//! LazyLock: as std's, for initializers that may wait.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::sync::once::Once;
use crate::sync::raw_once::State;
use crate::wait::cancel::shielded;

/// A value that is made when it is used for the first time. As [`std::sync::LazyLock`].
///
/// The initializer can be called once only, so it is not cut short: it runs as in a [`shield`](crate::shield). If it
/// panics, the value is poisoned for good.
///
/// Using it from inside its own initializer waits for ever, as with std's.
///
/// ```
/// use fibers::sync::LazyLock;
///
/// static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| "stackful fibers for Linux".split(' ').collect());
/// let fiber = fibers::spawn(|| WORDS.len());
/// assert_eq!(fiber.join().unwrap() + WORDS.len(), 8);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    /// `Value` once `once` is complete, `Gone` if it is poisoned.
    data: UnsafeCell<Data<T, F>>,
}

enum Data<T, F> {
    Initializer(F),
    Value(T),
    Gone,
}

// SAFETY: shared, it gives shared access to the value, and calls `F` on one thread only; nobody gets a `&F`.
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F> Data<T, F> {
    fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }
}

impl<T, F: FnOnce() -> T> Data<T, F> {
    /// Calls the initializer. If that panics, nothing is left.
    fn initialize(&mut self) {
        if let Self::Initializer(f) = mem::replace(self, Self::Gone) {
            *self = Self::Value(shielded(f));
        }
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// One whose value `f` will make.
    #[inline]
    pub const fn new(f: F) -> Self {
        Self {
            once: Once::new(),
            data: UnsafeCell::new(Data::Initializer(f)),
        }
    }

    /// The value, made if it is not there yet.
    ///
    /// *Blocks* while another caller makes it: the fiber, or the plain thread; serves calls. That wait is *cancelled*,
    /// and ended by a deadline that encloses it; the making is not.
    ///
    /// # Panics
    /// If the initializer panics, with that panic; and if it has panicked before.
    #[inline]
    pub fn force(this: &Self) -> &T {
        if !this.once.is_completed() {
            this.force_slow();
        }
        // SAFETY: complete, so nobody writes it any more.
        match unsafe { &*this.data.get() }.value() {
            Some(value) => value,
            None => panic_poisoned(),
        }
    }

    #[cold]
    fn force_slow(&self) {
        self.once.call_once_force(|state| {
            if state.is_poisoned() {
                panic_poisoned();
            }
            // SAFETY: the one caller that runs this; and before it is complete nobody reads.
            unsafe { &mut *self.data.get() }.initialize();
        });
    }

    /// As [`force`](Self::force), to change it. Waits for nobody.
    ///
    /// # Panics
    /// As [`force`](Self::force).
    #[inline]
    pub fn force_mut(this: &mut Self) -> &mut T {
        if this.once.exclusive_state() == State::Incomplete {
            this.force_mut_slow();
        }
        match this.data.get_mut().value_mut() {
            Some(value) => value,
            None => panic_poisoned(),
        }
    }

    #[cold]
    fn force_mut_slow(&mut self) {
        /// What it is if the initializer panics.
        struct Poison<'a>(&'a mut Once);
        impl Drop for Poison<'_> {
            fn drop(&mut self) {
                self.0.set_exclusive_state(State::Poisoned);
            }
        }
        let poison = Poison(&mut self.once);
        self.data.get_mut().initialize();
        poison.0.set_exclusive_state(State::Complete);
        mem::forget(poison);
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made. Never blocks.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        if this.once.is_completed() {
            // SAFETY: complete, so nobody writes it any more.
            unsafe { &*this.data.get() }.value()
        } else {
            None
        }
    }

    /// As [`get`](Self::get), to change it.
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.data.get_mut().value_mut()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;
    /// As [`force`](Self::force).
    #[inline]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    /// As [`force_mut`](Self::force_mut).
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    #[inline]
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_tuple("LazyLock");
        match Self::get(self) {
            Some(value) => text.field(value),
            None => text.field(&format_args!("<uninit>")),
        };
        text.finish()
    }
}

#[cold]
#[inline(never)]
fn panic_poisoned() -> ! {
    panic!("LazyLock instance has previously been poisoned")
}
