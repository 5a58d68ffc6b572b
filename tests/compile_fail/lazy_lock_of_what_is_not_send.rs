//! Whoever looks first makes the value, so the closure must be Send, and all look, so the value must be Sync.
use fibers::sync::{LazyLock, OnceLock};
use std::cell::Cell;
use std::rc::Rc;

static VALUE: LazyLock<Cell<u32>> = LazyLock::new(|| Cell::new(0));
static CELL: OnceLock<Cell<u32>> = OnceLock::new();

fn main() {
    let captured = Rc::new(0);
    let lazy = LazyLock::new(move || *captured);
    fibers::scope(|s| {
        s.spawn(|| *lazy);
    });
    println!("{VALUE:?} {CELL:?}");
}
