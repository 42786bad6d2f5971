from __future__ import annotations

from pathlib import Path

import pytest

from installguard.feeds.store import open_snapshot
from installguard.model import parse_release
from installguard.osv import Affected, affects

from .feed_samples import NOW

KNOWN = """
litellm 1.82.7 1.82.8
telnyx 4.87.1 4.87.2
xinference 2.6.0 2.6.1 2.6.2
elementary-data 0.23.3
lightning 2.6.2 2.6.3
mistralai 2.4.6
guardrails-ai 0.10.1
durabletask 1.4.1 1.4.2 1.4.3
num2words 0.5.15 0.5.16
ultralytics 8.3.41 8.3.42 8.3.45 8.3.46
aiocpa 0.1.13 0.1.14
gratient 0.5
exotel 0.1.6
spam 2.0.2 4.0.2
deep-translator 1.8.5
ctx 0.1.2-1 0.1.2.post1 0.2.2 0.2.6
installguard-test-malware 1.0
"""
PINS = [(line.split()[0], version) for line in KNOWN.strip().splitlines() for version in line.split()[1:]]


def malicious(directory: Path, name: str, version: str) -> list[str]:
    release = parse_release(name, version)
    with open_snapshot(directory, (), now=NOW) as snapshot:
        found = snapshot.lookup([release.name])
    return [one.id for one in found if one.kind == "malicious" and affects(one, release) == Affected()]


@pytest.mark.parametrize(("name", "version"), PINS)
def test_a_known_takeover_is_malware_where_no_feed_was_ever_fetched(tmp_path: Path, name: str, version: str) -> None:
    assert len(malicious(tmp_path, name, version)) == 1


@pytest.mark.parametrize(("name", "version"), [("litellm", "1.82.6"), ("ctx", "0.1.2"), ("lightning", "2.6.1")])
def test_other_releases_of_these_projects_are_not_named(tmp_path: Path, name: str, version: str) -> None:
    assert malicious(tmp_path, name, version) == []


def test_the_ids_are_those_of_the_public_records(tmp_path: Path) -> None:
    assert malicious(tmp_path, "litellm", "1.82.8") == ["MAL-2026-2144"]
    assert malicious(tmp_path, "elementary_data", "0.23.3") == ["IG-2026-elementary-data"]


def test_without_any_feed_the_snapshot_says_that_only_the_baseline_is_there(tmp_path: Path) -> None:
    with open_snapshot(tmp_path / "nowhere", (), now=NOW) as snapshot:
        info = snapshot.info
    assert [source.name for source in info.sources if source.records] == ["baseline"]
    assert (info.taken_at, info.missing, info.problem, info.records) == (None, ("osv",), None, 16)
    assert not (tmp_path / "nowhere").exists()
