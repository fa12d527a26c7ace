//! Boards one below the other, for whatever is no terminal.

use super::board::Board;
use super::format;
use super::reader::{News, Reader};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};

/// So many boards; the first failure ends it.
pub(super) fn show(reader: &Reader, number: u64, output: Format) -> Outcome {
    let mut left = number;
    while let Ok(news) = reader.news.recv() {
        let board = match news {
            News::Board(board) => board,
            News::Done => continue,
            News::Failed(failure) => return Err(failure),
        };
        left -= 1;
        if output::line(&written(&board, output)?)?.is_break() || left == 0 {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn written(board: &Board, output: Format) -> Result<String, Failure> {
    Ok(match output {
        Format::Table => table(board),
        Format::Json => serde_json::to_string(board).map_err(anyhow::Error::from)?,
        Format::Yaml => format!("---\n{}", output::yaml(board)?.trim_end()),
    })
}

fn table(board: &Board) -> String {
    let lines: Vec<String> = [format::headline(board)].into_iter().chain(format::halt(board)).collect();
    let traffic = output::table(&format::TRAFFIC, board.traffic.iter().map(format::traffic));
    let rules = output::table(&format::RULES, board.rules.iter().map(format::rule));
    format!("{}\n{traffic}{rules}", lines.join("\n"))
}
