"""Runs statements of DuckDB's SQL from standard input, one after another: one JSON line per row of each query.

NaN and infinities become null: what DuckDB calls NaN for want of spread is null in a feature.
"""

import json
import math
import sys

import duckdb


def plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


for statement in duckdb.extract_statements(sys.stdin.read()):
    result = duckdb.execute(statement)
    if statement.type == duckdb.StatementType.SELECT:
        names = [column[0] for column in result.description]
        while row := result.fetchone():
            print(json.dumps({name: plain(value) for name, value in zip(names, row)}))
