//! Files that know each other in a circle can only be understood, tested and changed together. There are none.

#![expect(clippy::unwrap_used, reason = "tests")]

mod graph;
mod source;

use std::path::{Path, PathBuf};

use graph::{circles, knows};
use source::Source;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folders with the sources of all crates of this workspace.
fn folders() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_source = path.ends_with("src") && folder.join("Cargo.toml").exists();
            if is_source {
                found.push(path);
            } else if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn no_file_knows_one_that_knows_it() {
    let folders = folders();
    assert!(folders.len() > 8, "{folders:?}");
    let (mut files, mut arrows, mut found) = (0, 0, String::new());
    for folder in &folders {
        let sources = source::read(folder);
        let known = knows(&sources);
        files += sources.len();
        arrows += known.len();
        for circle in circles(&known) {
            found += &format!("\n{}: a circle of {} files\n", folder.display(), circle.len());
            let within = known.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
            for ((from, to), names) in within {
                found +=
                    &format!("  {from} takes from {to}: {}\n", names.iter().cloned().collect::<Vec<_>>().join(", "));
            }
        }
    }
    println!("{files} files in {} crates, {arrows} of them know another", folders.len());
    assert!(arrows > 1_000, "no more than {arrows} arrows between {files} files: something is not read");
    assert_eq!(found, "", "cut a circle where one file needs of the other what could stand apart from both");
}

/// A crate of these files.
fn sources<'a>(files: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Vec<Source> {
    files.into_iter().map(|(name, text)| Source::parse(name, text)).collect()
}

#[test]
fn a_circle_is_found_however_its_files_name_each_other() {
    const ELSEWHERE: &str = "pub struct Apart;";
    for (parent, child) in [
        ("mod child; use child::B; pub struct A(B);", "use super::A; pub struct B(Box<A>);"),
        ("mod child; pub struct A(child::B);", "pub struct B(Box<crate::parent::A>);"),
        ("mod child; pub use child::B; pub struct A; fn f() { child::g() }", "fn g() -> super::A { todo!() }"),
        ("mod child; pub struct A; fn f() { child::g() }", "use crate::parent; fn g() -> parent::A { todo!() }"),
        ("mod child; pub struct A; fn f() { child::g() }", "use crate::Again; fn g() -> Again { todo!() }"),
        ("mod child; pub struct A; fn f() { child::g() }", "use crate::{apart::Apart, parent::{A as B, self}};"),
    ] {
        let root = ("lib.rs", "mod apart; mod parent; pub use parent::A as Again;");
        let files = [root, ("parent.rs", parent), ("parent/child.rs", child), ("apart.rs", ELSEWHERE)];
        let known = knows(&sources(&files));
        let expected = ["parent.rs", "parent/child.rs"].map(str::to_owned).into();
        assert_eq!(circles(&known), [expected], "{parent} {child} {known:?}");
    }
}

#[test]
fn what_is_handed_on_or_is_a_test_makes_no_circle() {
    for (parent, child) in [
        ("mod child; pub use child::B; pub struct A;", "use super::A; pub struct B(A);"),
        ("mod child; use child::B;", "#[cfg(test)] mod tests { use super::super::A; } pub struct B;"),
        ("mod child; use child::B;", "use super::Apart; pub struct B(Apart);"),
    ] {
        let root = ("lib.rs", "mod apart; mod parent;");
        let apart = ("apart.rs", "pub struct Apart;");
        let parent = format!("use crate::apart::Apart; {parent}");
        let known = knows(&sources(&[root, apart, ("parent.rs", &parent), ("parent/child.rs", child)]));
        assert_eq!(circles(&known), [], "{parent} {child} {known:?}");
    }
}
