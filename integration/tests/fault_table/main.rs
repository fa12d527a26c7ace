//! Every fault on every protocol, as clients see it that were not written here. The table is in `rows.rs`; the document
//! `integration/FAULTS.md` is made from it (`SQUALL_UPDATE=1`), and kept true by a test.

#![expect(clippy::unwrap_used, clippy::too_many_lines, clippy::needless_pass_by_value, reason = "a table of tests")]

mod rows;
mod world;

use std::fmt::Write as _;
use std::path::PathBuf;

use rows::{Cell, Row, rows};
use world::{COLUMNS, Column, World};

/// Checks one column of the table, from top to bottom, on one Squall.
fn check(column: Column) {
    let Some(world) = World::new(column) else { return };
    let healthy = world.call();
    assert!(healthy.code == column.well() && healthy.is_intact, "without a fault: {healthy:?}");
    for Row { kind, cells } in rows() {
        let Cell::Shown { rule, expect, .. } = &cells[column as usize] else { continue };
        world.rule(rule);
        let before = world.calls();
        let outcome = world.call();
        world.remove();
        let context = format!("{kind} on {column:?}: {outcome:?}");
        assert_eq!(outcome.code, expect.code, "{context}");
        let took = outcome.took.as_millis();
        assert!(expect.ms.contains(&took), "{context}: {took} ms, not {:?}", expect.ms);
        if let Some(is_intact) = expect.is_intact {
            assert_eq!(outcome.is_intact, is_intact, "{context}");
        }
        if let Some(count) = expect.count {
            assert_eq!(outcome.count, count, "{context}");
        }
        if let (Some(calls), Some(before)) = (expect.calls, before) {
            world.eventually_calls(before + calls, &context);
        }
        assert!(outcome.said.contains(expect.says), "{context} does not say {:?}", expect.says);
        // Nothing of it is left: not on the next call, not on a connection that was kept.
        let after = world.call();
        assert!(after.code == column.well() && after.is_intact, "after {kind} on {column:?}: {after:?}");
    }
}

#[test]
fn http1_with_curl() {
    check(Column::Http1);
}

#[test]
fn http2_with_curl() {
    check(Column::Http2);
}

#[test]
fn grpc_with_grpcio() {
    check(Column::Grpc);
}

#[test]
fn websocket_with_websockets() {
    check(Column::WebSocket);
}

#[test]
fn tcp_with_redis() {
    check(Column::Tcp);
}

#[test]
fn tls_with_curl() {
    check(Column::Tls);
}

fn document() -> String {
    let mut text = "# Every fault on every protocol\n\n\
        Each cell is what a client that was not written here sees, as `cargo test -p squall-integration --test fault_table`\n\
        checks it; `✗` is why there is nothing to see. This file is made from the table of that test.\n\n"
        .to_owned();
    let heads: Vec<&str> = COLUMNS.iter().map(|column| column.head()).collect();
    let _ = writeln!(text, "| fault | {} |", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(heads.len()));
    for Row { kind, cells } in rows() {
        let cells: Vec<String> = cells
            .iter()
            .map(|cell| match cell {
                Cell::Shown { text, .. } => (*text).to_owned(),
                Cell::Never(reason) => format!("✗ {reason}"),
            })
            .collect();
        let _ = writeln!(text, "| `{kind}` | {} |", cells.join(" | "));
    }
    text
}

#[test]
fn the_document_is_the_table() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/FAULTS.md"));
    if std::env::var_os("SQUALL_UPDATE").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document(),
        "integration/FAULTS.md is not what the table says; run this test with SQUALL_UPDATE=1"
    );
}
