"""An advisory as a row of the snapshot: compact JSON of values that are normalised already, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from packaging.utils import NormalizedName

from ..model import Advisory, AdvisoryKind, Affects, Event, Severity


def encode(advisory: Advisory) -> str:
    """The advisory without its project and its feed, which the table holds in columns; equal ones give equal text."""
    affected = advisory.affected
    values = [
        advisory.id,
        advisory.aliases,
        advisory.kind == "malicious",
        _joined(affected.versions),
        [[text for event in events for text in (event.kind, event.version)] for events in affected.ranges],
        advisory.severity,
        advisory.score,
        advisory.fixed,
        advisory.summary,
        _written(advisory.published),
        _written(advisory.modified),
        _written(advisory.withdrawn),
        advisory.url,
    ]
    return _write(values)


_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _joined(versions: frozenset[str]) -> str | list[str]:
    """The versions as one text, which is read twice as fast as a list; a list where one holds the separator."""
    ordered = sorted(versions)
    return "\n".join(ordered) if ordered and not any("\n" in version for version in ordered) else ordered


def decode(rows: Iterable[tuple[str, str, str]], malicious: frozenset[str]) -> list[Advisory]:
    """The advisories of rows of project, feed and payload; those of a feed in *malicious* name malware.

    Raises `ValueError`, `TypeError` or `KeyError` for what `encode` has not written.
    """
    kept = list(rows)
    payloads: list[list[Any]] = json.loads(f"[{','.join(payload for _, _, payload in kept)}]")
    if len(payloads) != len(kept):
        raise ValueError("a row holds more or less than one advisory")
    return [
        _advisory(NormalizedName(project), feed, feed in malicious, *values)
        for (project, feed, _), values in zip(kept, payloads, strict=True)
    ]


def _advisory(
    project: NormalizedName,
    feed: str,
    of_malware: bool,
    advisory_id: str,
    aliases: list[str],
    malware: bool,
    versions: str | list[str],
    ranges: list[list[str]],
    severity: int | None,
    score: float | None,
    fixed: list[str],
    summary: str,
    published: str | None,
    modified: str | None,
    withdrawn: str | None,
    url: str | None,
) -> Advisory:
    kind: AdvisoryKind = "malicious" if malware or of_malware else "vulnerability"
    advisory: Advisory = object.__new__(Advisory)
    values = (
        advisory_id,
        tuple(aliases),
        kind,
        project,
        Affects(
            versions=frozenset(versions.split("\n") if isinstance(versions, str) else versions),
            ranges=tuple(map(_events, ranges)),
        ),
        None if severity is None else _SEVERITIES[severity],
        score,
        tuple(fixed),
        summary,
        published and datetime.fromisoformat(published),
        modified and datetime.fromisoformat(modified),
        withdrawn and datetime.fromisoformat(withdrawn),
        url,
        feed,
    )
    for put, value in zip(_PUTS, values, strict=True):
        put(advisory, value)
    return advisory


# The slots of an advisory in the order of its fields: the `__init__` of a frozen class fills them one by one by name,
# which takes four times as long, and judging a large installation reads thousands of rows.
_PUTS = tuple(Advisory.__dict__[field.name].__set__ for field in fields(Advisory))
_SEVERITIES = {int(severity): severity for severity in Severity}
_EVENTS: frozenset[str] = frozenset({"introduced", "fixed", "last_affected", "limit"})


def _events(texts: list[str]) -> tuple[Event, ...]:
    return tuple(map(_event, texts[::2], texts[1::2]))


@lru_cache(maxsize=16384)
def _event(kind: Literal["introduced", "fixed", "last_affected", "limit"], version: str) -> Event:
    if kind not in _EVENTS:
        raise ValueError(f"unknown event {kind!r}")
    return Event(kind=kind, version=version)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
