//! Every command of every page is run, or says why not; every link leads somewhere; what is generated has not drifted.
//!
//! A comment before each `sh` block says what becomes of it: `<!-- docs: start -->` (runs until its section ends), `run` (each
//! line must succeed) or `skip` with a reason; `cluster` (as `run`, with a cluster in memory that has Squall and Service A in it),
//! `empty cluster` (a new one that has nothing); `machine` (as `run`, as root on a machine with a network of its own whose calls
//! Squall catches), `empty machine` (a new one that has nothing), `start on the machine`, `start on an empty machine`;
//! `run beside A` (as `run`, while a Service A on port 3000 is called through 8081 and calls B through 8080, and with experiments
//! that take seconds), `run beside A, typing go; a note; go` (the same, and what people type: answers when they are asked, notes
//! while faults flow). Before a block of another kind, `file NAME` puts it where the commands of its section run, `said` compares
//! it with what they printed, and `pipeline` runs the steps that it lists. `goes on` below the heading of a section makes it one
//! with the section before it. Ports of the text are replaced by free ones.
//!
//! The tests are found, not listed: `cargo test --test docs -- docs/tls.md` runs those of one page, and `SQUALL_UPDATE=1` writes what is
//! generated in docs/reference/.

#![expect(clippy::unwrap_used, reason = "tests")]

mod api;
mod beside;
mod checks;
mod cluster;
mod machine;
mod notes;
mod page;
mod pipeline;
mod reference;
mod schema;
mod section;
mod shell;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use page::pages;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for page in pages() {
        for (title, blocks) in page.sections() {
            let page = page.name.clone();
            let name = format!("{page}: {title}");
            trials.push(Trial::test(name, move || section::run(&page, &title, &blocks).map_err(Failed::from)));
        }
    }
    for (name, check) in checks::ALL.into_iter().chain(reference::ALL).chain(notes::ALL) {
        trials.push(Trial::test(name, move || check().map_err(Failed::from)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
