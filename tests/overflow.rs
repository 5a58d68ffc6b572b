//! A stack overflow is reported by the fiber's name and stack size and kills the process by SIGSEGV, in
//! whatever form it comes; any other fault is none of our business.
//!
//! Each form runs in a child process with a limit: a hang fails the test.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Ended, Mode, builder, child, child_case};
use fibers::{Builder, Runtime};

/// Recurses until the stack ends; uses a little of it each time.
#[inline(never)]
fn recurse(depth: usize) -> usize {
    let frame = black_box([depth; 16]);
    if black_box(false) {
        return 0;
    }
    recurse(depth + 1) + frame[depth % 16]
}

/// One frame of a megabyte.
#[inline(never)]
fn big_frame() -> u8 {
    let mut frame = [0_u8; 1 << 20];
    for at in (0..frame.len()).step_by(512) {
        frame[at] = black_box(at as u8);
    }
    black_box(&frame)[black_box(77)]
}

#[inline(never)]
fn mutual_a(depth: usize) -> usize {
    let f: fn(usize) -> usize = black_box(mutual_b);
    f(depth + 1) + 1
}

#[inline(never)]
fn mutual_b(depth: usize) -> usize {
    let text = format!("{depth}");
    mutual_a(depth + 1) + black_box(&text).len()
}

/// Ends the stack.
fn burn() {
    black_box(recurse(0));
}

struct InDrop;
impl Drop for InDrop {
    fn drop(&mut self) {
        black_box(recurse(0));
    }
}

struct Deep(#[expect(dead_code, reason = "only dropped")] Option<Box<Deep>>);

/// What the report must say: the name as shown, and the size.
struct Wanted(&'static str, &'static str);

/// Name of the form, of the fiber, size as reported; the body.
type Form = (&'static str, Wanted, fn());

fn machine(mode: Mode) -> Runtime {
    builder(mode).workers(2).build().unwrap()
}

/// In a fiber "deep" with so large a stack, of a machine of that mode.
fn named(mode: Mode, stack_bytes: usize, body: fn()) {
    let machine = machine(mode);
    let deep = Builder::new()
        .name("deep".to_owned())
        .stack_size(stack_bytes);
    let _ = deep.spawn_on(&machine.handle(), body).unwrap().join();
}

const FORMS: &[Form] = &[
    ("16 KiB", Wanted("deep", "16 KiB"), || {
        named(Mode::Pinned, 16 << 10, burn)
    }),
    ("32 KiB", Wanted("deep", "32 KiB"), || {
        named(Mode::Pinned, 32 << 10, burn)
    }),
    ("64 KiB", Wanted("deep", "64 KiB"), || {
        named(Mode::Floating, 64 << 10, burn)
    }),
    ("128 KiB", Wanted("deep", "128 KiB"), || {
        named(Mode::Pinned, 128 << 10, burn)
    }),
    ("256 KiB", Wanted("deep", "256 KiB"), || {
        named(Mode::Floating, 256 << 10, burn)
    }),
    ("512 KiB", Wanted("deep", "512 KiB"), || {
        named(Mode::Pinned, 512 << 10, burn)
    }),
    ("1 MiB", Wanted("deep", "1 MiB"), || {
        named(Mode::Floating, 1 << 20, burn)
    }),
    ("8 MiB", Wanted("deep", "8 MiB"), || {
        named(Mode::Pinned, 8 << 20, burn)
    }),
    ("a big frame on 16 KiB", Wanted("deep", "16 KiB"), || {
        named(Mode::Pinned, 16 << 10, || _ = black_box(big_frame()));
    }),
    ("a big frame on 32 KiB", Wanted("deep", "32 KiB"), || {
        named(Mode::Floating, 32 << 10, || _ = black_box(big_frame()));
    }),
    (
        "a big frame on the default",
        Wanted("deep", "256 KiB"),
        || {
            named(Mode::Pinned, 256 << 10, || _ = black_box(big_frame()));
        },
    ),
    (
        "two functions that call each other",
        Wanted("deep", "64 KiB"),
        || {
            named(Mode::Pinned, 64 << 10, || _ = black_box(mutual_a(0)));
        },
    ),
    ("after waits", Wanted("deep", "64 KiB"), || {
        named(Mode::Pinned, 64 << 10, || {
            (0..100).for_each(|_| fibers::yield_now());
            fibers::spawn(|| ()).join().unwrap();
            black_box(recurse(0));
        });
    }),
    ("after waits, floating", Wanted("deep", "64 KiB"), || {
        named(Mode::Floating, 64 << 10, || {
            (0..100).for_each(|_| fibers::yield_now());
            fibers::spawn(|| ()).join().unwrap();
            black_box(recurse(0));
        });
    }),
    ("unnamed", Wanted("<unnamed>", "256 KiB"), || {
        machine(Mode::Pinned).run(burn);
    }),
    (
        "on the default machine",
        Wanted("<unnamed>", "256 KiB"),
        || {
            let _ = fibers::spawn(|| recurse(0)).join();
        },
    ),
    (
        "a name in another script",
        Wanted("ﬁber 🧵 é", "256 KiB"),
        || {
            let fiber = Builder::new()
                .name("ﬁber 🧵 é".to_owned())
                .spawn(|| recurse(0));
            let _ = fiber.unwrap().join();
        },
    ),
    ("a long name", Wanted(LONG, "256 KiB"), || {
        let fiber = Builder::new().name(LONG.to_owned()).spawn(|| recurse(0));
        let _ = fiber.unwrap().join();
    }),
    (
        "a machine's stack size",
        Wanted("<unnamed>", "1 MiB"),
        || {
            let machine = Runtime::builder().stack_size(600 << 10).build().unwrap();
            machine.run(burn);
        },
    ),
    ("a larger guard", Wanted("<unnamed>", "256 KiB"), || {
        let machine = Runtime::builder().guard_size(64 << 10).build().unwrap();
        machine.run(burn);
    }),
    ("guards by mprotect", Wanted("<unnamed>", "256 KiB"), || {
        let builder = Runtime::builder().guard_method(fibers::GuardMethod::Mprotect);
        builder.build().unwrap().run(burn);
    }),
    (
        "a fiber on a stack that was used before",
        Wanted("second", "256 KiB"),
        || {
            let machine = Runtime::builder().workers(1).build().unwrap();
            for _ in 0..100 {
                machine.run(fibers::yield_now);
            }
            let second = Builder::new().name("second".to_owned());
            let _ = second
                .spawn_on(&machine.handle(), || recurse(0))
                .unwrap()
                .join();
        },
    ),
    ("spawned locally", Wanted("local", "32 KiB"), || {
        machine(Mode::Pinned).run(|| {
            let local = Builder::new().name("local".to_owned()).stack_size(32 << 10);
            let _ = local.spawn_local(|| recurse(0)).unwrap().join();
        });
    }),
    ("scoped", Wanted("scoped", "64 KiB"), || {
        machine(Mode::Pinned).run(|| {
            fibers::scope(|s| {
                let scoped = Builder::new()
                    .name("scoped".to_owned())
                    .stack_size(64 << 10);
                scoped.spawn_scoped(s, || recurse(0)).unwrap();
            });
        });
    }),
    (
        "in a nested scope from a thread",
        Wanted("inner", "256 KiB"),
        || {
            fibers::scope(|s| {
                s.spawn(|| {
                    fibers::scope(|s| {
                        let inner = Builder::new().name("inner".to_owned());
                        inner.spawn_scoped(s, || recurse(0)).unwrap();
                    });
                });
            });
        },
    ),
    ("in a forked half", Wanted("forker", "256 KiB"), || {
        let machine = Runtime::builder().workers(1).build().unwrap();
        let forker = Builder::new().name("forker".to_owned());
        let forked = forker.spawn_on(&machine.handle(), || fibers::join(|| recurse(0), || 1));
        let _ = forked.unwrap().join();
    }),
    ("in a call", Wanted("called", "256 KiB"), || {
        let machine = machine(Mode::Pinned);
        let called = Builder::new().name("called".to_owned());
        let called = called.spawn_on(&machine.handle(), fibers::park).unwrap();
        let _ = called.fiber().call(|| recurse(0)).unwrap().wait();
    }),
    (
        "in a call at the target's end",
        Wanted("called", "256 KiB"),
        || {
            let machine = Runtime::builder().workers(1).build().unwrap();
            machine.run(|| {
                let called = Builder::new().name("called".to_owned());
                let called = called.spawn(|| ()).unwrap();
                let _ = called.fiber().call(|| recurse(0)).unwrap().wait();
            });
        },
    ),
    (
        "on a machine of this thread",
        Wanted("here", "256 KiB"),
        || {
            let machine = Runtime::builder().build_local().unwrap();
            machine.run(|| {
                let here = Builder::new().name("here".to_owned());
                let _ = here.spawn(|| recurse(0)).unwrap().join();
            });
        },
    ),
    ("in a destructor", Wanted("deep", "64 KiB"), || {
        named(Mode::Pinned, 64 << 10, || drop(InDrop));
    }),
    (
        "in a destructor while unwinding",
        Wanted("deep", "256 KiB"),
        || {
            named(Mode::Pinned, 256 << 10, || {
                let _in_drop = InDrop;
                panic!("expected");
            });
        },
    ),
    (
        "in the destructor of a long list",
        Wanted("deep", "64 KiB"),
        || {
            named(Mode::Floating, 64 << 10, || {
                let mut list = None;
                for _ in 0..1_000_000 {
                    list = Some(Box::new(Deep(list)));
                }
                drop(list);
            });
        },
    ),
    (
        "in a fiber-local's destructor",
        Wanted("deep", "64 KiB"),
        || {
            fibers::fiber_local! {
                static LOCAL: InDrop = InDrop;
            }
            named(Mode::Pinned, 64 << 10, || LOCAL.with(|_| ()));
        },
    ),
    ("in the panic hook", Wanted("deep", "256 KiB"), || {
        std::panic::set_hook(Box::new(|_| burn()));
        named(Mode::Pinned, 256 << 10, || panic!("expected"));
    }),
    (
        "holding the lock of stdout",
        Wanted("deep", "64 KiB"),
        || {
            named(Mode::Pinned, 64 << 10, || {
                let _out = std::io::stdout().lock();
                black_box(recurse(0));
            });
        },
    ),
    (
        "holding the lock of stderr",
        Wanted("deep", "64 KiB"),
        || {
            named(Mode::Pinned, 64 << 10, || {
                let _err = std::io::stderr().lock();
                black_box(recurse(0));
            });
        },
    ),
    (
        "while another fiber overflows",
        Wanted("deep", "64 KiB"),
        || {
            let machine = machine(Mode::Pinned);
            let meet = Arc::new(AtomicUsize::new(0));
            let both = [0, 1].map(|_| {
                let meet = Arc::clone(&meet);
                let deep = Builder::new().name("deep".to_owned()).stack_size(64 << 10);
                let deep = deep.spawn_on(&machine.handle(), move || {
                    meet.fetch_add(1, Ordering::AcqRel);
                    while meet.load(Ordering::Acquire) < 2 {
                        std::thread::yield_now();
                    }
                    recurse(0)
                });
                deep.unwrap()
            });
            for fiber in both {
                let _ = fiber.join();
            }
        },
    ),
    (
        "while a lock of the program is held",
        Wanted("deep", "64 KiB"),
        || {
            static LOCK: Mutex<()> = Mutex::new(());
            named(Mode::Pinned, 64 << 10, || {
                let _lock = LOCK.lock();
                black_box(recurse(0));
            });
        },
    ),
    ("inside the allocator", Wanted("deep", "64 KiB"), || {
        named(Mode::Pinned, 64 << 10, || {
            RECURSE_IN_ALLOC.store(true, Ordering::Relaxed);
            black_box(Box::new(5));
        });
    }),
    ("after a SIGSEGV by kill", Wanted("deep", "64 KiB"), || {
        let _machine = machine(Mode::Pinned);
        // std's handler, which was there before ours, survives it and takes itself away; ours stays.
        // SAFETY: sends a signal to this very process, and to a thread of it.
        unsafe { libc::kill(libc::getpid(), libc::SIGSEGV) };
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGSEGV) };
        named(Mode::Pinned, 64 << 10, burn);
    }),
    (
        "after a SIGSEGV by kill was caught",
        Wanted("deep", "64 KiB"),
        || {
            install(count_signals as *const () as usize);
            let _machine = machine(Mode::Pinned);
            // SAFETY: our own process has a handler for it.
            unsafe { libc::raise(libc::SIGSEGV) };
            assert_eq!(SIGNALS.load(Ordering::Relaxed), 1);
            named(Mode::Pinned, 64 << 10, burn);
        },
    ),
];

const LONG: &str = "a name so long that no fixed buffer of a careful programmer would hold all of it, so long \
    that it is written in pieces: abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz \
    abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz \
    abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz \
    abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz";

/// An allocator that recurses when told to: the overflow then happens inside malloc.
struct Recursing;
static RECURSE_IN_ALLOC: AtomicBool = AtomicBool::new(false);

// SAFETY: passes everything on to the system's.
unsafe impl std::alloc::GlobalAlloc for Recursing {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        if RECURSE_IN_ALLOC.load(Ordering::Relaxed) {
            black_box(recurse(0));
        }
        // SAFETY: our caller's contract is the system's.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: as above.
        unsafe { std::alloc::System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Recursing = Recursing;

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signals(_signal: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn leave_with_43(_signal: i32) {
    common::raw_stderr("the user's own handler\n");
    // SAFETY: ends the process, runs nothing.
    unsafe { libc::_exit(43) };
}

/// Installs a handler of the user for SIGSEGV.
fn install(handler: usize) {
    // SAFETY: a zeroed sigaction is valid; the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut());
    }
}

#[test]
fn every_form_of_overflow_names_the_fiber_and_its_stack() {
    const NAME: &str = "every_form_of_overflow_names_the_fiber_and_its_stack";
    if let Some(case) = child_case() {
        let form = FORMS.iter().find(|form| form.0 == case).unwrap();
        form.2();
        return;
    }
    assert!(FORMS.len() >= 20);
    let failures: Vec<String> = FORMS
        .iter()
        .filter_map(|(form, wanted, _)| {
            let ended = child(NAME, form, &[]);
            let name = format!("fiber '{}' (id ", wanted.0);
            let size = format!("overflowed its stack of {};", wanted.1);
            let good = ended.signal == Some(libc::SIGSEGV)
                && ended.stderr.contains(&name)
                && ended.stderr.contains(&size);
            (!good).then(|| format!("{form}: {ended:#?}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What must not be taken for an overflow, and what becomes of it.
#[test]
fn other_faults_go_where_they_would_have_gone() {
    const NAME: &str = "other_faults_go_where_they_would_have_gone";
    /// Reads from an address that is no stack's guard.
    fn wild_read(address: usize) -> u8 {
        // SAFETY: none; the fault is the point, and the process ends by it.
        unsafe { std::ptr::with_exposed_provenance::<u8>(black_box(address)).read_volatile() }
    }
    if let Some(case) = child_case() {
        match case.as_str() {
            "null in a fiber" => machine(Mode::Pinned).run(|| _ = wild_read(0)),
            "null in a floating fiber" => machine(Mode::Floating).run(|| _ = wild_read(8)),
            "null in a thread" => {
                let _machine = machine(Mode::Pinned);
                wild_read(0);
            }
            "sent, and the default action" => {
                // SAFETY: takes std's handler away, before the library looks for what was there.
                unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
                machine(Mode::Pinned).run(|| {
                    // SAFETY: a signal to this thread.
                    unsafe { libc::raise(libc::SIGSEGV) };
                });
            }
            "null with a handler" => {
                install(leave_with_43 as *const () as usize);
                machine(Mode::Pinned).run(|| _ = wild_read(0));
            }
            "kill with a handler" => {
                install(leave_with_43 as *const () as usize);
                machine(Mode::Pinned).run(|| {
                    // SAFETY: as above.
                    unsafe { libc::raise(libc::SIGSEGV) };
                });
            }
            "overflow of a thread" => {
                let _machine = machine(Mode::Pinned);
                let thread = std::thread::Builder::new().name("plain".to_owned());
                let _ = thread
                    .stack_size(128 << 10)
                    .spawn(|| recurse(0))
                    .unwrap()
                    .join();
            }
            _ => unreachable!("{case}"),
        }
        return;
    }
    let ours = |ended: &Ended| ended.stderr.contains("overflowed its stack of");
    for case in [
        "null in a fiber",
        "null in a floating fiber",
        "null in a thread",
        "sent, and the default action",
    ] {
        let ended = child(NAME, case, &[]);
        assert!(
            ended.signal == Some(libc::SIGSEGV) && !ours(&ended),
            "{case}: {ended:#?}"
        );
    }
    for case in ["null with a handler", "kill with a handler"] {
        let ended = child(NAME, case, &[]);
        let reached = ended.code == Some(43) && ended.stderr.contains("the user's own handler");
        assert!(reached && !ours(&ended), "{case}: {ended:#?}");
    }
    // std's own report for its own threads still works.
    let ended = child(NAME, "overflow of a thread", &[]);
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:#?}");
    assert!(
        ended.stderr.contains("has overflowed its stack") && !ours(&ended),
        "{ended:#?}"
    );
}

#[test]
fn deep_calls_run_on_the_worker_s_stack() {
    #[inline(never)]
    fn deep(left: usize) -> usize {
        let frame = black_box([left as u8; 64]);
        if left == 0 {
            return 0;
        }
        deep(left - 1) + usize::from(black_box(frame[0]) == left as u8)
    }
    common::in_both_modes(60, 2, |_, machine, _| {
        let small = Builder::new().stack_size(16 << 10);
        let small = small.spawn_on(&machine.handle(), || {
            // Some 500 KiB or more: thirty times the fiber's stack, a fraction of the worker's.
            let depth = fibers::on_worker_stack(|| deep(3000));
            fibers::yield_now();
            depth + fibers::on_worker_stack(|| deep(1000))
        });
        assert_eq!(small.unwrap().join().unwrap(), 4000);
    });
    assert_eq!(fibers::on_worker_stack(|| deep(10)), 10);
}

/// Every size gives what it says: most of it can be used.
#[test]
fn a_stack_holds_what_it_was_asked_for() {
    #[inline(never)]
    fn use_up(bytes: usize, base: usize) -> u8 {
        let frame = black_box([0_u8; 256]);
        if base - (&raw const frame).addr() >= bytes {
            return frame[0];
        }
        use_up(bytes, base) + frame[1]
    }
    common::in_both_modes(60, 2, |_, machine, _| {
        for shift in 14..=23 {
            let size = 1_usize << shift;
            let fiber = Builder::new().stack_size(size);
            let fiber = fiber.spawn_on(&machine.handle(), move || {
                let base = 0_u8;
                // Three quarters: the rest is for the guard, what lies above the fiber's first frame, and
                // an eighth by which stacks are shifted against each other.
                use_up(size / 4 * 3 - 6 * 1024, (&raw const base).addr())
            });
            assert_eq!(fiber.unwrap().join().unwrap(), 0);
        }
    });
}
