"""As of: each payment's row with the latest amount of its user, Forebay's `last(amount) over all` beside DuckDB's ASOF
join and Polars' join_asof.

1,000,000 feature rows and 1,000,000 spine rows: both the payments' own users and times. All read the same Parquet files
and write one; answers are compared to the bit before anything is timed. Clocks are those of points.py.
Run by `make bench-peers` as `asof.py FOREBAY`; it starts itself with a peer's name for each of the peer's runs.
"""

import sys
import tempfile
from pathlib import Path

from measure import PEERS, measured, report, take_turns
from points import EVENTS, log_files, prepare, sides_of

DEFINITIONS = PEERS / "definitions" / "latest"


def duckdb_asof(folder):
    import duckdb

    duckdb.sql("select 1").fetchall()

    def query():
        duckdb.sql(f"""copy (
          select spine.user_id, spine.event_time, events.amount as latest_amount
          from read_parquet('{folder}/spine.parquet') as spine
          asof left join read_parquet({log_files(folder)!r}, hive_partitioning = false) as events
          on spine.user_id = events.user_id and spine.event_time >= events.event_time
          order by spine.event_time
        ) to '{folder}/duckdb.parquet'""")

    return query


def polars_asof(folder):
    import polars as pl

    pl.select(1)

    def query():
        columns = ["user_id", pl.col("event_time").dt.replace_time_zone(None)]
        spine = pl.scan_parquet(folder / "spine.parquet").select(*columns).sort("event_time")
        events = pl.scan_parquet(log_files(folder), hive_partitioning=False).select(*columns, latest_amount="amount").sort("event_time")
        answer = spine.join_asof(events, on="event_time", by="user_id", strategy="backward", check_sortedness=False)
        answer.collect().write_parquet(folder / "polars.parquet")

    return query


PEER_SIDES = {"duckdb": duckdb_asof, "polars": polars_asof}


def check(folder, peer):
    """Equal to the bit; the spine's times are in order and no two are equal, so rows compare by place."""
    import pyarrow.parquet as parquet

    sides = [parquet.read_table(folder / f"{name}.parquet")["latest_amount"].combine_chunks() for name in ("forebay", peer)]
    if len(sides[0]) != EVENTS or not sides[0].equals(sides[1]):
        sys.exit(f"{peer} and forebay differ")


def main(forebay):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(forebay, folder, DEFINITIONS, 1)

        sides = sides_of(forebay, folder, DEFINITIONS, "latest", __file__, PEER_SIDES)
        for name in PEER_SIDES:
            check(folder, name)
        print("as of: equal answers, to the bit")
        report(f"As of: {EVENTS:,} feature rows, {EVENTS:,} spine rows", take_turns(sides))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measured(PEER_SIDES[sys.argv[1]](Path(sys.argv[2])))
    else:
        main(sys.argv[1])
