//! Scoped fibers borrow from the stack of whoever spawns them, as `std::thread::scope` does.
//!
//! `cargo run --release --example scope`

fn main() {
    let text = "fibers borrow what threads borrow";
    let mut lengths = vec![0; text.split(' ').count()];

    fibers::scope(|scope| {
        for (length, word) in lengths.iter_mut().zip(text.split(' ')) {
            // Each fiber writes to its own element and reads the text: no Arc, no clone.
            scope.spawn(move || *length = word.len());
        }
    }); // Every fiber of the scope has ended here.

    println!("{text:?} has words of {lengths:?} letters");
}
