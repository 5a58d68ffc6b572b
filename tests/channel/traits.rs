//! Which traits the types of a channel have, and which they have not: as crossbeam's.

use std::cell::Cell;
use std::rc::Rc;

use super::channel::{
    IntoIter, Iter, ReadyTimeoutError, Receiver, RecvError, RecvTimeoutError, Select,
    SelectTimeoutError, SendError, SendTimeoutError, Sender, TryIter, TryReadyError, TryRecvError,
    TrySelectError, TrySendError,
};

pub fn told() -> Vec<String> {
    let mut said = Vec::new();
    macro_rules! of_each {
        ($($t:ident),*) => {
            $(tell!(said: $t<u8>, $t<Rc<u8>>, $t<Cell<u8>>, $t<&'static mut u8>, $t<std::sync::MutexGuard<'static, u8>>);)*
        };
    }
    of_each!(
        Sender,
        Receiver,
        SendError,
        TrySendError,
        SendTimeoutError,
        IntoIter
    );
    tell!(said:
        Iter<'static, u8>, Iter<'static, Rc<u8>>, TryIter<'static, u8>, TryIter<'static, Rc<u8>>,
        RecvError, TryRecvError, RecvTimeoutError,
        TrySelectError, SelectTimeoutError, TryReadyError, ReadyTimeoutError,
        Select<'static>,
    );
    said
}
