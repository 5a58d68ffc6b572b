//! Which traits the types have, and which they have not: what is told here must be what std's types tell.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;

use super::sync::mpsc::{
    self, IntoIter, Iter, Receiver, RecvError, RecvTimeoutError, SendError, Sender, SyncSender,
    TryIter, TryRecvError, TrySendError,
};
use super::sync::{
    Arc, Barrier, BarrierWaitResult, Condvar, LazyLock, Mutex, MutexGuard, Once, OnceLock,
    OnceState, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    WaitTimeoutResult, Weak, atomic,
};

/// Has nothing, and is neither Send nor Sync.
#[allow(dead_code, reason = "named only")]
struct Plain(*const u8);

/// Send, not Sync: as a `Cell`. Safe across an unwind neither.
type Celled = Cell<u8>;

/// Sync, not Send: as a guard of std's.
#[allow(dead_code, reason = "named only")]
struct SyncOnly(std::sync::MutexGuard<'static, u8>);

/// Not safe to look at after an unwind.
type Unsafe = &'static mut u8;

macro_rules! tell_of_each {
    ($said:ident: $($t:ident),*) => {
        $(tell!($said: $t<u8>, $t<Rc<u8>>, $t<Celled>, $t<RefCell<u8>>, $t<Plain>, $t<SyncOnly>, $t<Unsafe>);)*
    };
}

pub fn locks() -> Vec<String> {
    let mut said = Vec::new();
    tell_of_each!(said: Mutex, RwLock);
    tell!(said:
        Mutex<[u8]>, Mutex<str>, Mutex<dyn Debug>, Mutex<dyn Debug + Send>,
        RwLock<[u8]>, RwLock<dyn Debug + Send>, RwLock<dyn Debug + Send + Sync>,
        Arc<Mutex<u8>>, Arc<Mutex<Rc<u8>>>, Arc<RwLock<Cell<u8>>>,
        &'static Mutex<u8>, &'static RwLock<u8>,
        Condvar, WaitTimeoutResult, Barrier, BarrierWaitResult, atomic::AtomicU8,
    );
    said
}

pub fn guards() -> Vec<String> {
    macro_rules! of_each {
        ($said:ident: $($t:ident),*) => {
            $(tell!($said:
                $t<'static, u8>, $t<'static, Rc<u8>>, $t<'static, Celled>, $t<'static, Plain>,
                $t<'static, SyncOnly>, $t<'static, Unsafe>, $t<'static, str>, $t<'static, dyn Debug + Sync>
            );)*
        };
    }
    let mut said = Vec::new();
    of_each!(said: MutexGuard, RwLockReadGuard, RwLockWriteGuard);
    tell!(said:
        &'static MutexGuard<'static, u8>, PoisonError<u8>, PoisonError<MutexGuard<'static, u8>>,
        TryLockError<u8>, TryLockError<RwLockReadGuard<'static, u8>>,
    );
    said
}

pub fn onces() -> Vec<String> {
    let mut said = Vec::new();
    tell_of_each!(said: OnceLock, LazyLock);
    tell!(said:
        Once, OnceState, &'static Once, &'static OnceState,
        OnceLock<Mutex<u8>>, OnceLock<Arc<u8>>,
        LazyLock<u8, Box<dyn FnOnce() -> u8>>, LazyLock<u8, Box<dyn FnOnce() -> u8 + Send>>,
        LazyLock<u8, Plain>, LazyLock<u8, SyncOnly>, LazyLock<u8, Celled>, LazyLock<u8, Unsafe>,
    );
    said
}

pub fn channels() -> Vec<String> {
    let mut said = Vec::new();
    tell_of_each!(said: Sender, SyncSender, Receiver, IntoIter);
    tell_of_each!(said: SendError, TrySendError);
    tell!(said:
        Iter<'static, u8>, Iter<'static, Rc<u8>>, TryIter<'static, u8>, TryIter<'static, Rc<u8>>,
        &'static Receiver<u8>, &'static Sender<u8>, Arc<Sender<u8>>, Mutex<Receiver<u8>>,
        RecvError, TryRecvError, RecvTimeoutError,
    );
    said
}

pub fn errors_are_stds() {
    use std::any::TypeId;
    fn same<T: 'static, U: 'static>() {
        assert_eq!(TypeId::of::<T>(), TypeId::of::<U>());
    }
    same::<PoisonError<u8>, std::sync::PoisonError<u8>>();
    same::<TryLockError<u8>, std::sync::TryLockError<u8>>();
    same::<super::sync::LockResult<u8>, std::sync::LockResult<u8>>();
    same::<super::sync::TryLockResult<u8>, std::sync::TryLockResult<u8>>();
    same::<Arc<u8>, std::sync::Arc<u8>>();
    same::<Weak<u8>, std::sync::Weak<u8>>();
    same::<atomic::AtomicBool, std::sync::atomic::AtomicBool>();
    same::<SendError<u8>, std::sync::mpsc::SendError<u8>>();
    same::<TrySendError<u8>, std::sync::mpsc::TrySendError<u8>>();
    same::<RecvError, std::sync::mpsc::RecvError>();
    same::<TryRecvError, std::sync::mpsc::TryRecvError>();
    same::<mpsc::RecvTimeoutError, std::sync::mpsc::RecvTimeoutError>();
}
