//! The live table.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::keys::{Wish, pressed};
use super::reader::{News, Reader};
use super::screen::Screen;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// How long news wait for a key that may come.
const KEY_TIMEOUT: Duration = Duration::from_millis(50);

/// Takes the terminal over until it is left, or so many overviews were shown; gives it back however that ends.
pub(super) fn show(reader: &Reader, number: u64) -> Outcome {
    // What keeps it from beginning is said on the terminal as it was.
    let overview = loop {
        match reader.news.recv().map_err(anyhow::Error::from)? {
            News::Overview(overview) => break *overview,
            News::Failed(failure) => return Err(failure),
            News::Done => {}
        }
    };
    let mut screen = Screen::new(overview, output::stdout_has_colour());
    let mut terminal = ratatui::try_init()?;
    let ended = run(&mut terminal, &mut screen, reader, number - 1);
    ratatui::try_restore()?;
    ended.map(|()| Exit::Ok)
}

fn run(terminal: &mut DefaultTerminal, screen: &mut Screen, reader: &Reader, mut left: u64) -> Result<(), Failure> {
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        if left == 0 {
            return Ok(());
        }
        match key(screen)? {
            Wish::Leave => return Ok(()),
            // Whether somebody takes it is told by the news.
            Wish::Order(call) => drop(reader.orders.send(call)),
            Wish::Nothing => {}
        }
        match reader.news.try_recv() {
            Ok(News::Overview(overview)) => {
                screen.overview = *overview;
                left -= 1;
            }
            Ok(News::Done) => screen.said.clear(),
            // It may come back.
            Ok(News::Failed(failure)) => screen.said = failure.text().replace('\n', " "),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// What the key asks for that is pressed by now, or soon.
fn key(screen: &mut Screen) -> Result<Wish, Failure> {
    if !event::poll(KEY_TIMEOUT)? {
        return Ok(Wish::Nothing);
    }
    match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => Ok(pressed(key, screen)),
        _ => Ok(Wish::Nothing),
    }
}
