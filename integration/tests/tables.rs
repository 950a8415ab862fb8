//! Tables: attributes that come in files. Whatever the order of the files, restarts and kills, a value is that of the row
//! with the latest time up to the query, of equal times the one that came last: online, offline and in a naive scan.

use std::collections::BTreeMap;
use std::fs::{File, rename};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use forebay_integration::answers::{read_json, read_ndjson};
use forebay_integration::chance::Chance;
use forebay_integration::folders::{here, onnx_runtime};
use forebay_integration::harness::{Project, Server, ndjson, wait_for};
use forebay_integration::oracle::cell::rfc3339;
use forebay_integration::records::read_topic;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value as Json, json};

const DEFINITIONS: &str = "
source payments (payment_id bigint, user_id bigint, receiver_id bigint, amount double, t timestamp)
from log 'payments'
event time t
lateness '1 day' history '60 days'
dedup by payment_id within '1 day';

table users (user_id bigint, country text, score double, vip boolean, born timestamp, visits bigint, updated timestamp)
from parquet '../users'
key user_id
time updated;

entity user (user_id bigint);

features payments_of of user from payments (
  n = count(*) over 1d,
);

stream vips as
  select user_id, score, updated from users where vip;

features changes of user from users (
  rows = count(*) over all as rows,
  last_country = last(country) over all as last_country,
);

features vip_of of user from vips (
  vip_rows = count(*) over 5h as vip_rows,
);

vector v on payments (
  payments_of.n_1d,
  users.*,
  receiver_country = users.country for user_id = receiver_id,
  changes.rows,
  changes.last_country,
  vip_of.vip_rows,
  amount,
);
";

const USERS: i64 = 12;
/// 2024-05-01T00:00:00Z
const START: i64 = 1_714_521_600_000_000;
const HOUR: i64 = 3_600_000_000;

#[derive(Clone, Debug)]
struct Row {
    user: Option<i64>,
    country: Option<String>,
    score: Option<f64>,
    vip: Option<bool>,
    born: Option<i64>,
    visits: Option<i64>,
    updated: Option<i64>,
}

/// Rows of some hours, many of one time, some attributes null.
fn random_rows(chance: &mut Chance, count: usize, hours: std::ops::Range<i64>) -> Vec<Row> {
    let row = |_| Row {
        user: Some(chance.between(1, USERS)),
        country: (!chance.once_in(4)).then(|| (*chance.pick(&["DE", "FR", "", "é"])).to_owned()),
        score: (!chance.once_in(4)).then(|| *chance.pick(&[0.1, -0.0, 1e300, 2.5])),
        vip: (!chance.once_in(4)).then(|| chance.once_in(2)),
        born: (!chance.once_in(4)).then(|| START - chance.between(0, 1 << 30) * 1000 - 1),
        visits: (!chance.once_in(4)).then(|| chance.between(-5, i64::MAX / 2)),
        updated: Some(START + chance.between(hours.start, hours.end - 1) * HOUR),
    };
    (0..count).map(row).collect()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", Arc::new(rows.iter().map(|row| row.user).collect::<Int64Array>())),
        ("country", Arc::new(rows.iter().map(|row| row.country.clone()).collect::<StringArray>())),
        ("score", Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>())),
        ("vip", Arc::new(rows.iter().map(|row| row.vip).collect::<BooleanArray>())),
        ("born", Arc::new(rows.iter().map(|row| row.born).collect::<TimestampMicrosecondArray>())),
        ("visits", Arc::new(rows.iter().map(|row| row.visits).collect::<Int64Array>())),
        ("updated", Arc::new(rows.iter().map(|row| row.updated).collect::<TimestampMicrosecondArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).expect("a batch")
}

/// Writes a file beside its place and moves it there, as who delivers files should.
fn deliver(project: &Project, name: &str, batch: &RecordBatch) {
    let place = project.write(&format!("users/{name}.new"), "");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1000)).build();
    let mut writer = ArrowWriter::try_new(File::create(&place).expect("a file"), batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("a write");
    writer.close().expect("a footer");
    rename(&place, project.path(&format!("users/{name}"))).expect("its place");
}

/// The rows of each user in total order, where those that came later stand behind those of equal times.
fn by_user(rows: &[Row]) -> BTreeMap<i64, Vec<&Row>> {
    let mut users: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.updated.is_some()) {
        row.user.into_iter().for_each(|user| users.entry(user).or_default().push(row));
    }
    users.values_mut().for_each(|rows| rows.sort_by_key(|row| row.updated));
    users
}

/// What the vector reads of the rows of all users at a time.
fn naive(users: &BTreeMap<i64, Vec<&Row>>, user: i64, receiver: i64, q: i64) -> Json {
    let seen = |user: i64| users.get(&user).into_iter().flatten().take_while(|row| row.updated <= Some(q));
    let latest = seen(user).last();
    let vip = |row: &&&Row| row.vip == Some(true) && row.updated >= Some(q - 5 * HOUR);
    json!({
        "country": latest.and_then(|row| row.country.clone()),
        "score": latest.and_then(|row| row.score),
        "vip": latest.and_then(|row| row.vip),
        "born": latest.and_then(|row| row.born).map(rfc3339),
        "visits": latest.and_then(|row| row.visits),
        "receiver_country": seen(receiver).last().and_then(|row| row.country.clone()),
        "vip_rows": seen(user).filter(vip).count(),
        "rows": seen(user).count(),
        "last_country": seen(user).filter_map(|row| row.country.clone()).last(),
    })
}

fn same(expected: &Json, found: &Json, about: &str) {
    for (name, value) in expected.as_object().expect("columns") {
        // NDJSON may leave out what is null.
        let found = found.get(name).unwrap_or(&Json::Null);
        assert_eq!(found.to_string(), value.to_string(), "{name}; {about}");
    }
}

/// Every user at many times, online and in a training set.
fn equal_naive(project: &Project, server: &Server, rows: &[Row]) {
    let users = by_user(rows);
    let mut spine = Vec::new();
    for hour in -2..40 {
        let q = START + hour * HOUR - i64::from(hour % 3 == 0);
        let keys: Vec<(i64, i64)> = (0..=USERS).map(|user| (user, (user * 5 + hour).rem_euclid(USERS + 1))).collect();
        let asked: Vec<Json> = keys.iter().map(|(user, receiver)| json!({"user_id": user, "receiver_id": receiver})).collect();
        let request: Vec<Json> = keys.iter().map(|_| json!({"amount": 1.0})).collect();
        let answers = server.lookup("v", &json!({"keys": asked, "request": request, "as_of": rfc3339(q)}));
        for ((user, receiver), answer) in keys.into_iter().zip(&answers) {
            let expected = naive(&users, user, receiver, q);
            same(&expected, answer, &format!("online, user {user} at {}", rfc3339(q)));
            spine.push((json!({"user_id": user, "receiver_id": receiver, "amount": 1.0, "q": rfc3339(q)}), expected));
        }
    }
    project.write("spine.ndjson", ndjson(&spine.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>()));
    let _ = project.run(&["training-set", "v", "--spine", "spine.ndjson", "--out", "set.ndjson", "--time", "q"]).ok();
    let set = read_ndjson(&project.read("set.ndjson"));
    assert_eq!(set.len(), spine.len());
    for ((asked, expected), found) in spine.iter().zip(&set) {
        same(expected, found, &format!("offline, {asked}"));
    }
}

fn payments(count: i64) -> Vec<Json> {
    let payment = |id: i64| {
        let (user, receiver) = (1 + id % USERS, 1 + (id * 7) % USERS);
        json!({"payment_id": id, "user_id": user, "receiver_id": receiver, "amount": id, "t": rfc3339(START + id * HOUR / 4)})
    };
    (0..count).map(payment).collect()
}

fn problems(server: &Server) -> Vec<String> {
    let status = read_json(&server.get("/v1/status").1);
    status["problems"].as_array().expect("problems").iter().map(|problem| problem.as_str().expect("a text").to_owned()).collect()
}

fn seq(server: &Server) -> u64 {
    read_json(&server.get("/v1/status").1)["seq"].as_u64().expect("a seq")
}

#[test]
fn the_latest_row_up_to_a_time_is_read() {
    let project = Project::new(DEFINITIONS);
    let mut chance = Chance::for_test(71);
    let first = random_rows(&mut chance, 60, 10..30);
    deliver(&project, "1.parquet", &batch(&first));
    assert_eq!(project.push("payments", &payments(100)).code, Some(0));
    let server = project.serve();
    server.wait_for_seq(160);
    let mut rows = first.clone();
    equal_naive(&project, &server, &rows);
    // Rows that are older, rows of the same times, and rows from later on, while it serves.
    let second = random_rows(&mut chance, 60, 0..40);
    deliver(&project, "2.parquet", &batch(&second));
    server.wait_for_seq(220);
    rows.extend(second);
    equal_naive(&project, &server, &rows);
    assert_eq!(server.stop(), Some(0));

    // The same files are not taken in again.
    project.catch_up();
    let server = project.serve();
    assert_eq!(seq(&server), 220);
    equal_naive(&project, &server, &rows);

    // As known, a payment that came before the second file does not see it: its `seq` says so.
    let spine: Vec<Json> = payments(100);
    project.write("events.ndjson", ndjson(&spine));
    let arguments = ["training-set", "v", "--spine", "events.ndjson", "--event", "payments", "--time", "t", "--out", "known.ndjson"];
    let _ = project.run(&[&arguments[..], &["--as-known"]].concat()).ok();
    let known = read_ndjson(&project.read("known.ndjson"));
    for (payment, found) in spine.iter().zip(&known) {
        let number = |name: &str| payment[name].as_i64().expect("a number");
        let q = START + number("payment_id") * HOUR / 4;
        same(&naive(&by_user(&first), number("user_id"), number("receiver_id"), q), found, &format!("as known, {payment}"));
    }
    assert_eq!(server.stop(), Some(0));
    let verified = project.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn no_row_is_lost_or_doubled_by_kills() {
    let project = Project::new(DEFINITIONS);
    let mut chance = Chance::for_test(72);
    let (mut rows, mut within) = (Vec::new(), 0);
    for file in 0..4 {
        let server = project.serve();
        let before = seq(&server);
        let more = random_rows(&mut chance, 40_000, 0..40);
        deliver(&project, &format!("{file}.parquet"), &batch(&more));
        rows.extend(more);
        wait_for("some of its rows", || (seq(&server) > before).then_some(()));
        sleep(Duration::from_millis(chance.between(0, 30) as u64));
        server.kill();
        within += usize::from(taken_in(&project) < rows.len() as u64);
    }
    assert!(within > 0, "no kill came before the last row");
    project.catch_up();
    assert_eq!(taken_in(&project), rows.len() as u64);
    let server = project.serve();
    assert_eq!(seq(&server), rows.len() as u64);
    equal_naive(&project, &server, &rows);
    assert_eq!(server.stop(), Some(0));
}

/// How many rows are in the table's log.
fn taken_in(project: &Project) -> u64 {
    let topics = read_ndjson(&project.run(&["topics", "list", "--output", "ndjson"]).ok().stdout);
    let users = topics.iter().find(|topic| topic["topic"] == "users").expect("its topic");
    users["end"].as_u64().expect("a number")
}

#[test]
fn what_is_wrong_with_a_file_is_said_and_the_rest_goes_on() {
    let project = Project::new(DEFINITIONS);
    let without: RecordBatch = batch(&random_rows(&mut Chance::for_test(73), 3, 0..5)).project(&[0, 1, 6]).expect("columns");
    deliver(&project, "1_without.parquet", &without);
    let good = random_rows(&mut Chance::for_test(74), 30, 0..5);
    deliver(&project, "2_good.parquet", &batch(&good));
    project.write("users/3_torn.parquet", "PAR1 and no more");
    project.write("users/notes.txt", "not a file of the table");
    let server = project.serve();
    server.wait_for_seq(30);
    equal_naive(&project, &server, &good);
    let said = problems(&server).join("\n");
    for part in ["table users", "1_without.parquet: there is no column score", "3_torn.parquet: is no readable Parquet file"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("2_good") && !said.contains("notes"), "{said}");

    // Mended files are taken in, and the problem is gone; so is what replaces a file that was taken in.
    let mended = random_rows(&mut Chance::for_test(75), 20, 0..5);
    deliver(&project, "1_without.parquet", &batch(&mended));
    std::fs::remove_file(project.path("users/3_torn.parquet")).expect("it is there");
    server.wait_for_seq(50);
    let replaced = random_rows(&mut Chance::for_test(76), 10, 3..8);
    deliver(&project, "2_good.parquet", &batch(&replaced));
    server.wait_for_seq(60);
    wait_for("no problem", || problems(&server).is_empty().then_some(()));
    equal_naive(&project, &server, &[good.clone(), mended.clone(), replaced.clone()].concat());
    assert_eq!(server.stop(), Some(0));

    // A file that is put back to what it was is taken in again, too, once.
    deliver(&project, "2_good.parquet", &batch(&good));
    project.catch_up();
    let server = project.serve();
    assert_eq!(seq(&server), 90);
    equal_naive(&project, &server, &[good.clone(), mended, replaced, good].concat());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn rows_without_key_or_time_are_set_aside_and_pushes_are_refused() {
    let project = Project::new(DEFINITIONS);
    let mut rows = random_rows(&mut Chance::for_test(77), 5, 0..5);
    rows[1].user = None;
    rows[3].updated = None;
    deliver(&project, "1.parquet", &batch(&rows));
    let refused = project.push("users", &[json!({"user_id": 1})]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("users is a table, which takes its rows from"), "{refused:?}");
    project.catch_up();
    let read = project.run(&["topics", "read", "users.dead", "--from", "start", "--output", "ndjson"]).ok();
    let reasons: Vec<String> = read_ndjson(&read.stdout).iter().map(|record| record["headers"].to_string()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("user_id IS NOT NULL is false"), "{reasons:?}");
    assert!(reasons[1].contains("field updated is the event time and is missing or null"), "{reasons:?}");
    let server = project.serve();
    let (status, answer) = server.try_post("/v1/sources/users/events", "application/x-ndjson", b"{\"user_id\": 1}\n").expect("an answer");
    assert!(status == 400 && answer.contains("users is a table"), "{status}: {answer}");
    equal_naive(&project, &server, &rows);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn files_are_taken_in_again_for_another_key() {
    let project =
        Project::new("table users (a bigint, b text, at timestamp) from parquet '../users' key a time at;\nvector v (users.*);\n");
    let columns: [(&str, ArrayRef); 3] = [
        ("a", Arc::new(Int64Array::from(vec![None, Some(2)]))),
        ("b", Arc::new(StringArray::from(vec!["x", "y"]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![HOUR, HOUR]))),
    ];
    deliver(
        &project,
        "1.parquet",
        &RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch"),
    );
    project.catch_up();
    project.write(
        "features/test.bay",
        "table users (a bigint, b text, at timestamp) from parquet '../users' key b time at;\nvector v (users.*);\n",
    );
    let planned = project.run(&["plan"]).stdout;
    assert!(planned.contains("~ table users: key was a and is b (its files are taken in again, "), "{planned}");
    project.catch_up();
    let topics = read_ndjson(&project.run(&["topics", "list", "--output", "ndjson"]).ok().stdout);
    let ends: BTreeMap<&str, u64> =
        topics.iter().map(|topic| (topic["topic"].as_str().expect("a name"), topic["end"].as_u64().expect("a number"))).collect();
    // The row without `a` was set aside once, and has a key now.
    assert_eq!((ends["users"], ends["users.dead"]), (4, 1));
}

/// Files that are taken in again bring every row a second time: attributes do not mind, and what would count them is refused,
/// whether the column or the count comes first.
#[test]
fn a_new_attribute_is_read_from_files_that_were_taken_in_before() {
    let uncounted = DEFINITIONS.replace("changes.rows,", "").replace("  rows = count(*) over all as rows,\n", "");
    let uncounted = uncounted.replace("vip_rows = count(*) over 5h as vip_rows", "vip_rows = max(score) over 5h as vip_rows");
    let without =
        |definitions: &str| definitions.replace("score double, ", "").replace("score, ", "").replace("max(score)", "max(updated)");
    let rows = random_rows(&mut Chance::for_test(78), 40, 0..30);
    let refused = |project: &Project, named: &str| {
        let said = format!(
            "table users: its columns, key or time are not always those that its files were taken in with, and taking them in again brings \
             every row a second time, which {named} would count: give the table a new name, declare it as before, or leave {named} out"
        );
        assert_eq!(read_json(&project.run(&["plan", "--output", "json"]).stdout)["refused"], json!([said]));
        for command in [&["apply"][..], &["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]] {
            let ended = project.run(command);
            assert!(ended.code == Some(1) && ended.stderr.contains(&said), "{ended:?}");
        }
    };

    let project = Project::new(&without(DEFINITIONS));
    deliver(&project, "1.parquet", &batch(&rows));
    project.catch_up();
    project.write("features/test.bay", DEFINITIONS);
    refused(&project, "changes.rows");
    // Under another name it is another table, of which every row counts once.
    let renamed = DEFINITIONS.replace("users.", "people.").replace("table users", "table people").replace("from users", "from people");
    project.write("features/test.bay", &renamed);
    project.catch_up();
    let server = project.serve();
    equal_naive(&project, &server, &rows);
    assert_eq!(server.stop(), Some(0));

    let project = Project::new(&without(&uncounted));
    deliver(&project, "1.parquet", &batch(&rows));
    project.catch_up();
    project.write("features/test.bay", &uncounted);
    let plan = project.run(&["plan"]).stdout;
    let said = "+ table users: column score double (its files are taken in again, and every row is stored a second time)\n";
    assert!(plan.contains(said), "{plan}");
    project.catch_up();
    let server = project.serve();
    let user = rows.iter().find_map(|row| row.user).expect("a user");
    let found = server.lookup("v", &json!({"keys": [{"user_id": user, "receiver_id": user}], "as_of": rfc3339(START + 40 * HOUR)}));
    let held = rows.iter().filter(|row| row.user == Some(user) && row.updated.is_some_and(|time| time <= START + 40 * HOUR));
    assert_eq!(found[0]["score"].as_f64(), held.max_by_key(|row| row.updated).and_then(|row| row.score));
    assert_eq!(server.stop(), Some(0));
    project.write("features/test.bay", DEFINITIONS);
    refused(&project, "changes.rows");
}

#[test]
fn the_plan_says_that_a_column_of_another_type_keeps_the_engine_from_starting() {
    let project = Project::new(DEFINITIONS);
    let rows = random_rows(&mut Chance::for_test(80), 20, 0..5);
    deliver(&project, "1.parquet", &batch(&rows));
    project.catch_up();
    project.write("features/test.bay", DEFINITIONS.replace("visits bigint", "visits double"));
    let plan = project.run(&["plan"]);
    assert_eq!(plan.code, Some(2), "{plan:?}");
    let said = "source users: field visits is double now but stored events have it as bigint; give the changed field a new name, or declare \
                bigint again";
    assert!(plan.stdout.contains(&format!("! {said}\n")), "{plan:?}");
    let listed = read_json(&project.run(&["plan", "--output", "json"]).stdout);
    assert!(listed["refused"].as_array().is_some_and(|refused| refused.contains(&json!(said))), "{listed}");
    let changed = json!({"what": "table", "name": "users", "clause": "column visits", "from": "bigint", "to": "double",
                         "effect": "its files are taken in again, and every row is stored a second time"});
    assert_eq!(listed["clauses_changed"], json!([changed]));
    let applied = project.run(&["apply"]);
    assert!(applied.code == Some(1) && applied.stderr.contains(said), "{applied:?}");
    let refused = project.run(&["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("a new name"), "{refused:?}");
    // What was declared before still starts.
    project.write("features/test.bay", DEFINITIONS);
    let server = project.serve();
    equal_naive(&project, &server, &rows);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_table_may_be_one_file_and_may_be_missing() {
    let project = Project::new(&DEFINITIONS.replace("'../users'", "'../users/all.parquet'"));
    assert!(!Path::new(&project.path("users")).exists());
    let server = project.serve();
    let said = problems(&server).join("\n");
    assert!(said.contains("all.parquet: there is no such file or folder"), "{said}");
    let rows = random_rows(&mut Chance::for_test(79), 10, 0..5);
    deliver(&project, "all.parquet", &batch(&rows));
    deliver(&project, "other.parquet", &batch(&rows));
    server.wait_for_seq(10);
    equal_naive(&project, &server, &rows);
    assert_eq!(server.stop(), Some(0));
}

const RATED: &str = "
source orders (order_id bigint, user_id bigint, seller_id bigint, x double, t timestamp)
from log 'orders'
event time t
lateness '1 day' history '30 days'
dedup by order_id within '1 day';
table ratings (user_id bigint, level bigint, weight double, since timestamp) from parquet '../users' key user_id time since;
vector rated on orders (
  n_1h = ratings.level default 0,
  spend_1h = ratings.weight for user_id = seller_id default 0,
  x,
);
model rated from 'sum_of_named.onnx' takes rated score orders into topic 'rated-scores';
";

/// User, level, weight and since when.
type Rating = (i64, Option<i64>, Option<f64>, i64);

/// Each event is scored with the rows that were taken in before it, and hold at its time; a training set has both that and
/// what holds by all rows.
#[test]
fn a_model_scores_over_attributes_of_a_table() {
    if !onnx_runtime() {
        return;
    }
    let project = Project::new(RATED);
    project.write("features/sum_of_named.onnx", std::fs::read(here("fixtures/sum_of_named.onnx")).expect("a fixture"));
    let mut chance = Chance::for_test(81);
    let mut rating = |_| -> Rating {
        let (level, weight) = (chance.between(-3, 3), chance.between(0, 100) as f64 / 8.0);
        let since = START + chance.between(0, 39) * HOUR;
        (chance.between(1, 6), (!chance.once_in(4)).then_some(level), (!chance.once_in(4)).then_some(weight), since)
    };
    let ratings: Vec<Rating> = (0..120).map(&mut rating).collect();
    let time = |id: i64| START + id / 2 * HOUR;
    let order = |id: i64| json!({"order_id": id, "user_id": id % 7, "seller_id": id * 3 % 7, "x": id as f64 / 4.0, "t": rfc3339(time(id))});
    let orders: Vec<Json> = (0..60).map(order).collect();
    for (file, (rows, orders)) in [(&ratings[..60], &orders[..30]), (&ratings[60..], &orders[30..])].into_iter().enumerate() {
        let columns: [(&str, ArrayRef); 4] = [
            ("user_id", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>())),
            ("level", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
            ("weight", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
            ("since", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<TimestampMicrosecondArray>())),
        ];
        let columns = columns.map(|(name, column)| (name, column, true));
        deliver(&project, &format!("{file}.parquet"), &RecordBatch::try_from_iter_with_nullable(columns).expect("a batch"));
        project.catch_up();
        let _ = project.push("orders", orders).ok();
        project.catch_up();
    }

    let naive = |id: i64, taken_in: usize| {
        let latest = |user: i64| {
            let held = ratings[..taken_in].iter().filter(move |row| row.0 == user && row.3 <= time(id));
            held.max_by_key(|row| row.3)
        };
        let (level, weight) = (latest(id % 7).and_then(|row| row.1), latest(id * 3 % 7).and_then(|row| row.2));
        json!({"n_1h": level.unwrap_or(0), "spend_1h": weight.unwrap_or(0.0), "x": id as f64 / 4.0})
    };
    let in_vector = |row: &Json| json!({"n_1h": row["n_1h"], "spend_1h": row["spend_1h"], "x": row["x"]});
    let predictions = read_topic(&project, "rated-scores");
    assert_eq!(predictions.len(), orders.len());
    project.write("spine.ndjson", ndjson(&orders));
    let asked = |arguments: &[&str]| {
        let _ = project.run(&[arguments, &["--spine", "spine.ndjson", "--out", "out.ndjson", "--event", "orders"]].concat()).ok();
        read_ndjson(&project.read("out.ndjson"))
    };
    let (known, scores) = (asked(&["training-set", "rated", "--as-known"]), asked(&["score", "rated", "--as-known"]));
    let (as_of, scores_as_of) = (asked(&["training-set", "rated"]), asked(&["score", "rated"]));
    let server = project.serve();
    let mut differing = 0;
    for (row, order) in orders.iter().enumerate() {
        let id = order["order_id"].as_i64().expect("an id");
        let prediction = &predictions.iter().find(|prediction| prediction.value["offset"] == id).expect("a prediction").value;
        assert_eq!(in_vector(&prediction["features"]), naive(id, if row < 30 { 60 } else { 120 }), "scored {id}");
        assert_eq!(in_vector(&known[row]), in_vector(&prediction["features"]), "{id} as known");
        assert_eq!(scores[row]["score"], prediction["score"], "the score of {id} as known");

        assert_eq!(in_vector(&as_of[row]), naive(id, 120), "{id} as of its time");
        let keys = json!([{"user_id": order["user_id"], "seller_id": order["seller_id"]}]);
        let asked = json!({"keys": keys, "request": [{"x": order["x"]}], "as_of": order["t"]});
        assert_eq!(server.lookup("rated", &asked), [naive(id, 120)], "{id} online");
        let (status, answer) = server.post("/v1/models/rated/score", &asked);
        assert_eq!((status, &answer["scores"][0]), (200, &scores_as_of[row]["score"]), "the score of {id} online: {answer}");
        differing += usize::from(naive(id, 60) != naive(id, 120));
    }
    assert!(differing > 10, "the second file changes what holds at times before it");
    assert_eq!(server.stop(), Some(0));
}
