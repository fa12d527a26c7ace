use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::*;
use crate::top::overview::tests::reading;

pub(in crate::top) fn screen() -> Screen {
    Screen::new(Overview::of(&reading(60.0, 1), &reading(61.0, 2)), false)
}

fn shown(screen: &Screen) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(130, 12)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..buffer.area.height).map(line).collect()
}

#[test]
fn traffic_and_rules_stand_in_tables() {
    let lines = shown(&screen());
    assert_eq!(
        lines[..7],
        [
            "squall 1.2.3  up 1m 1s  generation 7  faults at work 3  guard errors: ok",
            "",
            "LISTENER  CLUSTER  DIRECTION  CONNS  IN FLIGHT  REQ/S  ABORTED/S  FAILED  P50      P99      OUT/BACK",
            "to-b      b        outbound   4      3          100    20.0       5.00%   100.0ms  982.0ms  1000B/2M",
            "",
            "RULE  ON  SHARE  MATCHED/S  INJECTED/S  INJECTED  OBSERVED  HOLDS  FAULT",
            "slow  on  25%    100        20.0        40        20.00%    3      delay=200ms",
        ]
    );
    assert_eq!(lines[11], KEYS);
}

#[test]
fn a_halt_is_said_with_its_reason() {
    let mut now = reading(61.0, 2);
    now.status["halted"] = json!(true);
    now.status["halt"] = json!({"reason": "checkout is down"});
    let screen = Screen::new(Overview::of(&reading(60.0, 1), &now), true);
    assert_eq!(shown(&screen)[1], "HALTED, no fault is injected: checkout is down");
}

#[test]
fn a_terminal_that_is_too_small_is_no_reason_to_panic() {
    for (width, height) in [(1, 1), (5, 3), (200, 1), (1, 50)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen().draw(frame)).unwrap();
    }
}
