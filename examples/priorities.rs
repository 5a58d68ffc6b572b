//! Names, priorities and a machine of one's own: urgent fibers run before patient ones.
//!
//! `cargo run --release --example priorities`

use std::error::Error;

use fibers::{Builder, Priority, Runtime};

fn main() -> Result<(), Box<dyn Error>> {
    // One worker, so that the fibers compete for it.
    let machine = Runtime::builder().name("example").workers(1).build()?;
    machine.run(|| -> std::io::Result<()> {
        let mut handles = Vec::new();
        for (name, priority) in [
            ("patient", Priority::IDLE),
            ("usual", Priority::NORMAL),
            ("urgent", Priority::HIGH),
        ] {
            let builder = Builder::new().name(name.to_string()).priority(priority);
            handles.push(builder.spawn(|| {
                let fiber = fibers::current();
                let (name, level) = (fiber.name().unwrap_or("?"), fiber.priority().level());
                println!("{name} runs at level {level}");
            })?);
        }
        // Nothing has run yet: this fiber still holds the only worker. The joins let go of it.
        for handle in handles {
            handle.join().expect("no fiber panics here");
        }
        Ok(())
    })?;
    Ok(())
}
