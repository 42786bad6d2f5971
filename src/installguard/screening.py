"""Judges the pages of the loopback index: what is denied keeps its place there, what is too young is left out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timezone
from typing import TYPE_CHECKING

from . import __version__
from .dataclass import dataclass
from .index.pages import Decision, Denied, Entry, Hidden, Kind, Page, PageError, alike, named
from .index.serving import UNJUDGED
from .model import Artifact, Code, Distribution, Level, Release, parse_version, version_key, version_key_of
from .names import NormalizedName

if TYPE_CHECKING:
    from .judge import Judge
    from .policy import PackageMatch, Policy, Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is known beforehand of what will be chosen."""

    requested: frozenset[NormalizedName] = frozenset()
    """The projects that the user asked for."""
    pinned: frozenset[NormalizedName] = frozenset()
    """Those of which the user asked for one version."""
    locked: frozenset[tuple[NormalizedName, str]] = frozenset()
    """Name and `version_key` of releases whose very bytes a lock file names."""


class PageScreen:
    """Decides about the entries of pages by a judge; may be called in many threads at once."""

    def __init__(self, judge: Callable[[], Judge], wishes: Wishes) -> None:
        """*judge* gives the judge: it is not asked for before there is something to decide."""
        self._open = judge
        self._wishes = wishes
        self._lock = threading.Lock()
        self._digest: str | None = None
        self._showing = False
        self._waiting = threading.Lock()
        self._first: list[Callable[[], object]] = []

    @property
    def _judge(self) -> Judge:
        return self._open()

    def show_young(self) -> None:
        """From now on leave young wheels where they are: to find out whether anything older would have done."""
        with self._lock:
            self._showing = True
            self._digest = None

    def wait_for(self, first: Callable[[], object]) -> None:
        """Decide nothing before *first* has returned, and nothing at all where it raises `PageError`."""
        self._first.append(first)

    def digest(self) -> str:
        """Return what changes whenever a decision may change."""
        if self._first:
            with self._waiting:
                while self._first:
                    self._first[0]()
                    del self._first[0]
        with self._lock:
            if self._digest is None:
                self._digest = digest_of(self._judge, self._wishes, showing=self._showing)
            return self._digest

    def __call__(self, page: Page) -> Mapping[str, Decision]:
        """Return the decisions on a page, by file name; raises `FeedError` where the snapshot cannot be read."""
        with self._lock:
            return dict(self._decisions(page))

    def has_young(self, page: Page) -> bool:
        """Tell whether anything on a page is younger than the policy wants it."""
        limit = self._judge.young_after()
        return limit is not None and any(young for *_, young in alike(page.entries, limit))

    def offered(self, page: Page, release: Release) -> list[Distribution]:
        """Return the files of a release that a page offers."""
        names = named(page.entries)
        key = version_key(release.version)
        spellings = {
            each for each in set(names) if each[1] == release.name and each[2] and version_key_of(each[2]) == key
        }
        numbers = (number for number, each in enumerate(names) if each in spellings)
        return [self.distribution(page, page.entries[number]) for number in numbers]

    def distribution(self, page: Page, entry: Entry) -> Distribution:
        """Return an entry as what an installer would place if it chose it."""
        name = entry.project
        release = release_of(name, entry.version)
        locked = self.is_locked(release)
        return Distribution(
            name=name,
            release=release,
            origin=entry.artifact,
            requested=name in self._wishes.requested,
            builds=entry.artifact.kind == "sdist",
            pinned=locked or name in self._wishes.pinned,
            hashed=locked,
            status=page.status,
            status_reason=page.status_reason,
        )

    def is_locked(self, release: Release | None) -> bool:
        """Tell whether a lock file, or a requirement, named the very bytes of a release beforehand."""
        locked = self._wishes.locked
        return bool(locked) and release is not None and (release.name, version_key(release.version)) in locked

    def _decisions(self, page: Page) -> Iterator[tuple[str, Decision]]:
        groups = alike(page.entries, self._judge.young_after())
        hidden = frozenset(self._hidden(page, groups))
        told_apart = self._told_apart({name for _, name, *_ in groups})
        kinds: dict[tuple[object, ...], list[int]] = {}
        for kind, numbers in groups.items():
            if kind[1] is None:  # there is nothing to know such files by: each is one of its kind
                kinds.update({(each,): [each] for each in numbers})
            elif left := [each for each in numbers if each not in hidden] if hidden else numbers:
                kinds.setdefault(self._kind(kind, told_apart), []).extend(left)
        first = {self.distribution(page, page.entries[each[0]]): each for each in kinds.values()}
        for distribution, ruling in self._stopping(tuple(first)).items():
            if not (self._showing and ruling.finding.code is Code.TOO_YOUNG):
                for number in first[distribution]:
                    each = self.distribution(page, page.entries[number])
                    yield filename(each), Denied(reason=reason(each, ruling))
        yield from ((page.entries[each].artifact.filename, Hidden()) for each in hidden)

    def _stopping(self, offered: Sequence[Distribution]) -> Mapping[Distribution, Ruling]:
        """Return, of each distribution that may not be used, the ruling that says so first."""
        found: dict[Distribution, Ruling] = {}
        if offered:
            least = max(self._judge.policy.fail_on, Level.WARN)
            for ruling in self._judge.consider(offered).rulings:
                if ruling.level >= least and ruling.finding.subject is not None:
                    found.setdefault(ruling.finding.subject, ruling)
        return {each: found[each] for each in offered if each in found}

    def _told_apart(self, names: Iterable[NormalizedName | None]) -> frozenset[NormalizedName]:
        """Return the projects of which an advisory, or the policy, may tell one version from another."""
        policy, knows_of = self._judge.policy, self._judge.knows_of
        return frozenset(
            each for each in names if each is not None and (knows_of(each) or tells_versions_apart(policy, each))
        )

    def _kind(self, kind: Kind, told_apart: Collection[NormalizedName]) -> tuple[object, ...]:
        """Return what files have in common that no advisory and no version in the policy tells apart."""
        form, name, version, yanked, young = kind
        if name is not None and name in told_apart:
            return (name, release_of(name, version), form, yanked, young)
        locked = bool(self._wishes.locked) and self.is_locked(release_of(name, version))
        return (name, version is not None, locked, form, yanked, young)

    def _hidden(self, page: Page, groups: Mapping[Kind, Sequence[int]]) -> Iterator[int]:
        """Yield the files that the resolver is not to see yet; an exact pin of one is denied in words instead."""
        have_young = {name for _, name, *_, young in groups if young}
        by_name: dict[NormalizedName, list[Kind]] = {}
        for kind in groups:
            if kind[1] is not None and kind[1] in have_young and not self._is_pinned(kind[1], kind[2]):
                by_name.setdefault(kind[1], []).append(kind)
        for project, kinds in by_name.items():
            numbers = sorted(number for kind in kinds if kind[4] for number in groups[kind])
            if not numbers:
                continue
            young = [self.distribution(page, page.entries[number]) for number in numbers]
            files, versions = set(map(filename, young)), {kind[2] for kind in kinds if kind[4]}
            rest = (
                kind[2]
                for kind in kinds
                if not kind[4]
                and (  # a file that comes twice is as young as the younger says
                    kind[2] not in versions
                    or any(page.entries[each].artifact.filename not in files for each in groups[kind])
                )
            )
            older = {str(release.version) for each in rest if (release := release_of(project, each)) is not None}
            seen = self._judge.allow_young(young, sorted(older))
            for number, each in zip(numbers, young, strict=True):
                if each.release and str(each.release.version) not in seen and (each.builds or not self._showing):
                    yield number

    def _is_pinned(self, name: NormalizedName, version: str | None) -> bool:
        """Tell whether the user asked for one version of a project, or for no version that can be told."""
        return version is None or name in self._wishes.pinned or self.is_locked(release_of(name, version))


class Gate:
    """Holds all pages back until it is known whether anything may be done at all."""

    def __init__(self) -> None:
        self._decided = threading.Event()
        self._open = False

    def open(self) -> None:
        """Let what waits go on."""
        self._open = True
        self._decided.set()

    def close(self) -> None:
        """Refuse what waits, unless it was let go on: the installer, which would tell of that, has ended."""
        self._decided.set()

    def __call__(self) -> None:
        """Wait for either; raises `PageError` where nothing may be done."""
        self._decided.wait()
        if not self._open:
            raise PageError("everything was stopped before this page was judged", status=UNJUDGED)


def release_of(name: NormalizedName | None, version: str | None) -> Release | None:
    """Return the release that a file name tells, if it does."""
    return Release(name=name, version=parse_version(version)) if name is not None and version is not None else None


def filename(distribution: Distribution) -> str:
    """Return the file name of what an index offers."""
    return distribution.origin.filename if isinstance(distribution.origin, Artifact) else ""


def reason(distribution: Distribution, ruling: Ruling) -> str:
    """Return why a file is denied, in a line that installers show."""
    finding = ruling.finding
    advisory = f" {finding.advisory.id}" if finding.advisory is not None else ""
    return f"denied by guard: {finding.code}{advisory}: {distribution.label} {finding.detail}"


def tells_versions_apart(policy: Policy, name: NormalizedName) -> bool:
    """Tell whether the policy may rule two releases of a project differently though no feed says anything of them."""
    return any(each.name == name for each in policy.waivers) or any(each.specifier for each in matches(policy))


def matches(policy: Policy) -> Iterable[PackageMatch]:
    """Return every glob of the policy that may carry a specifier."""
    packages = policy.packages
    denied = (each.match for each in packages.deny)
    return (*packages.allow, *denied, *policy.release.min_age_exclude, *policy.builds.allow)


def digest_of(judge: Judge, wishes: Wishes, *, showing: bool) -> str:
    """Return a digest of all that decisions depend on; the time counts by the hour, in which ages change little."""
    hour = judge.now().astimezone(timezone.utc).strftime("%Y-%m-%d %H")
    policy, info = judge.policy, judge.snapshot
    facts = (__version__, showing, policy.digest, policy.fail_on.word, info.digest, info.problem, info.missing, hour)
    named = sorted(wishes.requested) if policy.packages.similar_name >= max(policy.fail_on, Level.WARN) else []
    return hashlib.sha256(repr((facts, named, sorted(wishes.pinned), sorted(wishes.locked))).encode()).hexdigest()
