//! What bad input gets: an error that names the option, its value and the range, or a documented panic.

mod common;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::{MODES, Mode, Test, builder, child, child_case};
use fibers::{Builder, GuardMethod, Priority, Runtime, RuntimeBuilder};

#[track_caller]
fn refused(builder: RuntimeBuilder, wanted: &[&str]) {
    let local = builder.clone();
    let errors = [
        builder.build().map(drop).unwrap_err(),
        local.build_local().map(drop).unwrap_err(),
    ];
    let [error, _] = errors;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let text = error.to_string();
    for part in wanted {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn impossible_options_are_named_with_their_range() {
    let new = Runtime::builder;
    refused(new().workers(0), &["workers", "is 0", "1 to 1024"]);
    refused(new().workers(1025), &["workers", "is 1025", "1 to 1024"]);
    refused(new().workers(usize::MAX), &["workers", "1 to 1024"]);
    refused(new().stack_size(0), &["stack_size", "is 0", "8 MiB"]);
    refused(
        new().stack_size((8 << 20) + 1),
        &["stack_size", "is 8388609", "8 MiB"],
    );
    refused(new().stack_size(usize::MAX), &["stack_size", "8 MiB"]);
    refused(new().guard_size(0), &["guard_size", "is 0", "4096"]);
    refused(new().guard_size(usize::MAX), &["guard_size"]);
    refused(
        new().stack_size(64 << 10).guard_size(32 << 10),
        &["guard_size", "is 32768", "16384"],
    );
    refused(new().max_fibers(0), &["max_fibers", "is 0", "1 to"]);
    refused(new().fairness(0), &["fairness", "is 0", "1 to 1000000"]);
    refused(new().fairness(1_000_001), &["fairness", "is 1000001"]);
    refused(
        new().spin(Duration::from_secs(2)),
        &["spin", "2000000", "0 to 1000000"],
    );
    refused(new().spin(Duration::MAX), &["spin"]);
    refused(new().name(""), &["name"]);
    refused(new().name("with\0nul"), &["name", "NUL"]);
    refused(new().name(&"long ".repeat(20)), &["name", "64"]);
}

#[test]
fn the_edges_of_the_ranges_are_accepted() {
    let test = Test::new(60);
    for mode in MODES {
        for builder in [
            builder(mode)
                .workers(1)
                .stack_size(1)
                .max_fibers(1)
                .fairness(1)
                .spin(Duration::ZERO),
            builder(mode)
                .workers(64)
                .stack_size(8 << 20)
                .max_fibers(usize::MAX)
                .fairness(1_000_000),
            builder(mode)
                .workers(1)
                .name("n")
                .guard_method(GuardMethod::Auto)
                .spin(Duration::from_secs(1)),
            builder(mode)
                .workers(2)
                .name(&"x".repeat(64))
                .guard_size(64 << 10)
                .seed(0),
        ] {
            assert_eq!(test.build(builder).run(|| 5), 5);
        }
    }
}

#[test]
fn a_machine_on_this_thread_is_neither_floating_nor_has_more_workers() {
    for builder in [Runtime::builder().workers(2), builder(Mode::Floating)] {
        let error = builder.build_local().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("one worker"), "{error}");
    }
    let machine = Runtime::builder().workers(1).build_local().unwrap();
    assert_eq!(machine.run(|| 1), 1);
}

#[test]
fn bad_options_of_a_fiber_are_named_and_no_fiber_is_made() {
    fn promise() {
        for bytes in [0, (8 << 20) + 1, usize::MAX] {
            let error = Builder::new().stack_size(bytes).spawn(|| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            let named = text.contains("stack_size") && text.contains(&format!("is {bytes};"));
            assert!(named && text.contains("8 MiB"), "{text}");
            let scoped = fibers::scope(|s| {
                Builder::new()
                    .stack_size(bytes)
                    .spawn_scoped(s, || ())
                    .map(drop)
            });
            assert!(scoped.unwrap_err().to_string().contains("stack_size"));
        }
        let error = Builder::new()
            .name("a\0b".to_owned())
            .spawn(|| ())
            .unwrap_err();
        assert!(error.to_string().contains("NUL"), "{error}");
        assert_eq!(
            Builder::new()
                .stack_size(1)
                .spawn(|| 5)
                .unwrap()
                .join()
                .unwrap(),
            5
        );
        assert_eq!(
            Builder::new()
                .stack_size(8 << 20)
                .spawn(|| 5)
                .unwrap()
                .join()
                .unwrap(),
            5
        );
    }
    common::everywhere(60, promise);
}

/// A stack that would be all guard.
#[test]
fn a_stack_without_room_beside_its_guard_is_refused() {
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().guard_size(64 << 10));
    let small = Builder::new().stack_size(16 << 10);
    let error = small.spawn_on(&machine.handle(), || ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("guard") && text.contains("stack"), "{text}");
    assert_eq!(machine.run(|| 1), 1);
}

#[test]
fn priorities_above_seven_do_not_exist() {
    assert_eq!(Priority::new(7), Some(Priority::REALTIME));
    assert_eq!(Priority::new(0), Some(Priority::IDLE));
    assert_eq!((8..=255).find_map(Priority::new), None);
    assert_eq!(Priority::default(), Priority::NORMAL);
    assert!(Priority::LOW < Priority::NORMAL && Priority::HIGH > Priority::ABOVE);
    assert!((0..8).all(|level| Priority::new(level).unwrap().level() == level));
}

/// As std's: it would wait for ever.
#[test]
fn joining_oneself_panics_and_says_so() {
    use std::sync::{Arc, Mutex};
    type Slot = Arc<Mutex<Option<fibers::JoinHandle<()>>>>;
    common::in_both_modes(60, 2, |_, machine, _| {
        let (slot, told): (Slot, _) = (Arc::default(), Arc::new(Mutex::new(String::new())));
        let gate = Arc::new(common::Gate::new());
        let fiber = machine.spawn({
            let (slot, gate, told) = (Arc::clone(&slot), Arc::clone(&gate), Arc::clone(&told));
            move || {
                gate.wait();
                let me = slot.lock().unwrap().take().unwrap();
                let panic = catch_unwind(AssertUnwindSafe(|| me.join())).unwrap_err();
                let text = panic.downcast_ref::<&str>().copied().unwrap_or_default();
                text.clone_into(&mut told.lock().unwrap());
            }
        });
        let watched = fiber.fiber().clone();
        *slot.lock().unwrap() = Some(fiber);
        gate.open();
        common::eventually(|| watched.call(|| ()).is_err());
        assert!(
            told.lock().unwrap().contains("cannot join itself"),
            "{told:?}"
        );
    });
}

#[test]
fn running_a_local_machine_inside_a_fiber_panics_and_says_so() {
    let test = Test::new(60);
    let outer = test.machine(Mode::Pinned, 1);
    let text = outer.run(|| {
        let inner = Runtime::builder().build_local().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| inner.run(|| ()))).unwrap_err();
        // Neither may it be dropped into work here; it has no fibers.
        drop(inner);
        *panic.downcast::<&str>().unwrap()
    });
    assert!(text.contains("inside a fiber"), "{text}");
    let local = test.local();
    let other = std::rc::Rc::new(test.local());
    let text = local.run({
        let other = std::rc::Rc::clone(&other);
        move || {
            let panic = catch_unwind(AssertUnwindSafe(|| other.run(|| ()))).unwrap_err();
            *panic.downcast::<&str>().unwrap()
        }
    });
    assert!(text.contains("inside a fiber"), "{text}");
    assert_eq!(other.run(|| 4), 4);
}

#[test]
fn a_local_spawn_needs_a_fiber_that_stays() {
    let test = Test::new(60);
    let error = Builder::new().spawn_local(|| ()).map(drop).unwrap_err();
    assert!(
        error.to_string().contains("spawn_local needs a fiber"),
        "{error}"
    );
    let panic = catch_unwind(|| drop(fibers::spawn_local(|| ()))).unwrap_err();
    let text = panic.downcast::<String>().unwrap();
    assert!(text.contains("failed to spawn a local fiber"), "{text}");
    let floating = test.machine(Mode::Floating, 1);
    let error = floating.run(|| Builder::new().spawn_local(|| ()).map(drop).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("floating"), "{error}");
}

#[test]
fn a_spawn_that_fails_panics_with_the_text_of_the_error() {
    let test = Test::new(60);
    let machine = test.build(Runtime::builder().workers(1).max_fibers(1));
    let text = machine.run(|| {
        let panic = catch_unwind(|| drop(fibers::spawn(|| ()))).unwrap_err();
        let scoped = catch_unwind(|| fibers::scope(|s| drop(s.spawn(|| ())))).unwrap_err();
        assert!(scoped.downcast::<String>().unwrap().contains("max_fibers"));
        panic.downcast::<String>().unwrap()
    });
    assert!(
        text.starts_with("failed to spawn a fiber: ") && text.contains("max_fibers"),
        "{text}"
    );
}

/// Name, value, and what the error must say.
const VARIABLES: &[(&str, &str, &[&str])] = &[
    (
        "FIBERS_WORKERS",
        "0",
        &["FIBERS_WORKERS", "is 0", "1 to 1024"],
    ),
    (
        "FIBERS_WORKERS",
        "1025",
        &["FIBERS_WORKERS", "1025", "1 to 1024"],
    ),
    (
        "FIBERS_WORKERS",
        "many",
        &["FIBERS_WORKERS", "\"many\"", "1 to 1024"],
    ),
    ("FIBERS_WORKERS", "-1", &["FIBERS_WORKERS", "\"-1\""]),
    ("FIBERS_WORKERS", "", &["FIBERS_WORKERS", "\"\""]),
    ("FIBERS_NAME", "", &["FIBERS_NAME", "1 to 64"]),
    (
        "FIBERS_STACK_SIZE",
        "0",
        &["FIBERS_STACK_SIZE", "is 0", "8 MiB"],
    ),
    (
        "FIBERS_STACK_SIZE",
        "9M",
        &["FIBERS_STACK_SIZE", "9437184", "8 MiB"],
    ),
    (
        "FIBERS_STACK_SIZE",
        "1G",
        &["FIBERS_STACK_SIZE", "\"1G\"", "K or M"],
    ),
    (
        "FIBERS_STACK_SIZE",
        "99999999999999999999M",
        &["FIBERS_STACK_SIZE"],
    ),
    (
        "FIBERS_GUARD_SIZE",
        "1",
        &["FIBERS_GUARD_SIZE", "is 1", "4096"],
    ),
    ("FIBERS_GUARD_SIZE", "1M", &["FIBERS_GUARD_SIZE", "1048576"]),
    (
        "FIBERS_GUARD",
        "none",
        &["FIBERS_GUARD", "\"none\"", "auto, markers or mprotect"],
    ),
    ("FIBERS_MAX_FIBERS", "0", &["FIBERS_MAX_FIBERS", "is 0"]),
    (
        "FIBERS_MAX_FIBERS",
        "lots",
        &["FIBERS_MAX_FIBERS", "\"lots\""],
    ),
    (
        "FIBERS_SPIN_US",
        "1000001",
        &["FIBERS_SPIN_US", "1000001", "0 to 1000000"],
    ),
    ("FIBERS_SPIN_US", "1.5", &["FIBERS_SPIN_US", "\"1.5\""]),
    (
        "FIBERS_FAIRNESS",
        "0",
        &["FIBERS_FAIRNESS", "is 0", "1 to 1000000"],
    ),
    (
        "FIBERS_PIN",
        "maybe",
        &["FIBERS_PIN", "\"maybe\"", "0 or 1"],
    ),
    (
        "FIBERS_POLLER",
        "nobody",
        &["FIBERS_POLLER", "\"nobody\"", "workers or dedicated"],
    ),
    (
        "FIBERS_BLOCKING_THREADS",
        "0",
        &["FIBERS_BLOCKING_THREADS", "is 0", "1 to 16384"],
    ),
    (
        "FIBERS_BLOCKING_THREADS",
        "some",
        &["FIBERS_BLOCKING_THREADS", "\"some\"", "1 to 16384"],
    ),
    (
        "FIBERS_BLOCKING_IDLE_MS",
        "-1",
        &["FIBERS_BLOCKING_IDLE_MS", "\"-1\"", "milliseconds"],
    ),
    (
        "FIBERS_WORKER",
        "2",
        &["unknown", "FIBERS_WORKER;", "FIBERS_WORKERS"],
    ),
    ("FIBERS_", "2", &["unknown", "FIBERS_"]),
];

#[test]
fn bad_variables_are_named_with_their_value_and_range() {
    const NAME: &str = "bad_variables_are_named_with_their_value_and_range";
    if child_case().is_some() {
        let error = Runtime::new().map(drop).unwrap_err();
        println!("build: {error}");
        let error = Builder::new().spawn(|| ()).map(drop).unwrap_err();
        println!("default: {error}");
        let panic = catch_unwind(|| drop(fibers::spawn(|| ()))).unwrap_err();
        println!("panic: {}", panic.downcast::<String>().unwrap());
        return;
    }
    for (name, value, wanted) in VARIABLES {
        let ended = child(NAME, "bad", &[(name, value)]);
        ended.passed();
        for line in ["build: ", "default: ", "panic: "] {
            let line = ended
                .stdout
                .lines()
                .find_map(|text| Some(text.split_once(line)?.1));
            let text = line.unwrap_or_else(|| panic!("{name}={value}: {ended:#?}"));
            for part in *wanted {
                assert!(
                    text.contains(part),
                    "{name}={value}: {text:?} does not say {part:?}"
                );
            }
        }
    }
}

#[test]
fn good_variables_count_where_the_program_says_nothing() {
    const NAME: &str = "good_variables_count_where_the_program_says_nothing";
    if child_case().is_some() {
        let machine = Runtime::new().unwrap();
        assert_eq!(machine.metrics().workers, 3);
        let name = machine.run(|| std::thread::current().name().map(str::to_owned));
        assert!(name.unwrap().starts_with("from-env-"));
        let set = Runtime::builder().workers(2).name("own").build().unwrap();
        assert_eq!(set.metrics().workers, 2);
        let name = set.run(|| std::thread::current().name().map(str::to_owned));
        assert!(name.unwrap().starts_with("own-"));
        let workers = fibers::spawn(|| fibers::Handle::current().unwrap().metrics().workers);
        assert_eq!(workers.join().unwrap(), 3);
        let parked: Vec<_> = (0..50).map(|_| machine.spawn(fibers::park)).collect();
        assert!(machine.handle().try_spawn(|| ()).is_err());
        drop(parked);
        return;
    }
    let good = [
        ("FIBERS_WORKERS", "3"),
        ("FIBERS_NAME", "from-env"),
        ("FIBERS_STACK_SIZE", "64K"),
        ("FIBERS_GUARD_SIZE", "8K"),
        ("FIBERS_GUARD", "mprotect"),
        ("FIBERS_MAX_FIBERS", "50"),
        ("FIBERS_SPIN_US", "0"),
        ("FIBERS_FAIRNESS", "7"),
        ("FIBERS_PIN", "1"),
        ("FIBERS_POLLER", "dedicated"),
        ("FIBERS_BLOCKING_THREADS", "4"),
        ("FIBERS_BLOCKING_IDLE_MS", "1_000"),
    ];
    child(NAME, "good", &good).passed();
}
