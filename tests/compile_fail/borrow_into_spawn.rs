//! A plain spawn may outlive its spawner's frame.
fn main() {
    let text = String::from("here");
    fibers::spawn(|| text.len());
}
