//! What the language and DuckDB's SQL can both say: aggregates and windows, side by side.

use serde_json::Value as Json;

/// How near a value must be to DuckDB's.
#[derive(Clone, Copy)]
pub enum Near {
    Bits,
    /// Relative to the value's magnitude, or to the second number where that is greater.
    Within(f64, f64),
}

impl Near {
    pub const fn within(relative: f64) -> Self {
        Self::Within(relative, 1e-3)
    }

    pub fn holds(self, actual: &Json, expected: &Json) -> bool {
        match (self, actual, expected) {
            (Self::Bits, Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.holds(a, b)),
            (Self::Bits, Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => {
                a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
            }
            (Self::Within(relative, least), Json::Number(a), Json::Number(b)) => {
                let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
                (a - b).abs() <= relative * b.abs().max(least)
            }
            _ => actual == expected,
        }
    }
}

/// An aggregate in both languages.
pub struct Aggregate {
    /// With `{n}`, `{x}`, `{s}` and `{b}` for the inputs.
    pub call: &'static str,
    /// A window function `over w`; or made of `us` (the times of all events, in microseconds), `ns`, `ss`, `bs` (values that
    /// are not null), `es` (structs of time and `n`), `hs` (structs of `n` and `x`), `counts` and `kinds` (maps from values
    /// of `n` and `s` to how often they are there, also sorted as `top_counts` and `top_kinds`), `q` and `start`.
    pub sql: &'static str,
    pub near: Near,
}

impl Aggregate {
    pub fn is_inner(&self) -> bool {
        self.sql.contains(" over w")
    }
}

const fn same(call: &'static str, sql: &'static str) -> Aggregate {
    Aggregate { call, sql, near: Near::Bits }
}

const fn near(relative: f64, call: &'static str, sql: &'static str) -> Aggregate {
    Aggregate { call, sql, near: Near::within(relative) }
}

pub const AGGREGATES: &[Aggregate] = &[
    same("count(*)", "count(*) over w"),
    same("count({n})", "count(n) over w"),
    same("sum({n})", "(sum(n) over w)::bigint"),
    same("avg({n})", "avg(n) over w"),
    near(1e-12, "sum({x})", "sum(x) over w"),
    near(1e-12, "avg({x})", "avg(x) over w"),
    same("min({n})", "min(n) over w"),
    same("max({x})", "max(x) over w"),
    same("min({s})", "min(s) over w"),
    near(1e-9, "var_pop({x})", "var_pop(x) over w"),
    near(1e-9, "var_samp({n})", "var_samp(n) over w"),
    near(1e-9, "stddev_pop({n})", "stddev_pop(n) over w"),
    near(1e-9, "stddev_samp({x})", "stddev_samp(x) over w"),
    near(1e-9, "skewness({n})", "skewness(n) over w"),
    near(1e-9, "kurtosis({n})", "kurtosis(n) over w"),
    near(1e-9, "corr({n}, {x})", "corr(n, x) over w"),
    near(1e-9, "regr_slope({n}, {x})", "regr_slope(n, x) over w"),
    // In whole numbers of 128 bits: DuckDB's `regr_slope` loses a millionth of it where events are a microsecond apart.
    near(
        1e-12,
        "trend({n})",
        "1e6 * (len(es) * list_sum(list_transform(es, lambda e: (e.u - es[1].u)::hugeint * e.n)) \
         - list_sum(list_transform(es, lambda e: e.u - es[1].u)) * list_sum(ns)) \
         / nullif(len(es) * list_sum(list_transform(es, lambda e: (e.u - es[1].u)::hugeint * (e.u - es[1].u))) \
         - list_sum(list_transform(es, lambda e: e.u - es[1].u)) * list_sum(list_transform(es, lambda e: e.u - es[1].u)), 0)",
    ),
    near(1e-9, "zscore_last({n})", "(ns[-1] - list_avg(ns)) / nullif(list_stddev_samp(ns), 0)"),
    same("first({n})", "arg_min(n, position) filter (where n is not null) over w"),
    same("last({x})", "arg_max(x, position) filter (where x is not null) over w"),
    same("latest({x})", "arg_max_null(x, position) over w"),
    same("latest({s})", "arg_max_null(s, position) over w"),
    same("first_n({s}, 3)", "ss[1:3]"),
    same("last_n({n}, 4)", "ns[-4:]"),
    same("array_agg({s}, 1000)", "ss[-1000:]"),
    same("lag({n})", "ns[-2]"),
    same("lag({s}, 3)", "ss[-4]"),
    same("delta({n})", "ns[-1] - ns[-2]"),
    same("pct_change({n})", "(ns[-1] - ns[-2]) / nullif(ns[-2], 0)"),
    same("last_distinct_n({s}, 3)", "list_filter(ss, lambda v, i: not list_contains(ss[i + 1:], v))[-3:]"),
    same("distinct_n({n}, 5)", "map_keys(counts)[1:5]"),
    same("min_by({x}, {n})", "arg_min(x, {'n': n, 'p': position}) filter (where n is not null and x is not null) over w"),
    same("max_by({s}, {n})", "arg_max(s, {'n': n, 'p': -position}) filter (where n is not null and s is not null) over w"),
    same("bool_and({b})", "bool_and(b) over w"),
    same("bool_or({b})", "bool_or(b) over w"),
    same("count_distinct({n})", "count(distinct n) over w"),
    same("count_distinct({s}, 3)", "least(count(distinct s) over w, 3)"),
    Aggregate { call: "approx_distinct({n})", sql: "count(distinct n) over w", near: Near::Within(0.05, 60.0) },
    same("median({n})", "median(n) over w"),
    same("percentile({n}, 0.25)", "quantile_cont(n, 0.25) over w"),
    near(1e-12, "percentile({x}, 0.9)", "quantile_cont(x, 0.9) over w"),
    near(0.0079, "approx_percentile({n}, 0.9)", "list_sort(ns)[floor(0.9e0 * (len(ns) - 1))::bigint + 1]"),
    near(0.0079, "approx_median({n})", "list_sort(ns)[floor(0.5e0 * (len(ns) - 1))::bigint + 1]"),
    same("mode({n})", "map_keys(counts)[list_position(map_values(counts), list_max(map_values(counts)))]"),
    same("top_k({n}, 3)", "list_transform(top_counts[1:3], lambda e: e.k)"),
    near(1e-9, "entropy({s})", "case when count(s) over w > 0 then entropy(s) over w end"),
    same(
        "histogram({n}, 0, 20)",
        "case when len(ns) > 0 then [len(list_filter(ns, lambda v: v < 0)), \
         len(list_filter(ns, lambda v: v >= 0 and v < 20)), len(list_filter(ns, lambda v: v >= 20))] end",
    ),
    near(1e-12, "rate()", "len(us) / nullif((q - coalesce(start, us[1])) / 1e6, 0)"),
    near(1e-12, "rate({n})", "list_sum(ns) / nullif((q - coalesce(start, es[1].u)) / 1e6, 0)"),
    near(1e-12, "interarrival_avg()", "(us[-1] - us[1]) / 1e6 / nullif(len(us) - 1, 0)"),
    near(1e-9, "interarrival_stddev()", "list_stddev_samp(list_transform(us[2:], lambda v, i: v - us[i])) / 1e6"),
    same("seconds_since_first()", "(q - us[1]) / 1e6"),
    same("seconds_since_last()", "(q - us[-1]) / 1e6"),
    near(1e-9, "decayed_sum({n}, '1d')", "list_sum(list_transform(es, lambda e: e.n * pow(2, (e.u - q) / 864e8)))"),
    near(
        1e-9,
        "ewma({n}, '1d')",
        "list_sum(list_transform(es, lambda e: e.n * pow(2, (e.u - es[-1].u) / 864e8))) \
         / list_sum(list_transform(es, lambda e: pow(2, (e.u - es[-1].u) / 864e8)))",
    ),
    near(
        1e-12,
        "time_weighted_avg({n})",
        "case when q > es[1].u then list_sum(list_transform(es, lambda e, i: e.n * (coalesce(es[i + 1].u, q) - e.u))) / (q - es[1].u) \
         else es[-1].n end",
    ),
    same("streak({b})", "case when list_contains(bs, false) then list_position(list_reverse(bs), false) - 1 else len(bs) end"),
    same("drawdown({n})", "list_max(list_transform(ns, lambda v, i: list_max(ns[1:i]) - v))"),
    near(
        1e-7,
        "distance_sum({n}, {x})",
        "case when len(hs) = 1 then 0 else list_sum(list_transform(hs[2:], lambda e, i: 2 * 6371.0088e0 * asin(sqrt(least(1, \
         pow(sin(radians(e.a - hs[i].a) / 2), 2) \
         + cos(radians(e.a)) * cos(radians(hs[i].a)) * pow(sin(radians(e.o - hs[i].o) / 2), 2)))))) end",
    ),
    same("count(*) where {b}", "count(*) filter (where b) over w"),
    same("sum({n}) where {n} > 5", "(sum(n) filter (where n > 5) over w)::bigint"),
    same("count_distinct({s}) where not {b}", "count(distinct s) filter (where not b) over w"),
    same("last_n({n}, 2) where {b}", "(list(n order by position) filter (where b and n is not null) over w)[-2:]"),
    same("time_since({b})", "(micros - max(micros) filter (where b) over w) / 1e6"),
    same("count(*) by {s} limit 1000", "case when len(ss) > 0 then kinds end"),
    same(
        "count(*) by {s} limit 2",
        "case when len(ss) > 0 then map_from_entries(list_concat(list_transform(top_kinds[1:2], lambda e: {'k': e.k, 'v': -e.c}), \
         case when len(top_kinds) > 2 \
         then [{'k': '__other', 'v': (-list_sum(list_transform(top_kinds[3:], lambda e: e.c)))::bigint}] else [] end)) end",
    ),
    same(
        "max({n}) by {b}",
        "case when count(n) filter (where b is not null) over w > 0 then map_from_entries(list_filter([\
         {'k': 'false', 'v': max(n) filter (where not b) over w}, {'k': 'true', 'v': max(n) filter (where b) over w}], \
         lambda e: e.v is not null)) end",
    ),
];

/// A window in both languages.
pub struct Window {
    pub over: &'static str,
    /// SQL's partition, order and frame.
    pub frame: &'static str,
    /// The query time less the window's offset, in microseconds.
    pub query: &'static str,
    /// Since when its seconds count, in microseconds.
    pub start: &'static str,
}

impl Window {
    /// Whether both languages can say it of this window.
    pub fn takes(&self, aggregate: &Aggregate) -> bool {
        let (is_counted, is_session) = (self.over.contains("rows"), self.over.starts_with("session"));
        let has = |word| aggregate.call.contains(word);
        let reads_all = has(" by ") || aggregate.call.starts_with("median") || aggregate.call.starts_with("percentile");
        // Rows are counted, and runs are made, of what passes `where`; SQL filters what is in the frame.
        let is_filtered = (is_counted || is_session) && has(" where ");
        let is_unbounded = (self.over.starts_with("all") || is_session) && reads_all;
        // In SQL `time_since` asks at `t`.
        let is_moved = (self.over.contains("offset") || self.over.starts_with("last")) && has("time_since");
        !is_filtered && !is_unbounded && !is_moved
    }
}

/// The frame since a time that SQL computes of `t`.
macro_rules! since {
    ($over:literal, $start:expr) => {
        Window {
            over: $over,
            frame: concat!("partition by k order by t range between (t - ", $start, ") preceding and current row"),
            query: "micros",
            start: concat!("epoch_us(", $start, ")"),
        }
    };
}

/// When the unit began that holds `t`, by the clocks of a zone, as a time in UTC.
macro_rules! of_zone {
    ($unit:literal, $zone:literal) => {
        concat!("timezone('UTC', timezone('", $zone, "', date_trunc('", $unit, "', timezone('", $zone, "', timezone('UTC', t)))))")
    };
}

/// The frame from a time that SQL computes of `t` to before another.
macro_rules! whole {
    ($over:literal, $start:expr, $end:expr) => {
        Window {
            over: $over,
            frame: concat!(
                "partition by k order by t range between (t - ",
                $start,
                ") preceding and (t - ",
                $end,
                " + interval 1 microsecond) preceding"
            ),
            query: concat!("epoch_us(", $end, ")"),
            start: concat!("epoch_us(", $start, ")"),
        }
    };
}

/// When the unit began before the one that holds `t`, by the clocks of a zone, as a time in UTC.
macro_rules! before_in_zone {
    ($unit:literal, $zone:literal) => {
        concat!(
            "timezone('UTC', timezone('",
            $zone,
            "', date_trunc('",
            $unit,
            "', timezone('",
            $zone,
            "', timezone('UTC', t))) - interval 1 ",
            $unit,
            "))"
        )
    };
}

/// A range of SQL, with what lies between its start and `q` and how far `q` lies back, in microseconds.
macro_rules! range {
    ($over:literal, $range:literal, $length:literal, $offset:literal) => {
        Window {
            over: $over,
            frame: concat!("partition by k order by t range between ", $range),
            query: concat!("micros - ", $offset),
            start: concat!("micros - ", $offset, " - ", $length),
        }
    };
}

/// By the first event: not a matter of time alone.
const FIRST: &str = "null::bigint";

pub const WINDOWS: &[Window] = &[
    range!("1h", "interval 1 hour preceding and current row", "3600000000", "0"),
    range!("1d", "interval 1 day preceding and current row", "86400000000", "0"),
    range!("7d", "interval 7 days preceding and current row", "604800000000", "0"),
    range!("1d open", "interval 86399999999 microseconds preceding and current row", "86400000000", "0"),
    range!("1h before", "interval 1 hour preceding and interval 1 microsecond preceding", "3600000000", "0"),
    range!("1d excluding current", "interval 1 day preceding and current row exclude current row", "86400000000", "0"),
    range!("1d offset 2d", "interval 3 days preceding and interval 2 days preceding", "86400000000", "172800000000"),
    range!(
        "3h before offset 1d",
        "interval 27 hours preceding and interval 86400000001 microseconds preceding",
        "10800000000",
        "86400000000"
    ),
    since!("1d hop 1h", "time_bucket(interval 1 hour, t - interval 1 day)"),
    since!("7d hop 1d", "time_bucket(interval 1 day, t - interval 7 days)"),
    since!("hour", "date_trunc('hour', t)"),
    since!("day", "date_trunc('day', t)"),
    since!("week", "date_trunc('week', t)"),
    since!("quarter", "date_trunc('quarter', t)"),
    since!("day in 'Europe/Berlin'", of_zone!("day", "Europe/Berlin")),
    since!("week in 'America/New_York'", of_zone!("week", "America/New_York")),
    since!("hour in 'Asia/Kolkata'", of_zone!("hour", "Asia/Kolkata")),
    since!("month in 'Pacific/Auckland'", of_zone!("month", "Pacific/Auckland")),
    whole!("last hour", "(date_trunc('hour', t) - interval 1 hour)", "date_trunc('hour', t)"),
    whole!("last week", "(date_trunc('week', t) - interval 1 week)", "date_trunc('week', t)"),
    whole!("last day in 'Europe/Berlin'", before_in_zone!("day", "Europe/Berlin"), of_zone!("day", "Europe/Berlin")),
    whole!("last month in 'Pacific/Auckland'", before_in_zone!("month", "Pacific/Auckland"), of_zone!("month", "Pacific/Auckland")),
    Window {
        over: "all",
        frame: "partition by k order by t range between unbounded preceding and current row",
        query: "micros",
        start: FIRST,
    },
    Window {
        over: "all before",
        frame: "partition by k order by t range between unbounded preceding and interval 1 microsecond preceding",
        query: "micros",
        start: FIRST,
    },
    Window {
        over: "session 30m",
        frame: "partition by k, session order by t range between unbounded preceding and current row",
        query: "micros",
        start: FIRST,
    },
    // Events at the query's own time count, also those that come later in the order.
    Window {
        over: "10 rows",
        frame: "partition by k order by position rows between (9 - later) preceding and (later) following",
        query: "micros",
        start: FIRST,
    },
    Window {
        over: "4 rows before",
        frame: "partition by k order by position rows between (earlier + 4) preceding and (earlier + 1) preceding",
        query: "micros",
        start: FIRST,
    },
    Window {
        over: "1d limit 8 rows",
        frame: "partition by k order by position rows between (least(8, in_1d) - 1 - later) preceding and (later) following",
        query: "micros",
        start: "micros - 86400000000",
    },
];
