//! Sorts a vector by halves with `fibers::join`: the first half runs at once, the second too if a
//! worker is free, and inline on this stack if none is.
//!
//! `cargo run --release --example join`

const SORT_DIRECTLY_MAX: usize = 1_000;

fn sort(numbers: &mut [u64]) {
    if numbers.len() <= SORT_DIRECTLY_MAX {
        return numbers.sort_unstable();
    }
    let middle = numbers.len() / 2;
    let (left, _, right) = numbers.select_nth_unstable(middle);
    fibers::join(|| sort(left), || sort(right));
}

fn main() {
    let mut state = 1_u64;
    let mut numbers: Vec<u64> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 32
    })
    .take(1_000_000)
    .collect();

    // `join` may borrow, so the vector can live here; `scope` brings the sort into a fiber.
    fibers::scope(|scope| {
        scope.spawn(|| sort(&mut numbers));
    });
    println!("a million numbers are sorted: {}", numbers.is_sorted());
}
