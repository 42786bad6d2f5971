"""Reads what the hook says of a candidate into a `Distribution`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from installguard.errors import UnjudgedError
from installguard.model import (
    Artifact,
    DirectUrl,
    Distribution,
    Hashes,
    Installed,
    LocalTree,
    Origin,
    ProjectStatus,
    Release,
    VcsCheckout,
    WheelContents,
    bounded,
    parse_release,
)

from ..names import NormalizedName, canonicalize_name

Item = Mapping[str, Any]


def parse_item(item: Item) -> Distribution:
    """Return the distribution that the hook described; raise `UnjudgedError` where it makes no sense."""
    try:
        return _parse(item)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnjudgedError(f"the hook described something unreadable: {error!r}") from error


def _parse(item: Item) -> Distribution:
    claimed = _release(item)
    static = _release(item.get("static") or {})
    name = _name(item) or _name(item.get("static") or {})
    agreeing = static is None or static.name == name
    return Distribution(
        name=name,
        release=claimed or (static if agreeing else None),
        origin=_origin(item),
        role=item["role"],
        requested=bool(item["requested"]),
        required_by=tuple(canonicalize_name(parent) for parent in item["required_by"]),
        requirement=item.get("requirement"),
        builds=bool(item.get("builds", False)),
        pinned=bool(item.get("pinned", False)),
        hashed=bool(item.get("hashed", False)),
        upgrades=bool(item.get("upgrades", False)),
        status=_status(item)[0],
        status_reason=_status(item)[1],
        indexes=tuple(item.get("indexes") or ()),
        contents=_contents(item) or (WheelContents(release=static) if static and (claimed or not agreeing) else None),
    )


def _name(item: Item) -> NormalizedName | None:
    name = item.get("name")
    return canonicalize_name(name) if name else None


def _release(item: Item) -> Release | None:
    name, version = item.get("name"), item.get("version")
    return parse_release(name, version) if name and version else None


def _origin(item: Item) -> Origin:
    match item["kind"]:
        case "installed":
            return Installed(location=item["url"], direct_url=item["direct_url"], private=item["private"])
        case "vcs":
            return VcsCheckout(url=item["url"], editable=item["editable"])
        case "tree":
            return LocalTree(path=item["url"], editable=item["editable"])
        case "wheel" | "sdist" as kind:
            if item["direct"]:
                return DirectUrl(url=item["url"], filename=item["filename"], kind=kind, hashes=_hashes(item))
            return Artifact(
                filename=item["filename"],
                url=item["url"],
                hashes=_hashes(item),
                kind=kind,
                index=item["index"],
                uploaded_at=_moment(item["uploaded_at"]),
                yanked=item["yanked"],
            )
        case unknown:
            raise ValueError(f"unknown kind {unknown!r}")


STATUSES: dict[str, ProjectStatus] = {
    "active": "active",
    "archived": "archived",
    "deprecated": "deprecated",
    "quarantined": "quarantined",
}


def _status(item: Item) -> tuple[ProjectStatus | None, str]:
    """Return the project's status and the reason for it; one that PEP 792 does not know is none."""
    status, reason = item.get("status") or ("", "")
    return STATUSES.get(status), str(reason)


def _hashes(item: Item) -> Hashes:
    return tuple(sorted((str(name), str(value)) for name, value in item["hashes"].items()))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", _microseconds, text.strip()).replace("Z", "+00:00"))
    return bounded(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc))


def _microseconds(fraction: re.Match[str]) -> str:
    return fraction.group(1).ljust(7, "0")  # which is all that `fromisoformat` reads before Python 3.11


def _contents(item: Item) -> WheelContents | None:
    contents = item.get("contents")
    if contents is None:
        return None
    return WheelContents(
        release=_release(contents),
        problem=contents["problem"],
        startup=tuple(contents["startup"]),
        built=bool(contents["built"]),
        license=contents.get("license"),
    )
