"""Trains the fraud model from Forebay's own training set: `make train`.

Label: whether an approved payment was charged back. Declined payments cost nobody anything and are never charged
back, so what they were stays unknown; they are left out as rows, but count in the features of others. Chargebacks
come up to twenty days after the payment: all that is trained on had come by the time at which testing begins.
"""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from training import SEED, Domain

# The demo's payments per day, over a longer time, and another seed.
EVENTS, DAYS = 200_000, 200
START = datetime(2026, 1, 1)
# Windows are full after 30 days. 21 days between training and test let the last chargebacks come.
WARM, TRAIN_END, TEST_BEGIN = (START + timedelta(days=days) for days in (35, 130, 151))


def main():
    domain = Domain(HERE, "payments", "fraud_v1", "fraud")
    domain.spine_columns = ["payment_id"]
    payments, chargebacks, spine = (domain.work / name for name in ("payments.ndjson", "chargebacks.ndjson", "spine.csv"))
    options = ["--fraud", "--seed", SEED, "--events", EVENTS, "--days", DAYS]
    domain.forebay("generate", "payments", *options, "--out", payments)
    domain.forebay("generate", "chargebacks", *options, "--out", chargebacks)

    charged_back = {json.loads(line)["payment_id"] for line in open(chargebacks)}
    times = {}
    for line in open(payments):
        payment = json.loads(line)
        time = datetime.fromisoformat(payment["event_time"].rstrip("Z"))
        if payment["status"] == "approved" and time >= WARM:
            times.setdefault(payment["payment_id"], time)
    ids = numpy.array(sorted(times))
    spine.write_text("payment_id\n" + "\n".join(ids) + "\n")

    table = domain.training_set(payments, spine)
    label = numpy.array([payment in charged_back for payment in ids])
    at = numpy.array([times[payment] for payment in ids], dtype="datetime64[us]")
    parameters = dict(num_leaves=7, learning_rate=0.04, min_child_samples=20, subsample=0.8, subsample_freq=1, colsample_bytree=0.5, reg_lambda=10.0)
    scores, test = domain.train(table, label, at, numpy.datetime64(TRAIN_END), numpy.datetime64(TEST_BEGIN), parameters)
    worst = numpy.argsort(-scores)[: max(1, len(scores) // 100)]
    caught = label[test][worst].sum() / max(1, label[test].sum())
    print(f"  the highest 1% of scores hold {caught:.0%} of what was charged back")


if __name__ == "__main__":
    main()
