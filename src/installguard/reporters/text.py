"""The verdict as text for people: one line when all is well, a diagnosis where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import groupby

from ..dataclass import dataclass
from ..model import (
    Advisory,
    Artifact,
    Code,
    DirectUrl,
    Distribution,
    Finding,
    Installed,
    Level,
    LocalTree,
    Reporter,
    Run,
    SnapshotInfo,
    VcsCheckout,
    Verdict,
)
from ..names import NormalizedName
from ..policy import Ruling
from .chains import Chain, chains, path_to
from .outcome import counts
from .plain import plain
from .remedies import fix, lift, verb

_RED, _YELLOW, _GREEN, _DIM, _OFF = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;32m", "\x1b[2m", "\x1b[0m"
_COLOURS = {"error": _RED, "warning": _YELLOW, "waived": _DIM, "note": _DIM}
_KEYS = ("required by", "built for", "installed", "locked", "evidence", "file", "source", "fix", "lift", "waived")
_KEY_WIDTH = max(len(key) for key in _KEYS) + 2
_LIFTS = "lifts: release.min-age-exclude"
_SHOWN = 3
"""Advisories of one release that are spelled out unless `-v` asks for all."""


def text_report(
    run: Run, *, colour: bool = False, width: int = 0, verbose: int = 0, quiet: bool = False, again: bool = False
) -> Reporter:
    """Return the reporter of *run* for people; *width* in columns, 0 for lines of any length.

    *again* gives what to say of the same verdict later, while all that it rests on is unchanged.
    """
    page = _Page(run=run, colour=colour, width=width, verbose=verbose, quiet=quiet, again=again)
    return lambda verdict: "".join(f"{line}\n" for line in _lines(page, verdict))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    run: Run
    colour: bool
    width: int
    verbose: int
    quiet: bool
    again: bool = False

    def painted(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_OFF}" if self.colour else text

    def headline(self, word: str, code: str | None, text: str) -> Iterator[str]:
        """Yield `word[code]: text`, folded under its second column."""
        tag = f"{word}[{code}]" if code else word
        first, *more = self.folded(f"{tag}: {plain(text)}", "  ")
        yield self.painted(_COLOURS[word], tag) + first[len(tag) :]
        yield from more

    def row(self, key: str, text: str, *, fold: bool = True) -> Iterator[str]:
        """Yield one aligned row of a block; commands are not folded, so that they can be pasted."""
        lead = f"  {key:<{_KEY_WIDTH}}"
        whole = f"{lead}{plain(text)}"
        first, *more = self.folded(whole, " " * len(lead)) if fold else [whole]
        yield self.painted(_DIM, first[: len(lead)]) + first[len(lead) :]
        yield from more

    def folded(self, text: str, indent: str) -> list[str]:
        if self.width <= 0 or len(text) <= self.width:
            return [text]
        import textwrap

        lead = text[: len(text) - len(text.lstrip())]
        return textwrap.wrap(
            text.lstrip(),
            width=max(self.width, 40),
            initial_indent=lead,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The rulings of one code and level over one distribution: told together."""

    level: Level
    code: Code
    subject: Distribution | None
    rulings: tuple[Ruling, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(ruling.finding for ruling in self.rulings)

    @property
    def advisories(self) -> tuple[Advisory, ...]:
        return tuple(finding.advisory for finding in self.findings if finding.advisory is not None)


def _groups(rulings: Sequence[Ruling]) -> Iterator[_Group]:
    def key(ruling: Ruling) -> tuple[Level, Code, Distribution | None, str]:
        finding = ruling.finding
        return (ruling.level, finding.code, finding.subject, finding.detail if finding.advisory is None else "")

    for (level, code, subject, _), alike in groupby(_together(rulings), key=key):
        yield _Group(level=level, code=code, subject=subject, rulings=tuple(alike))


def _together(rulings: Sequence[Ruling]) -> Sequence[Ruling]:
    """Return *rulings* so that those over one distribution stand side by side within their code."""
    first: dict[tuple[Level, Code, Distribution | None], int] = {}
    for place, ruling in enumerate(rulings):
        first.setdefault((ruling.level, ruling.finding.code, ruling.finding.subject), place)
    return sorted(rulings, key=lambda each: first[(each.level, each.finding.code, each.finding.subject)])


# ---------------------------------------------------------------- the page


def _lines(page: _Page, verdict: Verdict) -> Iterator[str]:
    groups = list(_groups([ruling for ruling in verdict.rulings if ruling.level is not Level.ALLOW]))
    stopped_by_warnings = page.run.stopped and page.run.problem is None and verdict.level is Level.WARN
    context = _Context(page=page, verdict=verdict, chains=chains(verdict.evidence.distributions))
    if not page.quiet or stopped_by_warnings:
        yield from _waived(page, verdict)
        for group in (each for each in groups if each.level is Level.WARN):
            yield from context.block(group, "warning") if page.verbose else context.line(group)
    for group in (each for each in groups if each.level is Level.DENY):
        yield from context.block(group, "error")
    yield from _closing(page, verdict, stopped_by_warnings=stopped_by_warnings)


def _closing(page: _Page, verdict: Verdict, *, stopped_by_warnings: bool) -> Iterator[str]:
    if stopped_by_warnings:
        yield from page.headline("error", None, f"warnings stop it here (fail-on = warn){_nothing_done(page.run)}")
    if page.run.problem is not None:
        yield from page.headline("error", "unjudged", f"{page.run.problem}{_nothing_done(page.run)}")
    if page.quiet:
        return
    for note in (*_held(page.run), *_excused(verdict), *page.run.notes):
        yield from page.headline("note", None, note)
    if page.run.problem is None or verdict.judged:
        yield from _summary(page, verdict)


def _held(run: Run) -> Iterator[str]:
    for each in run.held:
        used = "nothing older would do" if each.chosen is None else f"{each.chosen} is used"
        least = span(each.eligible_at - each.uploaded_at)
        until = f"{each.eligible_at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
        yield f"{each.name} {each.version} is held back until {until} ({least} old at least); {used}; {_LIFTS}"


def _excused(verdict: Verdict) -> Iterator[str]:
    young = {ruling.finding.subject for ruling in verdict.rulings if ruling.finding.code is Code.TOO_YOUNG}
    for each in verdict.evidence.distributions:
        if each.fixes and each not in young:
            fixed = ", ".join(each.fixes)
            yield f"{each.label} is younger than release.min-age asks, and not held back: it fixes {fixed}"


def _waived(page: _Page, verdict: Verdict) -> Iterator[str]:
    for ruling in verdict.rulings if page.verbose else ():
        if ruling.waiver is not None:
            until = f"waived until {ruling.waiver.expires}: {ruling.waiver.reason}"
            yield from page.headline("waived", ruling.finding.code.value, f"{_sentence(ruling.finding)}; {until}")


def _nothing_done(run: Run) -> str:
    match verb(run) if run.stopped else "":
        case "" | "check" | "audit":
            return ""
        case "download" | "wheel" | "lock" | "compile":
            return "; nothing was written"
        case _:
            return "; nothing was installed"


# ---------------------------------------------------------------- one group


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    page: _Page
    verdict: Verdict
    chains: Mapping[NormalizedName, Chain]

    def block(self, group: _Group, word: str) -> Iterator[str]:
        """Yield the diagnosis of *group*: what, by which way, by which evidence, what fixes and what lifts it."""
        page = self.page
        done = _nothing_done(page.run) if group.level is Level.DENY else ""
        yield from page.headline(word, group.code.value, f"{_claim(group)}{done}")
        if group.subject is not None:
            yield from self.way(group.subject)
        yield from self.evidence(group)
        if group.subject is not None:
            yield from self.source(group.subject)
        if (command := fix(group.findings, page.run)) is not None:
            yield from page.row("fix", command, fold=False)
        if (command := lift(group.findings)) is not None:
            yield from page.row("lift", command, fold=False)

    def line(self, group: _Group) -> Iterator[str]:
        """Yield *group* in one line, with the fix where one is known."""
        requirement = next((finding.fix for finding in group.findings if finding.fix), None)
        remedy = f" · fix {requirement}" if requirement else ""
        scope = f" · {group.subject.scope}" if group.subject is not None and group.subject.scope else ""
        yield from self.page.headline("warning", group.code.value, f"{_brief(group)}{scope}{remedy}")

    def way(self, subject: Distribution) -> Iterator[str]:
        path = path_to(subject, self.chains)
        if path:
            key = "built for" if subject.role == "build" else "required by"
            last = subject.requirement or str(subject.name or subject.label)
            yield from self.page.row(key, " → ".join((*map(self.labelled, path), last)))
        if isinstance(subject.origin, Installed):
            yield from self.page.row("installed", subject.origin.location)
        if subject.lock is not None:
            yield from self.page.row("locked", ", ".join(filter(None, (f"in {subject.lock}", subject.scope))))

    def labelled(self, name: NormalizedName) -> str:
        """Return *name* with its version where it is among the distributions, rather as placed than as building."""
        known = [each for each in self.verdict.evidence.distributions if each.name == name]
        release = min(known, key=lambda each: each.role == "build", default=None)
        return release.label if release is not None and release.release is not None else name

    def evidence(self, group: _Group) -> Iterator[str]:
        shown = group.advisories if self.page.verbose else group.advisories[:_SHOWN]
        for place, advisory in enumerate(shown):
            yield from self.page.row("" if place else "evidence", _cited(advisory, self.verdict.evidence.snapshot))
        if more := len(group.advisories) - len(shown):
            yield from self.page.row("", f"and {more} more: guard -v shows all")

    def source(self, subject: Distribution) -> Iterator[str]:
        match subject.origin:
            case Artifact(filename=filename, url=url, index=index) if filename:
                yield from self.page.row("file", f"{filename}{self.digest(subject.origin)}{_from(index or url)}")
            case DirectUrl(filename=filename, url=url):
                yield from self.page.row("file", f"{filename}{self.digest(subject.origin)}{_from(url)}")
            case VcsCheckout(url=source) | LocalTree(path=source):
                yield from self.page.row("source", source)

    def digest(self, origin: Artifact | DirectUrl) -> str:
        for algorithm, digest in origin.hashes:
            shown = digest if self.page.verbose or len(digest) <= 16 else f"{digest[:16]}…"
            return f"  {algorithm}:{shown}"
        return ""


def _from(where: str) -> str:
    return f"  from {where}" if where else ""


def _sentence(finding: Finding) -> str:
    return f"{finding.subject.label} {finding.detail}" if finding.subject is not None else finding.detail


def _claim(group: _Group) -> str:
    if group.code is Code.VULNERABLE and group.subject is not None and len(group.rulings) > 1:
        return f"{group.subject.label} is affected by {len(group.rulings)} advisories{_worst(group)}"
    return _sentence(group.findings[0])


def _brief(group: _Group) -> str:
    """Return what was found in one clause, naming the first advisories only."""
    if group.subject is None or not group.advisories or group.code is Code.INDETERMINATE:
        more = f" (and {len(group.rulings) - 1} more)" if len(group.rulings) > 1 else ""
        return f"{_sentence(group.findings[0])}{more}"
    ids = ", ".join(advisory.id for advisory in group.advisories[:_SHOWN])
    more = f" and {len(group.advisories) - _SHOWN} more" if len(group.advisories) > _SHOWN else ""
    if group.code is Code.VULNERABLE:
        return f"{group.subject.label} is affected by {ids}{more}{_worst(group)}"
    return f"{_sentence(group.findings[0])}: {ids}{more}"


def _worst(group: _Group) -> str:
    known = [advisory.severity for advisory in group.advisories if advisory.severity is not None]
    worst = f"{'up to ' if len(group.advisories) > 1 else ''}{max(known).word}" if known else "severity unknown"
    exploited = ", known to be exploited" if any(advisory.exploited for advisory in group.advisories) else ""
    return f" ({worst}{exploited})"


def _cited(advisory: Advisory, snapshot: SnapshotInfo) -> str:
    aliases = f" ({', '.join(advisory.aliases)})" if advisory.aliases else ""
    return ", ".join((f"{advisory.id}{aliases}", *_particulars(advisory), _feed(advisory, snapshot)))


def _particulars(advisory: Advisory) -> Iterator[str]:
    if advisory.severity is not None:
        yield f"{advisory.severity.word}{'' if advisory.score is None else f' {advisory.score:.1f}'}"
    if advisory.exploited:
        yield "known to be exploited"
    if advisory.fixed:
        yield (
            f"fixed in {advisory.fixed[-1]}"
            if len(advisory.fixed) == 1
            else f"fixed in {', '.join(advisory.fixed[-3:])}"
        )
    if advisory.published is not None:
        yield f"published {advisory.published.astimezone(timezone.utc):%Y-%m-%d}"


def _feed(advisory: Advisory, snapshot: SnapshotInfo) -> str:
    for source in snapshot.sources:
        if source.name == advisory.feed and source.taken_at is not None:
            return f"feed {advisory.feed} of {source.taken_at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    return f"feed {advisory.feed}"


# ---------------------------------------------------------------- the summary


def _summary(page: _Page, verdict: Verdict) -> Iterator[str]:
    evidence = verdict.evidence
    parts = [
        _judged(verdict),
        _age(evidence.snapshot, evidence.now),
        *([f"Python {page.run.target.version} in {page.run.target.environment}"] if page.run.target else []),
        f"unchanged since {evidence.now.astimezone(timezone.utc):%H:%M} UTC"
        if page.again
        else f"{page.run.seconds_guard:.2f} s",
    ]
    first, *more = page.folded(plain(f"guard: {' · '.join(parts)}"), "  ")
    colour = {Level.ALLOW: _GREEN, Level.WARN: _YELLOW, Level.DENY: _RED}[verdict.level]
    yield page.painted(colour, "guard") + first[len("guard") :]
    yield from more


def _judged(verdict: Verdict) -> str:
    number = counts(verdict)
    what = "1 distribution" if number.judged == 1 else f"{number.judged} distributions"
    parts = [f"{what} judged", f"{number.denied or 'none'} denied"]
    parts += [f"{number.warned} with warnings"] if number.warned else []
    parts += [f"{number.waived} waived"] if number.waived else []
    return ", ".join(parts)


def _age(snapshot: SnapshotInfo, now: datetime) -> str:
    if snapshot.taken_at is None:
        return "built-in baseline only, no snapshot"
    if snapshot.taken_at > now:
        return "snapshot from the future"
    return f"snapshot {span(now - snapshot.taken_at)} old"


def span(length: timedelta) -> str:
    """Return *length* in the largest unit that suits it: `5 min`, `2 h`, `9 days`."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // (24 * 60)} days"
