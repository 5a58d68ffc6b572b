//! `fiber_local!`: one value per fiber, as `thread_local!` has one per thread.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;

use crate::fiber::current;
use crate::fiber::header::Header;
use crate::fiber::locals::Found;
use crate::machine::park;

/// A key made by [`fiber_local!`](crate::fiber_local). As [`std::thread::LocalKey`].
///
/// On a plain thread the value belongs to the thread. Destructors run when the fiber ends, on its stack, the
/// newest value first.
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// The value's destructor runs or has run. As [`std::thread::AccessError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fiber-local value is being destroyed or already was")
    }
}

impl std::error::Error for AccessError {}

/// Declares fiber-local keys, in the form of [`std::thread_local!`].
///
/// ```
/// use std::cell::Cell;
///
/// fibers::fiber_local! {
///     static VISITS: Cell<u32> = const { Cell::new(0) };
/// }
/// VISITS.set(7);
/// fibers::spawn(|| assert_eq!(VISITS.get(), 0)).join().unwrap();
/// assert_eq!(VISITS.get(), 7);
/// ```
#[macro_export]
macro_rules! fiber_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = const $init:block $(; $($rest:tt)*)?) => {
        $crate::fiber_local!($(#[$attr])* $vis static $name: $t = $init $(; $($rest)*)?);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr $(; $($rest:tt)*)?) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$t> = $crate::LocalKey::__new({
            fn init() -> $t {
                $init
            }
            init
        });
        $($crate::fiber_local!($($rest)*);)?
    };
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn __new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// Calls `f` with the current fiber's value, made first if need be. `f` may wait: the value stays.
    ///
    /// # Panics
    /// If the value's destructor runs or has run.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f)
            .expect("cannot access a fiber-local value during or after its destruction")
    }

    /// As [`with`](Self::with).
    ///
    /// # Errors
    /// The value's destructor runs or has run.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        match park::running() {
            // SAFETY: the running fiber is alive, for longer than this call.
            Some((_, header)) => self.with_in(unsafe { &*header }, f),
            None => self.with_in(&current::thread_fiber(), f),
        }
    }

    fn with_in<R>(
        &'static self,
        fiber: &Header,
        f: impl FnOnce(&T) -> R,
    ) -> Result<R, AccessError> {
        let key = std::ptr::from_ref(self).addr();
        let locals = &fiber.cold_or_new().locals;
        // SAFETY: used by the fiber's own thread of execution only, and no borrow spans foreign code.
        let find = || unsafe { (*locals.get()).find(key) };
        let mut found = find();
        if let Found::Missing = found {
            let value: Box<dyn Any> = Box::new((self.init)());
            // SAFETY: as above.
            drop(unsafe { (*locals.get()).insert(key, value) });
            found = find();
        }
        match found {
            Found::Value(value) => {
                // SAFETY: boxed, and dropped only by the fiber's end or by an insert for the same key, which
                // happens in this function only, before any reference is handed out.
                let value = unsafe { &*value };
                Ok(f(value
                    .downcast_ref::<T>()
                    .expect("a key stores its own type")))
            }
            Found::Missing | Found::Gone => Err(AccessError),
        }
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Stores a value. As [`std::thread::LocalKey::set`].
    ///
    /// # Panics
    /// If the value's destructor runs or has run.
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// Copies the value out.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value out and leaves the default.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Stores a value and returns the one that was there.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Stores a value.
    ///
    /// # Panics
    /// If it is borrowed, or destroyed.
    pub fn set(&'static self, value: T) {
        self.replace(value);
    }

    /// Takes the value out and leaves the default.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Stores a value and returns the one that was there.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    /// Calls `f` with a shared borrow of the value.
    ///
    /// # Panics
    /// If it is mutably borrowed, or destroyed.
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with a mutable borrow of the value.
    ///
    /// # Panics
    /// If it is borrowed, or destroyed.
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }
}
