"""How well `similar-name` tells the names of malware from those of others, and how long it takes.

Needs real feeds: a directory with `top-pypi-packages.min.json`, and OSV exports in `malicious/` and `osv/`.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from installguard.checks.popular import BUILT_IN
from installguard.checks.similar import nearest, slips

FEEDS = Path(__file__).resolve().parents[2] / "shared" / "feeds"
UNREMARKABLE = 13_000
"""From this rank on the popular names stand for unremarkable ones, and are compared with those before only."""
Popular = Mapping[NormalizedName, int]


def popular_names(feeds: Path) -> Sequence[NormalizedName]:
    """Return the names of the download list, the most popular first."""
    data = json.loads((feeds / "top-pypi-packages.min.json").read_text(encoding="utf-8"))
    return [canonicalize_name(row["project"]) for row in data["rows"]]


def malicious_names(feeds: Path) -> set[NormalizedName]:
    """Return the names of all malicious projects of the exports."""
    return {
        canonicalize_name(entry["package"]["name"])
        for export in sorted(feeds.glob("*/PyPI/all.zip"))
        for record in records(export)
        if record["id"].startswith("MAL-") or export.parts[-3] == "malicious"
        for entry in record.get("affected", ())
    }


def records(export: Path) -> Iterator[Any]:
    """Yield the records of an OSV export."""
    with zipfile.ZipFile(export) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                yield json.loads(archive.read(name))


def ranks(names: Sequence[NormalizedName]) -> Popular:
    """Return the rank of each name, 1 for the first."""
    return {name: rank for rank, name in enumerate(names, start=1)}


def found(names: Sequence[NormalizedName], popular: Popular) -> list[NormalizedName]:
    """Return those of *names* that are found to be nearly a popular one."""
    return [name for name in names if nearest(name, popular) is not None]


def found_alone(names: Sequence[NormalizedName], popular: Popular) -> list[NormalizedName]:
    """Return those of *names* that would be found were each of them, alone, not popular itself."""
    others = dict(popular)
    alone = []
    for name in names:
        rank = others.pop(name)
        alone += found([name], others)
        others[name] = rank
    return alone


def share(part: Sequence[object], whole: Sequence[object]) -> str:
    """Return how many of how many, with the percentage."""
    return f"{len(part):,} of {len(whole):,} ({100 * len(part) / len(whole):.1f} %)"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=Path, default=FEEDS)
    feeds = parser.parse_known_args()[0].feeds
    if not (feeds / "top-pypi-packages.min.json").is_file():
        print(f"skipped: no feeds in {feeds}")
        return
    names = popular_names(feeds)
    popular, known = ranks(names), ranks(names[:UNREMARKABLE])
    bad = sorted(malicious_names(feeds) - set(popular))
    close = [name for name in bad if any(len(other) > 3 and other in popular for other in slips(name))]
    print(f"malicious names that are one slip from any of {len(names):,}: {share(found(close, popular), close)} found")
    print(f"all malicious names: {share(found(bad, popular), bad)} found")
    print(f"  by the built-in list alone: {share(found(bad, BUILT_IN), bad)} found")
    tail = names[UNREMARKABLE:]
    print(f"false alarms, popular names: {share(found(names, popular), names)}")
    print(f"  by the built-in list alone: {share(found(names, BUILT_IN), names)}")
    print(f"  every fifth, were it not popular itself: {share(found_alone(names[::5], popular), names[::5])}")
    print(f"false alarms, unremarkable names: {share(found(tail, known), tail)}")
    started = time.perf_counter()
    found(tail[:500], known)
    print(f"milliseconds a name: {1000 * (time.perf_counter() - started) / 500:.2f}")


if __name__ == "__main__":
    main()
