//! What fuzzing found before is read again, whole and cut short, by every build of the tests. Looking for more is for `run`.

use std::path::Path;

use squall_fuzz::TARGETS;

/// So many times is an input of bytes off the wire cut, at places that are evenly apart.
const CUTS: usize = 32;

#[test]
fn every_input_of_the_corpus_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut inputs = 0;
    for folder in std::fs::read_dir(corpus).unwrap() {
        let folder = folder.unwrap();
        let (_, read) =
            TARGETS.iter().find(|(name, _)| **name == *folder.file_name()).expect("a folder is named after its target");
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap().path();
            eprintln!("{}", file.display()); // seen when it fails
            read(&std::fs::read(file).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs >= 250, "{inputs} inputs");
}

#[test]
fn every_input_from_the_wire_may_end_anywhere() {
    for target in ["request", "response", "chunks", "client_hello", "first_bytes"] {
        let (_, read) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)).unwrap() {
            let file = file.unwrap().path();
            let input = std::fs::read(&file).unwrap();
            for cut in 0..CUTS {
                let end = input.len() * cut / CUTS;
                eprintln!("{} up to {end}", file.display());
                read(&input[..end]);
            }
        }
    }
}
