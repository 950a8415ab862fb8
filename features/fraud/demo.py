"""The fraud domain from declaration to prediction, to be watched: `make demo`.

Drives the `forebay` binary by its public commands and HTTP routes alone, on data of its own in the cache folder.
Proves on sampled payments that predictions equal the as-known training set and lookups the as-of one, to the bit.
Ends by itself; with --keep it leaves the server up until it is interrupted. Needs nothing but Python.
"""

import argparse
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
EVENTS = 60_000
SLICES = 12
SAMPLES = 200
SEED = 7
# What fraud.bay declares as the history of payments.
HISTORY_DAYS = 40
MODEL, VECTOR, SOURCE = "fraud", "fraud_v1", "payments"
PREDICTIONS, DRIFT = "fraud-predictions", "fraud-drift"

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


def title(text):
    print(f"\n{paint('1;36', text)}", flush=True)


def say(text):
    print(f"  {text}", flush=True)


class Forebay:
    """One data folder and the binary that works on it."""

    def __init__(self, binary, data, listen):
        self.binary, self.data, self.listen = binary, data, listen
        self.environment = {k: v for k, v in os.environ.items() if k not in ("FOREBAY_DATA", "FOREBAY_FEATURES")}
        self.server = None

    def arguments(self, *arguments):
        return [self.binary, "--data", str(self.data), "--features", str(HERE), *arguments]

    def run(self, *arguments):
        done = subprocess.run(self.arguments(*arguments), capture_output=True, text=True, env=self.environment, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.exit(f"forebay {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def rows(self, *arguments):
        return [json.loads(line) for line in self.run("--output", "ndjson", *arguments).splitlines()]

    def serve(self):
        log = open(self.data / "server.log", "w")
        command = self.arguments("serve", "--listen", self.listen)
        self.server = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(600):
            if self.server.poll() is not None:
                sys.exit(f"the server ended:\n{(self.data / 'server.log').read_text()}")
            try:
                return self.get("/health/ready")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        sys.exit("the server was not ready after a minute")

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=60)

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.listen}{path}", timeout=30) as answer:
            return answer.read().decode()

    def post(self, path, body, kind="application/json"):
        request = urllib.request.Request(f"http://{self.listen}{path}", body, {"content-type": kind}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            sys.exit(f"POST {path}: {error.code} {error.read().decode()}")

    def status(self):
        return json.loads(self.get("/v1/status"))

    def metric(self, name, label=""):
        """The sum of a metric's series, of those with that label only where one is given."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line[len(name)] in " {" and label in line)


def same(a, b):
    """Equal to the bit. An absent value is null."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return type(a) is type(b) and a == b


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def flow(forebay, lines):
    title("2. Payments flow in")
    say(paint("2", f"{'pushed':>8} {'accepted':>9} {'set aside':>9} {'duplicate':>9} {'predictions':>11} {'seq':>7}"))
    size = -(-len(lines) // SLICES)
    started = time.monotonic()
    for start in range(0, len(lines), size):
        body = "\n".join(lines[start : start + size]).encode()
        pushed = forebay.post(f"/v1/sources/{SOURCE}/events", body, "application/x-ndjson")
        show(forebay, min(start + size, len(lines)))
    # A lookup that waits for what the last push returned: then every payment is in.
    look_up(forebay, json.loads(lines[-1]), None, pushed["positions"])
    for _ in range(600):
        if forebay.metric("forebay_outputs_published_total", f'topic="{PREDICTIONS}"') >= forebay.status()["seq"]:
            break
        time.sleep(0.1)
    show(forebay, len(lines))
    seconds = time.monotonic() - started
    say(f"{len(lines)} payments pushed, kept, folded and scored in {seconds:.1f} s (a development build)")


def show(forebay, pushed):
    names = ["forebay_events_accepted_total", "forebay_events_rejected_total", "forebay_events_duplicate_total", "forebay_predictions_total"]
    accepted, rejected, duplicate, predicted = (int(forebay.metric(name)) for name in names)
    say(f"{pushed:>8} {accepted:>9} {rejected:>9} {duplicate:>9} {predicted:>11} {forebay.status()['seq']:>7}")


def look_up(forebay, event, as_of, after=()):
    body = {
        "after": list(after),
        "wait_ms": 60_000,
        "keys": [{"user_id": event["user_id"], "merchant_id": event["merchant_id"]}],
        "request": [{"amount": event["amount"], "event_time": event["event_time"]}],
        "as_of": as_of,
    }
    answer = forebay.post(f"/v1/vectors/{VECTOR}/lookup", json.dumps(body).encode())
    return dict(zip(answer["names"], answer["values"][0])), answer


def answers(forebay, event):
    title("3. A lookup answers")
    features, answer = look_up(forebay, event, event["event_time"])
    say(f"user {event['user_id']} at {event['merchant_id']}, {event['amount']}, as of {event['event_time']} (cut: seq {answer['seq']})")
    for name, value in list(features.items())[:10]:
        say(f"  {name:<26} {value}")
    say(paint("2", f"  … {len(features)} columns in all"))


def scores(predictions):
    title("4. The model scored the stream")
    failed = [prediction for prediction in predictions if prediction["score"] is None]
    if failed:
        sys.exit(f"{len(failed)} predictions without a score: {failed[0].get('error')}")
    for prediction in sorted(predictions, key=lambda prediction: -prediction["score"])[:5]:
        features = prediction["features"]
        say(
            f"{paint('1;31', format(prediction['score'], '.3f'))}  {prediction['event_time']}  amount {features['amount']:>8}"
            f"  payments in 10 minutes {features['txn_count_10m']}, declined in 1 hour {features['declined_1h']}"
        )


def drifted(forebay):
    title("5. Drift shows up: amounts against the profile of the training data, day by day")
    # Of each day the last revision holds.
    latest = {row["value"]["from"]: row["value"] for row in forebay.rows("topics", "read", DRIFT)}
    reports = sorted(latest.values(), key=lambda report: report["from"])
    for report in reports[:: max(1, len(reports) // 15)]:
        column = next(column for column in report["columns"] if column["column"] == "amount")
        bar = "█" * round(100 * column["psi"])
        say(f"{report['from'][:10]}  psi {column['psi']:.3f}  {paint('1;33', bar + '  alert') if column['breach'] else bar}")
    alerts = [report for report in reports if report["alert"]]
    say(f"{len(alerts)} of {len(reports)} days have some column beyond the alert: topics read {DRIFT}")


def prove(forebay, events, predictions):
    title("6. The proof: the value served is the value trained on, to the bit")
    chosen = random.Random(SEED).sample(predictions, min(SAMPLES, len(predictions)))
    spine = [dict(events[p["offset"]], partition=p["partition"], offset=p["offset"]) for p in chosen]
    folder = forebay.data
    write_rows(folder / "spine.ndjson", spine)
    arguments = ["training-set", VECTOR, "--spine", str(folder / "spine.ndjson"), "--time", "event_time"]
    forebay.run(*arguments, "--event", SOURCE, "--as-known", "--out", str(folder / "as-known.ndjson"))
    forebay.run(*arguments, "--out", str(folder / "as-of.ndjson"))
    as_known = [json.loads(line) for line in open(folder / "as-known.ndjson")]
    as_of = [json.loads(line) for line in open(folder / "as-of.ndjson")]
    served = [prediction["features"] for prediction in chosen]
    # Lookups reach back as far as the source keeps its history; training sets know everything.
    since = max(prediction["event_time"] for prediction in predictions)[:10]
    since = str(date.fromisoformat(since) - timedelta(days=HISTORY_DAYS - 1))
    recent = [row for row, event in enumerate(spine) if event["event_time"] >= since]
    looked_up = [look_up(forebay, spine[row], spine[row]["event_time"])[0] for row in recent]
    differences = compare("predictions and the as-known training set", served, as_known)
    differences += compare("lookups and the as-of training set", looked_up, [as_of[row] for row in recent])
    return differences


def compare(what, ours, theirs):
    count = differences = 0
    for row, (left, right) in enumerate(zip(ours, theirs, strict=True)):
        for name, value in left.items():
            count += 1
            if not same(value, right.get(name)):
                differences += 1
                if differences <= 5:
                    say(f"row {row}, {name}: {value!r} and {right.get(name)!r}")
    word = paint("1;32", "equal") if differences == 0 else paint("1;31", f"{differences} differ")
    say(f"{what}: {count} values of {len(ours)} payments, {word}")
    return differences


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--forebay", required=True, help="the binary")
    arguments.add_argument("--data", required=True, type=Path, help="a folder of the demo's own; emptied first")
    arguments.add_argument("--listen", default="127.0.0.1:8090")
    arguments.add_argument("--keep", action="store_true", help="leave the server up")
    given = arguments.parse_args()
    shutil.rmtree(given.data, ignore_errors=True)
    given.data.mkdir(parents=True)
    forebay = Forebay(given.forebay, given.data, given.listen)

    title("1. Declared once")
    definitions = sorted(HERE.glob("*.bay"))
    say(f"{', '.join(path.name for path in definitions)}: {sum(len(path.read_text().splitlines()) for path in definitions)} lines")
    say(forebay.run("check").strip() or "no problems")
    file = given.data / "payments.ndjson"
    forebay.run("generate", "payments", "--fraud", "--drift", "0.15", "--seed", str(SEED), "--events", str(EVENTS), "--out", str(file))
    lines = file.read_text().splitlines()
    events = [json.loads(line) for line in lines]

    # Ended from outside, the demo still ends its server.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    differences = 0
    try:
        forebay.serve()
        flow(forebay, lines)
        predictions = [row["value"] for row in forebay.rows("topics", "read", PREDICTIONS)]
        predictions.sort(key=lambda prediction: prediction["seq"])
        answers(forebay, events[predictions[-1]["offset"]])
        scores(predictions)
        drifted(forebay)
        differences = prove(forebay, events, predictions)
        following(forebay, given.keep)
        if given.keep:
            print("\n  serving until Ctrl-C", flush=True)
            forebay.server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        forebay.stop()
    sys.exit(2 if differences else 0)


def following(forebay, keep):
    title("Next")
    common = f"--data {forebay.data} --features {HERE.relative_to(Path.cwd()) if HERE.is_relative_to(Path.cwd()) else HERE}"
    if not keep:
        say("make demo KEEP=1                        the same, and it stays up to be asked")
    else:
        say(f"curl http://{forebay.listen}/v1/catalog")
    say(f'eval "$(make -s env)"; forebay {common} verify {VECTOR}')
    say(f"forebay {common} topics read {PREDICTIONS} --max 3")


if __name__ == "__main__":
    main()
