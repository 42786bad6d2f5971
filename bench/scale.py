"""How feeds scale: import, size, memory, look-up and update at 7,000 to 400,000 records, as a table.

`python bench/scale.py [--sizes 7000,25000]`; each size is measured in a process of its own. An update is
what `guard feed update` does once the changed records are here: the listing is read and compared, and 100 records are
put into the snapshot.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from packaging.utils import canonicalize_name
from records import records, write_export  # the generator beside this file

from installguard.feeds.imports import import_export
from installguard.feeds.listing import compare, parse_listing
from installguard.feeds.sources import Bounds
from installguard.feeds.state import read_state
from installguard.feeds.store import open_snapshot
from installguard.feeds.writing import Change, change_source
from installguard.osv import parse_record

SIZES = (7_000, 25_000, 100_000, 400_000)
CHANGED, NAMES, REPEATS = 100, 1_000, 5
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
COLUMNS = ("records", "import s", "peak MB", "on disk MB", "look-up ms", "found", "compare ms", "apply ms")


def main() -> None:
    """Print the table, or (`--one`) measure one size and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--one", type=int, metavar="RECORDS")
    options, _ = parser.parse_known_args()
    if options.one is not None:
        print(json.dumps(measure(options.one)))
        return
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---:|" * len(COLUMNS))
    for size in map(int, options.sizes.split(",")):
        command = [sys.executable, __file__, "--one", str(size)]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {size:,} | " + " | ".join(f"{figure:,.{digits(figure)}f}" for figure in figures) + " |", flush=True)


def digits(figure: float) -> int:
    """Return how many decimals a figure is worth."""
    return 2 if 0 < figure < 10 else 0


def measure(size: int) -> tuple[float, ...]:
    """Return the figures of one size, in the order of `COLUMNS`."""
    with tempfile.TemporaryDirectory() as name:
        export, cache = write_export(Path(name) / "all.zip", size), Path(name) / "cache"
        started = time.perf_counter()
        import_export(export, directory=cache, name="osv", malicious=False, now=NOW)
        imported = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        on_disk = sum(path.stat().st_size for path in cache.iterdir()) / 1e6
        compared, applied = update(cache, size)
        looked, found = look_up(cache, size)
    return imported, peak, on_disk, looked, found, compared, applied


def update(cache: Path, size: int) -> tuple[float, float]:
    """Return the milliseconds of comparing a listing, and of applying 100 changed records."""
    everything = [(str(each["id"]), str(each["modified"])) for each in records(size)]
    chosen = set(random.Random(1).sample(range(size), CHANGED))
    some = [each for at, each in enumerate(records(size)) if at in chosen]
    changed = {str(each["id"]) for each in some}
    lines = [f"{NOW.isoformat() if each in changed else modified},{each}\n" for each, modified in everything]
    data = "".join(lines).encode()

    def compared() -> None:
        difference = compare(cache, read_state(cache), "osv", parse_listing(data))
        assert len(difference) == CHANGED

    compare_ms = median(compared)
    applied = iter(range(100))

    def apply() -> None:
        turn = next(applied)
        changes = [
            Change(id=str(each["id"]), modified="", parsed=parse_record(
                {**each, "summary": f"turn {turn}"}, feed="osv", malicious=False, rate=lambda vector: None
            ))
            for each in some
        ]  # fmt: skip
        source = read_state(cache).source("osv")
        assert source is not None
        change_source(cache, source, changes, now=NOW, bounds=Bounds())

    return compare_ms, median(apply)


def look_up(cache: Path, size: int) -> tuple[float, int]:
    """Return the milliseconds of opening the snapshot and looking 1,000 names up, of which three in ten are advised."""
    chance = random.Random(2)
    advised = max(size // 8, 1)
    names = [
        canonicalize_name(f"project-{chance.randrange(advised)}" if at % 10 < 3 else f"unadvised-{at}")
        for at in range(NAMES)
    ]
    found = 0

    def look() -> None:
        nonlocal found
        with open_snapshot(cache, ()) as snapshot:
            found = len(snapshot.lookup(names))

    return median(look), found


def median(work: Callable[[], None]) -> float:
    """Return the median milliseconds of some runs after one that warms up."""
    work()
    figures = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        figures.append((time.perf_counter() - started) * 1e3)
    return statistics.median(figures)


if __name__ == "__main__":
    main()
