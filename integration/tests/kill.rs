//! A process that is killed in the middle of writes, again and again, under load: no fault is active afterwards that should
//! not be, and nothing that somebody was told of is lost.
//!
//! `SQUALL_KILL_ROUNDS` says how often (25).

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use squall_integration::message::Answer;
use squall_integration::origin::Origin;
use squall_integration::squall::command;
use squall_integration::wait::pause;
use squall_integration::{Api, RawClient, Settings, Squall};

const WRITERS: usize = 3;
const NAMES: u64 = 5;
/// Two clocks tell the same end not to the millisecond.
const TOLERANCE_MS: u64 = 100;
/// A rule ends within milliseconds; on a busy machine its thread may have to wait.
const LATE_MS: u64 = 1000;

/// Small, and good enough to choose by.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// What is known of a rule that somebody was told of.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    version: u64,
    enabled: bool,
    /// Milliseconds of Unix time, at most.
    ends: u64,
    /// Milliseconds of Unix time, at least: when a write was under way it is not known when it was made.
    ends_not_before: u64,
}

impl Known {
    fn of(rule: &Value) -> Self {
        let body = rule["fault"]["abort"]["body"].as_str().unwrap();
        let ends = millis(rule["status"]["expires_at"].as_str().unwrap());
        Self {
            version: body.trim_start_matches('v').parse().unwrap(),
            enabled: rule["enabled"] != false,
            ends,
            ends_not_before: ends,
        }
    }
}

/// Milliseconds of a time such as 2026-01-02T03:04:05.678Z (the days by the civil calendar).
fn millis(text: &str) -> u64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    (days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)) * 1000 + number(20..23)
}

/// A write, as it is sent.
#[derive(Debug, Clone)]
enum Write {
    Put { name: String, version: u64, ttl_ms: u64 },
    Disable { name: String },
    Delete { name: String },
    Switch { halted: bool },
}

impl Write {
    fn choose(dice: &mut Dice, writer: usize, version: u64) -> Self {
        let name = format!("w{writer}-{}", dice.below(NAMES));
        match dice.below(10) {
            0..=3 => Self::Put { name, version, ttl_ms: 3_600_000 },
            4..=5 => Self::Put { name, version, ttl_ms: 20 + dice.below(400) },
            6 => Self::Disable { name },
            _ => Self::Delete { name },
        }
    }

    fn send(&self, api: SocketAddr) -> Option<Answer> {
        let (method, path, body) = match self {
            Self::Put { name, version, ttl_ms } => {
                let fault = json!({"abort": {"status": 418, "body": format!("v{version}")}});
                let rule = json!({"match": {"path": format!("/{name}")}, "percentage": 100, "fault": fault, "ttl": format!("{ttl_ms}ms")});
                ("PUT", format!("/v1/rules/{name}"), rule.to_string())
            }
            Self::Disable { name } => ("PATCH", format!("/v1/rules/{name}"), "{\"enabled\": false}".to_owned()),
            Self::Delete { name } => ("DELETE", format!("/v1/rules/{name}"), String::new()),
            Self::Switch { halted: true } => ("POST", "/v1/halt".to_owned(), String::new()),
            Self::Switch { halted: false } => ("POST", "/v1/resume".to_owned(), String::new()),
        };
        let mut client = RawClient::try_connect(api).ok()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        client.try_send(head).ok()?;
        client.try_answer(method).ok().filter(|answer| answer.complete)
    }
}

/// What one writer was told, and what it was not told any more.
#[derive(Debug, Default)]
struct Told {
    rules: BTreeMap<String, Option<Known>>,
    halted: Option<bool>,
    /// With the time at which it was sent.
    under_way: Option<(Write, u64)>,
    /// Operation, rule and generation of each write that was acknowledged.
    acknowledged: Vec<(String, Option<String>, u64)>,
}

impl Told {
    fn note(&mut self, write: &Write, answer: &Answer) {
        let generation = answer.header("etag").map(|tag| tag.trim_matches('"').parse().unwrap());
        let mut acknowledge = |operation: &str, name: Option<&String>| {
            self.acknowledged.push((operation.to_owned(), name.cloned(), generation.unwrap()));
        };
        match (write, answer.status) {
            (Write::Put { name, .. }, 200 | 201) => {
                acknowledge("putRule", Some(name));
                self.rules.insert(name.clone(), Some(Known::of(&answer.json())));
            }
            (Write::Disable { name }, 200) => {
                acknowledge("patchRule", Some(name));
                self.rules.insert(name.clone(), Some(Known::of(&answer.json())));
            }
            (Write::Delete { name }, 204) => {
                acknowledge("deleteRule", Some(name));
                self.rules.insert(name.clone(), None);
            }
            // It has ended, or was never there.
            (Write::Disable { name } | Write::Delete { name }, 404) => drop(self.rules.insert(name.clone(), None)),
            (Write::Switch { halted }, 200) => {
                acknowledge(if *halted { "halt" } else { "resume" }, None);
                self.halted = Some(*halted);
            }
            (write, status) => panic!("{write:?}: {status} {}", answer.text()),
        }
    }
}

/// Writes until nobody answers any more.
fn write_on(api: SocketAddr, mut dice: Dice, versions: &AtomicU64, choose: impl Fn(&mut Dice, u64) -> Write) -> Told {
    let mut told = Told::default();
    loop {
        let write = choose(&mut dice, versions.fetch_add(1, Ordering::Relaxed));
        told.under_way = Some((write.clone(), unix_ms()));
        let Some(answer) = write.send(api) else { return told };
        told.note(&write, &answer);
        told.under_way = None;
    }
}

#[derive(Default)]
struct Figures {
    acknowledged: usize,
    under_way: usize,
    requests: u64,
    slowest_start: Duration,
}

/// One life of a process under load; gives what its writers were told.
fn live(settings: &Settings, state: &Path, dice: &mut Dice, versions: &AtomicU64, requests: &AtomicU64) -> Vec<Told> {
    let squall = start(settings, state);
    let (api, to_b, is_over) = (squall.api().address, squall.to_b(), AtomicBool::new(false));
    let life = Duration::from_millis(10 + dice.below(300));
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let dice = Dice(dice.below(u64::MAX) | 1);
            writers.push(scope.spawn(move || write_on(api, dice, versions, |dice, v| Write::choose(dice, writer, v))));
        }
        let switch = Dice(dice.below(u64::MAX) | 1);
        writers.push(scope.spawn(move || {
            write_on(api, switch, versions, |dice, _| {
                pause(Duration::from_millis(dice.below(30)));
                Write::Switch { halted: dice.below(2) == 0 }
            })
        }));
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = RawClient::connect(to_b);
                while !is_over.load(Ordering::Relaxed) {
                    let sent = client.try_send("GET /w0-0 HTTP/1.1\r\nHost: b\r\n\r\n");
                    if sent.and_then(|()| client.try_answer("GET")).is_err() {
                        return;
                    }
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        pause(life);
        drop(squall); // SIGKILL
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

/// A process that is killed while it starts.
fn stillborn(settings: &Settings, state: &Path, dice: &mut Dice) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    std::fs::write(&file, settings.text()).unwrap();
    let mut command = command(&["run", "-c", file.to_str().unwrap(), "--state-dir", state.to_str().unwrap()]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    pause(Duration::from_micros(dice.below(30_000)));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn start(settings: &Settings, state: &Path) -> Squall {
    Squall::start_with(settings, &["--state-dir", state.to_str().unwrap(), "--log", "warn"])
}

/// What a rule of this name may be, as far as its writer knows; `None` is no rule.
fn candidates(name: &str, before: Option<&Known>, told: &Told, killed_at: u64) -> Vec<Option<Known>> {
    let acknowledged = told.rules.get(name).cloned().unwrap_or_else(|| before.cloned());
    let mut candidates = vec![acknowledged.clone()];
    match &told.under_way {
        Some((Write::Put { name: other, version, ttl_ms }, sent_at)) if other == name => {
            let (ends, ends_not_before) = (killed_at + ttl_ms, sent_at + ttl_ms);
            candidates.push(Some(Known { version: *version, enabled: true, ends, ends_not_before }));
        }
        Some((Write::Disable { name: other }, _)) if other == name => {
            candidates.extend(acknowledged.map(|known| Some(Known { enabled: false, ..known })));
        }
        Some((Write::Delete { name: other }, _)) if other == name => candidates.push(None),
        _ => {}
    }
    candidates
}

/// Compares a process that was started again with what was told before; gives what is there now.
fn check(
    squall: &Squall,
    before: &BTreeMap<String, Known>,
    told: &[Told],
    killed_at: u64,
    was_halted: bool,
) -> (BTreeMap<String, Known>, bool) {
    let api = squall.api();
    let started_at = unix_ms();
    let found = api.json("/v1/rules");
    let found: BTreeMap<String, Known> = found["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["name"].as_str().unwrap().to_owned(), Known::of(rule)))
        .collect();
    let halted = api.json("/v1/status")["halted"] == true;
    let last = told[WRITERS].halted.unwrap_or(was_halted);
    let may_be = match told[WRITERS].under_way {
        Some((Write::Switch { halted }, _)) => [last, halted],
        _ => [last, last],
    };
    assert!(may_be.contains(&halted), "halted: {halted}, and told was {may_be:?}");
    for (writer, told) in told[..WRITERS].iter().enumerate() {
        for name in (0..NAMES).map(|n| format!("w{writer}-{n}")) {
            let is = found.get(&name);
            let may_be = candidates(&name, before.get(&name), told, killed_at);
            let fits = may_be.iter().any(|candidate| match (candidate, is) {
                (None, None) => true,
                (Some(known), None) => known.ends_not_before <= unix_ms() + TOLERANCE_MS,
                (None, Some(_)) => false,
                (Some(known), Some(is)) => {
                    (known.version, known.enabled) == (is.version, is.enabled)
                        && is.ends <= known.ends + TOLERANCE_MS
                        && known.ends + LATE_MS > started_at
                }
            });
            assert!(fits, "{name} is {is:?}; it may be one of {may_be:?}; killed at {killed_at}, seen at {started_at}");
        }
    }
    probe(squall, &found, halted);
    (found, halted)
}

/// What traffic meets is what the API says, and nothing else.
fn probe(squall: &Squall, rules: &BTreeMap<String, Known>, halted: bool) {
    let mut client = RawClient::connect(squall.to_b());
    for name in (0..WRITERS).flat_map(|writer| (0..NAMES).map(move |n| format!("w{writer}-{n}"))) {
        let answer = client.get(&format!("/{name}"));
        let now = unix_ms();
        let rule = rules.get(&name).filter(|rule| rule.enabled && !halted);
        match (rule, answer.status) {
            (Some(rule), 418) => assert_eq!(answer.text(), format!("v{}", rule.version), "{name}"),
            (Some(rule), 200) => assert!(rule.ends <= now + TOLERANCE_MS, "{name}: {rule:?} is not active"),
            (None, 200) => {}
            (rule, status) => panic!("{name}: {status} {:?}, and the rule is {rule:?}", answer.text()),
        }
    }
}

/// Reads an audit on from where it was read to last, across the change to a new file.
#[derive(Default)]
struct AuditReader {
    offset: usize,
    last_id: u64,
}

impl AuditReader {
    fn new_entries(&mut self, state: &Path) -> Vec<Value> {
        let mut text = std::fs::read_to_string(state.join("audit.jsonl")).unwrap();
        // A line without its end was being written when the process was killed; the next one cuts it off.
        text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
        let begin = std::mem::replace(&mut self.offset, text.len());
        if text.len() < begin {
            text.insert_str(0, &std::fs::read_to_string(state.join("audit.jsonl.1")).unwrap()[begin..]);
        } else {
            text.drain(..begin);
        }
        let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for entry in &entries {
            assert_eq!(entry["id"], self.last_id + 1, "no gap in the numbers");
            self.last_id += 1;
        }
        entries
    }
}

/// Every acknowledged write is in the audit.
fn check_audit(state: &Path, told: &[Told], audit: &mut AuditReader) {
    let entries = audit.new_entries(state);
    let key = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        (text("operation").unwrap(), text("rule"), entry["generation"].as_u64().unwrap())
    };
    let noted: std::collections::BTreeSet<_> =
        entries.iter().filter(|entry| entry["result"] == "ok").map(key).collect();
    for write in told.iter().flat_map(|told| &told.acknowledged) {
        assert!(noted.contains(write), "{write:?} is not in the audit");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_back_when_the_process_is_killed() {
    let rounds: u64 = std::env::var("SQUALL_KILL_ROUNDS").map_or(25, |rounds| rounds.parse().unwrap());
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let settings = Settings::http(origin.address);
    let (mut dice, versions, requests) = (Dice(0x5eed_5eed | 1), AtomicU64::new(1), AtomicU64::new(0));
    let (mut rules, mut halted, mut figures) = (BTreeMap::new(), false, Figures::default());
    let mut audit = AuditReader::default();
    let began = Instant::now();
    for round in 1..=rounds {
        let told = live(&settings, state.path(), &mut dice, &versions, &requests);
        let killed_at = unix_ms();
        check_audit(state.path(), &told, &mut audit);
        if dice.below(4) == 0 {
            stillborn(&settings, state.path(), &mut dice);
        }
        let before_start = Instant::now();
        let squall = start(&settings, state.path());
        figures.slowest_start = figures.slowest_start.max(before_start.elapsed());
        let newest = told.iter().flat_map(|told| &told.acknowledged).map(|(_, _, generation)| *generation).max();
        assert!(newest < Some(Api { address: squall.api().address }.generation()), "round {round}: generations go on");
        (rules, halted) = check(&squall, &rules, &told, killed_at, halted);
        assert_eq!(squall.api().json("/v1/status")["state"]["damaged"], json!([]), "round {round}");
        figures.acknowledged += told.iter().map(|told| told.acknowledged.len()).sum::<usize>();
        figures.under_way += told.iter().filter(|told| told.under_way.is_some()).count();
    }
    figures.requests = requests.load(Ordering::Relaxed);
    // Not `eprintln!`: the test runner would keep it to itself.
    let _ = writeln!(
        std::io::stderr(),
        "killed {rounds} times in {:.0?}: {} writes acknowledged, {} under way when killed, {} requests of load, the slowest start {:?}",
        began.elapsed(),
        figures.acknowledged,
        figures.under_way,
        figures.requests,
        figures.slowest_start,
    );
}
