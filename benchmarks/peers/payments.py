"""The payments of the streaming benchmarks: their lines, the windows that are asked for, and what these hold.

The answers come from a plain pass over the lines; both sides of a benchmark must give them.
"""

import json
import math
import shutil
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone

from measure import PEERS, child

HOUR_MS = 3_600_000
# Windows that began this long before the last payment, at most, are asked for.
RECENT_MS = 2 * HOUR_MS
WINDOWS_ASKED = 20
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def generate(forebay, folder, events):
    """The first payments, one JSON object a line, as bytes."""
    file = folder / "payments.ndjson"
    child(forebay, "generate", "payments", "--events", events, "--out", file)
    return file.read_bytes().splitlines()


def expected(lines, advance_ms):
    """{(user, start of a window in ms): (count, sum)} for recent windows of an hour: of the users with the most payments
    in the last of them and of some with few."""
    read = [json.loads(line) for line in lines]
    rows = [(each["user_id"], (datetime.fromisoformat(each["event_time"]) - EPOCH) // timedelta(milliseconds=1), each["amount"]) for each in read]
    last = max(time for _, time, _ in rows)
    recent = [row for row in rows if row[1] >= last - RECENT_MS]
    ranked = [user for user, _ in Counter(user for user, _, _ in recent).most_common()]
    amounts = {}
    for user, time, amount in recent:
        start = time // advance_ms * advance_ms
        while start > time - HOUR_MS:
            # A window that began earlier may hold payments that are not in `recent`.
            if start >= last - RECENT_MS:
                amounts.setdefault((user, start), []).append(amount)
            start -= advance_ms
    half = WINDOWS_ASKED // 2
    chosen = sorted(amounts, key=lambda window: (ranked.index(window[0]), -window[1]))
    chosen = chosen[:half] + chosen[-half:]
    return {window: (len(amounts[window]), math.fsum(amounts[window])) for window in chosen}


def check(side, windows, answers):
    """Counts equal, sums to 1e-9; ends everything with the window that differs."""
    for window, (count, total) in windows.items():
        got = answers[window]
        if got[0] != count or not math.isclose(got[1], total, rel_tol=1e-9):
            sys.exit(f"{side}: the hour of user {window[0]} from {window[1]} ms holds {count} payments of {total}, not {got}")


class Forebay:
    """Forebay on a data folder of its own, with one definitions file and its source's clause replaced."""

    def __init__(self, binary, folder, definitions, source, bootstrap="127.0.0.1:9092"):
        self.binary, self.folder, self.data = binary, folder, folder / "data"
        folder.mkdir()
        text = definitions.read_text()
        for clause in ("from kafka topic 'payments'", "from log 'payments'"):
            text = text.replace(clause, source)
        (folder / "features").mkdir()
        (folder / "features" / definitions.name).write_text(text)
        (folder / "forebay.toml").write_text(f'[kafka]\nbootstrap = "{bootstrap}"\n')

    def run(self, *arguments):
        return child(
            self.binary, "--config", self.folder / "forebay.toml", "--data", self.data,
            "--features", self.folder / "features", "--output", "json", *arguments,
        )

    def catch_up(self, events):
        """From the start of the process to its end, every event taken in, state and offsets durable."""
        seconds, cpu, _ = self.run("serve", "--until-caught-up")
        upto = json.loads((self.data / "offline" / "manifest.json").read_text())["upto"]
        if upto != events:
            sys.exit(f"forebay took in {upto} of {events} events")
        return seconds, cpu

    def forget(self):
        shutil.rmtree(self.data, ignore_errors=True)

    def answers(self, windows):
        """A window of an hour from `start` holds what `over 1h open` sees at its last microsecond."""
        found = {}
        for user, start in windows:
            last = EPOCH + timedelta(milliseconds=start + HOUR_MS, microseconds=-1)
            printed = self.run("lookup", "hour", f"user_id={user}", "--as-of", last.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))[2]
            count, total = json.loads(printed)["values"][0]
            found[(user, start)] = (count, total)
        return found


HOUR = PEERS / "definitions" / "hour" / "hour.bay"
ALL_FEATURES = PEERS.parent / "definitions" / "payments.bay"
