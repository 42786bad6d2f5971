"""An advisory as a row of the snapshot: compact JSON of values that are normalised already, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

from ..model import Advisory, Affects, Event, Severity


def encode(advisory: Advisory) -> str:
    """The advisory without its project and its feed, which the table holds in columns; equal ones give equal text."""
    values = [
        advisory.id,
        _joined(advisory.aliases),
        advisory.kind == "malicious",
        _joined(sorted(frozenset(advisory.affected.versions))),
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
"""Several texts, joined by spaces: that is read many times as fast as a list. A list where there are none, or where one
of them is empty or holds a space itself."""


def _joined(texts: Sequence[str]) -> str | Sequence[str]:
    joined = " ".join(texts)
    return joined if joined and joined.count(" ") == len(texts) - 1 and all(texts) else texts


def _split(texts: _Texts) -> list[str]:
    return texts.split(" ") if isinstance(texts, str) else texts


class JoinedTexts(Set[str]):
    """A set of texts joined by spaces, looked into without being taken apart: most of those read are asked once."""

    __slots__ = ("_joined",)

    def __init__(self, joined: str) -> None:
        self._joined = f" {joined} "

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and " " not in text and f" {text} " in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined[1:-1].split(" "))

    def __len__(self) -> int:
        return self._joined.count(" ") - 1

    def __hash__(self) -> int:
        return hash(frozenset(self))

    def __repr__(self) -> str:
        return f"JoinedTexts({self._joined[1:-1]!r})"

    def isdisjoint(self, other: Iterable[object]) -> bool:
        for text in other:  # noqa: SIM110  `all` takes twice as long for one or two
            if f" {text} " in self._joined and text in self:
                return False
        return True

    @classmethod
    def _from_iterable(cls, texts: Iterable[Any]) -> frozenset[Any]:
        return frozenset(texts)


def decode(rows: Iterable[tuple[str, str, str]], malicious: frozenset[str]) -> list[Advisory]:
    """The advisories of rows of project, feed and payload; those of a feed in *malicious* name malware.

    Raises `ValueError`, `TypeError` or `KeyError` for what `encode` has not written.
    """
    kept = list(rows)
    payloads: list[list[Any]] = json.loads(f"[{','.join(payload for _, _, payload in kept)}]")
    if len(payloads) != len(kept):
        raise ValueError("a row holds more or less than one advisory")
    return [
        _advisory(project, feed, feed in malicious, *values)
        for (project, feed, _), values in zip(kept, payloads, strict=True)
    ]


def _advisory(
    project: str,
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
    made: Any = _Drafted()
    made.id = advisory_id
    made.aliases = tuple(_split(aliases))
    made.kind = "malicious" if malware or of_malware else "vulnerability"
    made.project = project
    made.affected = affected = cast("Any", _DraftedAffects())
    made.severity = None if severity is None else _SEVERITIES[severity]
    made.score = score
    made.fixed = tuple(_split(fixed))
    made.summary = summary
    made.published = published and datetime.fromisoformat(published)
    made.modified = modified and datetime.fromisoformat(modified)
    made.withdrawn = withdrawn and datetime.fromisoformat(withdrawn)
    made.url = url
    made.feed = feed
    made.exploited = False  # which no record says of itself
    made.__class__ = Advisory
    affected.versions = JoinedTexts(versions) if isinstance(versions, str) else frozenset(versions)
    affected.ranges = tuple(map(_events, ranges))
    affected.__class__ = Affects
    advisory: Advisory = made
    return advisory


# An advisory is frozen when it is whole. Until then it is of a class with the same slots, and no guard over each: the
# `__init__` of a frozen class takes fifteen times as long, and judging a large installation reads thousands of rows.
class _Drafted:
    __slots__ = Advisory.__slots__


class _DraftedAffects:
    __slots__ = Affects.__slots__


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
