//! Times in expressions: far ones are times as all others, what is none is refused where it is written, and what clocks
//! show is what Python's time zones say.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use forebay::language::{SourceFile, compile};
use forebay::plan::{ColumnSource, Plan};
use forebay_integration::answers::read_json;
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, python};

const SOURCE: &str = "source s (n bigint, x double, name text, t timestamp, until timestamp) from log 's' event time t lateness '1 day';
entity e (n bigint);\n";

fn codes(text: &str) -> Vec<&'static str> {
    let files = [SourceFile { path: "test.bay".into(), text: format!("{SOURCE}{text}") }];
    let compiled = compile(&files, &|_| Err(forebay::Error::input("no model")));
    compiled.diagnostics.iter().map(|problem| problem.code.id).collect()
}

fn plan(text: &str) -> Plan {
    let files = [SourceFile { path: "test.bay".into(), text: format!("{SOURCE}{text}") }];
    let compiled = compile(&files, &|_| Err(forebay::Error::input("no model")));
    compiled.plan.unwrap_or_else(|| panic!("{text}: {:?}", compiled.diagnostics))
}

fn micros(time: &str) -> i64 {
    forebay::EventTime::parse(time).expect("a time").0
}

/// The values of an expression for rows of `t` and `until`; `n` counts them, `x` is null and `name` is `until` as a text.
fn values(expression: &str, rows: &[(i64, i64)]) -> Vec<Option<String>> {
    // All columns are request columns in the order of the source.
    let plan = plan(&format!("vector v on s (n, x, name, t, until, value = {expression});"));
    let texts = rows.iter().map(|row| forebay::EventTime(row.1).to_string());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)),
        Arc::new(Float64Array::from(vec![None; rows.len()])),
        Arc::new(StringArray::from_iter_values(texts)),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1))),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&plan.sources[0].schema), columns).expect("columns of the schema");
    let ColumnSource::Derived(derived) = &plan.vectors[0].columns[5].from else { panic!("not derived") };
    let array = derived.evaluate(&batch).expect("values");
    (0..rows.len()).map(|row| array.is_valid(row).then(|| array_value_to_string(&array, row).expect("a text"))).collect()
}

#[test]
fn times_of_all_years_are_times() {
    let rows =
        [(micros("2024-06-01"), micros("9999-12-31")), (micros("1500-02-03T04:05:06.000007Z"), micros("2024-12-31T23:59:59.999999Z"))];
    let of = |expression: &str| {
        values(expression, &rows).into_iter().map(|value| value.unwrap_or_else(|| "null".to_owned())).collect::<Vec<_>>()
    };
    for (expression, wanted) in [
        ("until = '9999-12-31'", ["true", "false"]),
        ("until > '2300-01-01'", ["true", "false"]),
        ("until > timestamp '2300-01-01 00:00:00'", ["true", "false"]),
        ("until > date '2300-01-01'", ["true", "false"]),
        ("t < '3000-01-01'", ["true", "true"]),
        ("not (t >= '3000-01-01')", ["true", "true"]),
        ("t < '1600-01-01'", ["false", "true"]),
        ("t between '2000-01-01' and '9999-12-31'", ["true", "false"]),
        ("until in ('9999-12-31T00:00:00Z', '2024-12-31T23:59:59.999999Z')", ["true", "true"]),
        ("case until when '9999-12-31' then 'open' else 'closed' end", ["open", "closed"]),
        ("case when until > '9999-01-01' then 'open' else 'closed' end", ["open", "closed"]),
        ("coalesce(nullif(until, '9999-12-31'::timestamp), t)", ["2024-06-01T00:00:00", "2024-12-31T23:59:59.999999"]),
        ("coalesce(until, '9999-12-31'::timestamp)", ["9999-12-31T00:00:00", "2024-12-31T23:59:59.999999"]),
        ("greatest(until, '5000-01-01'::timestamp)", ["9999-12-31T00:00:00", "5000-01-01T00:00:00"]),
        ("name::timestamp", ["9999-12-31T00:00:00", "2024-12-31T23:59:59.999999"]),
        ("name::timestamp = until", ["true", "true"]),
        ("until + interval '1 year'", ["+10000-12-31T00:00:00", "2025-12-31T23:59:59.999999"]),
        ("until - interval '1 month 1 day 1 hour'", ["9999-11-28T23:00:00", "2024-11-29T22:59:59.999999"]),
        ("until - interval '400 years' > t", ["true", "true"]),
        ("until - t > interval '30 days'", ["true", "true"]),
        ("until - t > interval '8092 years'", ["false", "false"]),
        ("until - t between interval '1 month' and interval '600 years'", ["false", "true"]),
        ("t - '2024-01-01'::timestamp > interval '30 days'", ["true", "false"]),
        ("extract(epoch from until - t)", ["251685014400.0", "16564593293.999992"]),
        ("array_has([until, t], '9999-12-31'::timestamp)", ["true", "false"]),
        ("date_trunc('year', until)", ["9999-01-01T00:00:00", "2024-01-01T00:00:00"]),
        ("date_trunc('second', t)", ["2024-06-01T00:00:00", "1500-02-03T04:05:06"]),
        ("date_trunc('century', t)", ["2001-01-01T00:00:00", "1401-01-01T00:00:00"]),
        ("date_trunc('day', until, 'Europe/Berlin')", ["9999-12-30T23:00:00", "2024-12-31T23:00:00"]),
        ("extract(year from until)", ["9999", "2024"]),
        ("extract(epoch from until)", ["253402214400.0", "1735689599.999999"]),
        ("extract(year from '9999-12-31'::timestamp)", ["9999", "9999"]),
        ("date_part('month', until)", ["12", "12"]),
        ("until::date = '9999-12-31'::date", ["true", "false"]),
        ("to_char(until, 'YYYY-MM-DD')", ["9999-12-31", "2024-12-31"]),
        ("date_format(until, '%Y-%m-%d')", ["9999-12-31", "2024-12-31"]),
    ] {
        assert_eq!(of(expression), wanted, "{expression}");
    }
}

/// Wherever an expression may stand.
const PLACES: [&str; 9] = [
    "features f of e from s (c = count(*) where {});",
    "features f of e from s (c = max(case when {} then 1 end));",
    "features f of e from s (c = count(*) by {});",
    "features f of e from s (t = last(t), until = last(until), name = last(name), n = last(n), x = last(x), c = {});",
    "vector v on s (c = {});",
    "vector v request (t timestamp, until timestamp, name text, n bigint, x double) (t, until, name, n, x, c = {});",
    "stream r as select t, {} as c from s;",
    "stream r as select t from s where {};",
    "source q (n bigint, x double, name text, t timestamp, until timestamp) from log 'q' event time t dedup by n within '1 day'
       deletes when {} expect {} else quarantine;",
];

#[test]
fn what_has_a_value_for_no_row_is_refused_wherever_it_stands() {
    for (expression, wanted) in [
        ("t >= '2024-02-30'", "FB0221"),
        ("t >= 'last week'", "FB0221"),
        ("until in ('2024-01-01', '2024-1-32')", "FB0221"),
        ("t between '2024-01-01' and '2024-13-01'", "FB0221"),
        ("n is null or t = '01/02/2024'", "FB0221"),
        ("n > 'abc'::bigint", "FB0221"),
        ("x < 1e400", "FB0221"),
        ("extract(foo from t) = 1", "FB0212"),
        ("date_part('foo', t) = 1", "FB0212"),
        ("date_trunc('fortnight', t) = t", "FB0206"),
        ("hour(t, 'Europe/Berlen') = 1", "FB0509"),
        ("regexp_like(name, '(?<x')", "FB0220"),
        ("name ~ '('", "FB0220"),
        ("name similar to '['", "FB0213"),
        ("case when n = 1 then name ~ '(' else true end", "FB0220"),
        ("n % 0 = 1", "FB0220"),
        ("split_part(name, ' ', 0) = 'a'", "FB0220"),
        ("chr(-1) = name", "FB0220"),
        ("date_bin(interval '0 seconds', t) = t", "FB0220"),
        ("name like 'a%' escape 'bb'", "FB0210"),
    ] {
        for place in PLACES {
            let found = codes(&place.replace("{}", expression));
            assert!(!found.is_empty() && found.iter().all(|code| *code == wanted), "{expression} in {place}: {found:?}");
        }
    }
    for default in ["'2024-13-01'", "'soon'"] {
        assert_eq!(codes(&format!("features f of e from s (l = last(t) default {default});")), ["FB0207"]);
    }
    assert_eq!(codes("features f of e from s (l = last(until) default '9999-12-31');"), [""; 0]);
}

/// What fails for some rows only is null for these, and no error.
#[test]
fn what_some_row_may_have_a_value_for_is_let_in() {
    for expression in [
        "name::bigint > 1",
        "name::timestamp > t",
        "name::double > x",
        "name::boolean",
        "n % (n - 1) = 0",
        "100 % n = 0",
        "chr(n) = 'a'",
        "make_date(2024, n, 31) > t::date",
        "name::date > t::date",
        "substr(name, n, n) = 'a'",
        "case when name = '' then null else name::bigint end > 1",
        "coalesce(name::bigint, n) > 1",
        "regexp_like(name, name)",
        "array_length(range(0, 3)) = n",
    ] {
        assert_eq!(codes(&format!("features f of e from s (c = count(*) where {expression});")), [""; 0], "{expression}");
    }
}

const ZONES: [&str; 16] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Europe/Dublin",
    "America/Anchorage",
];

/// Moments at which something happens to clocks somewhere, and years far out.
fn moments(chance: &mut Chance) -> Vec<i64> {
    let near = [
        "1970-01-01",
        "2011-12-30T10:00:00Z",
        "2018-11-04T03:00:00Z",
        "2024-03-31T01:00:00Z",
        "2024-10-27T01:00:00Z",
        "2024-11-03T05:00:00Z",
        "2099-12-31T23:00:00Z",
        "2100-03-28T01:00:00Z",
        "3000-03-30T01:00:00Z",
        "3000-10-26T01:00:00Z",
        "9000-07-01T00:00:00Z",
    ];
    let mut moments: Vec<i64> = near
        .iter()
        .flat_map(|time| {
            [-90_000_000_000, -3_600_000_000, -1, 0, 1, 1_799_999_999, 3_600_000_000, 86_400_000_000].map(|by| micros(time) + by)
        })
        .collect();
    moments.extend((0..200).map(|_| chance.between(micros("1900-01-01"), micros("2099-01-01"))));
    moments.extend((0..100).map(|_| chance.between(micros("2100-01-01"), micros("9990-01-01"))));
    moments
}

#[test]
fn clocks_and_whole_units_are_those_of_python() {
    let Some(python) = python() else { return };
    let moments = moments(&mut Chance::for_test(11));
    let asked: Vec<(&str, i64)> = ZONES.iter().flat_map(|zone| moments.iter().map(|time| (*zone, *time))).collect();
    let script: String = asked.iter().map(|(zone, time)| format!("{{\"zone\": \"{zone}\", \"time\": {time}}}\n")).collect();
    let mut child =
        Command::new(python).arg(here("oracles/zones.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writer.join().expect("the writer ends").expect("the questions are read");
    let output = String::from_utf8(output.stdout).expect("text");
    let said: Vec<serde_json::Value> = output.lines().map(read_json).collect();
    assert_eq!(said.len(), asked.len());
    for (of_zone, said) in asked.chunks(moments.len()).zip(said.chunks(moments.len())) {
        let zone = of_zone[0].0;
        let rows: Vec<(i64, i64)> = of_zone.iter().map(|(_, time)| (*time, *time)).collect();
        for (place, field) in ["year", "month", "day", "day_of_year", "day_of_week", "hour", "minute"].iter().enumerate() {
            let found = values(&format!("{field}(t, '{zone}')"), &rows);
            for ((found, said), row) in found.iter().zip(said).zip(&rows) {
                assert_eq!(found.as_deref(), Some(said["local"][place].to_string().as_str()), "{field} in {zone} at {}", row.0);
            }
        }
        let weekend = values(&format!("is_weekend(t, '{zone}')"), &rows);
        assert!(weekend.iter().zip(said).all(|(found, said)| (found.as_deref() == Some("true")) == (said["local"][4].as_i64() > Some(5))));
        let plan = plan(&format!("features f of e from s (c = count(*) over last day in '{zone}', last month in '{zone}');"));
        for (feature, unit) in plan.views[0].features.iter().zip(["days", "months"]) {
            for ((_, time), said) in of_zone.iter().zip(said) {
                let end = feature.window.frame.end(i128::from(*time)).expect("a year of the calendar");
                let start = feature.window.frame.start(end).expect("a year of the calendar");
                let wanted = [&said[unit][0], &said[unit][1]].map(|time| i128::from(time.as_i64().expect("a time")));
                assert_eq!([start, end], wanted, "{unit} in {zone} at {time}");
            }
        }
    }
}

#[test]
fn what_clocks_show_is_null_for_null_and_utc_without_a_zone() {
    let rows = [(micros("2024-05-18T23:59:00Z"), micros("2024-05-20"))];
    assert_eq!(values("hour(t)", &rows), [Some("23".to_owned())]);
    assert_eq!(values("is_weekend(t)", &rows), [Some("true".to_owned())]);
    assert_eq!(values("is_weekend(t, 'Asia/Tokyo')", &rows), [Some("true".to_owned())]);
    assert_eq!(values("day_of_week(until)", &rows), [Some("1".to_owned())]);
    assert_eq!(values("day(nullif(t, t), 'Asia/Tokyo')", &rows), [None]);
    assert_eq!(values("year(t)", &[(i64::MAX, 0)]), [None]);
    assert_eq!(values("hour('2024-05-18 12:00:00', 'Asia/Tokyo')", &rows), [Some("21".to_owned())]);
    assert!(codes("vector v on s (a = hour(n));").contains(&"FB0206"));
    assert!(codes("vector v on s (a = hour(t, name));").contains(&"FB0208"));
}
