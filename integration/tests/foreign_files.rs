//! Files that others wrote, also broken and hostile ones, as pushes, tables and spines: the right value, or a refusal that
//! names it. Nothing of theirs ends a server; what a spine hands through comes out as it went in.

use std::fs::{self, File};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, TimeUnit};
use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::folders::here;
use forebay_integration::harness::{Project, Server, wait_for};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Repetition, Type as PhysicalType};
use parquet::data_type::{Int32Type, Int64Type, Int96, Int96Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source e (id bigint, t timestamp, s text, x double)
from log 'e'
event time t
lateness '36500 days' max ahead '36500 days' history '36500 days';

table users (user_id bigint, country text, updated timestamp)
from parquet '../users'
key user_id
time updated;

entity thing (id bigint);

features f of thing from e (
  n = count(*) over all,
);

vector v on e (f.*, country = users.country for user_id = id);
";

/// 2024-05-01T10:00:00Z
const T: i64 = 1_714_557_600_000_000;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(here("fixtures/parquet").join(name)).expect("a fixture")
}

fn write(project: &Project, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).expect("a batch");
    fs::create_dir_all(project.path("users")).expect("a folder");
    let mut writer = ArrowWriter::try_new(File::create(project.path(name)).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

fn problems(server: &Server) -> String {
    read_json(&server.get("/v1/status").1)["problems"].to_string()
}

fn topic(project: &Project, name: &str) -> Vec<Json> {
    read_ndjson(&project.run(&["topics", "read", name, "--output", "ndjson"]).ok().stdout)
}

fn project() -> Project {
    let project = Project::new(DEFINITIONS);
    fs::create_dir(project.path("users")).expect("a folder");
    project
}

fn good_table(project: &Project, name: &str, user: i64) {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", Arc::new(Int64Array::from(vec![user]))),
        ("country", Arc::new(StringArray::from(vec!["DE"]))),
        ("updated", Arc::new(TimestampMicrosecondArray::from(vec![T]))),
    ];
    write(project, name, columns);
}

#[test]
fn a_column_that_no_reader_knows_spoils_nothing_where_it_is_no_field() {
    let project = Project::new(
        &DEFINITIONS
            .replace("(id bigint, t timestamp,", "(id bigint, user_id bigint, event_time timestamp, t timestamp,")
            .replace("event time t\n", "event time event_time\n"),
    );
    project.write("int128.parquet", fixture("int128.parquet"));
    let pushed = project.run(&["push", "e", "int128.parquet"]).ok();
    assert!(pushed.stdout.contains("3 accepted, 0 rejected"), "{}", pushed.stdout);
    let users: Vec<Json> = topic(&project, "e").iter().map(|record| record["value"]["user_id"].clone()).collect();
    assert_eq!(users, [json!(1), json!(2), json!(3)]);

    // A spine hands all of its columns through.
    let refused = project.run(&[
        "training-set",
        "v",
        "--definitions",
        "features",
        "--spine",
        "int128.parquet",
        "--out",
        "o.csv",
        "--time",
        "event_time",
    ]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("int128.parquet: column i128: cannot be read"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
}

#[test]
fn no_file_of_a_table_ends_a_server_or_its_restart() {
    let project = project();
    good_table(&project, "users/good.parquet", 1);
    let server = project.serve();
    server.wait_for_seq(1);
    // A column of the table that its reader panics on.
    let int128 = project.path("users/int128.parquet");
    fs::write(&int128, fixture("int128.parquet")).expect("a file");
    let declared = DEFINITIONS
        .replace("country text, updated timestamp", "i128 bigint, event_time timestamp")
        .replace("time updated", "time event_time")
        .replace("users.country", "users.i128");
    let said = wait_for("a problem", || Some(problems(&server)).filter(|said| said.contains("int128")));
    assert!(said.contains("there is no column country"), "{said}");
    let torn = fs::read(project.path("users/good.parquet")).expect("a file");
    let mut chance = Chance::for_test(83);
    for number in 0..20 {
        let mut torn = torn.clone();
        for _ in 0..3 {
            let at = chance.below(torn.len());
            torn[at] ^= 1 << chance.below(8);
        }
        fs::write(project.path(&format!("users/torn{number}.parquet")), torn).expect("a file");
    }
    good_table(&project, "users/z_last.parquet", 2);
    wait_for("the last of the files", || {
        let row = &server.lookup("v", &json!({"keys": [{"id": 2}], "as_of": "2024-05-02"}))[0];
        (row["country"] == "DE").then_some(())
    });
    assert_eq!(server.stop(), Some(0));

    project.write("features/test.bay", declared);
    let server = project.serve();
    assert!(problems(&server).contains("int128.parquet: column i128: cannot be read"), "{}", problems(&server));
    assert_eq!(server.stop(), Some(0));
}

/// A file of one row group whose columns are written one by one.
fn write_columns(
    path: &std::path::Path,
    fields: Vec<Type>,
    columns: &mut dyn FnMut(usize, &mut parquet::file::writer::SerializedColumnWriter<'_>),
) {
    let root = Type::group_type_builder("m").with_fields(fields.into_iter().map(Arc::new).collect()).build().expect("a schema");
    let mut writer = SerializedFileWriter::new(File::create(path).expect("a file"), Arc::new(root), Arc::default()).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let mut at = 0;
    while let Some(mut column) = group.next_column().expect("a column") {
        columns(at, &mut column);
        column.close().expect("a column");
        at += 1;
    }
    group.close().expect("a row group");
    writer.close().expect("a footer");
}

fn field(name: &str, kind: PhysicalType) -> Type {
    Type::primitive_type_builder(name, kind).with_repetition(Repetition::REQUIRED).build().expect("a column")
}

#[test]
fn times_of_96_bits_reach_beyond_nanoseconds_and_never_wrap() {
    let project = project();
    // Julian days and nanoseconds: 9999-12-31T03:00:00Z, 1677-01-01, and the year 300000.
    let times = [(5_373_484, 10_800_000_000_000_u64), (2_333_573, 0), (111_293_813, 1)];
    let int96 = |(day, nanos): (u32, u64)| {
        let mut value = Int96::new();
        value.set_data(nanos as u32, (nanos >> 32) as u32, day);
        value
    };
    let write = |name: &str, times: &[(u32, u64)]| {
        let fields = vec![field("id", PhysicalType::INT64), field("t", PhysicalType::INT96)];
        write_columns(&project.path(name), fields, &mut |column, writer| {
            let rows = times.len();
            match column {
                0 => drop(writer.typed::<Int64Type>().write_batch(&[1, 2, 3][..rows], None, None).expect("ids")),
                _ => {
                    let times: Vec<Int96> = times.iter().copied().map(int96).collect();
                    writer.typed::<Int96Type>().write_batch(&times, None, None).expect("times");
                }
            }
        });
    };
    write("all.parquet", &times);
    let pushed = project.run(&["push", "e", "all.parquet"]);
    assert!(pushed.stdout.contains("2 accepted, 1 rejected\n  row 3: field t is timestamp: "), "{}", pushed.stdout);
    let values: Vec<Json> = topic(&project, "e").iter().take(2).map(|record| record["value"]["t"].clone()).collect();
    assert_eq!(values, [json!("9999-12-31T03:00:00Z"), json!("1677-01-01T00:00:00Z")]);

    let refused = project.run(&["training-set", "v", "--definitions", "features", "--spine", "all.parquet", "--out", "o.ndjson"]);
    assert!(refused.stderr.contains("column t, row 3: the time lies outside the years"), "{}", refused.stderr);
    write("two.parquet", &times[..2]);
    let _ = project.run(&["training-set", "v", "--definitions", "features", "--spine", "two.parquet", "--out", "o.ndjson"]).ok();
    let rows = read_ndjson(&project.read("o.ndjson"));
    assert_eq!([&rows[0]["t"], &rows[1]["t"]], [&json!("9999-12-31T03:00:00Z"), &json!("1677-01-01T00:00:00Z")]);
}

#[test]
fn a_group_without_members_moves_no_column() {
    let project = project();
    let empty = Type::group_type_builder("nested").with_repetition(Repetition::OPTIONAL).build().expect("a group");
    let fields = vec![field("t", PhysicalType::INT64), empty, field("id", PhysicalType::INT32)];
    write_columns(&project.path("empty.parquet"), fields, &mut |column, writer| match column {
        0 => drop(writer.typed::<Int64Type>().write_batch(&[T], None, None).expect("times")),
        _ => drop(writer.typed::<Int32Type>().write_batch(&[100], None, None).expect("ids")),
    });
    let _ = project.run(&["push", "e", "empty.parquet"]).ok();
    assert_eq!(topic(&project, "e")[0]["value"], json!({"t": T, "id": 100}));
    let _ = project.run(&["training-set", "v", "--definitions", "features", "--spine", "empty.parquet", "--out", "o.ndjson"]).ok();
    assert_eq!(read_ndjson(&project.read("o.ndjson"))[0]["id"], json!(100));
}

#[test]
fn columns_of_one_name_and_links_to_nothing_are_named() {
    let project = project();
    let fields = ["id", "t", "x", "x"].map(|name| field(if name == "x" { "nobody's" } else { name }, PhysicalType::INT64));
    write_columns(&project.path("twice.parquet"), fields.into(), &mut |_, writer| {
        writer.typed::<Int64Type>().write_batch(&[T], None, None).expect("numbers");
    });
    let refused = project.run(&["push", "e", "twice.parquet"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("two columns are called 'nobody's': rename one"), "{refused:?}");
    std::os::unix::fs::symlink("nowhere", project.path("users/link.parquet")).expect("a link");
    let server = project.serve();
    assert!(problems(&server).contains("link.parquet: cannot be read: "), "{}", problems(&server));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_bad_value_sets_its_row_aside_and_no_other() {
    let project = project();
    let decimals = Decimal128Array::from(vec![1, 1 << 63, 3]).with_precision_and_scale(38, 0).expect("decimals");
    let texts: ArrayRef = Arc::new(arrow::array::BinaryArray::from(vec![b"a".as_slice(), b"b", b"\"c\n\xff"]));
    let columns = |ids: ArrayRef| -> Vec<(&str, ArrayRef)> {
        vec![("id", ids), ("t", Arc::new(TimestampMicrosecondArray::from(vec![T, T + 1, T + 2]))), ("s", texts.clone())]
    };
    write(&project, "bad.parquet", columns(Arc::new(decimals)));
    let pushed = project.run(&["push", "e", "bad.parquet"]);
    for part in
        ["1 accepted, 2 rejected", "row 2: field id is bigint: got the number 9223372036854775808", "row 3: byte ", "not UTF-8, in field s"]
    {
        assert!(pushed.stdout.contains(part), "{part}: {}", pushed.stdout);
    }
    let said = project.run(&["training-set", "v", "--definitions", "features", "--spine", "bad.parquet", "--out", "o.csv"]);
    assert!(said.stderr.contains("column id of bad.parquet, row 2: no bigint"), "{}", said.stderr);

    let users: Vec<(&str, ArrayRef)> = vec![
        ("user_id", Arc::new(UInt64Array::from(vec![7, u64::MAX]))),
        ("country", Arc::new(StringArray::from(vec!["DE", "FR"]))),
        ("updated", Arc::new(arrow::array::Date32Array::from(vec![19_844, 19_844]))),
    ];
    write(&project, "users/some.parquet", users);
    project.catch_up();
    let server = project.serve();
    assert_eq!(server.lookup("v", &json!({"keys": [{"id": 7}], "as_of": "2024-05-02"}))[0]["country"], "DE");
    assert_eq!(server.stop(), Some(0));
    let dead: Vec<Json> = topic(&project, "users.dead");
    assert!(dead[0].to_string().contains("field user_id is bigint: got the number 18446744073709551615"), "{dead:?}");
}

const HANDED: &str = "
source e (id text, n bigint, t timestamp)
from log 'e'
event time t;

entity thing (id text);
entity counted (n bigint);

features f of thing from e (
  by_text = count(*) over all as by_text,
);

features g of counted from e (
  by_number = count(*) over all as by_number,
);

vector v (f.*, g.*);
";

#[test]
fn what_a_spine_hands_through_comes_out_as_it_went_in() {
    let project = Project::new(HANDED);
    let event = |id: &str, n: i64| json!({"id": id, "n": n, "t": "2024-05-01T10:00:00Z"});
    let _ = project.push("e", &[event("1.10", 9_007_199_254_740_992), event("1.1", 9_007_199_254_740_993)]).ok();
    project.catch_up();
    let big = "12345678901234567890";
    let csv =
        format!("id,n,t,order,price,flag\n1.10,9007199254740993,2024-05-01 11:00:00+00,{big},1.50,TRUE\n1.1,1,2024-05-02,2,0.10,false\n");
    let lines = format!(
        "{{\"id\":\"1.10\",\"n\":9007199254740993,\"t\":\"2024-05-01 11:00:00+00\",\"order\":{big},\"price\":1.50,\"pair\":[1.0,2]}}\n\
         {{\"id\":\"1.1\",\"n\":1.0,\"t\":\"2024-05-02\",\"order\":2,\"price\":1e-1,\"pair\":null}}\n"
    );
    project.write("in.csv", &csv);
    project.write("in.ndjson", &lines);
    let made = |from: &str, to: &str| {
        let _ = project.run(&["training-set", "v", "--definitions", "features", "--spine", from, "--out", to]).ok();
    };
    made("in.csv", "out.csv");
    let added = |line: &str, values: &str| format!("{line},{values}\n");
    let expected: String = csv.lines().zip(["by_text,by_number", "1,1", "1,0"]).map(|(line, values)| added(line, values)).collect();
    assert_eq!(project.read("out.csv"), expected);
    made("in.ndjson", "out.ndjson");
    let added = |line: &str, (text, number)| format!("{},\"by_text\":{text},\"by_number\":{number}}}\n", line.trim_end_matches('}'));
    assert_eq!(
        project.read("out.ndjson"),
        lines.lines().zip([(1, 1), (1, 0)]).map(|(line, values)| added(line, values)).collect::<String>()
    );
    made("in.csv", "cells.ndjson");
    let expected = format!(
        "{{\"id\":\"1.10\",\"n\":9007199254740993,\"t\":\"2024-05-01 11:00:00+00\",\"order\":\"{big}\",\"price\":1.50,\"flag\":true,\"by_text\":1,\"by_number\":1}}"
    );
    assert_eq!(project.read("cells.ndjson").lines().next(), Some(expected.as_str()));
    made("in.ndjson", "json.csv");
    let expected = format!("1.10,9007199254740993,2024-05-01 11:00:00+00,{big},1.50,\"[1.0,2]\",1,1");
    assert_eq!(project.read("json.csv").lines().nth(1), Some(expected.as_str()));

    // In Parquet each has a type: the one that it is used as, else the narrowest that loses nothing.
    made("in.csv", "out.parquet");
    let file = File::open(project.path("out.parquet")).expect("a file");
    let batch =
        ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows").next().expect("a batch").expect("rows");
    let types: Vec<DataType> = batch.schema().fields().iter().take(6).map(|field| field.data_type().clone()).collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(types, [DataType::Utf8, DataType::Int64, time, DataType::Utf8, DataType::Float64, DataType::Boolean]);

    // Numbers of a time count what is declared, also where they are handed through.
    let project_of_millis = Project::new(&HANDED.replace("t timestamp)", "t timestamp ms)"));
    project_of_millis.write("in.csv", "id,n,t\n1.10,1,1714557600123\n");
    for out in ["out.csv", "out.parquet", "out.ndjson"] {
        let _ = project_of_millis.run(&["training-set", "v", "--definitions", "features", "--spine", "in.csv", "--out", out]).ok();
    }
    assert!(project_of_millis.read("out.csv").contains("1.10,1,1714557600123,"));
    assert!(project_of_millis.read("out.ndjson").contains("\"t\":1714557600123,"));
    let file = File::open(project_of_millis.path("out.parquet")).expect("a file");
    let batch =
        ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows").next().expect("a batch").expect("rows");
    assert_eq!(batch.column(2).to_data(), TimestampMicrosecondArray::from(vec![T + 123_000]).to_data());

    // Parquet keeps its types, also those that only a spine has.
    let decimals = Decimal128Array::from(vec![Some(110), None]).with_precision_and_scale(38, 2).expect("decimals");
    let typed: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(vec!["1.10", "1.1"]))),
        ("n", Arc::new(Decimal128Array::from(vec![9_007_199_254_740_993, 1]).with_precision_and_scale(38, 0).expect("decimals"))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![T + 1, T + 1]))),
        ("order", Arc::new(UInt64Array::from(vec![12_345_678_901_234_567_890, 2]))),
        ("price", Arc::new(decimals)),
    ];
    let expected: Vec<ArrayRef> = typed.iter().map(|(_, column)| column.clone()).collect();
    write(&project, "in.parquet", typed);
    made("in.parquet", "out.parquet");
    let file = File::open(project.path("out.parquet")).expect("a file");
    let batch =
        ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows").next().expect("a batch").expect("rows");
    assert_eq!(batch.columns()[..5], expected[..]);
    let counts = batch.column_by_name("by_number").expect("a feature");
    assert_eq!(counts.to_data(), Int64Array::from(vec![1, 0]).to_data());
}
