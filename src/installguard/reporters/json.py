"""The verdict as JSON, schema 1 (DESIGN: verdict as JSON)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TypeAlias

from .. import __version__
from ..model import (
    Advisory,
    Artifact,
    DirectUrl,
    Distribution,
    Finding,
    HeldRelease,
    Installed,
    Level,
    LocalTree,
    Origin,
    Reporter,
    Run,
    SnapshotInfo,
    VcsCheckout,
    Verdict,
)
from ..names import NormalizedName
from ..policy import Ruling, Waiver
from .chains import Chain, chains, path_to
from .outcome import counts, levels, outcome
from .plain import redacted
from .remedies import lift

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"


def json_report(run: Run) -> Reporter:
    """Return the reporter of *run* for programs."""
    return lambda verdict: json.dumps(verdict_data(verdict, run), indent=2) + "\n"


def verdict_data(verdict: Verdict, run: Run) -> Mapping[str, Json]:
    """Return the verdict and its run as the data of schema 1."""
    evidence = verdict.evidence
    level_of, found = levels(verdict), chains(evidence.distributions)
    number = counts(verdict)
    return {
        "schema": 1,
        "guard": __version__,
        "verdict": outcome(verdict, run),
        "command": [redacted(word) for word in run.command],
        "target": _target(run),
        "snapshot": snapshot_data(evidence.snapshot, evidence.now),
        "policy": {"files": list(run.policy_files), "preset": run.preset, "digest": run.policy_digest},
        "distributions": [
            _distribution(each, level_of.get(each, Level.ALLOW), found) for each in evidence.distributions
        ],
        "rulings": [_ruling(ruling) for ruling in verdict.rulings],
        "counts": {
            "judged": number.judged,
            "denied": number.denied,
            "warned": number.warned,
            "waived": number.waived,
        },
        "installer": _installer(run),
        "seconds": {"total": round(run.seconds_total, 3), "guard": round(run.seconds_guard, 3)},
        "held": [_held(each) for each in run.held],
        "problem": None if run.problem is None else redacted(run.problem),
        "notes": [redacted(note) for note in run.notes],
    }


def snapshot_data(info: SnapshotInfo, now: datetime) -> Mapping[str, Json]:
    """Return *info* as the verdict's `snapshot` object, its age in seconds at *now*."""
    return {
        "taken_at": _time(info.taken_at),
        "age_seconds": None if info.taken_at is None else int((now - info.taken_at).total_seconds()),
        "digest": info.digest,
        "records": info.records,
        "unreadable": info.unreadable,
        "sources": [
            {
                "name": source.name,
                "records": source.records,
                "unreadable": source.unreadable,
                "taken_at": _time(source.taken_at),
                "url": None if source.url is None else redacted(source.url),
                "malicious": source.malicious,
                "last_error": source.last_error,
                "kind": source.kind,
            }
            for source in info.sources
        ],
        "missing": list(info.missing),
        "problem": info.problem,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _target(run: Run) -> Json:
    if run.target is None:
        return None
    return {"python": run.target.python, "version": run.target.version, "environment": run.target.environment}


def _installer(run: Run) -> Json:
    if run.installer is None:
        return None
    return {"name": run.installer, "version": run.installer_version, "exit_code": run.exit_code}


def _held(each: HeldRelease) -> Json:
    return {
        "name": each.name,
        "version": str(each.version),
        "used": None if each.chosen is None else str(each.chosen),
        "uploaded_at": _time(each.uploaded_at),
        "eligible_at": _time(each.eligible_at),
    }


# ---------------------------------------------------------------- distributions


def _distribution(each: Distribution, level: Level, found: Mapping[NormalizedName, Chain]) -> Json:
    return {
        "name": each.name,
        "version": _version(each),
        "role": each.role,
        "requested": each.requested,
        "required_by": list(each.required_by),
        "origin": _origin(each.origin),
        "path": list(path_to(each, found)),
        "artifact": _artifact(each.origin),
        "level": level.word,
        "fixes": list(each.fixes),
        "lock": each.lock,
        "scope": each.scope,
    }


def _version(each: Distribution) -> str | None:
    return None if each.release is None else str(each.release.version)


def _origin(origin: Origin) -> Json:
    match origin:
        case Artifact(index=index, url=url, filename=filename):
            return {"kind": "index", "index": _url(index), "url": _url(url) if filename else None}
        case DirectUrl(url=url):
            return {"kind": "url", "url": _url(url)}
        case VcsCheckout(url=url, editable=editable):
            return {"kind": "vcs", "url": _url(url), "editable": editable}
        case LocalTree(path=path, editable=editable):
            return {"kind": "local", "path": path, "editable": editable}
        case Installed(location=location, direct_url=url):
            return {"kind": "installed", "path": location, "url": _url(url)}


def _url(url: str | None) -> str | None:
    return redacted(url) if url else None


def _artifact(origin: Origin) -> Json:
    match origin:
        case Artifact(filename=filename, kind=kind, hashes=hashes, uploaded_at=uploaded_at) if filename:
            return {"filename": filename, "kind": kind, "hashes": dict(hashes), "uploaded_at": _time(uploaded_at)}
        case DirectUrl(filename=filename, kind=kind, hashes=hashes):
            return {"filename": filename, "kind": kind, "hashes": dict(hashes), "uploaded_at": None}
        case _:
            return None


# ---------------------------------------------------------------- rulings


def _ruling(ruling: Ruling) -> Json:
    finding = ruling.finding
    subject = finding.subject
    return {
        "code": finding.code.value,
        "level": ruling.level.word,
        "name": None if subject is None else subject.name,
        "version": None if subject is None else _version(subject),
        "advisory": None if finding.advisory is None else _advisory(finding.advisory),
        "message": redacted(_message(finding)),
        "fix": finding.fix,
        "lift": lift([finding]) if ruling.level is not Level.ALLOW else None,
        "waiver": None if ruling.waiver is None else _waiver(ruling.waiver),
    }


def _message(finding: Finding) -> str:
    return finding.detail if finding.subject is None else f"{finding.subject.label} {finding.detail}"


def _advisory(advisory: Advisory) -> Json:
    return {
        "id": advisory.id,
        "aliases": list(advisory.aliases),
        "kind": advisory.kind,
        "severity": None if advisory.severity is None else advisory.severity.word,
        "score": advisory.score,
        "exploited": advisory.exploited,
        "fixed": list(advisory.fixed),
        "url": _url(advisory.url),
        "source": advisory.feed,
    }


def _waiver(waiver: Waiver) -> Json:
    return {
        "finding": waiver.finding,
        "release": waiver.release,
        "reason": waiver.reason,
        "owner": waiver.owner,
        "expires": waiver.expires.isoformat(),
    }
