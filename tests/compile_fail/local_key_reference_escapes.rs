//! A reference to a fiber-local does not leave `with`.
fibers::fiber_local! {
    static NAME: String = String::from("mine");
}

fn main() {
    let escaped: &'static String = NAME.with(|name| name);
    println!("{escaped}");
}
