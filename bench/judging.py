"""Judging 1,000 distributions against a snapshot of 100,000 records, in process. Budget: 50 ms."""

from __future__ import annotations

import argparse
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


def distributions(number: int) -> tuple[Distribution, ...]:
    """Return releases of which about one in three has advisories."""
    return tuple(
        Distribution(
            name=(release := parse_release(f"project-{at * 37 % 90_000}", f"{at % 9}.{at % 7}.0")).name,
            release=release,
            origin=Artifact(
                filename=f"{release.name}-{release.version}-py3-none-any.whl",
                url=f"https://files.example.org/{release.name}-{release.version}-py3-none-any.whl",
                kind="wheel",
            ),
            requested=at < 20,
        )
        for at in range(number)
    )


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
        asked = distributions(options.distributions)
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
        f"{statistics.median(figures):.0f} ms (min {min(figures):.0f}, max {max(figures):.0f}, {findings} rulings; budget 50 ms)"
    )


if __name__ == "__main__":
    main()
