"""Streaming from a file: windows of one hour that hop by five minutes for each user, Forebay beside Pathway.

Pathway reads the file as one static batch, keeps nothing on disk, and its clock starts after its imports and its
building of the graph; Forebay pushes the same file into its embedded log and takes it in, durable, two processes from
start to end. Pathway takes fewer events: rates are compared.
Run by `make bench-peers` as `sliding.py FOREBAY`; it starts itself with a folder for each of Pathway's runs.
"""

import csv
import itertools
import json
import sys
import tempfile
from pathlib import Path

from measure import child_measured, measured, report, take_turns
from payments import HOUR, HOUR_MS, Forebay, check, expected, generate

EVENTS, PEER_EVENTS = 1_000_000, 200_000
ADVANCE_MS = 300_000


def run_pathway(folder):
    """In a child: prints seconds and CPU seconds; the windows of the users asked for go to answers.csv."""
    import pathway as pw

    class Payment(pw.Schema):
        user_id: int
        amount: float
        event_time: str

    users = json.loads((folder / "users").read_text())
    payments = pw.io.jsonlines.read(str(folder / "peer.ndjson"), schema=Payment, mode="static")
    payments = payments.with_columns(at=pw.this.event_time.dt.strptime("%Y-%m-%dT%H:%M:%S.%fZ").dt.timestamp(unit="ms"))
    totals = payments.windowby(
        pw.this.at, window=pw.temporal.sliding(hop=float(ADVANCE_MS), duration=float(HOUR_MS), origin=0.0), instance=pw.this.user_id
    ).reduce(
        user=pw.this._pw_instance, start=pw.this._pw_window_start, count=pw.reducers.count(), total=pw.reducers.sum(pw.this.amount)
    )
    asked = totals.filter(pw.apply_with_type(lambda user: user in users, bool, pw.this.user))
    pw.io.csv.write(asked, str(folder / "answers.csv"))
    measured(lambda: pw.run(monitoring_level=pw.MonitoringLevel.NONE))


def main(forebay):
    with tempfile.TemporaryDirectory() as temporary:
        folder, numbers = Path(temporary), itertools.count()
        lines = generate(forebay, folder, EVENTS)
        (folder / "peer.ndjson").write_bytes(b"\n".join(lines[:PEER_EVENTS]) + b"\n")
        windows = expected(lines[:PEER_EVENTS], ADVANCE_MS)
        (folder / "users").write_text(json.dumps(sorted({user for user, _ in windows})))

        def pathway():
            """One run with its answers checked."""
            taken = child_measured(__file__, "--pathway", folder)
            with (folder / "answers.csv").open() as file:
                answers = {(int(row["user"]), int(float(row["start"]))): (int(row["count"]), float(row["total"])) for row in csv.DictReader(file)}
            check("pathway", windows, answers)
            return taken

        def ours(file, events):
            side = Forebay(forebay, folder / f"forebay-{next(numbers)}", HOUR, "from log 'payments'")
            pushed, push_cpu, _ = side.run("push", "payments", file)
            seconds, cpu = side.catch_up(events)
            return side, (pushed + seconds, push_cpu + cpu)

        def timed():
            side, taken = ours(folder / "payments.ndjson", EVENTS)
            side.forget()
            return taken

        check("forebay", windows, ours(folder / "peer.ndjson", PEER_EVENTS)[0].answers(windows))
        pathway()
        print("sliding: equal answers for sampled windows (counts to the bit, sums to 1e-9), asserted in each run of the peer")
        name = "pathway, 1h hopping by 5m"
        report("Streaming: count and sum per user over 1h, from a file", take_turns({"forebay": timed, name: pathway}), {"forebay": EVENTS, name: PEER_EVENTS})


if __name__ == "__main__":
    if sys.argv[1] == "--pathway":
        run_pathway(Path(sys.argv[2]))
    else:
        main(sys.argv[1])
