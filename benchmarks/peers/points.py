"""Point in time: sixteen window features for 100,000 rows from 1,000,000 payments, Forebay beside DuckDB and Polars.

All read the same Parquet files of Forebay's event log and the same spine, and write one Parquet file. Their answers are
compared before anything is timed. Forebay's time is that of its process; the peers' clocks start after their imports.
Run by `make bench-peers` as `points.py FOREBAY`; it starts itself with a peer's name for each of the peer's runs.
"""

import json
import sys
import tempfile
from pathlib import Path

from measure import PEERS, child, child_measured, measured, report, take_turns

EVENTS = 1_000_000
EVERY = 10
WINDOWS = {"1h": "1 hour", "1d": "1 day", "7d": "7 days", "30d": "30 days"}
DEFINITIONS = PEERS.parent / "definitions"


def log_files(folder):
    """The Parquet files that the event log's manifest names."""
    offline = folder / "data" / "offline"
    manifest = json.loads((offline / "manifest.json").read_text())
    return [str(offline / file["path"]) for file in manifest["files"]]


def duckdb_frames(folder):
    """RANGE frames over events and rows together. Means are sums over counts, which is faster than frames of `avg`; events
    of users that no row asks for are left out first."""
    import duckdb

    duckdb.sql("select 1").fetchall()

    def query():
        frames = ", ".join(
            f"w{w} as (partition by user_id order by event_time range between interval '{long}' preceding and current row)"
            for w, long in WINDOWS.items()
        )
        folded = ", ".join(
            f"count(amount) over w{w} as txn_count_{w}, sum(amount) over w{w} as spend_{w}, max(amount) over w{w} as most_{w}"
            for w in WINDOWS
        )
        means = ", ".join(f"spend_{w} / txn_count_{w} as mean_{w}" for w in WINDOWS)
        spine = f"read_parquet('{folder}/spine.parquet')"
        duckdb.sql(f"""copy (
          select *, {means} from (
            select row, {folded} from (
              select null as row, user_id, event_time, amount from read_parquet({log_files(folder)!r}, hive_partitioning = false)
              where user_id in (select user_id from {spine})
              union all
              select row_number() over () as row, user_id, event_time, null from {spine}
            ) window {frames}
          ) where row is not null order by row
        ) to '{folder}/duckdb.parquet'""")

    return query


def polars_rolling(folder):
    """Rolling aggregates over events and rows together, per user."""
    import polars as pl

    pl.select(1)

    def query():
        columns = ["user_id", pl.col("event_time").dt.replace_time_zone(None)]
        spine = pl.scan_parquet(folder / "spine.parquet").select(*columns).with_row_index("row")
        events = pl.scan_parquet(log_files(folder), hive_partitioning=False).select(*columns, "amount")
        events = events.join(spine.select("user_id").unique(), on="user_id", how="semi")
        both = pl.concat([events, spine], how="diagonal").sort("user_id", "event_time")
        amount, features = pl.col("amount"), []
        for w in WINDOWS:
            frame = {"by": "event_time", "window_size": w, "closed": "both", "min_samples": 1}
            features += [
                amount.is_not_null().cast(pl.Int64).rolling_sum_by(**frame).over("user_id").alias(f"txn_count_{w}"),
                amount.rolling_sum_by(**frame).over("user_id").alias(f"spend_{w}"),
                amount.rolling_max_by(**frame).over("user_id").alias(f"most_{w}"),
            ]
        means = [(pl.col(f"spend_{w}") / pl.col(f"txn_count_{w}")).alias(f"mean_{w}") for w in WINDOWS]
        answer = both.with_columns(features).filter(pl.col("row").is_not_null()).sort("row").with_columns(means)
        answer.collect().write_parquet(folder / "polars.parquet")

    return query


def read_and_sort(folder):
    """What every side has to do at least: reading the events and putting them in order."""
    import polars as pl

    pl.select(1)
    return lambda: pl.scan_parquet(log_files(folder), hive_partitioning=False).select("user_id", "event_time", "amount").sort("user_id", "event_time").collect()


PEER_SIDES = {"duckdb": duckdb_frames, "polars": polars_rolling, "ceiling: read and sort (polars)": read_and_sort}


def prepare(forebay, folder, definitions, every):
    """Events in Forebay's log and in Parquet; the user and time of one payment in `every` is a row of the spine."""
    import duckdb

    child(forebay, "generate", "payments", "--events", EVENTS, "--out", folder / "payments.ndjson")
    here = ["--data", folder / "data", "--features", definitions]
    child(forebay, *here, "push", "payments", folder / "payments.ndjson")
    child(forebay, *here, "serve", "--until-caught-up")
    duckdb.sql(f"""copy (
      select user_id, event_time from (
        select row_number() over () - 1 as row, * from read_ndjson('{folder}/payments.ndjson',
          columns = {{user_id: 'bigint', event_time: 'timestamp'}})
      ) where row % {every} = 0
    ) to '{folder}/spine.parquet'""")


def sides_of(forebay, folder, definitions, vector, script, peers):
    """What measures each side once, by its name: Forebay's training set of `vector`, and the peers of `script`. Each has run."""

    def ours():
        return child(
            forebay, "--data", folder / "data", "--features", definitions, "training-set", vector,
            "--spine", folder / "spine.parquet", "--out", folder / "forebay.parquet",
        )[:2]

    def peer(name):
        return lambda: child_measured(script, name, folder)

    sides = {"forebay": ours} | {name: peer(name) for name in peers}
    for side in sides.values():
        side()
    return sides


def check(folder, peer):
    """Counts and maxima equal to the bit, sums and means to 1e-9; fails with the feature that is not."""
    import numpy as np
    import pyarrow.parquet as parquet

    ours, theirs = parquet.read_table(folder / "forebay.parquet"), parquet.read_table(folder / f"{peer}.parquet")
    if not ours.num_rows == theirs.num_rows == EVENTS // EVERY:
        sys.exit(f"{peer} gave {theirs.num_rows} rows, forebay {ours.num_rows}")
    for w in WINDOWS:
        for name in (f"txn_count_{w}", f"spend_{w}", f"most_{w}", f"mean_{w}"):
            if ours[name].null_count or theirs[name].null_count:
                sys.exit(f"{name} holds nulls, and every row has at least its own payment")
            one, other = (np.asarray(side[name].to_numpy(), dtype=np.float64) for side in (ours, theirs))
            exact = name.startswith(("txn_count", "most"))
            equal = np.array_equal(one, other) if exact else np.allclose(one, other, rtol=1e-9, atol=0.0)
            if not equal:
                sys.exit(f"{name}: {peer} and forebay differ, by {np.max(np.abs(one - other))} at most")


def main(forebay):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(forebay, folder, DEFINITIONS, EVERY)

        sides = sides_of(forebay, folder, DEFINITIONS, "user_16", __file__, PEER_SIDES)
        for name in ("duckdb", "polars"):
            check(folder, name)
        print("point in time: equal answers (counts and maxima to the bit, sums and means to 1e-9)")
        report(f"Point in time: {EVENTS:,} events, {EVENTS // EVERY:,} rows, 16 features", take_turns(sides))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measured(PEER_SIDES[sys.argv[1]](Path(sys.argv[2])))
    else:
        main(sys.argv[1])
