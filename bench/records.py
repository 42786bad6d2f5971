"""Makes OSV exports of any size that look like the real one: a seeded generator, for benchmarks and nothing else.

Drawn to the shape of 3,119 real advisories: nearly all have a range and list versions (median 23, some hundreds), one
in six has a CVSS vector, one in fourteen is withdrawn; half of the projects have one advisory, one in ten has five or
more, a few have hundreds. Half of the records name malware, of projects that have nothing else.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

VECTORS = (
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
    "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N",
)


def records(number: int, *, seed: int = 7) -> Iterator[dict[str, object]]:
    """Yield OSV records of projects named `project-N` and `malware-N`."""
    chance = random.Random(seed)
    advised = max(number // 8, 1)
    for at in range(number):
        malicious = chance.random() < 0.5
        name = f"malware-{at}" if malicious else f"project-{int(advised * chance.random() ** 2)}"
        day = f"20{chance.randrange(19, 27)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T00:00:00Z"
        record: dict[str, object] = {
            "schema_version": "1.6.0",
            "id": f"{'MAL' if malicious else 'PYSEC'}-{day[:4]}-{at}",
            "modified": day,
            "published": day,
            "summary": f"Malicious code in {name}" if malicious else f"{name} mishandles what it is given",
            "details": "What happened, how it was found, and what to do about it. " * chance.randrange(2, 20),
            "affected": [affected(chance, name, malicious)],
            "references": [{"type": "WEB", "url": f"https://example.org/advisories/{at}"}],
        }
        if not malicious:
            record["aliases"] = [f"CVE-{day[:4]}-{at}", f"GHSA-{at:04x}-{at:04x}-{at:04x}"]
        if chance.random() < 0.17:
            record["severity"] = [{"type": "CVSS_V3", "score": chance.choice(VECTORS)}]
        if chance.random() < 0.07:
            record["withdrawn"] = day
        yield record


def affected(chance: random.Random, name: str, malicious: bool) -> dict[str, object]:
    """Return one `affected` entry."""
    entry: dict[str, object] = {"package": {"ecosystem": "PyPI", "name": name}}
    count = chance.randrange(1, 4) if malicious else min(int(chance.paretovariate(0.9) * 12), 600)
    entry["versions"] = [f"{at // 30}.{at % 30 // 3}.{at % 3}" for at in range(count)]
    if not malicious:
        major = count // 30
        events = [{"introduced": "0"}, {"fixed": f"{major}.{count % 30 // 3}.{count % 3}"}]
        entry["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    return entry


def write_export(path: Path, number: int, *, seed: int = 7) -> Path:
    """Write an export of *number* records as `all.zip` is laid out, and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for record in records(number, seed=seed):
            archive.writestr(f"{record['id']}.json", json.dumps(record))
    return path
