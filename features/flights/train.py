"""Trains the delay model from Forebay's own training set: `make train`.

Label: whether a flight was more than 15 minutes late. The flights are real ones (January to March 2001); without
their file there is nothing to train from, and what is there stays as it is.
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from training import Domain

FLIGHTS = Path(os.environ.get("FOREBAY_FLIGHTS", HERE.parents[2] / "shared" / "data" / "flights.ndjson"))
LATE_MINUTES = 15
# The first ten days only fill windows.
WARM, TRAIN_END, TEST_BEGIN = datetime(2001, 1, 11), datetime(2001, 3, 8), datetime(2001, 3, 8)


def main():
    if not FLIGHTS.is_file():
        print(f"  skipped: no flights at {FLIGHTS} (FOREBAY_FLIGHTS names another file)")
        return
    domain = Domain(HERE, "flights", "delay_v1", "delay")
    domain.spine_columns = ["flight_id"]
    flights = [json.loads(line) for line in open(FLIGHTS)]
    rows = [(flight, datetime.fromisoformat(flight["event_time"].rstrip("Z"))) for flight in flights]
    rows = [(flight, time) for flight, time in rows if time >= WARM]
    spine = domain.work / "spine.csv"
    spine.write_text("flight_id\n" + "".join(f"{flight['flight_id']}\n" for flight, _ in rows))

    table = domain.training_set(FLIGHTS, spine)
    label = numpy.array([flight["delay"] > LATE_MINUTES for flight, _ in rows])
    at = numpy.array([time for _, time in rows], dtype="datetime64[us]")
    parameters = dict(num_leaves=7, learning_rate=0.03, min_child_samples=60, subsample=0.7, subsample_freq=1, colsample_bytree=0.5, reg_lambda=5.0)
    domain.train(table, label, at, numpy.datetime64(TRAIN_END), numpy.datetime64(TEST_BEGIN), parameters)


if __name__ == "__main__":
    main()
