"""An advisory as a row of the snapshot: compact JSON of values that are normalised already, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from packaging.utils import NormalizedName

from ..model import Advisory, AdvisoryKind, Affects, Event, Severity


def encode(advisory: Advisory) -> str:
    """The advisory without its project and its feed, which the table holds in columns; equal ones give equal text."""
    values = [
        advisory.id,
        _joined(advisory.aliases),
        advisory.kind == "malicious",
        _joined(sorted(advisory.affected.versions)),
        [
            _joined([text for event in events for text in (event.kind, event.version)])
            for events in advisory.affected.ranges
        ],
        advisory.severity,
        advisory.score,
        _joined(advisory.fixed),
        advisory.summary,
        _written(advisory.published),
        _written(advisory.modified),
        _written(advisory.withdrawn),
        advisory.url,
    ]
    return _write(values)


_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode

_Texts: TypeAlias = "str | list[str]"
"""Several texts, joined by newlines: that is read twice as fast as a list. A list where there are none, or where one of
them holds a newline itself."""


def _joined(texts: Sequence[str]) -> str | Sequence[str]:
    return "\n".join(texts) if texts and not any("\n" in text for text in texts) else texts


def _split(texts: _Texts) -> list[str]:
    return texts.split("\n") if isinstance(texts, str) else texts


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
    aliases: _Texts,
    malware: bool,
    versions: _Texts,
    ranges: list[_Texts],
    severity: int | None,
    score: float | None,
    fixed: _Texts,
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
        tuple(_split(aliases)),
        kind,
        project,
        Affects(
            versions=frozenset(_split(versions)),
            ranges=tuple(map(_events, ranges)),
        ),
        None if severity is None else _SEVERITIES[severity],
        score,
        tuple(_split(fixed)),
        summary,
        published and datetime.fromisoformat(published),
        modified and datetime.fromisoformat(modified),
        withdrawn and datetime.fromisoformat(withdrawn),
        url,
        feed,
        False,  # which no record says of itself
    )
    for put, value in zip(_PUTS, values, strict=True):
        put(advisory, value)
    return advisory


# The slots of an advisory in the order of its fields: the `__init__` of a frozen class fills them one by one by name,
# which takes four times as long, and judging a large installation reads thousands of rows.
_PUTS = tuple(Advisory.__dict__[field.name].__set__ for field in fields(Advisory))
_SEVERITIES = {int(severity): severity for severity in Severity}
_EVENTS: frozenset[str] = frozenset({"introduced", "fixed", "last_affected", "limit"})


def _events(joined: _Texts) -> tuple[Event, ...]:
    texts = _split(joined)
    return tuple(map(_event, texts[::2], texts[1::2]))


@lru_cache(maxsize=16384)
def _event(kind: Literal["introduced", "fixed", "last_affected", "limit"], version: str) -> Event:
    if kind not in _EVENTS:
        raise ValueError(f"unknown event {kind!r}")
    return Event(kind=kind, version=version)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
