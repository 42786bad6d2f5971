"""`guard explain`: what a code, an advisory, a project or a release is about, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timezone
from itertools import groupby

from packaging.version import Version

from ..model import Advisory, Code, Event, Run, SnapshotInfo, Verdict
from .codes import CODES, LATER
from .plain import plain
from .text import text_report

_WIDTH = 100
_LISTED = 40
"""Versions listed at most."""
_OTHERS = 20
"""Other releases told at most."""
_SHOWN = 3
"""Advisories named for each of them."""


def explain_code(code: Code) -> str:
    """Return what *code* means, by which evidence, at which level, and what lifts it."""
    text = CODES[code]
    rows = (("evidence", text.evidence), ("level", text.level), ("lift", text.lift))
    lines = [*_paragraph(f"{code.value}: {text.meaning}"), *(line for row in rows for line in _row(*row))]
    if not text.raised and LATER not in text.level:
        lines += _row("note", "no check of this version raises it for a release")
    return _page(lines)


def explain_advisory(advisories: Sequence[Advisory]) -> str:
    """Return what each of *advisories*, one a project, says."""
    return "\n".join(_page(_advisory(advisory)) for advisory in advisories)


def explain_project(name: str, advisories: Sequence[Advisory], info: SnapshotInfo) -> str:
    """Return which releases of the project are known to be bad."""
    if not advisories:
        return _page(_paragraph(f"{name}: no advisory is known ({_basis(info)})"))
    malicious = [each for each in advisories if each.kind == "malicious"]
    vulnerable = [each for each in advisories if each.kind != "malicious"]
    lines = _paragraph(f"{name}: {_number(len(malicious), 'malware record')}, {_number(len(vulnerable), 'advisory')}")
    for advisory in (*malicious, *vulnerable):
        about = f"{_heading(advisory)}: {_affected(advisory)}"
        lines += _row("malicious" if advisory.kind == "malicious" else "vulnerable", about)
    return _page([*lines, *_row("judged by", _basis(info))])


def explain_release(verdict: Verdict, run: Run, others: Sequence[Verdict] = ()) -> str:
    """Return everything that was found about one release, and which of *others*, lowest first, is the nearest to pass.

    Why those between the two do not pass is said too.
    """
    known = any(ruling.finding.subject is not None for ruling in verdict.rulings)
    clean = "" if known else f"{_labels(verdict)}: nothing is known against it\n"
    instead = "" if _passes(verdict) else _page(_instead(verdict, others))
    return clean + text_report(run, width=_WIDTH, verbose=1)(verdict) + instead


def _labels(verdict: Verdict) -> str:
    return plain(", ".join(each.label for each in verdict.evidence.distributions))


# ---------------------------------------------------------------- other releases


def _passes(verdict: Verdict) -> bool:
    """Return whether nothing that counts was found about a release itself."""
    return not any(ruling.level for ruling in verdict.rulings if ruling.finding.subject is not None)


def _instead(verdict: Verdict, others: Sequence[Verdict]) -> Iterator[str]:
    best = _nearest(verdict, others)
    if best is None:
        known = f"none of the {_number(len(others), 'other release')} known" if others else "no other release is known"
        yield from _row("passes", known)
        failing = _by_distance(verdict, others)
    else:
        yield from _row("passes", f"{_labels(best)}: the nearest release against which nothing is known")
        failing = [each for each in others if _between(verdict, each, best) and not _passes(each)]
    for versions, reasons in _alike(sorted(failing[:_OTHERS], key=_version)):
        yield from _row("does not", f"{versions}: {reasons}")
    if (more := len(failing) - _OTHERS) > 0:
        yield from _row("", f"nor {_number(more, 'other release')}")


def _nearest(verdict: Verdict, others: Sequence[Verdict]) -> Verdict | None:
    """Return the release named as fix if it passes, else the next higher that does, else the next lower."""
    passing = [each for each in others if _passes(each)]
    fixes = {ruling.finding.fix for ruling in verdict.rulings}
    named = [each for each in passing if f"{each.evidence.distributions[0].name}=={_version(each)}" in fixes]
    higher = [each for each in passing if _version(each) > _version(verdict)]
    return next(iter([*named, *higher, *reversed(passing)]), None)


def _version(verdict: Verdict) -> Version:
    """Return the version of the one release judged; none is compared that PEP 440 cannot order."""
    (subject,) = verdict.evidence.distributions
    version = subject.release.version if subject.release is not None else None
    if not isinstance(version, Version):
        raise TypeError(f"{subject.label} has no version that can be compared")
    return version


def _by_distance(verdict: Verdict, others: Sequence[Verdict]) -> Sequence[Verdict]:
    """Return *others* as they would be looked at: the higher ones upwards, then the lower ones downwards."""
    higher = [each for each in others if _version(each) > _version(verdict)]
    return [*higher, *(each for each in reversed(others) if each not in higher)]


def _between(one: Verdict, each: Verdict, other: Verdict) -> bool:
    low, high = sorted((_version(one), _version(other)))
    return low < _version(each) < high


def _alike(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, str]]:
    """Yield versions side by side that fail for the same reasons, with those."""
    for reasons, alike in groupby(verdicts, key=_reasons):
        yield ", ".join(str(_version(each)) for each in alike), reasons


def _reasons(verdict: Verdict) -> str:
    found: dict[str, list[str]] = {}
    for ruling in verdict.rulings:
        if ruling.level and ruling.finding.subject is not None:
            ids = found.setdefault(ruling.finding.code.value, [])
            ids += [ruling.finding.advisory.id] if ruling.finding.advisory is not None else []
    return "; ".join(f"{code} ({_some(ids)})" if ids else code for code, ids in found.items())


def _some(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


# ---------------------------------------------------------------- advisories


def _advisory(advisory: Advisory) -> Iterator[str]:
    kind = "malware" if advisory.kind == "malicious" else "vulnerability"
    about = f": {advisory.summary}" if advisory.summary else ""
    yield from _paragraph(f"{advisory.id}: {kind} in {advisory.project}{about}")
    if advisory.aliases:
        yield from _row("also", ", ".join(advisory.aliases))
    yield from _row("severity", _severity(advisory))
    if advisory.exploited:
        yield from _row("exploited", "yes: attacks by it are known")
    yield from _row("affected", _affected(advisory))
    yield from _row("fixed in", ", ".join(advisory.fixed) or "no release is named")
    yield from _row("dates", _dates(advisory))
    yield from _row("feed", advisory.feed)
    if advisory.url:
        yield from _row("more", advisory.url)


def _heading(advisory: Advisory) -> str:
    aliases = f" ({', '.join(advisory.aliases)})" if advisory.aliases else ""
    severity = "" if advisory.kind == "malicious" else f", {_severity(advisory)}"
    return f"{advisory.id}{aliases}{severity}"


def _severity(advisory: Advisory) -> str:
    if advisory.kind == "malicious":
        return "malware has none"
    if advisory.severity is None:
        return "severity not told"
    return advisory.severity.word if advisory.score is None else f"{advisory.severity.word} ({advisory.score:.1f})"


def _affected(advisory: Advisory) -> str:
    ranges = [", ".join(map(_event, events)) for events in advisory.affected.ranges]
    versions = sorted(advisory.affected.versions)
    listed = ", ".join(versions[:_LISTED]) + (f" and {len(versions) - _LISTED} more" if versions[_LISTED:] else "")
    return "; ".join([*ranges, *([listed] if listed else [])]) or "no release is named"


_EVENTS = {"introduced": "from", "fixed": "before", "last_affected": "up to", "limit": "below"}


def _event(event: Event) -> str:
    if event.kind == "introduced" and event.version == "0":
        return "from the first"
    return f"{_EVENTS[event.kind]} {event.version}"


def _dates(advisory: Advisory) -> str:
    dates = (("published", advisory.published), ("changed", advisory.modified), ("withdrawn", advisory.withdrawn))
    told = [f"{word} {time.astimezone(timezone.utc):%Y-%m-%d}" for word, time in dates if time is not None]
    return ", ".join(told) or "none are told"


def _basis(info: SnapshotInfo) -> str:
    if info.taken_at is None:
        return "the built-in baseline only: run 'guard feed update'"
    return f"{info.records:,} records as of {info.taken_at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _number(number: int, noun: str) -> str:
    many = noun[:-1] + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number or 'no'} {noun if number == 1 else many}"


# ---------------------------------------------------------------- layout


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(plain(text), width=_WIDTH, break_long_words=False, break_on_hyphens=False)


def _row(key: str, text: str) -> list[str]:
    lead = f"  {key:<12}"
    return textwrap.wrap(
        plain(text),
        width=_WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _page(lines: Sequence[str] | Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
