//! Which traits a type has, and which it has not. To be included by `#[path]`, with `#[macro_use]`.

/// Whether a type has a trait: its own constant, if there is one, hides that of `Not`.
macro_rules! has {
    ($t:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "not for every type")]
        trait Not {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Not for T {}
        struct Asked<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "not for every type")]
        impl<T: ?Sized + $($bound)+> Asked<T> {
            const HAS: bool = true;
        }
        <Asked<$t>>::HAS
    }};
}

macro_rules! tell {
    ($said:ident: $($t:ty),* $(,)?) => {
        $(
            let mut line = format!("{}:", stringify!($t));
            for (name, has) in [
                ("Send", has!($t: Send)),
                ("Sync", has!($t: Sync)),
                ("Unpin", has!($t: Unpin)),
                ("UnwindSafe", has!($t: std::panic::UnwindSafe)),
                ("RefUnwindSafe", has!($t: std::panic::RefUnwindSafe)),
                ("Clone", has!($t: Clone)),
                ("Copy", has!($t: Copy)),
                ("Default", has!($t: Default)),
                ("Debug", has!($t: std::fmt::Debug)),
                ("Display", has!($t: std::fmt::Display)),
                ("Error", has!($t: std::error::Error)),
                ("Eq", has!($t: Eq)),
                ("PartialEq", has!($t: PartialEq)),
                ("PartialOrd", has!($t: PartialOrd)),
                ("Hash", has!($t: std::hash::Hash)),
                ("Deref", has!($t: std::ops::Deref)),
                ("DerefMut", has!($t: std::ops::DerefMut)),
                ("Iterator", has!($t: Iterator)),
                ("IntoIterator", has!($t: IntoIterator)),
            ] {
                if has {
                    line += " ";
                    line += name;
                }
            }
            $said.push(line);
        )*
    };
}
