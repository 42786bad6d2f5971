"""The nearest release that would pass the feeds, as far as the advisories themselves can tell."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter

from packaging.version import Version

from ..dataclass import dataclass
from ..model import Advisory, AnyVersion, Release, parse_version
from ..names import NormalizedName
from ..osv import Unaffected, affecting
from ..policy import fixed_versions, has_fix


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A release that fixes another."""

    pin: str
    leaves: frozenset[int]
    """The `id` of each advisory that affects it, too."""


class Fixes:
    """What fixes the releases of one project; each candidate is looked at once, for an index page has hundreds."""

    def __init__(self, project: NormalizedName, advisories: Sequence[Advisory]) -> None:
        self._project = project
        self._advisories = advisories
        self._order = list(advisories)
        self._called_fixed: Sequence[_Candidate] | None = None

    def nearest(
        self,
        release: Release,
        hits: Sequence[Advisory],
        *,
        leaving_unfixed: bool,
        available: Sequence[AnyVersion] = (),
    ) -> Fix | None:
        """Return the nearest release that no advisory of its project affects, `None` where none is known.

        The *hits* are those of the advisories that affect *release*. The *available* versions are those that exist;
        where the index was not asked, only versions that some advisory calls fixed are known to exist. A vulnerable
        release is fixed by a higher one, a malicious one by the version its record names, else by the nearest lower,
        else by a higher one. Where no release passes everything and *leaving_unfixed* holds, vulnerabilities that no
        higher release fixes are left out of account.
        """
        if not isinstance(release.version, Version):
            return None
        candidates = _nearest_first(release.version, hits, self._known(release.version, available))
        found = next(filter(self._passes, candidates), None)
        if found is None and leaving_unfixed:
            unfixed = {id(hit) for hit in hits if hit.kind == "vulnerability" and not has_fix(hit, release)}
            found = next((each for each in candidates if self._against(each) <= unfixed), None) if unfixed else None
        if found is None:
            return None
        pin = Release(name=release.name, version=found.version).pin
        return Fix(pin=pin, leaves=frozenset() if found.passes else self._against(found))

    def _known(self, current: Version, available: Sequence[AnyVersion]) -> Sequence[_Candidate]:
        there = {version for version in available if isinstance(version, Version)}
        there = {version for version in there if current.is_prerelease or not version.is_prerelease}
        if there:
            return _ascending(there)
        if self._called_fixed is None:
            raw = dict.fromkeys(raw for advisory in self._advisories for raw in advisory.fixed)
            self._called_fixed = _ascending({v for v in map(parse_version, raw) if isinstance(v, Version)})
        return self._called_fixed

    def _passes(self, candidate: _Candidate) -> bool:
        if candidate.passes is None:
            candidate.passes = self._unaffected(candidate.version)
        return candidate.passes

    def _unaffected(self, version: Version) -> bool:
        ask = affecting(Release(name=self._project, version=version))
        for place, advisory in enumerate(self._order):
            if not isinstance(ask(advisory), Unaffected):
                self._order.insert(0, self._order.pop(place))  # what rejected one candidate mostly rejects the next
                return False
        return True

    def _against(self, candidate: _Candidate) -> frozenset[int]:
        """Return the `id` of each advisory that speaks against a candidate."""
        if candidate.against is None:
            ask = affecting(Release(name=self._project, version=candidate.version))
            candidate.against = frozenset(
                id(each) for each in self._advisories if not isinstance(ask(each), Unaffected)
            )
        return candidate.against


@dataclass(slots=True, kw_only=True)
class _Candidate:
    """A version that may exist, and what was found out about it."""

    version: Version
    early: bool
    """Whether it is a pre-release."""
    passes: bool | None = None
    against: frozenset[int] | None = None


_VERSION = attrgetter("version")


def _ascending(versions: Iterable[Version]) -> Sequence[_Candidate]:
    return [_Candidate(version=version, early=version.is_prerelease) for version in sorted(versions)]


def _nearest_first(current: Version, hits: Sequence[Advisory], known: Sequence[_Candidate]) -> Sequence[_Candidate]:
    higher = known[bisect_right(known, current, key=_VERSION) :]
    malicious = [hit for hit in hits if hit.kind == "malicious"]
    if malicious:
        called_fixed = frozenset().union(*map(fixed_versions, malicious))
        named = [each for each in higher if each.version in called_fixed]
        return [*named, *reversed(known[: bisect_left(known, current, key=_VERSION)]), *higher]
    return higher if current.is_prerelease else sorted(higher, key=attrgetter("early"))
