//! Tells the program which compiler has compiled it: counts of another one's code are not comparable.

use std::env;
use std::process::Command;

fn main() {
    let compiler = env::var_os("RUSTC").expect("cargo says which compiler it uses");
    let output = Command::new(compiler)
        .arg("--version")
        .output()
        .expect("the compiler runs");
    let version = String::from_utf8_lossy(&output.stdout);
    let target = env::var("TARGET").expect("cargo says what it builds for");
    println!("cargo::rustc-env=COMPILER={} for {target}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
