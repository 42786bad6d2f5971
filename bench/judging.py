"""Judging 1,000 distributions against a snapshot of 100,000 records, in process. Budget: 50 ms."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from records import write_export  # the generator beside this file

from installguard.feeds.imports import import_export
from installguard.feeds.store import open_snapshot
from installguard.judge import Judge
from installguard.model import Artifact, Distribution, parse_release
from installguard.policy import Policy


def distributions(number: int, records: int) -> tuple[Distribution, ...]:
    """Return releases, of which three in ten are of projects that have advisories."""
    chance = random.Random(3)
    return tuple(
        map(
            distribution,
            (
                f"project-{chance.randrange(max(records // 8, 1))}" if at % 10 < 3 else f"unadvised-{at}"
                for at in range(number)
            ),
            (f"{chance.randrange(9)}.{chance.randrange(9)}.{chance.randrange(3)}" for _ in range(number)),
        )
    )


def distribution(name: str, version: str) -> Distribution:
    """Return one release as an index offers it."""
    release = parse_release(name, version)
    filename = f"{release.name}-{release.version}-py3-none-any.whl"
    origin = Artifact(filename=filename, url=f"https://files.example.org/{filename}", kind="wheel")
    return Distribution(name=release.name, release=release, origin=origin)


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--distributions", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=15)
    options, _ = parser.parse_known_args()
    now = datetime.now(timezone.utc)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        export = write_export(directory / "all.zip", options.records)
        import_export(export, directory=directory / "cache", name="osv", malicious=False, now=now)
        asked = distributions(options.distributions, options.records)
        figures = []
        for _ in range(options.repeats):
            started = time.perf_counter()
            with open_snapshot(directory / "cache", ()) as snapshot:
                judge = Judge(Policy(), snapshot, lambda: now)
                judge("final", asked)
            figures.append((time.perf_counter() - started) * 1000)
        findings = len(judge.verdict().rulings)
    print(
        f"judging {options.distributions:,} distributions against {options.records:,} records: "
        f"{statistics.median(figures):.0f} ms (the first {figures[0]:.0f}, "
        f"min {min(figures):.0f}, max {max(figures):.0f}, {findings} rulings; budget 50 ms)"
    )


if __name__ == "__main__":
    main()
