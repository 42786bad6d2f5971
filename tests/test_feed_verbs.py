"""`guard feed …` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .feed_samples import record, write_export
from .feed_server import Export, serve_export
from .test_feed_bundle import KEV, keys

__all__ = ["keys"]  # a fixture

NEWER = "2026-11-02T00:00:00Z"


def guard(here: Path, *argv: object, code: int = 0) -> str:
    """Run guard in a directory whose cache it is, and return all that it says."""
    environ = {**os.environ, "INSTALLGUARD_CACHE_DIR": str(here / "cache"), "HOME": str(here), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "installguard", *map(str, argv)]
    done = subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def policy(here: Path, text: str) -> None:
    (here / "pyproject.toml").write_text(f"[tool.installguard]\n{text}")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def seed(here: Path, **fields: Any) -> Path:
    path = write_export(here / "osv.zip", record("MAL-2026-1", "evil", versions=["1.0"], **fields), {"id": 7})
    guard(here, "feed", "import", path)
    return path


def test_a_snapshot_crosses_the_air_gap_with_its_verdicts(tmp_path: Path, here: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    seed(here)
    (here / "kev.json").write_bytes(KEV)
    assert "feed kev: 1 records" in guard(here, "feed", "import", "kev.json", "--source", "kev")
    assert "wrote bundle.zip" in guard(here, "feed", "export", "bundle.zip")
    assert "feed osv: 1 records" in guard(there, "feed", "import", here / "bundle.zip")
    first, second = (json.loads(guard(each, "--format", "json", "feed", "status")) for each in (here, there))
    assert first.pop("age_seconds") <= second.pop("age_seconds")
    assert first == second
    assert "MAL-2026-1" in guard(there, "check", "evil==1.0", code=10)


def test_status_tells_of_each_source_what_there_is_and_what_is_not(here: Path) -> None:
    seed(here)
    said = guard(here, "feed", "status")
    assert "osv: 1 records, 1 unreadable" in said
    assert "unreadable: osv: 1.json: id is missing or no text" in said
    assert "kev: not fetched" in said
    (told,) = json.loads(guard(here, "--format", "json", "feed", "status"))["unreadable_records"]
    assert told == {"source": "osv", "name": "1.json", "reason": "id is missing or no text"}


def test_an_older_export_is_taken_only_where_that_is_accepted(here: Path) -> None:
    seed(here, modified=NEWER)
    older = write_export(here / "older.zip", record("MAL-2026-1", "evil", versions=["1.0"]))
    said = guard(here, "feed", "import", older, code=12)
    assert "older than the snapshot" in said
    assert "--accept-rollback" in said
    guard(here, "feed", "import", older, "--accept-rollback")


def test_an_update_tells_how_much_changed_and_keeps_to_what_is_not_older(here: Path) -> None:
    with serve_export(Export()) as export:
        policy(here, f'[tool.installguard.feed.sources.osv]\nurl = "{export.url}"\n')
        export.put(*(record(f"A-{number}", versions=["1"]) for number in range(20)))
        assert "feed osv: 20 records" in guard(here, "feed", "update")
        export.put(record("A-3", versions=["2"], modified=NEWER))
        assert "1 of them new, changed or gone" in guard(here, "feed", "update")
        assert "nothing new" in guard(here, "feed", "update")
        export.put(record("A-3", versions=["1"]))
        assert "older than the snapshot" in guard(here, "feed", "update", code=12)
        assert "last update failed" in guard(here, "feed", "status")
        guard(here, "feed", "update", "--accept-rollback")


def test_where_the_policy_knows_keys_what_is_imported_must_be_signed(
    tmp_path: Path, here: Path, keys: tuple[Path, str, str]
) -> None:
    private, public, _ = keys
    seed(here)
    guard(here, "feed", "export", "bundle.zip")
    policy(here, f'[tool.installguard.feed]\nkeys = ["{public}"]\n')
    assert "is not signed" in guard(here, "feed", "import", "bundle.zip", code=12)
    assert "is not signed" in guard(here, "feed", "import", "osv.zip", code=12)
    assert "and bundle.zip.sig" in guard(here, "feed", "export", "bundle.zip", "--sign", private)
    guard(here, "feed", "import", "bundle.zip")


def test_what_cannot_be_exported_is_one_line(here: Path) -> None:
    assert "there is no snapshot to export" in guard(here, "feed", "export", "bundle.zip", code=12)
    seed(here)
    assert "cannot be read" in guard(here, "feed", "export", "bundle.zip", "--sign", "nowhere.pem", code=2)
