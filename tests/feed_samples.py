"""Small OSV records and exports, written by hand, for the tests of the feeds."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

NOW = datetime(2026, 11, 21, 18, 40, tzinfo=timezone.utc)
FEEDS = Path(__file__).resolve().parents[2] / "shared" / "feeds"


def shared_feeds() -> Path:
    """The real exports beside the checkout; the test is skipped where they are not."""
    if not (FEEDS / "osv-cases.json").is_file():
        pytest.skip(f"needs the real feeds at {FEEDS}")
    return FEEDS


def record(
    record_id: str = "PYSEC-2026-1",
    name: str = "nice",
    *,
    versions: list[str] | None = None,
    events: list[dict[str, str]] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """An OSV record of one project."""
    affected: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": name}}
    if versions is not None:
        affected["versions"] = versions
    if events is not None:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    return {"id": record_id, "modified": "2026-01-01T00:00:00Z", "affected": [affected], **fields}


def write_zip(path: Path, members: dict[str, bytes | dict[str, Any]]) -> Path:
    """A zip of these members; records become JSON."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return path


def write_export(path: Path, *records: dict[str, Any]) -> Path:
    """A zip of these records, each in a member named by number."""
    return write_zip(path, {f"{number}.json": each for number, each in enumerate(records)})
