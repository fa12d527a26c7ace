//! Hands the target triple on to `--version`.

fn main() {
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=SQUALL_TARGET={target}");
    println!("cargo:rerun-if-changed=build.rs");
}
