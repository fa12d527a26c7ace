//! Hands the target triple on to `--version`, and keeps what is resident small.

use std::process::Command;

fn main() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    println!("cargo:rustc-env=SQUALL_TARGET={}", variable("TARGET"));
    println!("cargo:rerun-if-changed=build.rs");
    // Relative relocations take 360 KiB, all of them read at the start, and a hundredth of that when packed. The C library
    // has to know about it, which it does from 2.36 on; a program that is built for elsewhere does without.
    let is_for_here = variable("TARGET") == variable("HOST") && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_for_here && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // Saves 1.4 of 12.2 MiB. Of the linkers that may be named in flags, mold takes no scripts.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS") + &variable("RUSTC_LINKER");
    let is_lean = variable("PROFILE") == "release" && variable("CARGO_CFG_TARGET_OS") == "linux";
    if is_lean && !flags.contains("mold") {
        println!("cargo:rerun-if-changed=apart.ld");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}/apart.ld", variable("CARGO_MANIFEST_DIR"));
    }
}

/// The version of this machine's C library: `getconf` says "glibc 2.36".
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
