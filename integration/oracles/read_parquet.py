"""Reads Parquet files with pyarrow and says what is in them, as JSON: names, types, rows, nulls, exact sums of integers.

usage: read_parquet.py FILE..
"""

import json
import math
import sys

import pyarrow
import pyarrow.parquet as parquet


def main(paths):
    tables = [parquet.ParquetFile(path).read() for path in paths]
    schema = tables[0].schema
    assert all(table.schema.equals(schema) for table in tables), "all files of a source have one schema"
    table = pyarrow.concat_tables(tables)
    columns = {}
    for field in schema:
        values = table.column(field.name).to_pylist()
        column = {"type": str(field.type), "nulls": sum(value is None for value in values)}
        kept = [value for value in values if value is not None]
        if pyarrow.types.is_integer(field.type):
            column["sum"] = str(sum(kept))
            column["distinct"] = len(set(kept))
        elif pyarrow.types.is_floating(field.type):
            column["sum"] = math.fsum(kept)
        elif pyarrow.types.is_timestamp(field.type):
            column["first"], column["last"] = str(min(kept, default=None)), str(max(kept, default=None))
        columns[field.name] = column
    print(json.dumps({"rows": table.num_rows, "columns": columns}))


main(sys.argv[1:])
