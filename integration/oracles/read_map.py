"""Reads a map column of a Parquet file with pyarrow and with DuckDB and prints its rows as JSON objects, or null.

usage: read_map.py FILE COLUMN
"""

import json
import sys

import duckdb
import pyarrow.parquet as parquet


def main(path, column):
    table = parquet.ParquetFile(path).read()
    arrow = [None if row is None else dict(row) for row in table.column(column).to_pylist()]
    duck = duckdb.connect().execute(f'select "{column}" from read_parquet(?)', [path]).fetchall()
    total = duckdb.connect().execute(f'select sum(list_sum(map_values("{column}"))) from read_parquet(?)', [path]).fetchone()[0]
    kind = table.schema.field(column).type
    types = [str(kind.key_type), str(kind.item_type)]
    print(json.dumps({"types": types, "arrow": arrow, "duckdb": [row[0] for row in duck], "sum": total}))


main(*sys.argv[1:])
