//! Takes the unwinder of panics into the program, instead of its shared library `libgcc_s`.
//!
//! That library's constructor asks the processor what it can do (`__cpu_indicator_init`), and each such question leaves a virtual
//! machine. There, loading it takes longer than naming an address does. Where the compiler has no `libgcc_eh.a`, which
//! is the same code (GCC's manual, `-static-libgcc`), nothing changes.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let is_native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !is_native || target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let Ok(output) = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output() else { return };
    // Only what was found has a directory.
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let directory = Path::new(&path).parent().filter(|directory| directory.is_absolute());
    if let Some(directory) = directory.filter(|_| Path::new(&path).exists()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
