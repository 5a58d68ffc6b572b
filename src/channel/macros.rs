//! `select!`: one of several operations, known when it is written.
//!
//! The arms are taken apart one by one; each adds a name of its own (two names of different expansions are never the
//! same) for its channel and its case, and its number.

/// Selects one of several operations on channels and carries it out. As `crossbeam_channel::select!`.
///
/// Of several that are ready a random one is selected; while none is, the fiber (or the plain thread) waits, or the
/// `default` arm is taken: at once, or after a time. A message is evaluated only if its `send` is selected; if
/// that evaluation unwinds, or leaves by `?`, `break` or `return`, nothing is sent, and whoever counted on it goes on.
///
/// *Cancellation* and deadlines unwind, if no operation was selected by then. What is made for the channels of the arms
/// lives to the end of the whole `select!`: a guard of a lock in `recv(lock.lock().unwrap().1)` is held through the arm.
///
/// ```
/// use fibers::channel::{after, bounded, select};
/// use std::time::Duration;
///
/// let (s, r) = bounded(1);
/// let (_kept, silent) = bounded::<i32>(0);
/// let sent = select! {
///     send(s, 7) -> result => result.is_ok(),
///     recv(silent) -> _ => false,
/// };
/// assert!(sent);
/// select! {
///     recv(r) -> message => assert_eq!(message, Ok(7)),
///     recv(after(Duration::from_secs(1))) -> _ => panic!("late"),
/// }
/// select! {
///     recv(r) -> _ => panic!("there is no other message"),
///     default(Duration::from_millis(1)) => {}
/// }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __fibers_select {
    () => { ::core::compile_error!("empty `select!` block") };
    ($($arms:tt)*) => { $crate::__fibers_select_arms!(@arm (false) [] () 0usize; $($arms)*) };
}

/// As [`select!`], but of several operations that are ready the first one is selected.
#[macro_export]
#[doc(hidden)]
macro_rules! __fibers_select_biased {
    () => { ::core::compile_error!("empty `select_biased!` block") };
    ($($arms:tt)*) => { $crate::__fibers_select_arms!(@arm (true) [] () 0usize; $($arms)*) };
}

// @arm (biased) [arms so far] (default) number; what is left
#[macro_export]
#[doc(hidden)]
macro_rules! __fibers_select_arms {
    // All arms are known.
    (@arm ($biased:expr) [$(($kind:ident $channel:ident $case:ident $number:expr; $on:expr; $pattern:pat, ($($message:expr)?) $body:expr))*] ($($default:tt)*) $next:expr;) => {{
        // A match, as what is made in its head lives until its end.
        match ($(&$on,)*) { ($($channel,)*) => {
            $(let $case = $crate::__fibers_select_arms!(@case $kind $channel);)*
            let chosen = $crate::channel::internal::choose(
                &[$($case.any(),)*],
                $crate::__fibers_select_arms!(@choice ($biased) $($default)*),
            );
            match chosen {
                $(::core::option::Option::Some(number) if number == $number => {
                    let $pattern = $crate::__fibers_select_arms!(@finish $kind $case; $($message)?);
                    $body
                })*
                ::core::option::Option::Some(_) => ::core::unreachable!("a number that no arm has"),
                ::core::option::Option::None => $crate::__fibers_select_arms!(@default $($default)*),
            }
        }}
    }};

    (@case recv $channel:ident) => { $channel.recv_case() };
    (@case send $channel:ident) => { $channel.send_case() };

    (@finish recv $case:ident;) => { $case.finish() };
    // First the right to send, then the message: whose evaluation may end in other ways than with a message.
    (@finish send $case:ident; $message:expr) => { $case.claimed().send($message) };

    (@choice ($biased:expr)) => { $crate::channel::internal::Choice::wait($biased) };
    (@choice ($biased:expr) () $body:expr) => { $crate::channel::internal::Choice::now($biased) };
    (@choice ($biased:expr) ($timeout:expr) $body:expr) => {
        $crate::channel::internal::Choice::timeout($biased, $timeout)
    };

    (@default) => { ::core::unreachable!("it waits until an arm is selected") };
    (@default ($($timeout:expr)?) $body:expr) => { $body };

    // A block needs no comma after it.
    (@arm ($biased:expr) [$($arms:tt)*] ($($default:tt)*) $number:expr; recv($on:expr $(,)?) -> $pattern:pat => $body:block $(, $($rest:tt)*)?) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)* (recv channel case $number; $on; $pattern, () $body)] ($($default)*) $number + 1; $($($rest)*)?)
    };
    (@arm ($biased:expr) [$($arms:tt)*] ($($default:tt)*) $number:expr; recv($on:expr $(,)?) -> $pattern:pat => $body:block $($rest:tt)+) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)* (recv channel case $number; $on; $pattern, () $body)] ($($default)*) $number + 1; $($rest)+)
    };
    (@arm ($biased:expr) [$($arms:tt)*] ($($default:tt)*) $number:expr; recv($on:expr $(,)?) -> $pattern:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)* (recv channel case $number; $on; $pattern, () $body)] ($($default)*) $number + 1; $($($rest)*)?)
    };
    (@arm ($biased:expr) [$($arms:tt)*] ($($default:tt)*) $number:expr; send($on:expr, $message:expr $(,)?) -> $pattern:pat => $body:block $(, $($rest:tt)*)?) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)* (send channel case $number; $on; $pattern, ($message) $body)] ($($default)*) $number + 1; $($($rest)*)?)
    };
    (@arm ($biased:expr) [$($arms:tt)*] ($($default:tt)*) $number:expr; send($on:expr, $message:expr $(,)?) -> $pattern:pat => $body:block $($rest:tt)+) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)* (send channel case $number; $on; $pattern, ($message) $body)] ($($default)*) $number + 1; $($rest)+)
    };
    (@arm ($biased:expr) [$($arms:tt)*] ($($default:tt)*) $number:expr; send($on:expr, $message:expr $(,)?) -> $pattern:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)* (send channel case $number; $on; $pattern, ($message) $body)] ($($default)*) $number + 1; $($($rest)*)?)
    };
    (@arm ($biased:expr) [$($arms:tt)*] () $number:expr; default $(($($timeout:expr)? $(,)?))? => $body:block $(, $($rest:tt)*)?) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)*] (($($($timeout)?)?) $body) $number; $($($rest)*)?)
    };
    (@arm ($biased:expr) [$($arms:tt)*] () $number:expr; default $(($($timeout:expr)? $(,)?))? => $body:block $($rest:tt)+) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)*] (($($($timeout)?)?) $body) $number; $($rest)+)
    };
    (@arm ($biased:expr) [$($arms:tt)*] () $number:expr; default $(($($timeout:expr)? $(,)?))? => $body:expr $(, $($rest:tt)*)?) => {
        $crate::__fibers_select_arms!(@arm ($biased) [$($arms)*] (($($($timeout)?)?) $body) $number; $($($rest)*)?)
    };
}
