"""Known takeovers of real projects, built in: what is judged by while a feed has never been fetched.

Written by hand, versions only, from public reports. It is no feed: it is there so that the first command on a machine
that reaches none already denies the releases that did the most harm. It stays in force beside feeds for the projects of
which they know no malware, since some list these takeovers as vulnerabilities, and an old export does not list them.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from hashlib import sha256
from typing import Final

from ..model import Advisory, Affects, SourceInfo, parse_version, version_key
from ..names import canonicalize_name

BASELINE: Final = "baseline"
"""The name of the built-in source; no feed may take it."""

TEST_PROJECT: Final = "installguard-test-malware"

# project, malicious releases, id, month of publication
_TAKEOVERS: Final = (
    ("litellm", "1.82.7 1.82.8", "MAL-2026-2144", "2026-03"),
    ("telnyx", "4.87.1 4.87.2", "MAL-2026-2254", None),
    ("xinference", "2.6.0 2.6.1 2.6.2", "MAL-2026-3000", None),
    ("elementary-data", "0.23.3", "IG-2026-elementary-data", "2026-04"),
    ("lightning", "2.6.2 2.6.3", "IG-2026-lightning", "2026-04"),
    ("mistralai", "2.4.6", "MAL-2026-3608", None),
    ("guardrails-ai", "0.10.1", "MAL-2026-3607", None),
    ("durabletask", "1.4.1 1.4.2 1.4.3", "IG-2026-durabletask", "2026-05"),
    ("num2words", "0.5.15 0.5.16", "MAL-2025-6794", None),
    ("ultralytics", "8.3.41 8.3.42 8.3.45 8.3.46", "PYSEC-2024-154", None),
    ("aiocpa", "0.1.13 0.1.14", "PYSEC-2024-152", None),
    ("gratient", "0.5", "PYSEC-2024-1", None),
    ("exotel", "0.1.6", "PYSEC-2022-250", None),
    ("spam", "2.0.2 4.0.2", "PYSEC-2022-251", None),
    ("deep-translator", "1.8.5", "PYSEC-2022-252", None),
    ("ctx", "0.1.2-1 0.2.2 0.2.6", "PYSEC-2022-199", None),
)


def _advisory(project: str, versions: str, advisory_id: str, month: str | None, summary: str) -> Advisory:
    published = None if month is None else datetime.fromisoformat(f"{month}-01").replace(tzinfo=timezone.utc)
    public = not advisory_id.startswith("IG-")
    return Advisory(
        id=advisory_id,
        kind="malicious",
        project=canonicalize_name(project),
        affected=Affects(versions=frozenset(version_key(parse_version(version)) for version in versions.split())),
        summary=summary,
        published=published,
        url=f"https://osv.dev/vulnerability/{advisory_id}" if public else None,
        feed=BASELINE,
    )


@lru_cache(maxsize=1)
def baseline_advisories() -> tuple[Advisory, ...]:
    """The known takeovers, one advisory a project."""
    return tuple(
        _advisory(project, versions, advisory_id, month, f"malicious releases of {project}")
        for project, versions, advisory_id, month in _TAKEOVERS
    )


@lru_cache(maxsize=1)
def always_malicious() -> Advisory:
    """The harmless release that is always called malicious, so that a guard can be seen working."""
    return _advisory(TEST_PROJECT, "1.0", "IG-TEST-MALWARE", None, "test release of installguard, harmless")


@lru_cache(maxsize=1)
def baseline_info() -> SourceInfo:
    """The baseline as a source of the snapshot."""
    return SourceInfo(name=BASELINE, records=len(_TAKEOVERS), unreadable=0, taken_at=None, malicious=True)


@lru_cache(maxsize=1)
def baseline_digest() -> str:
    """SHA-256, hexadecimal, over what the baseline says."""
    return sha256(repr(_TAKEOVERS).encode()).hexdigest()
