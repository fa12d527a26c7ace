use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;

/// The SVG elements of a page.
fn pictures(html: &str) -> Vec<&str> {
    html.match_indices("<svg ").map(|(from, _)| &html[from..][..html[from..].find("</svg>").unwrap() + 6]).collect()
}

/// Reads all of it; the values of this attribute.
fn read_svg(svg: &str, attribute: &str) -> Vec<String> {
    let (mut reader, mut values, mut depth) = (Reader::from_str(svg), Vec::new(), 0);
    reader.config_mut().check_end_names = true;
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error} in {svg}"));
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
        if let Event::Start(start) | Event::Empty(start) = &event {
            for one in start.attributes() {
                let one = one.unwrap();
                if one.key.as_ref() == attribute.as_bytes() {
                    values.push(String::from_utf8(one.value.into_owned()).unwrap());
                }
            }
        }
    }
    assert_eq!(depth, 0, "{svg}");
    values
}

pub(super) fn assert_drawn_well(html: &str) {
    let pictures = pictures(html);
    for svg in &pictures {
        assert!(svg.contains("<title id=") && svg.contains("<desc id="), "{svg}");
        for attribute in ["d", "x", "y", "x1", "x2", "y1", "y2", "width", "height"] {
            for value in read_svg(svg, attribute) {
                assert!(!value.contains("NaN") && !value.contains("inf"), "{attribute}={value}");
                let numbers =
                    value.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').filter(|n| !n.is_empty());
                for number in numbers.map(|n| n.parse::<f64>().unwrap()) {
                    assert!((-1.0..=800.0).contains(&number), "{attribute}={value}");
                }
            }
        }
    }
}

#[test]
fn every_picture_is_well_formed_and_within_its_frame() {
    for (name, report) in all() {
        let html = report.to_html();
        let expected = if report.series.is_empty() { 1 } else { 5 };
        assert_eq!(pictures(&html).len(), expected, "{name}");
        assert_drawn_well(&html);
    }
}

#[test]
fn one_point_and_an_hour_of_them_are_drawn() {
    for seconds in [1, 2, 3_600] {
        let series = samples::series(seconds, seconds / 3..seconds, samples::Faulted { takes: 2.0, fails: 0.5 });
        let phases =
            vec![PhaseSpan { phase: RunPhase::Injecting, from: f64::from(seconds) / 3.0, to: f64::from(seconds) }];
        let html = Report { series, phases, ..held() }.to_html();
        assert_drawn_well(&html);
        let class = if seconds == 1 { "curve stroke-control dots" } else { "curve stroke-control" };
        assert!(html.contains(&format!("class=\"{class}\" d=\"M")), "{seconds}");
        assert!(html.len() < 200_000, "{seconds}: {} bytes", html.len());
    }
}

#[test]
fn latencies_far_apart_are_drawn_by_their_logarithm() {
    let html = failed_by_guard().to_html();
    let latency = pictures(&html).into_iter().find(|svg| svg.contains("latency-name")).unwrap();
    assert!(latency.contains(">10 ms<") && latency.contains(">1 s<") && latency.contains(">10 s<"), "{latency}");
    assert!(latency.contains(">fast: 500 ms<"), "the bound of the statement");
    assert!(latency.contains("class=\"band\""), "the injection");
}

#[test]
fn nothing_is_loaded_and_nothing_runs() {
    for (_, report) in all() {
        let html = report.to_html();
        for banned in ["<script", "<link", "<img", "<iframe", "@import", "url(", "src=", " on", " style="] {
            let found = html.match_indices(banned).find(|(at, _)| {
                // Words of a text are not attributes.
                banned != " on" || html[*at + 3..].trim_start_matches(|c: char| c.is_ascii_lowercase()).starts_with('=')
            });
            assert_eq!(found, None, "{banned}");
        }
        let elsewhere = html.match_indices("http").filter(|(at, _)| {
            let rest = &html[*at..];
            let is_known = rest.starts_with("http://www.w3.org/2000/svg") || rest.starts_with("http-equiv");
            !is_known && !report.links.iter().any(|link| rest.starts_with(link.as_str()))
        });
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::new());
    }
}

#[test]
fn every_text_is_only_text() {
    let evil = "<script>alert(1)</script>\"'&";
    let mut value = serde_json::to_value(held()).unwrap();
    let keep = ["started_at", "ended_at", "verdict", "phase", "by", "kind"];
    replace_texts(&mut value, evil, &keep);
    let mut report: Report = serde_json::from_value(value).unwrap();
    report.links = vec![evil.to_owned(), format!("https://x.example/{evil}"), "javascript:alert(1)".to_owned()];
    let html = report.to_html();
    assert!(!html.contains("<script") && !html.contains("href=\"javascript"));
    assert!(html.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&apos;&amp;").count() > 30);
    assert_drawn_well(&html);
    assert!(!report.to_markdown().split("```").next().unwrap().replace('`', "").contains("\n<script"));
}

/// All texts but those of a closed set.
fn replace_texts(value: &mut Value, with: &str, keep: &[&str]) {
    match value {
        Value::String(text) => *text = with.to_owned(),
        Value::Array(all) => all.iter_mut().for_each(|one| replace_texts(one, with, keep)),
        Value::Object(all) => {
            all.iter_mut()
                .filter(|(key, _)| !keep.contains(&key.as_str()))
                .for_each(|(_, one)| replace_texts(one, with, keep));
        }
        _ => {}
    }
}

#[test]
fn the_contents_lead_to_every_section() {
    let html = failed_by_guard().to_html();
    let ids: Vec<_> = html.match_indices("<section id=\"").map(|(at, start)| &html[at + start.len()..]).collect();
    assert!(ids.len() >= 13, "{}", ids.len());
    for id in ids {
        let id = &id[..id.find('"').unwrap()];
        assert_eq!(html.matches(&format!("href=\"#{id}\"")).count(), 1, "{id}");
        assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[test]
fn tables_say_what_their_heads_are_heads_of() {
    let html = held().to_html();
    let heads = html.matches("<th").count() - html.matches("<thead>").count();
    assert_eq!(heads, html.matches("<th scope=").count());
    assert_eq!(html.matches("<table>").count(), html.matches("<caption>").count());
}
