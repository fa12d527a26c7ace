//! What keys mean.

use http::Method;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::screen::Screen;
use crate::client::Call;

/// What a key asks for.
#[derive(Debug)]
pub(super) enum Wish {
    Nothing,
    Leave,
    Order(Call),
}

/// Does what a key means on the screen, and tells what it means beyond it.
pub(super) fn pressed(key: KeyEvent, screen: &mut Screen) -> Wish {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Wish::Leave,
        KeyCode::Char('q') | KeyCode::Esc => return Wish::Leave,
        KeyCode::Char('h') => return switch("halt", screen),
        KeyCode::Char('r') => return switch("resume", screen),
        KeyCode::Char(' ') => return toggle(screen),
        KeyCode::Down | KeyCode::Char('j') => screen.choose(1),
        KeyCode::Up | KeyCode::Char('k') => screen.choose(-1),
        _ => {}
    }
    Wish::Nothing
}

fn switch(verb: &str, screen: &mut Screen) -> Wish {
    screen.said = format!("{verb} ...");
    Wish::Order(Call::new(Method::POST, format!("/v1/{verb}")).with_body(json!({ "reason": "squall top" })))
}

fn toggle(screen: &mut Screen) -> Wish {
    let Some(rule) = screen.rule() else {
        "choose a rule first, with up and down".clone_into(&mut screen.said);
        return Wish::Nothing;
    };
    let said = format!("switching {} {} ...", rule.name, if rule.enabled { "off" } else { "on" });
    let call = Call::new(Method::PATCH, format!("/v1/rules/{}", rule.name));
    let call = call.with_body(json!({ "enabled": !rule.enabled }));
    screen.said = said;
    Wish::Order(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Base, Credentials};
    use crate::top::screen::tests::screen;

    fn press(screen: &mut Screen, code: KeyCode) -> Wish {
        pressed(KeyEvent::new(code, KeyModifiers::NONE), screen)
    }

    fn order(screen: &mut Screen, code: KeyCode) -> String {
        let base = Base::parse("127.0.0.1:1").unwrap();
        match press(screen, code) {
            Wish::Order(call) => call.curl(&base, &Credentials::default()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn they_act_through_the_api() {
        let mut screen = screen();
        assert!(matches!(press(&mut screen, KeyCode::Char(' ')), Wish::Nothing));
        assert!(screen.said.contains("choose a rule first"));
        press(&mut screen, KeyCode::Down);
        assert_eq!(
            order(&mut screen, KeyCode::Char(' ')),
            r#"curl -X PATCH http://127.0.0.1:1/v1/rules/slow -d '{"enabled":false}'"#
        );
        let halt = r#"curl http://127.0.0.1:1/v1/halt -d '{"reason":"squall top"}'"#;
        assert_eq!(order(&mut screen, KeyCode::Char('h')), halt);
        assert_eq!(order(&mut screen, KeyCode::Char('r')), halt.replace("halt", "resume"));
    }

    #[test]
    fn three_of_them_leave() {
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for key in [KeyEvent::from(KeyCode::Char('q')), KeyEvent::from(KeyCode::Esc), ctrl_c] {
            assert!(matches!(pressed(key, &mut screen()), Wish::Leave));
        }
        assert!(matches!(press(&mut screen(), KeyCode::Char('c')), Wish::Nothing));
    }
}
