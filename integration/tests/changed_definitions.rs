//! Definitions that change at random between pushes, restarts and kills: columns, event time, lateness, history, expectations,
//! duplicates, deletes, silences, features. After each change online, offline and naive values are the same bits; at the end
//! they are those of a fresh folder under the last definitions, fed with the events that the rules of each time accept, by a
//! plain reading of `docs/semantics.md`. `FOREBAY_SEED` repeats a run.

use std::collections::{BTreeMap, HashSet};

use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::harness::{Project, ndjson, rows};
use forebay_integration::oracle::cell::rfc3339;
use serde_json::{Value as Json, json};

const STEPS: usize = 6;
const RECORDS: usize = 40;
const KEYS: i64 = 4;
const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
/// 2024-01-01T00:00:00Z
const START: i64 = 1_704_067_200_000_000;
/// After every event: no window of days but an open one has events then.
const LATER: i64 = START + 90 * DAY;

#[test]
fn one_seed() {
    run(&mut Chance::for_test(31));
}

#[test]
fn another_seed() {
    run(&mut Chance::for_test(32));
}

/// A retraction or a duplicate is told by these.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dedup {
    by_key_too: bool,
    within: i64,
    deletes: bool,
}

/// What a source, its views and their features are declared as.
#[derive(Clone, Debug)]
struct Definitions {
    time: &'static str,
    has_y: bool,
    lateness: i64,
    history: i64,
    dedup: Option<Dedup>,
    expect: Option<i64>,
    ttl: Option<i64>,
    /// By name.
    features: BTreeMap<&'static str, &'static str>,
    of_shops: bool,
}

const FEATURES: &[(&str, &[&str])] = &[
    ("n", &["count(*) over all", "count(*) over 3d", "count(*) where x > 20 over 12h", "count(*) over month"]),
    ("total", &["sum(x) over 10d", "sum(x) over all", "sum(x) over 5 rows", "sum(x) over 2d before"]),
    ("most", &["max(x) over 20d", "max_by(id, x) over all", "max(x) default -1.0 over 6h"]),
    ("ids", &["last_n(id, 9) over all", "last_n(id, 4) over 5d", "first_n(id, 3) over 30d", "last_n(id, 3) over 4 rows"]),
    ("visits", &["count(*) over session 1d", "sum(x) over session 6h"]),
    ("shops", &["count_distinct(s) over 20d", "count_distinct(s) over all"]),
    ("other", &["sum(y) over 10d", "last(y) over all", "count(y) over all"]),
];

impl Definitions {
    fn first(chance: &mut Chance) -> Self {
        let mut first = Self {
            time: "t",
            has_y: true,
            lateness: 100 * DAY,
            history: 4_000 * DAY,
            dedup: None,
            expect: None,
            ttl: None,
            features: BTreeMap::new(),
            of_shops: chance.once_in(2),
        };
        (0..4).for_each(|_| first.put_feature(chance));
        first
    }

    fn put_feature(&mut self, chance: &mut Chance) {
        let (name, forms) = *chance.pick(FEATURES);
        if name != "other" || self.has_y {
            let form: &&str = chance.pick(forms);
            self.features.insert(name, form);
        }
    }

    /// One change, or a few.
    fn change(&mut self, chance: &mut Chance) {
        for _ in 0..=chance.below(3) {
            match chance.below(9) {
                0 => self.time = if self.time == "t" { "u" } else { "t" },
                1 => {
                    self.has_y = !self.has_y;
                    self.features.remove("other");
                }
                2 => self.lateness = *chance.pick(&[2 * DAY, 12 * HOUR, 100 * DAY]),
                3 => self.history = *chance.pick(&[100 * DAY, 150 * DAY, 4_000 * DAY]),
                4 | 5 => {
                    let dedup = |chance: &mut Chance| Dedup {
                        by_key_too: chance.once_in(2),
                        within: *chance.pick(&[HOUR, 2 * DAY, 50 * DAY]),
                        deletes: !chance.once_in(3),
                    };
                    self.dedup = (!chance.once_in(4)).then(|| dedup(chance));
                }
                6 => self.expect = (!chance.once_in(2)).then(|| chance.between(20, 60)),
                7 => self.ttl = (!chance.once_in(2)).then(|| chance.between(1, 5) * DAY),
                _ => self.of_shops = !self.of_shops,
            }
        }
        if self.features.len() > 2 && chance.once_in(2) {
            let names: Vec<&str> = self.features.keys().copied().collect();
            self.features.remove(chance.pick(&names));
        }
        self.put_feature(chance);
        // What may be retracted does not depend on how far other partitions are.
        if self.dedup.as_ref().is_some_and(|dedup| dedup.deletes) {
            self.history = 4_000 * DAY;
        }
    }

    fn text(&self, topic: &str, is_open: bool) -> String {
        let hours = |span: i64| format!("'{} hours'", span / HOUR);
        let mut clauses = format!("event time {} max ahead '99999 days'", self.time);
        if is_open {
            clauses += " lateness '4000 days' history '4000 days'";
        } else {
            clauses += &format!(" lateness {} history {}", hours(self.lateness), hours(self.history));
            if let Some(dedup) = &self.dedup {
                let and_key = if dedup.by_key_too { ", k" } else { "" };
                clauses += &format!(" dedup by id{and_key} within {}", hours(dedup.within));
                clauses += if dedup.deletes { " deletes when d" } else { "" };
            }
            clauses += &self.expect.map(|most| format!(" expect x < {most}.0 else quarantine")).unwrap_or_default();
        }
        let y = if self.has_y { "y bigint, " } else { "" };
        let ttl = self.ttl.map(|ttl| format!("ttl {} ", hours(ttl))).unwrap_or_default();
        let features: String = self.features.iter().map(|(name, feature)| format!("  {name} = {feature} as {name},\n")).collect();
        let (shops, read) = match self.of_shops {
            true => (
                "entity shop (s text);\nfeatures g of shop from ev (shop_n = count(*) over 30d as shop_n, shop_ids = last_n(id, 5) over all as shop_ids);\n",
                "g.*",
            ),
            false => ("", ""),
        };
        format!(
            "source ev (id bigint, k bigint, s text, x double, d boolean, {y}t timestamp, u timestamp) from log '{topic}' partitions 2 by k\n\
             {clauses};\nentity thing (k bigint);\nfeatures f of thing from ev {ttl}(\n{features});\n{shops}vector v (f.*, {read});\n"
        )
    }
}

/// One record in eight has no `u`, and one in eight no `x`.
fn record(chance: &mut Chance, id: i64, now: i64) -> Json {
    let t = now - chance.between(0, 6 * 24) * HOUR / 2;
    let u = (!chance.once_in(8)).then(|| rfc3339(START + (t - START) / 2 + chance.between(0, 40) * DAY));
    let x = (!chance.once_in(8)).then(|| chance.between(0, 300) as f64 / 4.0);
    let (k, s) = (chance.between(1, KEYS), *chance.pick(&["a", "b"]));
    json!({"id": id, "k": k, "s": s, "x": x, "d": false, "y": chance.between(0, 9), "t": rfc3339(t), "u": u})
}

/// An event that was accepted, as it is stored.
#[derive(Clone, Debug)]
struct Accepted {
    partition: u64,
    cells: Json,
    is_retracted: bool,
}

impl Accepted {
    fn time(&self, column: &str) -> Option<i64> {
        time(&self.cells, column)
    }
}

fn time(cells: &Json, column: &str) -> Option<i64> {
    cells[column].as_str().and_then(forebay::EventTime::parse).map(|time| time.0)
}

/// What is accepted of the records of the log, by the definitions of the time when they are read.
#[derive(Default)]
struct Naive {
    read: BTreeMap<u64, u64>,
    frontiers: BTreeMap<u64, i64>,
    events: Vec<Accepted>,
}

impl Naive {
    /// Frontiers are those of the accepted events by today's event time.
    fn turn_to(&mut self, time: &str) {
        self.frontiers.clear();
        for event in &self.events {
            if let Some(at) = event.time(time) {
                let frontier = self.frontiers.entry(event.partition).or_insert(at);
                *frontier = at.max(*frontier);
            }
        }
    }

    fn read_on(&mut self, project: &Project, by: &Definitions) {
        let read = project.run(&["topics", "read", "ev", "--from", "start", "--output", "ndjson"]).ok();
        for record in read_ndjson(&read.stdout) {
            let (partition, offset) = (record["partition"].as_u64().expect("a partition"), record["offset"].as_u64().expect("an offset"));
            let next = self.read.entry(partition).or_default();
            if offset >= *next {
                *next = offset + 1;
                self.judge(partition, &record["value"], by);
            }
        }
    }

    fn judge(&mut self, partition: u64, cells: &Json, by: &Definitions) {
        let Some(at) = time(cells, by.time) else { return };
        let dedup = by.dedup.as_ref();
        let is_same = |event: &Accepted, dedup: &Dedup| {
            let near = event.time(by.time).is_some_and(|time| time.abs_diff(at) <= dedup.within.unsigned_abs());
            let id = event.cells["id"] == cells["id"] && (!dedup.by_key_too || event.cells["k"] == cells["k"]);
            event.partition == partition && !event.is_retracted && near && id
        };
        if let Some(dedup) = dedup.filter(|dedup| dedup.deletes && cells["d"] == true) {
            let same = self.events.iter_mut().filter(|event| is_same(event, dedup));
            let nearest = same.min_by_key(|event| event.time(by.time).map(|time| (time.abs_diff(at), time)));
            let keys: &[&str] = if by.of_shops { &["k", "s"] } else { &["k"] };
            if let Some(event) = nearest.filter(|event| keys.iter().all(|key| event.cells[key] == cells[key])) {
                event.is_retracted = true;
            }
            return;
        }
        let is_late = self.frontiers.get(&partition).is_some_and(|frontier| at < frontier - by.lateness);
        let is_expected = by.expect.is_none_or(|most| cells["x"].as_f64().is_some_and(|x| x < most as f64));
        if is_late || !is_expected || dedup.is_some_and(|dedup| self.events.iter().any(|event| is_same(event, dedup))) {
            return;
        }
        let frontier = self.frontiers.entry(partition).or_insert(at);
        *frontier = at.max(*frontier);
        let mut cells = cells.clone();
        if !by.has_y {
            cells["y"] = Json::Null;
        }
        self.events.push(Accepted { partition, cells, is_retracted: false });
    }
}

fn run(chance: &mut Chance) {
    let mut definitions = Definitions::first(chance);
    let project = Project::new(&definitions.text("ev", false));
    let mut naive = Naive::default();
    let (mut sent, mut history): (Vec<Json>, Vec<String>) = (Vec::new(), Vec::new());
    for step in 0..STEPS {
        if step > 0 {
            let before = definitions.time;
            definitions.change(chance);
            if definitions.time != before {
                naive.turn_to(definitions.time);
            }
            refuses_another_topic(chance, &project, &definitions);
        }
        let text = definitions.text("ev", false);
        history.push(text.clone());
        project.write("features/test.bay", &text);
        assert!(project.run(&["plan"]).code.is_some_and(|code| code == 0 || code == 2), "{text}");
        let _ = project.run(&["apply"]).ok();

        let now = START + step as i64 * 4 * DAY;
        let mut records: Vec<Json> = (0..RECORDS).map(|n| record(chance, (sent.len() + n) as i64, now)).collect();
        // Some come again, under another key for one in four, and some are taken back.
        for _ in 0..RECORDS / 2 {
            let of = if sent.is_empty() || chance.once_in(2) { &records } else { &sent };
            let mut again = chance.pick(of).clone();
            if chance.once_in(4) {
                again["k"] = json!(chance.between(1, KEYS));
            }
            again["d"] = json!(chance.once_in(2));
            records.push(again);
        }
        chance.shuffle(&mut records);
        if chance.once_in(2) {
            let _ = project.push("ev", &records).ok();
            project.catch_up();
        } else {
            // Everything is in, and nothing need be in Parquet or in rows.
            let server = project.serve();
            let receipt = server.push("ev", &records);
            let keys = json!({"keys": [], "after": receipt["positions"]});
            assert!(server.lookup("v", &keys).is_empty());
            server.kill();
        }
        sent.extend(records);
        naive.read_on(&project, &definitions);
        let verified = project.run(&["verify", "--samples", "40", "--seed", &step.to_string()]);
        let is_empty = verified.code == Some(1) && verified.stderr.contains("no logged event");
        assert!(verified.code == Some(0) || is_empty, "{}\n{}\n{}", history.join("\n"), verified.stdout, verified.stderr);
    }
    equals_a_fresh_folder(&project, &definitions, &naive, &history);
}

fn refuses_another_topic(chance: &mut Chance, project: &Project, definitions: &Definitions) {
    if chance.once_in(3) {
        project.write("features/test.bay", definitions.text("elsewhere", false));
        let refused = project.run(&["apply"]);
        assert!(refused.code == Some(1) && refused.stderr.contains("give the source a new name"), "{refused:?}");
    }
}

fn equals_a_fresh_folder(project: &Project, definitions: &Definitions, naive: &Naive, history: &[String]) {
    let fresh = Project::new(&definitions.text("ev", true));
    let living: Vec<Json> = naive.events.iter().filter(|event| !event.is_retracted).map(|event| event.cells.clone()).collect();
    let _ = fresh.push("ev", &living).ok();
    fresh.catch_up();
    let times: Vec<i64> = (0..24).map(|n| START - 4 * DAY + n * 3 * DAY + n * 7 * HOUR).chain([LATER]).collect();
    let row = |key: i64, q: i64| json!({"k": key, "s": if key % 2 == 0 { "a" } else { "b" }, "q": rfc3339(q)});
    let spine: Vec<Json> = (0..=KEYS).flat_map(|key| times.iter().map(move |q| row(key, *q))).collect();
    let offline = |project: &Project| {
        project.write("spine.ndjson", ndjson(&spine));
        let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]).ok();
        read_ndjson(&project.read("set.ndjson"))
    };
    let online = |project: &Project, row: &Json| {
        let mut arguments = vec!["lookup".to_owned(), "v".to_owned(), format!("k={}", row["k"])];
        arguments.extend(definitions.of_shops.then(|| format!("s={}", row["s"].as_str().expect("a text"))));
        arguments.extend(["--as-of", row["q"].as_str().expect("a time"), "--output", "json"].map(str::to_owned));
        rows(&read_json(&project.run(&arguments).ok().stdout))[0].clone()
    };
    let told = |about: &Json| format!("{about}\n{}\nliving: {}", history.join("\n"), ndjson(&living));
    let (changed, expected) = (offline(project), offline(&fresh));
    for (changed, expected) in changed.iter().zip(&expected) {
        assert_eq!(changed, expected, "{}", told(expected));
    }
    assert_eq!(changed.len(), expected.len());
    let last = rfc3339(LATER);
    for (asked, expected) in spine.iter().zip(&expected).filter(|(asked, _)| asked["q"] == last.as_str()) {
        let names: HashSet<&String> =
            expected.as_object().expect("a row").keys().filter(|name| asked.get(name.as_str()).is_none()).collect();
        for (name, value) in online(project, asked).as_object().expect("a row") {
            assert_eq!(Some(value), expected.get(name).or(Some(&Json::Null)), "online {name}: {}", told(expected));
            assert!(names.contains(name) || value.is_null(), "{name}");
        }
    }
    println!("changed definitions, values: {}", expected.len() * (definitions.features.len() + 2 * usize::from(definitions.of_shops)));
}
