//! Overviews one below the other, for whatever is no terminal.

use super::format;
use super::overview::Overview;
use super::reader::{News, Reader};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Format};

/// So many overviews; the first failure ends it.
pub(super) fn show(reader: &Reader, number: u64, output: Format) -> Outcome {
    let mut left = number;
    while let Ok(news) = reader.news.recv() {
        let overview = match news {
            News::Overview(overview) => overview,
            News::Done => continue,
            News::Failed(failure) => return Err(failure),
        };
        left -= 1;
        if output::line(&written(&overview, output)?)?.is_break() || left == 0 {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn written(overview: &Overview, output: Format) -> Result<String, Failure> {
    Ok(match output {
        Format::Table => table(overview),
        Format::Json => serde_json::to_string(overview).map_err(anyhow::Error::from)?,
        Format::Yaml => format!("---\n{}", output::yaml(overview)?.trim_end()),
    })
}

fn table(overview: &Overview) -> String {
    let lines: Vec<String> = [format::headline(overview)].into_iter().chain(format::halt(overview)).collect();
    let traffic = output::table(&format::TRAFFIC, overview.traffic.iter().map(format::traffic));
    let rules = output::table(&format::RULES, overview.rules.iter().map(format::rule));
    format!("{}\n{traffic}{rules}", lines.join("\n"))
}
