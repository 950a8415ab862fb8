"""Windowed features of events as DuckDB computes them with exact RANGE frames: one JSON line per event with a key.

usage: range_frames.py EVENTS.ndjson

Events are k, n, x, t, place; `place` rises with the order of the log. Every frame is that of SQL:
RANGE BETWEEN INTERVAL .. PRECEDING AND CURRENT ROW, ties of the current row included. What depends on order goes by
(t, place). Doubles are only compared, never added, since DuckDB's sums of doubles depend on their order; but for columns
called about_.., which are equal up to rounding. What DuckDB calls NaN for want of spread is null here.
"""

import json
import sys

import duckdb

QUERY = """
with events as (
    select *, row_number() over (order by t, place) as position
    from read_ndjson($path, columns={k: 'BIGINT', n: 'BIGINT', x: 'DOUBLE', t: 'TIMESTAMP', place: 'BIGINT'})
)
select place,
       count(*)                                        over h as n_1h,
       count(n)                                        over d as with_n_1d,
       cast(sum(n) over h as bigint)                   as sum_1h,
       cast(sum(n) over w as bigint)                   as sum_7d,
       cast(sum(n) filter (where n > 0) over d as bigint) as gains_1d,
       min(n)                                          over d as least_1d,
       max(n)                                          over w as greatest_7d,
       min(x)                                          over w as least_x_7d,
       max(x)                                          over h as greatest_x_1h,
       sum(n) over d / count(n) over d                 as mean_1d,
       arg_min(n, position) filter (where n is not null) over d as first_1d,
       arg_max(n, position) filter (where n is not null) over w as last_7d,
       count(distinct n)                               over w as kinds_7d,
       count(*)                                        over past as past_1h,
       median(n)                                       over d as median_1d,
       case when count(n) over w > 0 then entropy(n) over w end as about_entropy_7d,
       skewness(n)                                     over d as about_skewness_1d,
       kurtosis(n)                                     over w as about_kurtosis_7d,
       corr(n, x)                                      over w as about_corr_7d,
       regr_slope(n, x)                                over w as about_slope_7d
from events
where k is not null
window h as (partition by k order by t range between interval 1 hour preceding and current row),
       d as (partition by k order by t range between interval 1 day preceding and current row),
       w as (partition by k order by t range between interval 7 days preceding and current row),
       past as (partition by k order by t range between interval 1 hour preceding and interval 1 microsecond preceding)
order by place
"""


def main(path):
    rows = duckdb.execute(QUERY, {"path": path}).fetchall()
    names = [column[0] for column in duckdb.description()]
    for row in rows:
        print(json.dumps({name: None if value != value else value for name, value in zip(names, row)}))


main(sys.argv[1])
