"""What the feeds cost: `python bench/feeds.py [--feeds ../shared/feeds]` prints one line a figure with its budget."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from packaging.utils import NormalizedName

from installguard.feeds.sources import Bounds
from installguard.feeds.state import SourceState
from installguard.feeds.store import open_snapshot
from installguard.feeds.writing import replace_source
from installguard.model import Advisory, parse_release
from installguard.osv import affects, parse_record
from installguard.policy import SourcePolicy

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
RECORDS, PROJECTS, NAMES = 100_000, 60_000, 1_000
POLICY = (SourcePolicy(name="osv", url="https://example.org/PyPI"),)

IMPORT = """
import json, resource, sys, time
start = time.perf_counter()
from datetime import datetime, timezone
from pathlib import Path
from installguard.feeds.imports import import_export
feeds, directory = Path(sys.argv[1]), Path(sys.argv[2])
records = 0
for name in ("osv", "malicious"):
    path = feeds / name / "PyPI" / "all.zip"
    now = datetime.now(timezone.utc)
    result = import_export(path, directory=directory, name=name, malicious=name == "malicious", now=now)
    records += result.source.records
seconds = time.perf_counter() - start
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(json.dumps([records, seconds, rss]))
"""


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "feeds")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if (options.feeds / "osv").is_dir():
        measure_import(options.feeds, options.repeats)
    else:
        print(f"import: skipped, no feeds at {options.feeds}")
    with tempfile.TemporaryDirectory() as directory:
        measure_snapshot(Path(directory), options.repeats)


def measure_import(feeds: Path, repeats: int) -> None:
    """Import both real exports, each time in a process of its own."""
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "-c", IMPORT, str(feeds), directory]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    seconds = [run[1] for run in runs]
    figure(f"import of {runs[0][0]:,} records, median of {repeats}", statistics.median(seconds), "s", 1.5)
    figure(f"import of {runs[0][0]:,} records, best of {repeats}", min(seconds), "s", 1.5)
    figure("import, peak resident memory", max(run[2] for run in runs), "MB", 150)


def measure_snapshot(directory: Path, repeats: int) -> None:
    """Open a snapshot of 100,000 records and look 1,000 names up, as judging does."""
    source = SourceState(name="osv", url=None, malicious=False, records=0, unreadable=0, taken_at=NOW)
    start = time.perf_counter()
    replace_source(directory, source, generated(), otherwise=NOW, bounds=Bounds())
    figure(f"generating and writing {RECORDS:,} records", time.perf_counter() - start, "s", None)
    (path,) = directory.glob("snapshot-*")
    figure("size of that snapshot", path.stat().st_size / 1e6, "MB", None)
    numbers = random.Random(2).sample(range(PROJECTS), NAMES)
    releases = [parse_release(f"project-{number}", f"1.{number % 40}.1") for number in numbers]
    names = [release.name for release in releases]
    figure("opening it", median(repeats, lambda: open_snapshot(directory, POLICY, now=NOW).close()) * 1e3, "ms", 10)
    figure(
        f"opening it and looking {NAMES:,} names up", median(repeats, lambda: fresh(directory, names)) * 1e3, "ms", 25
    )
    with open_snapshot(directory, POLICY, now=NOW) as snapshot:
        found = snapshot.lookup(names)
        seconds = median(repeats, lambda: len(snapshot.lookup(names)))
        figure(f"looking {NAMES:,} names up: {len(found):,} advisories", seconds * 1e3, "ms", 25)
        by_name = {release.name: release for release in releases}
        seconds = median(repeats, lambda: [affects(one, by_name[one.project]) for one in found])
        figure(f"evaluating {len(found):,} advisories", seconds * 1e3, "ms", None)


def fresh(directory: Path, names: Sequence[NormalizedName]) -> int:
    """How many advisories a snapshot opened anew finds."""
    with open_snapshot(directory, POLICY, now=NOW) as snapshot:
        return len(snapshot.lookup(names))


def generated() -> Iterator[tuple[Advisory, ...]]:
    """Records alike to real ones: a dozen listed versions or one range, a few ids, a line of summary."""
    chance = random.Random(1)
    for number in range(RECORDS):
        name = f"project-{number if number < PROJECTS else chance.randrange(PROJECTS)}"
        affected: dict[str, object] = {"package": {"ecosystem": "PyPI", "name": name}}
        affected["versions"] = [f"1.{minor}.{chance.randrange(3)}" for minor in range(chance.randrange(1, 25))]
        if number % 2:
            affected["ranges"] = [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": f"1.{number % 40}.2"}]}
            ]
        record = {
            "id": f"PYSEC-2026-{number}",
            "aliases": [f"CVE-2026-{number}"],
            "summary": "Something is wrong in the way that this project reads what it is given",
            "published": "2026-01-01T00:00:00Z",
            "modified": "2026-01-02T00:00:00Z",
            "affected": [affected],
        }
        yield parse_record(record, feed="osv", malicious=False, rate=lambda vector: None)


def median(repeats: int, work: Callable[[], object]) -> float:
    """Seconds that *work* takes, the median of some runs after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats * 3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def figure(what: str, value: float, unit: str, budget: float | None) -> None:
    """Print one figure and whether it keeps its budget."""
    verdict = "" if budget is None else f"  (budget {budget:g} {unit}: {'kept' if value <= budget else 'BROKEN'})"
    print(f"{what}: {value:.2f} {unit}{verdict}")


if __name__ == "__main__":
    main()
