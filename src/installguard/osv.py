"""OSV records as advisories, and whether one affects a release (OSV schema 1.x; DESIGN: OSV, exactly)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter, lt
from typing import Final, Literal, TypeAlias, TypeVar, cast

from packaging.version import Version

from .dataclass import dataclass, replace
from .model import (
    Advisory,
    AdvisoryKind,
    Affects,
    AnyVersion,
    Event,
    LegacyVersion,
    Release,
    Severity,
    parse_version,
    version_key,
)
from .names import NormalizedName, canonicalize_name

Rate: TypeAlias = Callable[[str], "float | None"]
"""The base score of a CVSS vector, 0.0 to 10.0, or `None` where it cannot be read."""


class RecordError(ValueError):
    """Why something is not a readable OSV record, in one line that says where in the record."""


# ---------------------------------------------------------------- reading records


def parse_record(data: object, *, feed: str, malicious: bool, rate: Rate) -> tuple[Advisory, ...]:
    """Return one advisory for each PyPI project that the OSV record *data* names; raises `RecordError` only.

    Entries of other ecosystems are ignored, so that a record of theirs gives an empty tuple. *malicious* says that
    all of this feed names malware; a `MAL-` id or alias always does.
    """
    record = _table(data, "the record")
    record_id = _name(record.get("id"), "id")
    aliases = tuple(_name(alias, f"aliases[{i}]") for i, alias in enumerate(_items(record.get("aliases"), "aliases")))
    projects = _affected_projects(record)
    if not projects:
        return ()
    kind: AdvisoryKind = "malicious" if malicious or _names_malware((record_id, *aliases)) else "vulnerability"
    vectors = _vectors(record.get("severity"), "severity")
    word = _severity_word(record.get("database_specific"))
    summary = _optional_text(record.get("summary"), "summary") or ""
    published, modified, withdrawn = (_time(record.get(key), key) for key in ("published", "modified", "withdrawn"))
    url = _page(record_id, record.get("references"))
    advisories = []
    for project, entry in projects.items():
        score, severity = _rating(vectors | entry.vectors, word, rate)
        advisories.append(
            Advisory(
                id=record_id,
                aliases=tuple(dict.fromkeys(alias for alias in aliases if alias != record_id)),
                kind=kind,
                project=project,
                affected=Affects(versions=frozenset(entry.versions), ranges=tuple(dict.fromkeys(entry.ranges))),
                severity=severity,
                score=score,
                fixed=_fixed(entry.ranges),
                summary=" ".join(summary.split()),
                published=published,
                modified=modified,
                withdrawn=withdrawn,
                url=url,
                feed=feed,
            )
        )
    return tuple(advisories)


@dataclass(slots=True)
class _Entry:
    """What the `affected` entries of one project say, united (some records name a project three times)."""

    versions: set[str]
    ranges: list[tuple[Event, ...]]
    vectors: frozenset[str]


def _affected_projects(record: Mapping[str, object]) -> dict[NormalizedName, _Entry]:
    """What the record says of each PyPI project, by normalised name."""
    projects: dict[NormalizedName, _Entry] = {}
    for i, affected in enumerate(_tables(record.get("affected"), "affected")):
        where = f"affected[{i}]"
        project = _project(affected.get("package"), f"{where}.package")
        if project is None:
            continue
        entry = projects.setdefault(project, _Entry(versions=set(), ranges=[], vectors=frozenset()))
        entry.versions.update(_versions(affected.get("versions"), f"{where}.versions"))
        entry.ranges.extend(_ranges(affected.get("ranges"), f"{where}.ranges"))
        entry.vectors |= _vectors(affected.get("severity"), f"{where}.severity")
    return projects


def _project(value: object, where: str) -> NormalizedName | None:
    """The normalised project name; `None` for another ecosystem or for an entry that names no package."""
    if value is None:
        return None
    package = _table(value, where)
    ecosystem = _text(package.get("ecosystem"), f"{where}.ecosystem")
    if ecosystem.partition(":")[0].casefold() != "pypi":
        return None
    return canonicalize_name(_name(package.get("name"), f"{where}.name"))


def _versions(value: object, where: str) -> set[str]:
    """The listed versions, each by `version_key`."""
    items = _items(value, where)
    if not set(map(type, items)) <= {str} or not "".join(cast("Sequence[str]", items)).isascii():
        items = [_text(item, f"{where}[{i}]") for i, item in enumerate(items)]  # finds out which one is wrong
    return set(map(_key, cast("Sequence[str]", items)))


def _ranges(value: object, where: str) -> Iterable[tuple[Event, ...]]:
    """The events of each range over versions; GIT ranges are skipped one by one, not the whole entry."""
    for i, table in enumerate(_tables(value, where)):
        kind = _text(table.get("type"), f"{where}[{i}].type")
        if kind == "GIT":
            continue
        if kind not in ("ECOSYSTEM", "SEMVER"):
            raise RecordError(f"{where}[{i}].type is none of ECOSYSTEM, SEMVER, GIT")
        if table.get("events") is None:
            raise RecordError(f"{where}[{i}].events is missing")
        yield tuple(_events(table["events"], f"{where}[{i}].events"))


_EventKind: TypeAlias = Literal["introduced", "fixed", "last_affected", "limit"]
_EVENT_KINDS: Final = ("introduced", "fixed", "last_affected", "limit")


def _events(value: object, where: str) -> Iterable[Event]:
    """The events in their order as written; early records put two of them into one object."""
    for i, table in enumerate(_tables(value, where)):
        kinds = [kind for kind in _EVENT_KINDS if table.get(kind) is not None]
        if not kinds or len(table) > len(kinds):
            raise RecordError(f"{where}[{i}] is none of {', '.join(_EVENT_KINDS)}")
        for kind in kinds:
            yield _event(kind, _text(table[kind], where, i, kind).strip())


@lru_cache(maxsize=4096)
def _event(kind: _EventKind, version: str) -> Event:
    return Event(kind=kind, version=version)


def _fixed(ranges: Iterable[Sequence[Event]]) -> tuple[str, ...]:
    """The versions that end a range, ascending, each once; those that cannot be ordered come last."""
    versions = {
        _key(event.version): parse_version(event.version) for r in ranges for event in r if event.kind == "fixed"
    }
    ordered = sorted(version for version in versions.values() if isinstance(version, Version))
    others = sorted(version.raw for version in versions.values() if isinstance(version, LegacyVersion))
    return (*map(_normal, ordered), *others)


def _vectors(value: object, where: str) -> frozenset[str]:
    """The CVSS vectors of a `severity` list; other scales (Ubuntu's words) are no vectors."""
    return frozenset(
        _text(table.get("score"), where, i, "score").strip()
        for i, table in enumerate(_tables(value, where))
        if _text(table.get("type"), where, i, "type").startswith("CVSS_")
    )


_WORDS: Final = {
    "none": Severity.NONE,
    "low": Severity.LOW,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "high": Severity.HIGH,
    "critical": Severity.CRITICAL,
}


def _severity_word(value: object) -> Severity | None:
    """The severity that GitHub's records give in a word; anything else there is another database's affair."""
    word = value.get("severity") if isinstance(value, dict) else None
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) else None


def _rating(vectors: Iterable[str], word: Severity | None, rate: Rate) -> tuple[float | None, Severity | None]:
    """The highest score of all vectors with its severity; the record's word where no vector can be read."""
    scores = [score for vector in vectors if (score := rate(vector)) is not None]
    if not scores:
        return None, word
    return max(scores), severity_of(max(scores))


def severity_of(score: float) -> Severity:
    """The qualitative severity of a CVSS base score (CVSS v3.1 section 5, v4.0 section 6)."""
    for severity, below in ((Severity.LOW, 4.0), (Severity.MEDIUM, 7.0), (Severity.HIGH, 9.0)):
        if score < below:
            return Severity.NONE if score <= 0 else severity
    return Severity.CRITICAL


_PAGE: Final = r"https?://[\x21-\x7e]+"
_PUBLIC_ID: Final = r"(?:PYSEC|GHSA|MAL|CVE|OSV)-[0-9A-Za-z-]+"


def _page(record_id: str, references: object) -> str | None:
    """Where a person reads on: the record's page at osv.dev, else its own first reference."""
    tables = _tables(references, "references")
    if re.fullmatch(_PUBLIC_ID, record_id):
        return f"https://osv.dev/vulnerability/{record_id}"
    urls = [(table.get("type") != "ADVISORY", table.get("url")) for table in tables]
    pages = [(later, url) for later, url in urls if isinstance(url, str) and re.fullmatch(_PAGE, url)]
    return min(pages, key=itemgetter(0))[1] if pages else None


def _names_malware(ids: Iterable[str]) -> bool:
    return any(record_id.upper().startswith("MAL-") for record_id in ids)


def parse_time(value: object, where: str) -> datetime | None:
    """Return an RFC 3339 timestamp in UTC, `None` for `None`; raises `RecordError`, which names *where*."""
    return _time(value, where)


# RFC 3339, with what records of older tools leave out: the time, the fraction, the offset (then UTC).
_TIME: Final = r"(?a)(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?)?"


def _time(value: object, where: str) -> datetime | None:
    """The timestamp in UTC."""
    text = _optional_text(value, where)
    if text is None:
        return None
    match = re.fullmatch(_TIME, text.strip())
    if match is None:
        raise RecordError(f"{where} is no RFC 3339 timestamp")
    day, clock, fraction, offset = match.groups(default="")
    zone = "+00:00" if offset in ("", "Z", "z") else offset
    try:
        if not fraction and zone == "+00:00":
            return datetime.fromisoformat(f"{day}T{clock or '00:00:00'}+00:00")
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}.{fraction[:6]:0<6}{zone}")
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise RecordError(f"{where} is no RFC 3339 timestamp") from error


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise RecordError(f"{where} is missing or no object")
    return cast("Mapping[str, object]", value)  # JSON objects have text keys, and other keys are never asked for


def _items(value: object, where: str) -> Sequence[object]:
    """The list; an absent one and `null`, which Go's writers leave for an empty list, are empty."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RecordError(f"{where} is no list")
    return value


def _tables(value: object, where: str) -> Sequence[Mapping[str, object]]:
    items = _items(value, where)
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise RecordError(f"{where}[{i}] is no object")
    return cast("Sequence[Mapping[str, object]]", items)


def _text(value: object, where: str, number: int | None = None, key: str = "") -> str:
    """The text; *number* and *key* name an item's field, spelt out only where something is wrong with it."""
    if isinstance(value, str) and (value.isascii() or _encodable(value)):
        return value
    place = where if number is None else f"{where}[{number}].{key}"
    problem = "holds half a surrogate pair" if isinstance(value, str) else "is missing or no text"
    raise RecordError(f"{place} {problem}")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _optional_text(value: object, where: str) -> str | None:
    return None if value is None else _text(value, where)


def _name(value: object, where: str) -> str:
    text = _text(value, where).strip()
    if not text:
        raise RecordError(f"{where} is empty")
    return text


# ---------------------------------------------------------------- does it affect a release?


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """The advisory names the release, by a listed version or by a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unaffected:
    """The advisory does not name the release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indeterminate:
    """The advisory may name the release: an event or the release itself cannot be ordered."""

    reason: str


Applicability: TypeAlias = Affected | Unaffected | Indeterminate

_AFFECTED: Final = Affected()
_UNAFFECTED: Final = Unaffected()


def affects(advisory: Advisory, release: Release) -> Applicability:
    """Say whether *advisory* names *release*, by the evaluation algorithm of the OSV schema.

    > func IsVulnerable(v, osv): for each affected: if IncludedInVersions(v) || IncludedInRanges(v): return true

    Listed versions and ranges are a union. A withdrawn advisory names nothing, nor does one about another project.
    """
    return affecting(release)(advisory)


def affecting(release: Release) -> Callable[[Advisory], Applicability]:
    """Return `affects` for one *release*, to be asked about many advisories."""
    return partial(_affects, release.name, _subject(release.version))


def _affects(name: NormalizedName, subject: _Subject, advisory: Advisory) -> Applicability:
    if advisory.withdrawn is not None or advisory.project != name:
        return _UNAFFECTED
    if not advisory.affected.versions.isdisjoint(subject.keys):
        return _AFFECTED
    doubts = []
    for events in advisory.affected.ranges:
        found = _within(events, subject)
        if found is _AFFECTED:
            return found
        if isinstance(found, Indeterminate):
            doubts.append(found.reason)
    return Indeterminate(reason=min(doubts)) if doubts else _UNAFFECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """A release's version, prepared for comparing."""

    keys: tuple[str, ...]
    """Under which listed versions meet it: its own key, and for a local version its public part's."""
    version: AnyVersion
    public: AnyVersion
    numbers: tuple[int, ...] | None
    """Those of a plain release (`1.2.3`), without zeros at the end; `None` for others."""


@lru_cache(maxsize=4096)
def _subject(version: AnyVersion) -> _Subject:
    if isinstance(version, LegacyVersion) or version.local is None:
        key = version_key(version)
        return _Subject(
            keys=(key,),
            version=version,
            public=version,
            numbers=None if isinstance(version, LegacyVersion) else _numbers(key),
        )
    public = Version(version.public)
    return _Subject(keys=(version_key(version), version_key(public)), version=version, public=public, numbers=None)


@lru_cache(maxsize=16384)
def _numbers(raw: str) -> tuple[int, ...] | None:
    """The numbers of a version that is nothing but numbers, without zeros at the end, by which such ones are ordered.

    They are so with `0` too, where it stands for what is before every version: no plain version is before it.
    """
    return tuple(map(int, _key(raw).split("."))) if _PLAIN.fullmatch(raw) else None


_Position: TypeAlias = tuple[int, Version]

_ZERO: Final = Version("0")
_START: Final[_Position] = (0, _ZERO)
# At equal versions `fixed` comes before `introduced`: what was fixed and broken again is broken.
_ORDER: Final = {"fixed": 0, "introduced": 1, "last_affected": 2}


def _within(events: Sequence[Event], subject: _Subject) -> Applicability:
    """Say whether one range holds the version.

    > if BeforeLimits(version, range): vulnerable = false; for evt in sorted(range.events):
    >   if evt.introduced is present && version >= evt.introduced: vulnerable = true
    >   else if evt.fixed is present && version >= evt.fixed: vulnerable = false
    >   else if evt.last_affected is present && version > evt.last_affected: vulnerable = false

    So the last event that the version has passed decides. An event that cannot be ordered may be that last one: where
    it would say otherwise than those that can, the answer is open.
    """
    if (plain := _within_plain(events, subject)) is not None:
        return plain
    limits = _before_limits(events, subject)
    if limits is False:
        return _UNAFFECTED
    passed: list[tuple[_Position, int]] = []
    unordered: dict[bool, list[str]] = defaultdict(list)
    for event in events:
        if event.kind == "limit":
            continue
        # A local version is not past `last_affected` while its public part is not.
        mine = _place(subject.public if event.kind == "last_affected" else subject.version)
        other = _event_place(event.kind, event.version)
        if other is None or (mine is None and other != _START):
            unordered[event.kind == "introduced"].append(_doubt(event, subject))
        elif mine is None or (mine > other if event.kind == "last_affected" else mine >= other):
            passed.append((other, _ORDER[event.kind]))
    vulnerable = _last_word(passed)
    if unordered[not vulnerable]:
        return Indeterminate(reason=min(unordered[not vulnerable]))
    if vulnerable and limits is None:
        return Indeterminate(reason=min(_doubt(event, subject) for event in events if event.kind == "limit"))
    return _AFFECTED if vulnerable else _UNAFFECTED


def _within_plain(events: Sequence[Event], subject: _Subject) -> Applicability | None:
    """The same where each event is of another version and none is a limit, as nearly always; `None` for others."""
    inside: bool | None = None
    if subject.numbers is not None and len(events) == 2 and (events[0].kind, events[1].kind) == _WINDOW:
        first, last = _numbers(events[0].version), _numbers(events[1].version)
        if first is not None and last is not None and first < last:  # so are nine in ten
            return _AFFECTED if first <= subject.numbers < last else _UNAFFECTED
    if subject.numbers is not None:
        inside = _last_passed(events, subject.numbers, [_numbers(event.version) for event in events])
    if inside is None and subject.public is subject.version and (mine := _place(subject.version)) is not None:
        inside = _last_passed(events, mine, [_event_place(event.kind, event.version) for event in events])
    if inside is None:
        return None
    return _AFFECTED if inside else _UNAFFECTED


_WINDOW: Final = ("introduced", "fixed")
_Ordered = TypeVar("_Ordered", tuple[int, ...], _Position)


def _last_passed(events: Sequence[Event], mine: _Ordered, places: Sequence[_Ordered | None]) -> bool | None:
    """Whether the last event passed is the start of a window; `None` where there are limits or no strict order."""
    known = [place for place in places if place is not None]
    if len(known) < len(events) or "limit" in [event.kind for event in events]:
        return None
    if not _ascend(known):
        order = sorted(range(len(known)), key=known.__getitem__)
        events, known = [events[at] for at in order], [known[at] for at in order]
        if not _ascend(known):
            return None
    last = bisect_right(known, mine) - 1
    if last >= 0 and events[last].kind == "last_affected" and known[last] == mine:
        last -= 1  # which is passed by higher versions only
    return last >= 0 and events[last].kind == "introduced"


def _ascend(places: Sequence[_Ordered]) -> bool:
    return all(map(lt, places, places[1:]))


def _last_word(passed: list[tuple[_Position, int]]) -> bool:
    """Walk the sorted events that the version has passed, and say whether it ends up vulnerable.

    `introduced` and `last_affected` at one version: they open and close a window of that version alone where the range
    was closed before, and close one window and open the next where it was open. Both times the state stays.
    """
    vulnerable = False
    for _, group in groupby(sorted(passed), key=itemgetter(0)):
        kinds = {kind for _, kind in group}
        if 0 in kinds:
            vulnerable = False
        if not kinds >= {1, 2} and kinds != {0}:
            vulnerable = 1 in kinds
    return vulnerable


def _before_limits(events: Sequence[Event], subject: _Subject) -> bool | None:
    """Say whether the version is before one of the limits, where there are any; `None` if that cannot be told.

    > func BeforeLimits(version, range): if no limit events in range.events: return true;
    > for evt in range.events: if evt.limit is present and version < evt.limit: return true; return false
    """
    limits = [event for event in events if event.kind == "limit"]
    if not limits or any(event.version == "*" for event in limits):
        return True
    mine = _place(subject.version)
    places = [_event_place(event.kind, event.version) for event in limits]
    if mine is not None and any(place is not None and mine < place for place in places):
        return True
    return None if mine is None or None in places else False


def _place(version: AnyVersion) -> _Position | None:
    return None if isinstance(version, LegacyVersion) else (1, version)


@lru_cache(maxsize=16384)
def _event_place(kind: _EventKind, version: str) -> _Position | None:
    """Where the event stands among versions; `"0"` is before every version, even `0.dev0`.

    Not so for `last_affected` and `limit`, where it could only shorten a range: there it is the version.
    """
    if kind in ("introduced", "fixed") and version == "0":
        return _START
    return _place(parse_version(version))


def _doubt(event: Event, subject: _Subject) -> str:
    if isinstance(subject.version, LegacyVersion):
        return f"version {_shown(subject.version.raw)} is not PEP 440 and cannot be compared with the affected range"
    return f"{event.kind} {_shown(event.version)} in the affected range is not PEP 440 and cannot be compared"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


_normal: Final = lru_cache(maxsize=16384)(str)


_PLAIN: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,17})\.){0,20}(?:0|[1-9][0-9]{0,17})")


class _Keys(dict[str, str]):
    """`version_key` by the version as written; nine in ten listed ones are plain numbers and need no parser."""

    def __missing__(self, raw: str) -> str:
        if len(self) >= 65536:
            self.clear()
        key = raw
        if _PLAIN.fullmatch(raw) is None:
            key = version_key(parse_version(raw))
        else:
            while key.endswith(".0"):
                key = key[:-2]
        self[raw] = key
        return key


# An export lists many hundred thousand versions, and a dictionary answers four times as fast as `lru_cache`.
_key: Final = _Keys().__getitem__


# ---------------------------------------------------------------- merging


def merge(advisories: Iterable[Advisory]) -> tuple[Advisory, ...]:
    """Unite the advisories that share an id or alias within one project, transitively; in order of project and id.

    Withdrawn ones neither join nor shape others; they are returned (united among themselves) only where no
    advisory in force shares an id with them.

    A malware record denies, so its reach is never widened by a vulnerability record that happens to share an alias:
    within a joined group the malware records are united, every vulnerability record that names nothing beyond them
    goes into them, and the rest stays an advisory of its own. So no denial is lost, and no release is called malware
    that no malware record lists.
    """
    projects: dict[NormalizedName, list[Advisory]] = defaultdict(list)
    for advisory in advisories:
        projects[advisory.project].append(advisory)
    merged: list[Advisory] = []
    for project in sorted(projects):
        found = projects[project]
        merged.extend(found if len(found) == 1 else _merge_project(found))
    return tuple(merged)


def _merge_project(advisories: Sequence[Advisory]) -> list[Advisory]:
    if _apart(advisories):
        return sorted(advisories, key=_told_order)
    in_force = [advisory for advisory in advisories if advisory.withdrawn is None]
    taken = {record_id for advisory in in_force for record_id in advisory.ids}
    withdrawn = [
        group
        for group in _linked([advisory for advisory in advisories if advisory.withdrawn is not None])
        if not any(record_id in taken for advisory in group for record_id in advisory.ids)
    ]
    merged = [one for group in (*_linked(in_force), *withdrawn) for one in _unite_group(group)]
    return sorted(merged, key=_told_order)


def _apart(advisories: Iterable[Advisory]) -> bool:
    """Whether no two share an id, which is so for nearly all."""
    ids = [record_id for advisory in advisories for record_id in advisory.ids]
    return len(set(ids)) == len(ids)


def _told_order(advisory: Advisory) -> tuple[str, str, bool]:
    return (advisory.id, advisory.kind, advisory.withdrawn is not None)


def _linked(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """The groups of advisories that share an id or alias, transitively."""
    groups: dict[int, tuple[set[str], list[Advisory]]] = {}
    owner: dict[str, int] = {}
    for number, advisory in enumerate(advisories):
        ids, members = set(advisory.ids), [advisory]
        for other in {owner[record_id] for record_id in ids if record_id in owner}:
            more_ids, more_members = groups.pop(other)
            ids |= more_ids
            members += more_members
        groups[number] = (ids, members)
        owner.update(dict.fromkeys(ids, number))
    return [members for _, members in groups.values()]


def _unite_group(group: Sequence[Advisory]) -> list[Advisory]:
    """One advisory for a linked group, or one of each kind where uniting them would widen the malware's reach."""
    malware = [advisory for advisory in group if advisory.kind == "malicious"]
    others = [advisory for advisory in group if advisory.kind != "malicious"]
    if not malware or not others:
        return [_unite(group)]
    reach = _union(malware)
    inside = [advisory for advisory in others if _contains(reach, advisory.affected)]
    beyond = [advisory for advisory in others if not _contains(reach, advisory.affected)]
    return [_unite([*malware, *inside]), *([_unite(beyond)] if beyond else [])]


def _contains(reach: Affects, affected: Affects) -> bool:
    # Events in any order are the same range.
    ranges = {frozenset(events) for events in reach.ranges}
    return affected.versions <= reach.versions and all(frozenset(events) in ranges for events in affected.ranges)


def _union(advisories: Iterable[Advisory]) -> Affects:
    affected = [advisory.affected for advisory in advisories]
    return Affects(
        versions=frozenset().union(*(each.versions for each in affected)),
        ranges=tuple(dict.fromkeys(events for each in affected for events in each.ranges)),
    )


def _unite(advisories: Sequence[Advisory]) -> Advisory:
    """The advisories as one, told alike whatever their order."""
    if len(advisories) == 1:
        return advisories[0]
    ordered = sorted(advisories, key=_canonical)
    first = ordered[0]
    ids = sorted({record_id for advisory in ordered for record_id in advisory.ids} - {first.id}, key=_id_rank)
    return replace(
        first,
        aliases=tuple(ids),
        kind="malicious" if any(advisory.kind == "malicious" for advisory in ordered) else "vulnerability",
        affected=_union(ordered),
        severity=max((a.severity for a in ordered if a.severity is not None), default=None),
        score=max((a.score for a in ordered if a.score is not None), default=None),
        fixed=_ascending(version for advisory in ordered for version in advisory.fixed),
        summary=next((advisory.summary for advisory in ordered if advisory.summary), ""),
        published=min((a.published for a in ordered if a.published is not None), default=None),
        modified=max((a.modified for a in ordered if a.modified is not None), default=None),
        withdrawn=max((a.withdrawn for a in ordered if a.withdrawn is not None), default=None),
        url=next((advisory.url for advisory in ordered if advisory.url), None),
    )


def _ascending(versions: Iterable[str]) -> tuple[str, ...]:
    return _fixed([[_event("fixed", version) for version in versions]])


_ID_ORDER: Final = ("MAL", "PYSEC", "GHSA", "CVE")
_NUMBER: Final = r"[0-9]{1,18}|[^0-9]+"


def _id_rank(record_id: str) -> tuple[int, tuple[tuple[int, int, str], ...], str]:
    """MAL before PYSEC before GHSA before CVE before others, then by text with numbers as numbers."""
    prefix = record_id.partition("-")[0].upper()
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(_NUMBER, record_id))
    return (_ID_ORDER.index(prefix) if prefix in _ID_ORDER else len(_ID_ORDER), parts, record_id)


def _canonical(advisory: Advisory) -> tuple[object, str, str, list[str], str]:
    """A total order that looks at everything by which advisories of one project can differ."""
    versions = sorted(advisory.affected.versions)
    rest = repr(replace(advisory, affected=replace(advisory.affected, versions=frozenset())))
    return (_id_rank(advisory.id), advisory.feed, advisory.kind, versions, rest)
