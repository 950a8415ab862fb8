"""How peers are timed: children with their CPU seconds, sides that take turns, medians in a table and as JSON.

Never ends a process that it did not start.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
# What a child prints about itself may come before this.
MARK = "measured:"
PEERS = Path(__file__).resolve().parent


def cache():
    """The folder of downloads and build products."""
    return Path(os.environ.get("FOREBAY_CACHE") or Path.home() / ".cache" / "forebay")


def child(*command):
    """Runs a command to its end: (seconds, CPU seconds, what it printed). Fails with its messages when it fails."""
    # No setting of the caller's shell is part of what is measured.
    environment = {k: v for k, v in os.environ.items() if k == "FOREBAY_CACHE" or not k.startswith("FOREBAY_")}
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=printed, stderr=said, env=environment)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        said.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{said.read()[-4000:]}")
        return seconds, usage.ru_utime + usage.ru_stime, printed.read()


def measured(query):
    """In a child: runs a peer's query once and prints its seconds and CPU seconds, for `child_measured`."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    query()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    print(MARK, json.dumps([seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime]))


def child_measured(script, *arguments):
    """Runs a script that measures itself: (seconds, CPU seconds) without its imports."""
    printed = child(sys.executable, script, *arguments)[2]
    return tuple(json.loads(printed.partition(MARK)[2]))


def take_turns(sides):
    """Runs every side once a round, each round beginning with another: {name: (median seconds, median CPU seconds)}.

    `sides` maps names to functions that return (seconds, CPU seconds).
    """
    names, taken = list(sides), {name: [] for name in sides}
    for turn in range(ROUNDS):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(sides[name]())
    return {name: tuple(statistics.median(run[part] for run in runs) for part in (0, 1)) for name, runs in taken.items()}


def report(title, medians, events=None):
    """Prints medians as a table with ratios of wall and CPU to Forebay's, then as one line of JSON. `events` maps names
    to how many events a side took; the costs of an event are compared then."""
    load = os.getloadavg()
    print(f"\n{title}")
    print(f"  {'':<38} {'wall':>9} {'CPU':>9} {'events/s':>11} {'wall':>8} {'CPU':>8}")
    rows = []
    for name, (seconds, cpu) in medians.items():
        share = events["forebay"] / events[name] if events else 1
        wall_ratio, cpu_ratio = (cost * share / ours for cost, ours in zip((seconds, cpu), medians["forebay"]))
        rate = events[name] / seconds if events else None
        shown = f"{rate:,.0f}" if rate else ""
        print(f"  {name:<38} {seconds:>7.2f} s {cpu:>7.2f} s {shown:>11} {wall_ratio:>7.2f}x {cpu_ratio:>7.2f}x")
        row = {"side": name, "seconds": seconds, "cpu_seconds": cpu, "events_per_second": rate}
        rows.append(row | {"wall_ratio": wall_ratio, "cpu_ratio": cpu_ratio})
    print(f"  load average at the end: {load[0]:.1f} {load[1]:.1f} {load[2]:.1f} on {os.cpu_count()} cores")
    print(json.dumps({"title": title, "rounds": ROUNDS, "load": load, "sides": rows}), flush=True)
