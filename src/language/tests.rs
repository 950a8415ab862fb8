//! The language as a whole: text in, plan or diagnostics out.

use std::path::Path;

mod lengths;
mod together;
mod unnest;

use super::{Compiled, SourceFile, compile, format, render};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{ColumnSource, Element, ModelSignature, Origin, Plan, Tensor, WindowBounds, diff};
use crate::time::Span;
use crate::value::Value;

const FRAUD: &str = "
source payments (
  payment_id text, user_id bigint, merchant_id text, category text, amount double, status text, event_time timestamp
)
from kafka topic 'payments' format json
event time event_time
lateness '10 minutes' history '40 days'
dedup by payment_id within '1 day'
expect amount >= 0 and status in ('approved', 'declined') else quarantine;

entity user     (user_id bigint);
entity merchant (merchant_id text);

features user_payments of user from payments (
  txn_count     = count(*)                          over 10m, 1h, 1d, 30d,   -- four features
  spend         = sum(amount) default 0             over 1h, 7d,
  declined      = count(*) where status = 'declined' over 1h,
  last_amounts  = last_n(amount, 5)                 over all,
);

features merchant_payments of merchant from payments (
  txn_count = count(*) over 1h,
  chargeback_rate = avg(case when status = 'declined' then 1.0 else 0.0 end) over 7d,
);

-- what a model sees, in order; request columns come from the caller or from the event that is scored
vector fraud_v1 on payments (
  user_payments.*,
  merchant_txn_count_1h = merchant_payments.txn_count_1h,
  amount,
  decline_rate = user_payments.declined_1h::double / nullif(user_payments.txn_count_1h, 0) default 0,
  night = extract(hour from event_time) < 6,
);
";

const FLIGHTS: &str = "
source flights (flight_id bigint, event_time timestamp, origin text, destination text, distance bigint, delay bigint)
from log 'flights' partitions 4 by origin format json event time event_time history '120 days';
entity airport (airport text);
features departures of airport by origin from flights (
  flights = count(*) over 3h, 1d offset 6h, 1d before as yesterday, 1d open excluding current as others,
  delay = avg(delay) over 7d offset 6h,
);
vector delay_v1 on flights (
  departures.*,
  departures.* for airport = destination as destination_*,
  distance,
  busier = departures.flights_3h > 10 for airport = destination,
);
";

const STREAMS: &str = "
source payments (user_id bigint, receiver_id bigint, amount double, status text, event_time timestamp)
from log 'payments' event time event_time;
source refunds (id bigint, user_id bigint, amount double, at timestamp) from log 'refunds' event time at;
stream large as SELECT * from movements where moved and case when amount > 10.0 then true else false end;
stream movements as
  select user_id, amount, extract(hour from event_time) as hour, amount is distinct from 0.0 as moved, event_time -- approved ones
  from payments where status = 'approved' union all
  -- given back
  select user_id, -amount, 0 , true, at from refunds;
entity user (user_id bigint);
features moves of user from large ( balance = sum(amount) over 1h, n = count(*) where hour < 6 over 1d );
vector v on payments ( moves.*, their_n = moves.n_1d for user = receiver_id, amount );
";

fn no_model(path: &Path) -> Result<ModelSignature> {
    Err(Error::not_found(format!("no model {}", path.display())))
}

fn file(text: &str) -> SourceFile {
    SourceFile { path: "test.bay".into(), text: text.to_owned() }
}

fn compiled(text: &str) -> Compiled {
    compile(&[file(text)], &no_model)
}

fn plan(text: &str) -> Plan {
    let compiled = compiled(text);
    match compiled.plan {
        Some(plan) => plan,
        None => panic!("{}", render(&compiled.diagnostics, &[file(text)], false)),
    }
}

fn codes(text: &str) -> Vec<&'static str> {
    compiled(text).diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect()
}

#[test]
fn the_payments_example_becomes_a_plan() {
    let plan = plan(FRAUD);
    let source = &plan.sources[0];
    assert_eq!(source.origin, Origin::kafka("payments"));
    assert_eq!((source.event_time, source.lateness, source.history), (6, Span(600_000_000), Span(40 * Span::DAY.0)));
    let names: Vec<_> = plan.views[0].features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(
        names,
        ["txn_count_10m", "txn_count_1h", "txn_count_1d", "txn_count_30d", "spend_1h", "spend_7d", "declined_1h", "last_amounts"]
    );
    assert_eq!(plan.views[0].folds.len(), 4);
    assert_eq!(plan.views[0].features[4].default, Some(Value::Float(0.0)));
    let vector = &plan.vectors[0];
    assert_eq!(vector.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["user_id", "merchant_id"]);
    assert_eq!(vector.columns.len(), 12);
    assert_eq!(vector.columns[8].name, "merchant_txn_count_1h");
    assert_eq!(
        vector.request.iter().map(|column| (column.field.name.as_str(), column.is_event_time)).collect::<Vec<_>>(),
        [("amount", false), ("event_time", true)]
    );
    assert!(matches!(vector.columns[10].from, ColumnSource::Derived(_)));
    assert_eq!(vector.columns[10].default, Some(Value::Float(0.0)));
}

#[test]
fn one_view_serves_two_roles() {
    let plan = plan(FLIGHTS);
    let vector = &plan.vectors[0];
    assert_eq!(vector.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["origin", "destination"]);
    assert_eq!(vector.key_columns, [2, 3]);
    assert_eq!(vector.reads.len(), 2);
    let names: Vec<_> = vector.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names[..5], ["flights_3h", "flights_1d_offset_6h", "yesterday", "others", "delay_7d_offset_6h"]);
    assert_eq!(names[5], "destination_flights_3h");
    assert_eq!(names[10..], ["distance", "busier"]);
    let window = &plan.views[0].features[3].window;
    assert!(window.excluding_current && matches!(window.frame, WindowBounds::Range { open: true, .. }));
}

#[test]
fn every_window_is_written_and_named() {
    let text = "source s (id bigint, t timestamp) from log 's' format json event time t;
entity e (id bigint);
features f of e from s ttl '90 Days' (
  n = count(*) over ALL, 1h   OPEN as a, 30d HOP 1h Before, DAY IN 'Europe/Berlin' Offset 1D, Week, SESSION 30m LIMIT 5 Row,
    10 ROWS Excluding Current, 1 Row as Newest, 2h limit 3 rows, LAST Month In 'Europe/Berlin', Yesterday Limit 2 rows
);";
    let once = format(&file(text)).unwrap();
    assert!(
        once.contains(
            "ttl '90 Days' (\n  n = count(*) over all, 1h open as a, 30d hop 1h before, day in 'Europe/Berlin' offset 1d, week, \
             session 30m limit 5 row, 10 rows excluding current, 1 row as Newest, 2h limit 3 rows, last month in 'Europe/Berlin', yesterday limit 2 rows"
        ),
        "{once}"
    );
    assert_eq!(format(&file(&once)).unwrap(), once);
    let plan = plan(&once);
    let features = &plan.views[0].features;
    let names: Vec<_> = features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(
        names,
        ["n", "a", "n_30d", "n_day_offset_1d", "n_week", "n_session_30m", "n_10rows", "Newest", "n_2h", "n_last_month", "n_yesterday"]
    );
    let windows: Vec<_> = features.iter().map(|feature| feature.window.to_string()).collect();
    assert_eq!(
        windows,
        [
            "all",
            "1h open",
            "30d hop 1h before",
            "day in 'Europe/Berlin' offset 1d",
            "week",
            "session 30m limit 5 rows",
            "10 rows excluding current",
            "1 rows",
            "2h limit 3 rows",
            "last month in 'Europe/Berlin'",
            "last day limit 2 rows"
        ]
    );
    assert_eq!(plan.views[0].ttl, Some(Span(90 * Span::DAY.0)));
}

#[test]
fn formatting_keeps_meaning_and_comments_and_is_idempotent() {
    for text in [FRAUD, FLIGHTS, STREAMS] {
        let once = format(&file(text)).unwrap();
        assert_eq!(format(&file(&once)).unwrap(), once);
        assert_eq!(text.matches("--").count(), once.matches("--").count());
        assert!(diff(&plan(text), &plan(&once)).is_empty(), "{once}");
    }
}

#[test]
fn every_problem_is_reported_and_each_name_once() {
    let text = "
source s (id bigint, t timestamp, x double) from log 's' format json event time t;
entity e (id bigint);
features f of e from s (
  a = sum(y) over 1h,
  b = sum(y + z) over 1h,
  c = sum(x) over 0m,
  d = sum(x) where x over 1h,
);
vector v on s (f.a_1h, f.q, x);
vector w on nowhere (x);
";
    assert_eq!(codes(text), ["FB0106", "FB0106", "FB0501", "FB0202", "FB0102"]);
}

/// The same tokens with other blanks and with comments between them, chosen by a seed.
fn relaid(text: &str, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut choose = |count: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % count
    };
    let lexed = super::parse::lexed(0, &file(text));
    let mut out = String::new();
    let mut end = 0;
    for (index, token) in lexed.tokens.iter().enumerate() {
        if token.at.start > end || index == 0 {
            match choose(12) {
                0 => out.push_str(&format!(" -- comment {index}\n")),
                1 => out.push_str(&format!(" /* comment {index} */ ")),
                2 => out.push_str("\n\n\n"),
                3 => out.push_str(&format!("\n-- comment {index}\n\n")),
                4..=6 => out.push('\n'),
                _ => out.push_str("  "),
            }
        }
        out.push_str(&text[token.at.start..token.at.end]);
        end = token.at.end;
    }
    out.push('\n');
    out
}

#[test]
fn formatting_any_layout_is_idempotent_and_keeps_every_comment() {
    for seed in 0..200 {
        let text = relaid([FRAUD, FLIGHTS, STREAMS][seed as usize % 3], seed);
        let once = format(&file(&text)).unwrap_or_else(|problems| panic!("{text}\n{}", render(&problems, &[file(&text)], false)));
        assert_eq!(format(&file(&once)).unwrap(), once, "{text}");
        assert_eq!(text.matches("comment ").count(), once.matches("comment ").count(), "{text}\n=>\n{once}");
        if seed < 6 {
            assert!(diff(&plan(&text), &plan(&once)).is_empty(), "{text}\n=>\n{once}");
        }
    }
}

const MAPS: &str = "
source s (id bigint, name text, x double, t timestamp) from log 's' format json event time t;
entity e (id bigint);
features f of e from s (
  spend = sum(x) by name limit 8 over 1h, 1d,
);
";

#[test]
fn maps_are_written_in_one_way() {
    let written = "spend = sum( x ) over 1h,1d   BY  upper(name)  limit 8 BY value where x>0";
    let once = format(&file(&MAPS.replace("spend = sum(x) by name limit 8 over 1h, 1d", written))).unwrap();
    assert!(once.contains("spend = sum(x) where x > 0 by upper(name) limit 8 by value over 1h, 1d,"), "{once}");
    assert_eq!(format(&file(&once)).unwrap(), once);
    let feature = &plan(&once).views[0].features[1];
    assert_eq!((feature.name.as_str(), feature.data_type.to_string().as_str()), ("spend_1d", "map of double"));
    assert_eq!((feature.keep.limit, feature.keep.by_value), (8, true));
}

#[test]
fn a_limit_is_part_of_a_feature_and_not_of_its_state() {
    let base = plan(MAPS);
    for other in ["by name over", "by name limit 8 by value over"] {
        let difference = diff(&base, &plan(&MAPS.replace("by name limit 8 over", other)));
        assert_eq!(difference.features_changed, ["f.spend_1d", "f.spend_1h"], "{other}");
        assert_eq!(difference.views_reused, ["f"], "{other}");
    }
    let same = plan(&MAPS.replace("by name limit 8 over", "by name over")).views[0].features[0].id;
    assert_eq!(plan(&MAPS.replace("by name limit 8 over", "by name limit 32 over")).views[0].features[0].id, same);
    for other in ["sum(x) by upper(name) limit 8 over", "avg(x) by name limit 8 over"] {
        let difference = diff(&base, &plan(&MAPS.replace("sum(x) by name limit 8 over", other)));
        assert_eq!(difference.views_rebuilt, ["f"], "{other}");
    }
}

#[test]
fn what_cannot_be_a_map_is_refused() {
    let with = |feature: &str| codes(&MAPS.replace("spend = sum(x) by name limit 8 over 1h, 1d", feature));
    assert_eq!(with("spend = sum(x) by x over 1h"), ["FB0503"]);
    assert_eq!(with("spend = last_n(x, 3) by name over 1h"), ["FB0503"]);
    assert_eq!(with("spend = sum(x) by name"), ["FB0515"]);
    assert_eq!(with("spend = sum(x) by name over 1h default 0"), ["FB0207"]);
    assert_eq!(with("spend = sum(x) by name limit many over 1h"), ["FB0003"]);
    assert_eq!(with("spend = sum(x) by name limit 3 by events over 1h"), ["FB0003"]);
    assert_eq!(with("spend = sum(x) by over 1h"), ["FB0003"]);
    assert_eq!(with("spend = sum(x) by name limit 1.5 over 1h"), ["FB0520"]);
    assert_eq!(with("spend = sum(x) by nobody over 1h"), ["FB0106"]);
    let model = format!("{MAPS}vector v on s (f.spend_1h, x); model m from 'm.onnx' takes v;");
    let signature = |_: &Path| {
        let tensor = Tensor { name: "in".to_owned(), element: Element::Float32, shape: vec![None, None] };
        Ok(ModelSignature { inputs: vec![tensor.clone()], outputs: vec![tensor] })
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), "stands for a model").unwrap();
    let compiled = compile(&[SourceFile { path: folder.path().join("test.bay"), text: model }], &signature);
    let [problem] = compiled.diagnostics.as_slice() else { panic!("{:?}", compiled.diagnostics) };
    assert_eq!(
        (problem.code.id, problem.message.as_str()),
        ("FB0705", "the model does not take this vector: column `spend_1h` is map of double, which the float tensor `in` cannot hold")
    );
}

#[test]
fn a_model_takes_times_as_numbers() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.onnx"), "stands for a model").unwrap();
    for (element, shape, problems) in [
        (Element::Float32, vec![None, Some(1)], 0),
        (Element::Float64, vec![None], 0),
        (Element::Int64, vec![None], 0),
        (Element::Int32, vec![None], 1),
        (Element::Text, vec![None], 1),
    ] {
        let signature = |_: &Path| {
            let tensor = Tensor { name: "at".to_owned(), element, shape: shape.clone() };
            Ok(ModelSignature { inputs: vec![tensor.clone()], outputs: vec![tensor] })
        };
        let text = "source s (t timestamp) from log 's' format json event time t; vector v on s (at = t); model m from 'm.onnx' takes v;";
        let compiled = compile(&[SourceFile { path: folder.path().join("test.bay"), text: text.to_owned() }], &signature);
        assert_eq!(compiled.diagnostics.len(), problems, "{element:?}: {:?}", compiled.diagnostics);
    }
}

#[test]
fn identities_are_of_meaning() {
    let base = plan(FRAUD);
    let ids = |plan: &Plan| plan.views[0].features.iter().map(|feature| feature.id).collect::<Vec<_>>();
    let renamed = plan(&FRAUD.replace("declined      =", "refused =").replace("user_payments.declined_1h", "user_payments.refused_1h"));
    assert_eq!(ids(&base), ids(&renamed));
    let difference = diff(&base, &renamed);
    assert_eq!(difference.features_renamed, [("user_payments.declined_1h".to_owned(), "user_payments.refused_1h".to_owned())]);
    assert_eq!(difference.views_reused, ["merchant_payments", "user_payments"]);

    let wider = plan(&FRAUD.replace("over 1h, 7d,", "over 1h, 2d,"));
    let difference = diff(&base, &wider);
    assert_eq!(
        (difference.features_added.as_slice(), difference.features_removed.as_slice()),
        (["user_payments.spend_2d".to_owned()].as_slice(), ["user_payments.spend_7d".to_owned()].as_slice())
    );
    assert_eq!(difference.views_reused.len(), 2);

    let other = plan(&FRAUD.replace("where status = 'declined' over 1h", "where status <> 'approved' over 1h"));
    let difference = diff(&base, &other);
    assert_eq!(difference.features_changed, ["user_payments.declined_1h"]);
    assert_eq!(difference.views_rebuilt, ["user_payments"]);
    assert!(difference.to_string().contains("~ feature user_payments.declined_1h"));
    assert!(diff(&base, &base).is_empty());
}

#[test]
fn streams_are_flattened_into_branches() {
    let plan = plan(STREAMS);
    let rows = &plan.views[0].rows;
    assert_eq!(
        rows.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(),
        ["user_id", "amount", "hour", "moved", "event_time"]
    );
    assert_eq!((rows.event_time, rows.name.as_str(), rows.as_source()), (4, "large", None));
    let branches: Vec<_> = rows.branches.iter().map(|branch| (branch.source, branch.steps.len())).collect();
    assert_eq!(branches, [(0, 2), (1, 2)]);
    assert_eq!(plan.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(), ["movements", "large"]);
    assert_eq!(plan.vectors[0].keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["user_id", "receiver_id"]);
}

#[test]
fn a_streams_identity_is_its_meaning() {
    let base = plan(STREAMS);
    let same = [("movements", "moved"), ("select user_id, amount,", "select payments.user_id as user_id, amount as amount,")];
    for (from, to) in same {
        let mut difference = diff(&base, &plan(&STREAMS.replace(from, to)));
        let renamed = std::mem::take(&mut difference.streams_renamed);
        let expected = if from == "movements" { vec![(from.to_owned(), to.to_owned())] } else { Vec::new() };
        assert!(difference.is_empty() && renamed == expected, "{from} as {to}: {difference}");
    }
    let other = [
        ("-amount", "amount"),
        ("'approved'", "'declined'"),
        ("10.0", "11.0"),
        (" 0 , true", " 1 , true"),
        ("from log 'refunds'", "from log 'r'"),
    ];
    for (from, to) in other {
        assert_eq!(diff(&base, &plan(&STREAMS.replace(from, to))).views_rebuilt, ["moves"], "{from} as {to}");
    }
}

const TABLES: &str = "
source payments (user_id bigint, receiver_id bigint, bank text, amount double, event_time timestamp)
from log 'payments' event time event_time;
table users (user_id bigint, country text, vip boolean, updated timestamp)
  time updated  from parquet '.' KEY user_id;
table accounts (bank text, user_id bigint, opened timestamp, since timestamp) from parquet '.' key user_id, bank time since;
entity user (user_id bigint);
stream moves as select user_id, country, updated from users where vip;
features changes of user from moves ( n = count(*) over 1h );
vector v on payments ( users.*, their = users.country for user_id = receiver_id, accounts.opened, changes.n_1h, amount );
";

#[test]
fn a_table_is_a_source_and_a_view_of_its_attributes() {
    let plan = plan(TABLES);
    let table = &plan.sources[1];
    assert_eq!((table.topic(), table.event_time, table.lateness, table.history), ("users", 3, Span::MAX, Span::MAX));
    assert_eq!(table.expects.iter().map(|expect| expect.condition.text.as_ref()).collect::<Vec<_>>(), ["user_id IS NOT NULL"]);
    let view = &plan.views[0];
    let features: Vec<_> = view.features.iter().map(|feature| (feature.name.as_str(), feature.window.frame == WindowBounds::All)).collect();
    assert_eq!((view.name.as_str(), features, view.rows.as_source()), ("users", vec![("country", true), ("vip", true)], Some(1)));
    assert!(view.folds.iter().all(|fold| fold.aggregate.text() == "latest"));
    assert_eq!(plan.views[1].key_columns, [1, 0]);
    let names: Vec<_> = plan.vectors[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["country", "vip", "their", "opened", "n_1h", "amount"]);
    assert_eq!(plan.vectors[0].keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["user_id", "receiver_id", "bank"]);
}

#[test]
fn names_that_sql_calls_without_brackets_are_names() {
    let text = TABLES.replace("users", "user").replace("amount", "current_user");
    let plan = plan(&text);
    let names: Vec<_> = plan.vectors[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["country", "vip", "their", "opened", "n_1h", "current_user"]);
    assert_eq!(codes(&TABLES.replace("amount );", "own = current_date );")), ["FB0301"]);
}

#[test]
fn a_tables_path_is_no_part_of_its_meaning_and_its_columns_are() {
    let base = plan(TABLES);
    let moved = diff(&base, &plan(&TABLES.replacen("parquet '.'", "parquet '../language'", 1)));
    assert_eq!((moved.clauses_changed.len(), moved.clauses_changed[0].clause.as_str(), moved.views_reused.len()), (1, "path", 3));
    assert!(moved.features_changed.is_empty() && moved.vectors_changed.is_empty(), "{moved}");
    let other = diff(&base, &plan(&TABLES.replace("vip boolean, updated", "vip boolean, age bigint, updated")));
    assert_eq!((other.features_added, other.views_rebuilt), (vec!["users.age".to_owned()], vec!["users".to_owned()]));
    let other = diff(&base, &plan(&TABLES.replace("key user_id, bank", "key bank, user_id")));
    assert_eq!(other.views_rebuilt, ["accounts"]);
    let other = diff(&base, &plan(&TABLES.replace("opened timestamp", "opened text")));
    assert_eq!((other.features_changed.as_slice(), other.clauses_changed.len()), (&["accounts.opened".to_owned()][..], 1));
    let said = "~ table accounts: column opened was timestamp and is text (its files are taken in again";
    assert!(other.to_string().contains(said), "{other}");
    let unread = diff(&base, &plan(&TABLES.replace("bank text, amount", "bank bigint, amount").replace("accounts.opened, ", "")));
    assert!(unread.to_string().contains("~ source payments: column bank was text and is bigint\n"), "{unread}");
    let text = format(&file(TABLES)).unwrap();
    assert_eq!(format(&file(&text)).unwrap(), text);
    assert!(diff(&base, &plan(&text)).is_empty());
}

#[test]
fn what_is_wrong_with_a_table_is_said_once() {
    let of = |from: &str, to: &str| {
        assert!(TABLES.contains(from), "{from}");
        codes(&TABLES.replacen(from, to, 1))
    };
    assert_eq!(of("  time updated ", ""), ["FB0008"]);
    assert_eq!(of(" KEY user_id", ""), ["FB0008"]);
    assert_eq!(of("from parquet '.'", ""), ["FB0008"]);
    assert_eq!(of("time updated ", "time updated time updated"), ["FB0007"]);
    assert_eq!(of("time updated ", "time vip"), ["FB0401"]);
    assert_eq!(of("time updated ", "time updatde"), ["FB0106"]);
    assert_eq!(of("KEY user_id", "KEY usr_id"), ["FB0106"]);
    assert_eq!(of("KEY user_id", "KEY user_id, user_id"), ["FB0110"]);
    assert_eq!(of("KEY user_id", "KEY user_id, updated"), ["FB0409"]);
    assert_eq!(of("country text,", "country string,"), ["FB0201"]);
    assert_eq!(of("country text,", "country text[],"), ["FB0503"]);
    assert_eq!(of("from parquet '.'", "from csv '.'"), ["FB0404"]);
    assert_eq!(of("from parquet '.'", "from '.'"), ["FB0003"]);
    assert_eq!(of("from parquet '.'", "from parquet ' '"), ["FB0410"]);
    assert_eq!(of("from parquet '.'", "from parquet 'gs://bucket/users'"), ["FB0915"]);
    assert_eq!(of("from parquet '.'", "from parquet 'not/there'"), ["FB0410"]);
    assert_eq!(of("users.country for", "users.contry for"), ["FB0107"]);
    assert_eq!(of("vector v on", "features users of user from moves (m = count(*) over 1h); vector v on"), ["FB0101"]);
    assert_eq!(of("from log 'payments'", "from log 'users'"), ["FB0411"]);
    assert_eq!(of("entity user", "table \"a/b\" (k bigint, x text, t timestamp) from parquet '.' key k time t; entity user"), ["FB0405"]);
}

const DERIVED: &str = "
source s (id bigint, x double, t timestamp) from log 's' format json event time t;
entity e (id bigint);
features f of e from s (
  ratio = spend_1h / nullif(n_1h, 0)::double default 0,
  doubled = ratio * 2,
  spend = sum(x) over 1h,
  n = count(*) over 1h,
);
vector v on s (f.doubled, more = f.ratio + x);
";

#[test]
fn a_derived_feature_is_one_of_its_view_and_has_no_state() {
    let plan = plan(DERIVED);
    let view = &plan.views[0];
    let names: Vec<_> = view.declared.iter().map(|feature| view.name_of(*feature)).collect();
    assert_eq!(names, ["ratio", "doubled", "spend_1h", "n_1h"]);
    assert_eq!((view.features.len(), view.folds.len(), view.derived.len()), (2, 2, 2));
    assert_eq!(plan.vectors[0].reads[0].features, [0, 1], "what it reads is what they are computed from");
    let texts = plan.vectors[0].columns.iter().map(|column| match &column.from {
        ColumnSource::Derived(expression) => expression.text.to_string(),
        ColumnSource::Frame(_) => String::new(),
    });
    let texts: Vec<_> = texts.collect();
    let ratio = "(\"f.spend_1h\" / nullif(\"f.n_1h\", 0)::DOUBLE default 0.0)";
    assert_eq!(texts, [format!("{ratio} * 2"), format!("{ratio} + x")]);
}

#[test]
fn tables_and_derived_features_stand_side_by_side() {
    let table = "table names (id bigint, name text, since timestamp) from parquet '.' key id time since;";
    let texts = |text: &str| {
        let of = |column: &crate::plan::VectorColumn| match &column.from {
            ColumnSource::Derived(expression) => expression.text.to_string(),
            ColumnSource::Frame(_) => String::new(),
        };
        plan(text).vectors[0].columns.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(texts(&format!("{table}{DERIVED}")), texts(DERIVED));
}

#[test]
fn the_identity_of_a_derived_feature_is_of_what_it_reads() {
    let ids = |text: &str| {
        let plan = plan(text);
        let view = &plan.views[0];
        ["ratio", "doubled"].map(|name| view.id_of(view.find(name).unwrap()))
    };
    let before = ids(DERIVED);
    let renamed = DERIVED.replace("n_1h", "number_1h").replace("n = count", "number = count");
    assert_eq!(ids(&renamed), before);
    for other in
        [DERIVED.replace("default 0", "default 1"), DERIVED.replace("sum(x)", "max(x)"), DERIVED.replace("spend_1h /", "1 - spend_1h /")]
    {
        let after = ids(&other);
        assert!(after[0] != before[0] && after[1] != before[1], "{other}");
    }
}

#[test]
fn lists_and_structs_stand_only_where_they_can() {
    let base = "source s (id bigint, xs double[], x double, t timestamp) from log 's' event time t; entity e (id bigint);";
    let found = |feature: &str| codes(&format!("{base} features f of e from s ({feature}); vector v on s (f.*, xs);"));
    let sound = [
        "a = vector_sum(xs) over 1h",
        "a = vector_avg(case when x > 0 then xs end)",
        "a = sum(xs[1] * x)",
        "a = count(*) where array_length(xs) = 3 by array_length(xs) over 1h",
        "a = collect(struct(x), 1)",
        "a = collect(struct(x, xs[1] as first, s.t), 1000) where x > 0 over 1h, 3 rows, session 30m, all as ever",
    ];
    for feature in sound {
        assert_eq!(found(feature), [""; 0], "{feature}");
    }
    for (feature, code) in [
        ("a = sum(xs)", "FB0503"),
        ("a = last(xs)", "FB0503"),
        ("a = vector_sum(x)", "FB0503"),
        ("a = sum(x) by xs over 1h", "FB0503"),
        ("a = vector_sum(xs) by id over 1h", "FB0503"),
        ("a = vector_sum(xs) default 0", "FB0207"),
        ("a = collect(x, 3)", "FB0502"),
        ("a = collect(struct(x))", "FB0502"),
        ("a = collect(*)", "FB0502"),
        ("a = collect(struct(x), 3, 4)", "FB0502"),
        ("a = collect(struct(x), x)", "FB0208"),
        ("a = collect(struct(x), 0)", "FB0503"),
        ("a = collect(struct(x, 2 * x as x), 3)", "FB0503"),
        ("a = collect(struct(xs), 3)", "FB0503"),
        ("a = collect(struct(2 * x), 3)", "FB0603"),
        ("a = collect(struct(y), 3)", "FB0106"),
        ("a = collect(struct(x), 3) by id over 1h", "FB0503"),
        ("a = last(struct(x))", "FB0210"),
    ] {
        assert_eq!(found(feature), [code], "{feature}");
    }
    let blamed = |call: &str| {
        let text = format!("{base} features f of e from s (a = last_n(x, 3), b = {call});");
        let said = render(&compiled(&text).diagnostics, &[file(&text)], false);
        assert!(said.starts_with("FB0206"), "{call}: {said}");
        said.contains("take one value of it: `a[1]`")
    };
    assert!(blamed("abs(a)") && blamed("coalesce(a, 0)"));
    // It takes lists, and something else is wrong.
    assert_eq!(found("a = last_n(x, 3), b = array_append(a, struct(1))"), ["FB0210"]);
}
