//! What integers count that stand for times: as declared, in every way in; and what is probably not meant is said.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use forebay::decode::Decoder;
use forebay::language::{SourceFile, compile};
use forebay::{Error, Offset, RecordRun};
use forebay_integration::answers::read_json;
use forebay_integration::harness::{Project, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use parquet::arrow::ArrowWriter;
use serde_json::{Value as Json, json};

/// Units with how many there are in a second; nothing said is microseconds.
const UNITS: [(&str, i64); 5] = [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("", 1_000_000), ("ns", 1_000_000_000)];
/// 2019-03-23T20:21:09Z
const SECOND: i64 = 1_553_372_469;

fn definitions(unit: &str) -> String {
    format!(
        "source trips (id bigint, k bigint, t timestamp {unit}, dropoff timestamp {unit}, stops timestamp[] {unit})
         from log 'trips' format json event time t lateness '1 day' history '9000 days';
         table places (k bigint, opened timestamp {unit}, since timestamp {unit}) from parquet '../places' key k time since;
         entity thing (k bigint);
         features f of thing from trips (
           n = count(*) over all as n,
           began = max(t) over all as began,
           ended = max(dropoff) over all as ended,
           stops = last(array_to_string(stops, ' ')) over all as stops,
         );
         vector v (f.n, f.began, f.ended, f.stops, places.opened);"
    )
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    std::fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("a write");
    writer.close().expect("a footer");
}

fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[test]
fn integers_count_what_is_declared_in_every_way_in() {
    for (unit, count) in UNITS {
        let (t, dropoff) = (SECOND * count, (SECOND + 375) * count);
        let project = Project::new(&definitions(unit));
        write_parquet(
            &project.path("places/a.parquet"),
            vec![("k", ints(&[1])), ("opened", ints(&[t - count])), ("since", ints(&[t - 9 * count]))],
        );
        let typed: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![SECOND * 1_000]));
        write_parquet(
            &project.path("ints.parquet"),
            vec![("id", ints(&[1])), ("k", ints(&[1])), ("t", ints(&[t])), ("dropoff", ints(&[dropoff]))],
        );
        write_parquet(
            &project.path("typed.parquet"),
            vec![("id", ints(&[2])), ("k", ints(&[1])), ("t", typed.clone()), ("dropoff", typed)],
        );
        let record = json!({"id": 3, "k": 1, "t": t, "dropoff": dropoff, "stops": [t, null, "2019-03-23T20:21:10Z"]});
        project.write("a.ndjson", record.to_string());
        project.write("a.json", json!([record, {"id": 4, "k": 1, "t": rfc3339(SECOND * 1_000_000), "dropoff": dropoff}]).to_string());
        project.write("a.csv", format!("id,k,t,dropoff\n5,1,{t},{dropoff}\n6,1,2019-03-23 20:21:09,\n"));
        let files = [("ints.parquet", 1), ("typed.parquet", 1), ("a.json", 2), ("a.csv", 2), ("a.ndjson", 1)];
        for (file, records) in files {
            let ended = project.run(&["push", "trips", file]).ok();
            assert!(ended.stdout.starts_with(&format!("{records} accepted, 0 rejected")), "{unit}: {file}: {ended:?}");
            assert_eq!(ended.stderr, "", "{unit}: {file}");
        }
        let server = project.serve();
        let _ = server.push("trips", std::slice::from_ref(&record));
        server.wait_for_seq(9);
        let row = server.lookup("v", &json!({"keys": [{"k": 1}], "as_of": rfc3339((SECOND + 1) * 1_000_000)})).remove(0);
        let wanted = json!({
            "n": 8, "began": "2019-03-23T20:21:09Z", "ended": "2019-03-23T20:27:24Z", "opened": "2019-03-23T20:21:08Z",
            "stops": row["stops"],
        });
        assert_eq!(row, wanted, "{unit}");
        assert!(row["stops"].as_str().is_some_and(|stops| stops.contains("20:21:09") && stops.contains("20:21:10")), "{unit}: {row}");
        assert_eq!(server.stop(), Some(0));
        // A spine's time counts what the column of its name does.
        project.write("a_spine.csv", format!("k,t\n1,{}\n", t + count));
        project.write("b_spine.ndjson", json!({"k": 1, "t": t + count}).to_string());
        write_parquet(&project.path("c_spine.parquet"), vec![("k", ints(&[1])), ("t", ints(&[t + count]))]);
        for spine in ["a_spine.csv", "b_spine.ndjson", "c_spine.parquet"] {
            let _ = project.run(&["training-set", "v", "--spine", spine, "--out", "set.ndjson"]).ok();
            let row = read_json(project.read("set.ndjson").trim());
            let of = |name: &str| row[name].clone();
            assert_eq!(
                json!([of("n"), of("began"), of("ended"), of("opened")]),
                json!([8, wanted["began"], wanted["ended"], wanted["opened"]]),
                "{unit}: {spine}"
            );
        }
        let verified = project.run(&["verify"]);
        assert_eq!(verified.code, Some(0), "{unit}: {verified:?}");
    }
}

/// Digits below microseconds are cut off towards the past, as those of texts are; what leaves the years is refused.
#[test]
fn the_edges_of_units() {
    let decoded = |unit: &str, numbers: &[i64]| {
        let plan = plan_of(&format!("source s (k bigint, t timestamp {unit}) from log 's' format json event time t;"));
        let mut run = RecordRun::default();
        for number in numbers {
            run.push(Offset(0), 0, None, Some(format!("{{\"t\":{number}}}").as_bytes()), Vec::new());
        }
        let decoded = Decoder::new(&plan.sources[0]).decode(&run).expect("a decoded run");
        (decoded.batch.column(1).as_primitive::<TimestampMicrosecondType>().values().to_vec(), decoded.rejects)
    };
    assert_eq!(decoded("ns", &[1_999, -1, -1_000, -1_001]).0, [1, -1, -1, -2]);
    assert_eq!(decoded("ms", &[-1, 1]).0, [-1_000, 1_000]);
    assert_eq!(decoded("s", &[253_402_300_799, -377_705_116_800]).0, [253_402_300_799_000_000, -377_705_116_800_000_000]);
    for (unit, number, message) in [
        ("s", 253_402_300_800, "field t is timestamp: 253402300800 seconds since 1970 lie outside the years -9999 to 9999"),
        ("s", i64::MAX, "field t is timestamp: 9223372036854775807 seconds since 1970 lie outside the years -9999 to 9999"),
        (
            "s",
            1_553_372_469_000,
            "field t is timestamp: 1553372469000 seconds since 1970 lie outside the years -9999 to 9999; are they milliseconds? then \
             declare `timestamp ms`",
        ),
        (
            "",
            1_553_372_469_000_000_000,
            "field t is timestamp: 1553372469000000000 microseconds since 1970 lie outside the years -9999 to 9999; are they \
             nanoseconds? then declare `timestamp ns`",
        ),
    ] {
        let rejects = decoded(unit, &[number]).1;
        assert_eq!((rejects[0].reason, rejects[0].message.as_str()), ("bad_time", message));
    }
}

/// The key of a tombstone is read as payloads are.
#[test]
fn tombstones_name_their_event_by_what_is_declared() {
    let plan = plan_of(
        "source s (at timestamp ms, t timestamp s) from kafka topic 's' format json event time t
         dedup by at within '1 day' deletes on tombstone;",
    );
    let mut run = RecordRun::default();
    for key in ["1553372469000", "{\"at\":1553372469000}", "\"2019-03-23T20:21:09Z\"", "2019-03-23T20:21:09Z"] {
        run.push(Offset(0), 0, Some(key.as_bytes()), None, Vec::new());
    }
    let decoded = Decoder::new(&plan.sources[0]).decode(&run).expect("a decoded run");
    assert_eq!(decoded.rejects, []);
    let ids = decoded.tombstones.expect("tombstones").ids;
    assert_eq!(ids.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec(), [SECOND * 1_000_000; 4]);
}

fn plan_of(text: &str) -> forebay::plan::Plan {
    let compiled = compile(&[SourceFile { path: "test.bay".into(), text: text.to_owned() }], &|_| Err(Error::not_found("no models here")));
    compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

fn trips(unit: &str) -> String {
    format!(
        "source trips (k bigint, t timestamp {unit}, dropoff timestamp {unit}) from log 'trips' format json event time t
         lateness '30000 days' history '30000 days';
         entity thing (k bigint);
         features f of thing from trips (n = count(*) over all as n, began = max(t) over all as began);
         vector v (f.*);"
    )
}

fn millis(records: i64) -> Vec<Json> {
    (0..records).map(|at| json!({"k": 1, "t": (SECOND + at) * 1_000, "dropoff": (SECOND + at) * 1_000})).collect()
}

const PROBABLY: &str = "nearly all times of t lie in January 1970, the first (1553372469000 microseconds) at 1970-01-18T23:29:32.469Z: are \
                        they milliseconds? then declare `t timestamp ms`";
/// The same for as long as they come.
const SUMMARY: &str = "nearly all times of t lie in January 1970: are they milliseconds? then declare `t timestamp ms`";

#[test]
fn times_of_january_1970_are_probably_not_meant() {
    let project = Project::new(&trips(""));
    let ended = project.push("trips", &millis(40)).ok();
    assert_eq!(ended.stderr, format!("warning: {PROBABLY}\n"));
    let ended = project.run_with_input(&["push", "trips", "-", "--output", "json"], millis(1)[0].to_string().as_bytes()).ok();
    assert_eq!(read_json(&ended.stdout)["warnings"], json!([PROBABLY]));
    let server = project.serve();
    wait_for("the problem in the status", || {
        let problems = read_json(&server.get("/v1/status").1)["problems"].clone();
        (problems == json!([format!("times of source trips, partition 0: {SUMMARY}")])).then_some(())
    });
    assert_eq!(server.push("trips", &millis(3))["warnings"], json!([PROBABLY]));
    // One in twenty of them is of 1970, and none of those that are texts is taken for a number.
    let other = |t: Json| json!({"k": 2, "t": t, "dropoff": null});
    let mut mixed = vec![other(json!(SECOND * 1_000_000)); 19];
    mixed.push(other(json!(5)));
    assert_eq!(server.push("trips", &mixed)["warnings"], Json::Null);
    assert_eq!(server.push("trips", &[other(json!("1970-01-18T23:29:32.469Z"))])["warnings"], Json::Null);
    wait_for("a status without it", || (read_json(&server.get("/v1/status").1)["problems"] == json!([])).then_some(()));
    assert_eq!(server.stop(), Some(0));
}

/// Another unit is that of the records that are read from then on. A source of another name reads those of before by it, too.
#[test]
fn another_unit_holds_from_then_on() {
    let project = Project::new(&trips(""));
    let _ = project.push("trips", &millis(7)).ok();
    project.catch_up();
    project.write("features/test.bay", trips("ms"));
    let planned = project.run(&["plan"]).stdout;
    assert!(planned.contains("unit of t") && planned.contains("unit of dropoff") && planned.contains("milliseconds"), "{planned}");
    let _ = project.push("trips", &millis(3)).ok();
    project.catch_up();
    let declared = trips("ms") + &trips("ms").replace("source trips", "source again").replace("from trips", "from again");
    let declared =
        declared.replacen("entity thing (k bigint);", "", 1).replace("features f of thing from again", "features g of thing from again");
    project.write(
        "features/test.bay",
        declared.replacen("vector v (f.*);", "", 1).replace("vector v (f.*);", "vector v (f.*, g.* as again_*);"),
    );
    project.catch_up();
    let server = project.serve();
    let keys = json!({"keys": [{"k": 1}], "as_of": "1971-01-01T00:00:00Z"});
    let early = server.lookup("v", &keys).remove(0);
    let row = server.lookup("v", &json!({"keys": [{"k": 1}]})).remove(0);
    assert_eq!((&early["n"], &early["again_n"]), (&json!(7), &json!(0)), "stored events keep their times");
    assert_eq!((&row["n"], &row["began"], &row["again_n"]), (&json!(10), &json!("2019-03-23T20:21:11Z"), &json!(10)));
    assert_eq!(server.stop(), Some(0));
}
