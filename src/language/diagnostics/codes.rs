//! Every code that a diagnostic can carry. A code is never reused for another meaning, also when nothing reports it any
//! more and its entry is gone. Each has a golden file in `integration/tests/diagnostics` and a section in `docs/diagnostics.md`.

/// A kind of problem.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeEntry {
    /// `FB` and four digits.
    pub id: &'static str,
    pub title: &'static str,
    /// Why it is a problem and what to do.
    pub explanation: &'static str,
}

impl CodeEntry {
    /// Whether it says that the language names something which this version cannot run.
    #[must_use]
    pub fn is_not_yet(&self) -> bool {
        self.id.starts_with("FB09")
    }
}

/// A reference to one entry of the registry.
pub type Code = &'static CodeEntry;

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal;)*) => {
        $(pub(crate) const $name: Code = &CodeEntry { id: $id, title: $title, explanation: $explanation };)*
        /// The registry, by number.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    UNREADABLE = "FB0001", "text that is no token",
        "A string or comment that does not end, or a character that has no meaning. Close the quote, or remove the character.";
    UNBALANCED = "FB0002", "brackets that do not match",
        "Every `(` and `[` needs its counterpart within the declaration.";
    EXPECTED = "FB0003", "something else was expected",
        "The declaration cannot go on like this. The label says what may stand here.";
    UNKNOWN_DECLARATION = "FB0004", "unknown declaration",
        "A declaration starts with source, table, stream, entity, features, vector or model.";
    MISSING_SEMICOLON = "FB0005", "missing semicolon",
        "Every declaration ends with `;`.";
    BAD_EXPRESSION = "FB0006", "expression that cannot be read",
        "The text is not one SQL expression.";
    REPEATED_CLAUSE = "FB0007", "clause written twice",
        "A clause may stand once in its declaration or feature; only `expect` may be repeated.";
    MISSING_CLAUSE = "FB0008", "missing clause",
        "The declaration lacks a clause without which it has no meaning.";
    BAD_DURATION = "FB0009", "not a duration",
        "A duration is a whole number and a unit: ms, s, m, h, d or w, such as `10m` or '10 minutes', and longer than nothing where \
         it bounds something.";
    EMPTY_LIST = "FB0010", "empty list",
        "A source without columns, an entity without keys, a view without features and a vector without columns have no use.";

    DUPLICATE_DECLARATION = "FB0101", "name declared twice",
        "Two declarations of one kind have the same name. Names are shared by all files of a folder.";
    UNKNOWN_SOURCE = "FB0102", "unknown source",
        "No source, table or stream of that name is declared in any file.";
    UNKNOWN_ENTITY = "FB0103", "unknown entity",
        "No entity of that name is declared in any file.";
    UNKNOWN_VIEW = "FB0104", "unknown feature view",
        "No `features` declaration, and no table, has that name.";
    UNKNOWN_VECTOR = "FB0105", "unknown vector",
        "No vector of that name is declared in any file.";
    UNKNOWN_COLUMN = "FB0106", "unknown column",
        "The source, or what the vector can see, has no column of that name. Names are compared with their letter case.";
    UNKNOWN_FEATURE = "FB0107", "unknown feature",
        "The view has no feature of that name. A feature's full name includes its window: `spend_1h`.";
    UNKNOWN_FUNCTION = "FB0108", "unknown function",
        "There is no scalar function of that name.";
    UNKNOWN_AGGREGATE = "FB0109", "unknown aggregate",
        "There is no aggregate of that name.";
    DUPLICATE_COLUMN = "FB0110", "column declared twice",
        "Columns of one source, keys of one entity and request columns of one vector need different names.";
    DUPLICATE_FEATURE = "FB0111", "two features of one name",
        "Two features of a view would have the same full name. Name one of the windows with `as`.";
    DUPLICATE_VECTOR_COLUMN = "FB0112", "two vector columns of one name",
        "The columns of a vector become the columns of training sets and the inputs of models, so their names must differ. Give one \
         an alias.";
    AMBIGUOUS_NAME = "FB0113", "ambiguous name",
        "Several views read by this vector have a feature of that name. Write `view.feature`.";
    RESERVED_NAME = "FB0114", "reserved name",
        "Event batches and training sets have columns `partition`, `offset`, `ingest_time`, `seq`, `retracts_time` and \
         `retracts_offset` of their own.";

    UNKNOWN_TYPE = "FB0201", "unknown type",
        "Columns are boolean, bigint, double, text or timestamp, or lists of them: `double[]`.";
    NOT_BOOLEAN = "FB0202", "condition that is not boolean",
        "`where`, `expect` and `deletes when` take a condition: an expression that is true, false or null.";
    KEY_TYPE = "FB0203", "key of another type",
        "A column that holds an entity's key must have the type that the entity declares; otherwise no event would meet its key.";
    MIXED_TYPES = "FB0204", "operands of different kinds",
        "Text, numbers, booleans and timestamps are not compared or calculated with one another unless one is cast: a silent \
         conversion would hide a mistake.";
    INTEGER_DIVISION = "FB0205", "division of integers",
        "Integer divided by integer drops the fraction: 1 / 2 is 0. Cast one side to double; `trunc(a::double / b)` gives the whole \
         part.";
    EXPRESSION_TYPE = "FB0206", "expression without a usable type",
        "The expression's types do not fit together, or its result is none of boolean, bigint, double, text, timestamp or a list of \
         them.";
    DEFAULT_TYPE = "FB0207", "default of another type",
        "A default takes the place of null, so it must have the type of the feature or column.";
    NOT_A_LITERAL = "FB0208", "not a literal",
        "A default and the parameters of an aggregate or a function are written as literals: a number, a 'text', true or false.";
    LIST_PLACE = "FB0209", "list where a single value is needed",
        "Keys of entities and the columns of `dedup by` and `partitions .. by` are single values, which are equal or not.";
    NOT_IN_LANGUAGE = "FB0210", "form, operator or function that the language does not have",
        "Expressions are made of the forms, operators and functions that `docs/functions.md` lists, each in PostgreSQL's sense or \
         with its differences. What PostgreSQL means otherwise, or has not, is refused rather than given another meaning.";
    CAST = "FB0211", "cast without one meaning",
        "Between numbers and times a cast would have to guess the unit, and lists have no one spelling as text. Functions say what is \
         meant: `to_timestamp(seconds)`, `extract(epoch from t)`, `array_to_string(list, ',')`.";
    UNKNOWN_PART = "FB0212", "part or format of a time that there is not",
        "`extract` and `date_part` take the name of a part, `to_char` a format of PostgreSQL's patterns.";
    NO_PATTERN = "FB0213", "pattern that is none",
        "A pattern of `similar to` is SQL's: `%` and `_`, and `| * + ? {} () []` as in regular expressions, over the whole text. A backslash, \
         or the letter of `escape`, takes the meaning of the sign behind it.";
    FAILS_ALWAYS = "FB0220", "expression that has a value for no row",
        "A part of the expression fails whatever the row is, such as a function that does not know a constant argument: a field of \
         times, a time zone, a pattern. The value would be null for ever.";
    BAD_LITERAL = "FB0221", "literal that is no value of its type",
        "A text that stands where a timestamp or a number is needed does not hold one, or a number is beyond the range of its type. \
         Times may lie anywhere in the years of the calendar: '9999-12-31' is one, '2024-02-30' is none.";

    VOLATILE = "FB0301", "value that is no function of the event",
        "The expression depends on the clock, on chance or on a file. Values are functions of events, so that they can be computed \
         again.";
    SUBQUERY = "FB0302", "subquery in an expression",
        "An expression sees one event or one row of a vector, not tables.";
    AGGREGATE_INSIDE = "FB0303", "aggregate inside an expression",
        "An aggregate is the outermost call of a feature. Give it a name there, and compute from the name in another feature of \
         the view, or in a vector.";
    WINDOW_FUNCTION = "FB0304", "SQL window clause",
        "SQL's own `over (..)`, `filter (..)` and `within group` have no place in an expression; features have `over` and `where` \
         clauses.";

    EVENT_TIME_TYPE = "FB0401", "event time that is no timestamp",
        "The column named by `event time`, or by the `time` of a table, must be a timestamp.";
    HISTORY_SHORT = "FB0402", "history shorter than lateness",
        "State must be kept at least as long as late events may come: `history` is never less than `lateness`.";
    BAD_PARTITIONS = "FB0403", "bad number of partitions",
        "An embedded log has between 1 and 1024 partitions.";
    UNKNOWN_FORMAT = "FB0404", "unknown format",
        "Records of a source are read as json, the rows of a table as parquet.";
    BAD_TOPIC = "FB0405", "bad topic name",
        "A topic's name has 1 to 249 characters: letters, digits, `.`, `_` and `-`.";
    KAFKA_PARTITIONS = "FB0406", "partitions of a Kafka topic",
        "The partitions of a Kafka topic are the broker's to choose; only an embedded log is partitioned here.";
    QUARANTINE = "FB0407", "expectation without its consequence",
        "`expect` says what happens to events that fail: `else quarantine` sends them to the dead-letter topic.";
    DELETES_WITHOUT_ID = "FB0408", "delete that names no event",
        "A record for which `deletes when` holds, or a tombstone, retracts the event with its `dedup by` columns, so the source needs that \
         clause.";
    TABLE_COLUMNS = "FB0409", "columns that make no table",
        "A row of a table says which attributes its key has from its time on: it needs key columns, a time that is none of them, and at \
         least one column more.";
    TABLE_FILES = "FB0410", "missing files of a table",
        "The rows of a table are read from a Parquet file, or from the `*.parquet` of a folder. Until it is there, the table has no rows; \
         an empty path is an error.";
    TABLE_TOPIC = "FB0411", "topic of a table",
        "The rows of a table lie in a topic of the embedded log that is called like the table. No source reads it and no model writes \
         to it: a view or a stream names the table.";
    TOMBSTONES_OF_LOG = "FB0412", "tombstones of an embedded log",
        "A tombstone names its event by its record's key. Records of Kafka have one, those that are pushed to an embedded log have none.";

    EPOCH_UNKNOWN = "FB0413", "unknown unit of times",
        "An integer that stands for a time counts seconds, milliseconds, microseconds or nanoseconds since 1970: `t timestamp s`, `ms`, \
         `us` (where nothing is said) or `ns`.";
    EPOCH_PLACE = "FB0414", "unit where no times are counted",
        "Only integers in records and in files of tables are counted in a unit that is declared, and only those that stand for times.";

    ZERO_WINDOW = "FB0501", "window of no length",
        "A range window is longer than nothing.";
    AGGREGATE_ARGUMENTS = "FB0502", "wrong number of arguments",
        "The aggregate takes another number of arguments.";
    AGGREGATE_TYPES = "FB0503", "argument the aggregate cannot take",
        "The aggregate is not defined for an argument of this type or a parameter of this value.";
    KEY_COLUMN_MISSING = "FB0504", "source without the entity's key",
        "The source has no column called like the entity's key. Say which column holds it with `by`.";
    KEY_COUNT = "FB0505", "wrong number of key columns",
        "`by` names one column for each key column of the entity, in their order.";
    NOT_AN_AGGREGATE = "FB0506", "feature that is no aggregate",
        "A feature is one aggregate call: `spend = sum(amount) over 1h`; or an expression over other features of its view, without \
         `where`, `by` and `over`: `doubled = spend_1h * 2`. Arithmetic with columns belongs inside an aggregate's call.";
    WINDOW_MODIFIER = "FB0507", "modifier that does not fit the window",
        "`open` and `hop` are for range windows, `limit` for all but windows of rows; each modifier may stand once.";
    BAD_HOP = "FB0508", "hop that does not fit its window",
        "The start of a window with `hop` is a multiple of the hop, which is longer than nothing and at most as long as the window.";
    UNKNOWN_ZONE = "FB0509", "unknown time zone",
        "Calendar windows are cut by the clocks of a time zone of the IANA database, called by its name, letter for letter: \
         'Europe/Berlin'. Without `in` it is UTC.";
    BAD_ROWS = "FB0510", "bad number of rows",
        "A window of rows, and a limit, has between 1 and 1000000 rows.";
    ALIAS_PLACE = "FB0511", "word that belongs to a window",
        "`as` names the feature of one window and stands behind that window, as `before`, `excluding current`, `offset` and `limit` do: \
         `sum(amount) over 1h before as recent, 1d default 0`. A feature without a window is called by the name in front of it.";
    NEEDS_BOUNDED = "FB0515", "aggregate over too much",
        "The aggregate needs the events themselves, which are forgotten in the end: its window has a lower bound.";
    BAD_LIMIT = "FB0520", "bad limit of a map",
        "A map has room for 1 to 1000 keys.";
    DERIVED_CYCLE = "FB0530", "feature computed from itself",
        "A feature that is an expression reads aggregates, and expressions that do not read it.";

    KEY_UNREACHABLE = "FB0601", "vector without the view's key",
        "The vector's source has no column called like the view's key. Say which column to read it under with `for key = column`.";
    UNKNOWN_KEY = "FB0602", "unknown key",
        "`for` names a key column of the view's entity (or the entity itself, if it has one key).";
    NAME_NEEDED = "FB0603", "derived column without a name",
        "A derived column needs a name: `name = expression`.";
    REQUEST_WITH_ON = "FB0604", "request columns twice",
        "A vector `on` a source takes its request columns from that source; `request (..)` is for vectors without one.";
    ROLE_WITHOUT_VIEW = "FB0605", "role without a feature",
        "`for` and a star alias belong to an item that reads features of a view.";
    REQUEST_KEY_TYPE = "FB0606", "request column of another type than the key",
        "A request column that is called like a key of the vector has the key's value, so it has its type. Cast it in an item.";
    REQUEST_UNUSED = "FB0607", "request column that nothing uses",
        "A request column is sent for an item: it is one itself, or an expression reads it.";
    COLUMN_LIKE_KEY = "FB0608", "column called like a key",
        "A training set has the vector's keys under their names, so no feature and no expression is called like one. The key itself may \
         be an item, as a request column.";

    MODEL_FILE = "FB0701", "missing model file",
        "The file is looked for beside the file of the declaration.";
    MODEL_HASH = "FB0702", "model file with another hash",
        "The pinned SHA-256 is not that of the file: it was replaced without its declaration.";
    BAD_HASH = "FB0703", "not a SHA-256",
        "A hash is written as 64 hexadecimal digits.";
    MODEL_UNREADABLE = "FB0704", "model that cannot be read",
        "The ONNX Runtime could not load the file.";
    MODEL_INPUTS = "FB0705", "model inputs that do not match",
        "A model takes all columns of its vector in one tensor of shape [N, number of columns]; or one input for each column, by name \
         and of shape [N] or [N, 1]; or shares those that no input names by type, numbers in one tensor and texts in another. A list \
         feeds [N, its length].";
    SCORE_SOURCE = "FB0706", "scored source that is not the vector's",
        "A model scores the events of the source that its vector is `on`, because that is where keys and request columns come from.";
    MISSING_PROFILE = "FB0707", "missing drift profile",
        "Drift is measured against a reference profile, made by `forebay models profile`. Until the file is there, drift is not \
         reported.";
    UNKNOWN_METRIC = "FB0708", "unknown drift metric",
        "Alerts are on psi, ks or missing_rate.";
    MODEL_OUTPUT = "FB0710", "score that is not evident",
        "A score is one number for each row. Where a model gives several (classes, targets, distances, outputs), `output` says which \
         of them it is: by the output's name, and by a class's label or a column. Evident are a single number, and the positive one of \
         two classes that are called 0 and 1, or false and true.";
    MODEL_FAILS = "FB0711", "model that cannot score its vector",
        "The model was run on made-up rows of its vector. It failed on every one of them, or gave what cannot be read as numbers of \
         its rows.";
    MODEL_NEIGHBOURS = "FB0712", "score that depends on other rows",
        "A score is a function of its row alone: the stream is scored in batches, a request on its own, and both must give the same \
         number. This model looks at the whole batch (a softmax, a mean or a rank over rows). With `runs row by row` each row is \
         scored alone.";
    MODEL_CHANCE = "FB0713", "score that depends on chance",
        "The same row gets another score each time, so that no score can be had twice: the model draws random numbers. With `runs with \
         chance` it is run all the same.";
    MODEL_UNPROVEN = "FB0714", "model that was not tried",
        "The model takes none of the made-up rows, which may be because it knows only its own texts. What it gives is found out with \
         the first real rows, one by one.";
    PROFILE_COLUMNS = "FB0740", "drift profile that does not fit the vector",
        "A column that the profile lacks, or has of another type, is not compared with anything, and a column of the profile that the \
         vector lacks is not counted. Reports name these as `unwatched`.";
    ALERT_COLUMN = "FB0741", "alert on a column that is not there",
        "An alert, and what is excepted from alerts, names columns of the model's vector, or `score` for the model's scores.";
    ALERT_ON_TIME = "FB0742", "alert on times",
        "A time is further from the profile's with every interval. An alert on psi or ks that names no columns leaves times out; one \
         that names them holds.";
    PROFILE_MODEL = "FB0743", "drift profile of another model",
        "The profile says which file gave its scores and which vector its columns are of. Scores of another model cannot be compared \
         with them.";
    BAD_PROFILE = "FB0744", "drift profile that cannot be read",
        "The file is no profile, or of a version that this Forebay does not know. Drift is not reported.";
    WATCH_WITHOUT_SCORE = "FB0745", "watch of a model that scores nothing",
        "Drift is counted of the rows that the model scores from the stream.";
    ALERT_METRIC = "FB0746", "alert on a metric that the column does not have",
        "Texts and booleans have no order, and so no Kolmogorov-Smirnov distance; lists, maps and structs are only counted as missing \
         or not.";

    STREAM_QUERY = "FB0801", "stream that is not row by row",
        "A stream is made of its sources' events one by one: `select expressions from source where condition`, several of them put \
         together by `union all`. Joins, grouping, ordering and limits look at many rows.";
    STREAM_WIDTH = "FB0802", "parts of another number of columns",
        "The parts of a stream that `union all` puts together have the same columns, in the same order.";
    STREAM_TYPES = "FB0803", "parts of other types",
        "The columns of a stream have the types of its first part; a value of another type is cast.";
    STREAM_TIME = "FB0804", "stream without its events' time",
        "The event time of a stream's row is that of its event: every part selects the event time of its source, unchanged and in the \
         same place.";
    STREAM_CYCLE = "FB0805", "stream of itself",
        "A stream reads sources, or streams that do not read it.";
    STREAM_PLACE = "FB0806", "stream where only a source can stand",
        "A vector is `on` a source, and a model scores one: request columns, keys and the place in the order are of one record of one \
         log. Features read streams.";
    STREAM_BRANCHES = "FB0807", "stream of too many parts",
        "A stream has at most 256 parts, those of the streams that it reads counted in.";
    UNNEST_PLACE = "FB0808", "unnest that is no column of a stream",
        "`unnest(list)` is a column of a stream by itself: `select unnest(xs) as x, .. from source`. A stream over that stream can compute \
         with the elements, and filter them.";
    UNNEST_TWICE = "FB0809", "two lists in one select",
        "A `select` makes a row of each element of one list. A stream over the stream can unnest another.";
    UNNEST_TYPE = "FB0810", "unnest of what is no list",
        "Only a list has elements: a column such as `double[]`, or an expression that gives a list.";

    NOT_YET_LABEL = "FB0907", "labels cannot be joined yet",
        "The language names `label`, this version does not join labels. Bring them in the spine of a training set.";
    NOT_YET_FORMAT = "FB0910", "format cannot be read yet",
        "The language names avro, protobuf and debezium, this version reads json.";
    NOT_YET_OBJECT_STORE = "FB0915", "object store that cannot be read yet",
        "The language names tables in object stores (`s3://..`), this version reads them from the local file system.";
}

#[cfg(test)]
mod tests {
    use super::CODES;

    #[test]
    fn codes_rise_and_are_never_shared() {
        assert!(CODES.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(CODES.iter().all(|code| code.id.len() == 6 && code.id.starts_with("FB")));
    }
}
