"""`guard explain`: what a code, an advisory, a project or a release is about, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timezone

from ..model import Advisory, Code, Event, Run, SnapshotInfo, Verdict
from .codes import CODES, LATER
from .plain import plain
from .text import text_report

_WIDTH = 100
_LISTED = 40
"""Versions listed at most."""


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


def explain_release(verdict: Verdict, run: Run) -> str:
    """Return everything that was found about one release."""
    known = any(ruling.finding.subject is not None for ruling in verdict.rulings)
    clean = "" if known else f"{_labels(verdict)}: nothing is known against it\n"
    return clean + text_report(run, width=_WIDTH, verbose=1)(verdict)


def _labels(verdict: Verdict) -> str:
    return plain(", ".join(each.label for each in verdict.evidence.distributions))


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
