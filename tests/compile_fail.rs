//! What must not compile, and the reason that the compiler gives.
//!
//! Each case in `compile_fail/` is one program; beside it lies what the compiler says, so that a case does not
//! pass for another mistake than the one it shows. After a change of the compiler or of a signature:
//! `TRYBUILD=overwrite cargo test --test compile_fail`, and read the difference.

mod common;

#[test]
fn programs_that_break_a_promise_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}
