"""Reads a column of lists, of single values or structs, of Parquet files with pyarrow and with DuckDB and prints both as JSON.

usage: read_list.py COLUMN FILE..
"""

import json
import sys

import duckdb
import pyarrow.parquet as parquet


def main(column, *paths):
    tables = [parquet.ParquetFile(path).read() for path in paths]
    arrow = [row for table in tables for row in table.column(column).to_pylist()]
    duck = [duckdb.connect().execute(f'select "{column}" from read_parquet(?)', [path]).fetchall() for path in paths]
    kind = str(tables[0].schema.field(column).type)
    print(json.dumps({"type": kind, "arrow": arrow, "duckdb": [row[0] for rows in duck for row in rows]}))


main(*sys.argv[1:])
