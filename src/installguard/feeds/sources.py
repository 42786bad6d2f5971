"""Where advisories come from, and the bounds of fetching and reading them (DESIGN: sources, update bounds)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ..errors import FeedError
from ..policy import SourcePolicy

DEFAULT_SOURCES: Final[tuple[SourcePolicy, ...]] = (
    SourcePolicy(name="osv", url="https://osv-vulnerabilities.storage.googleapis.com/PyPI"),
)
"""What is fetched where the policy writes no `feed.sources` table: the OSV project's own export for PyPI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a feed may cost us; a test passes smaller ones."""

    connect: float = 5.0
    """Seconds to reach the server."""
    stalled: float = 10.0
    """Seconds after which a transfer below `rate` is given up."""
    rate: int = 1_000
    """Bytes a second."""
    redirects: int = 5
    archive: int = 1 << 30
    """Bytes of a zip."""
    record: int = 5_000_000
    """Bytes of one record."""
    ratio: int = 200
    """How many times its compressed size a zip, or a member of more than 100 kB, may be."""
    lock: float = 30.0
    """Seconds to wait for another writer of the snapshot."""


def chosen_sources(sources: tuple[SourcePolicy, ...]) -> tuple[SourcePolicy, ...]:
    """The policy's sources, or the default ones where it names none."""
    return sources or DEFAULT_SOURCES


def is_remote(url: str) -> bool:
    """Say whether the source is fetched rather than read from this machine."""
    return "://" in url


def export_url(url: str) -> str:
    """The URL of the export's zip: *url* itself where it names one, else `all.zip` in that folder."""
    parts = urlsplit(url)
    if parts.path.lower().endswith(".zip"):
        return url
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/all.zip", fragment=""))


def check_url(url: str, *, came_from: str | None = None) -> None:
    """Raise `FeedError` unless *url* is https, or http on loopback (where a redirect from elsewhere may not lead)."""
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" and bool(parts.hostname)
        local = parts.scheme == "http" and is_loopback(url) and (came_from is None or is_loopback(came_from))
    except ValueError as error:
        raise FeedError("is no URL that can be read", where=redacted(url)) from error
    if not secure and not local:
        redirected = f" (redirected from {redacted(came_from)})" if came_from else ""
        raise FeedError(f"is neither https nor http on loopback{redirected}", where=redacted(url))


def is_loopback(url: str) -> bool:
    """Say whether the URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def redacted(url: str) -> str:
    """The URL as it may be shown and kept: without credentials, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    return urlunsplit(SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
