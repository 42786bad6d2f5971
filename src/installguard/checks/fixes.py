"""The nearest release that would pass the feeds, as far as the advisories themselves can tell."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.version import Version

from ..model import Advisory, AnyVersion, Release, parse_version
from ..osv import Unaffected, affecting
from ..policy import fixed_versions, has_fix


def nearest_fix(
    release: Release,
    hits: Sequence[Advisory],
    advisories: Sequence[Advisory],
    *,
    leaving_unfixed: bool,
    available: Sequence[AnyVersion] = (),
) -> Release | None:
    """Return the nearest release that no advisory of its project affects, `None` where none is known.

    The *available* versions are those that exist; where the index was not asked, only versions that some advisory calls
    fixed are known to exist. A vulnerable release is fixed by a higher one, a malicious one by the version its record
    names, else by the nearest lower, else by a higher one. Where no release passes everything and *leaving_unfixed*
    holds, vulnerabilities that no higher release fixes are left out of account.
    """
    if not isinstance(release.version, Version):
        return None
    candidates = _candidates(release.version, hits, advisories, available)
    found = _first_unaffected(release, candidates, advisories)
    if found is None and leaving_unfixed:
        unfixed = [hit for hit in hits if hit.kind == "vulnerability" and not has_fix(hit, release)]
        found = _first_unaffected(release, candidates, [each for each in advisories if each not in unfixed])
    return found


def _candidates(
    current: Version, hits: Sequence[Advisory], advisories: Sequence[Advisory], available: Sequence[AnyVersion]
) -> list[Version]:
    known = {version for version in available if isinstance(version, Version)}
    known = {version for version in known if current.is_prerelease or not version.is_prerelease}
    known = known or _named(advisories)
    higher = sorted(version for version in known if version > current)
    malicious = [hit for hit in hits if hit.kind == "malicious"]
    if malicious:
        named = [version for version in higher if any(version in fixed_versions(hit) for hit in malicious)]
        lower = sorted((version for version in known if version < current), reverse=True)
        return [*named, *lower, *higher]
    return sorted(higher, key=lambda version: (version.is_prerelease and not current.is_prerelease, version))


def _named(advisories: Sequence[Advisory]) -> set[Version]:
    """Return the versions that some advisory calls fixed."""
    raw = dict.fromkeys(raw for advisory in advisories for raw in advisory.fixed)
    return {version for version in map(parse_version, raw) if isinstance(version, Version)}


def _first_unaffected(
    release: Release, candidates: Sequence[Version], advisories: Sequence[Advisory]
) -> Release | None:
    order = list(advisories)
    for version in candidates:
        candidate = Release(name=release.name, version=version)
        ask = affecting(candidate)
        for place, advisory in enumerate(order):
            if not isinstance(ask(advisory), Unaffected):
                order.insert(0, order.pop(place))  # what rejected one candidate mostly rejects the next
                break
        else:
            return candidate
    return None
