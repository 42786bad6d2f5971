"""Where advisories come from, and the bounds of fetching and reading them (DESIGN: sources, update bounds)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from ..dataclass import dataclass
from ..errors import FeedError
from ..model import SourceKind
from ..policy import SourcePolicy

LIST_AGES: Final[Mapping[SourceKind, timedelta]] = {"exploited": timedelta(days=7), "popular": timedelta(days=60)}
"""How old a list may be where its table sets no `max-age`: they change slowly, and judging goes on without them."""

DEFAULT_SOURCES: Final[tuple[SourcePolicy, ...]] = (
    SourcePolicy(name="osv", url="https://osv-vulnerabilities.storage.googleapis.com/PyPI"),
    SourcePolicy(
        name="kev",
        url="https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
        kind="exploited",
        max_age=LIST_AGES["exploited"],
    ),
    SourcePolicy(
        name="popular",
        url="https://hugovk.dev/top-pypi-packages/top-pypi-packages.min.json",
        kind="popular",
        max_age=LIST_AGES["popular"],
    ),
)
"""What is fetched where the policy writes no `feed.sources` table, each from its own origin: the OSV project's export
for PyPI, CISA's catalogue of known exploited vulnerabilities, and a list of the most downloaded projects."""


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
    changes: int = 1_000
    """Records fetched one by one, and a tenth of all at most; beyond, the zip is fetched."""
    at_once: int = 8
    """Records fetched at the same time."""
    together: float = 60.0
    """Seconds for all of them."""
    rounds: int = 2
    """How often all places of a source are tried where the trouble may pass."""
    pause: float = 1.0
    """Seconds between two rounds, at most; half of them at least."""
    heavy: int = 2_000
    """Records in the file of changes, and a tenth of all at least, from which on it is folded into a whole new file."""
    ratio: int = 200
    """How many times its compressed size a zip, or a member of more than 100 kB, may be."""
    listing: int = 64 << 20
    """Bytes of a list, or of a `modified_id.csv`."""
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
    return url if is_zip(url) else beside(url, "all.zip")


def is_zip(url: str) -> bool:
    """Say whether the URL names the zip itself, so that there is nothing beside it."""
    return urlsplit(url).path.lower().endswith(".zip")


def beside(url: str, name: str) -> str:
    """The URL of a file in the export's folder; *name* is data, and stays one segment of the path."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name, safe='')}", fragment=""))


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
