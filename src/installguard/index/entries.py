"""Makes entries of what a page says of a file, in whichever form; what no installer could use is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from packaging.utils import NormalizedName

from ..model import Artifact, Hashes, ProjectStatus
from .filenames import read_filename
from .pages import Entry
from .upstream import Upstream, without_credentials

LONGEST_NAME = 500
LONGEST_URL = 8_000
PLAIN = re.compile(
    r"(?P<place>https?://[A-Za-z0-9.:-]+/(?:[A-Za-z0-9._~+-]+/)*)(?P<filename>[A-Za-z0-9._~+-]+)(?P<fragment>#[A-Za-z0-9=_-]*)?"
)
"""The absolute URLs that large indexes give, which need no more looking at."""

STATUSES: dict[str, ProjectStatus] = {
    "active": "active",
    "archived": "archived",
    "deprecated": "deprecated",
    "quarantined": "quarantined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a page came from, which its entries are read by."""

    upstream: Upstream
    project: NormalizedName | None
    url: str
    """Where the page was in the end, without credentials; a `<base>` of the page moves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a page says of one file, in types that can be relied upon."""

    filename: str | None
    """`None` where the URL's last segment is the name (HTML)."""
    url: str
    hashes: Hashes = ()
    uploaded_at: datetime | None = None
    yanked: str | None = None


def make_entry(offer: Offer, source: Source) -> Entry | None:
    """Return the entry, or `None` for a file that is neither wheel nor sdist, or not of the page's project."""
    place = _absolute(offer.url, source.url)
    if place is None:
        return None
    href, last = place
    filename = last if offer.filename is None else offer.filename
    if not _usable(filename):
        return None
    named = read_filename(filename, source.project)
    if named is None:
        return None
    kind, project, version = named
    if source.project is not None and project != source.project:
        return None
    artifact = Artifact(
        filename=filename,
        url=without_credentials(href.partition("#")[0]),
        hashes=offer.hashes,
        kind=kind,
        index=source.upstream.address,
        uploaded_at=offer.uploaded_at,
        yanked=offer.yanked,
    )
    return Entry(
        artifact=artifact, project=project, version=version, href=href, problem=_problem(href, filename, last, source)
    )


def _usable(filename: str) -> bool:
    """Whether it can be the name of one file; a bar to tricks with separators and control characters."""
    return 0 < len(filename) <= LONGEST_NAME and filename.isprintable() and not {"/", "\\"} & {*filename}


def _absolute(url: str, base: str) -> tuple[str, str] | None:
    """Return the absolute URL in plain ASCII and the name that its path ends in; `None` for no URL at all."""
    if plain := PLAIN.fullmatch(url):
        return url, plain["filename"]
    if len(url) > LONGEST_URL:
        return None
    try:
        joined = quote(urljoin(base, url.strip()), safe="!#$%&'()*+,/:;=?@[]~")
        return joined, unquote(urlsplit(joined).path.rstrip("/").rpartition("/")[2])
    except ValueError:  # brackets that hold no address, lone surrogates
        return None


def _problem(href: str, filename: str, last: str, source: Source) -> str | None:
    """Say why no installer may use this URL as that file, if so."""
    scheme = href.partition(":")[0].lower()
    if scheme not in ("http", "https") and not (scheme == "file" and source.upstream.local):
        return f"its URL is of another kind than the index: {scheme[:20]}"
    if last != filename and read_filename(last, source.project) is not None:
        return "its URL names another file"  # one client goes by the name, the next by the URL
    return None


def read_hashes(text: Mapping[object, object]) -> Hashes:
    """Return the hashes that are text."""
    pairs = ((name, value) for name, value in text.items() if isinstance(name, str) and isinstance(value, str))
    return tuple(sorted(pairs))


def hashes_in_fragment(url: str) -> Hashes:
    """Return the hash that a URL's fragment gives (PEP 503)."""
    algorithm, equals, digest = urldefrag(url)[1].partition("=")
    digest = digest.partition("&")[0]
    return ((algorithm, digest),) if equals and re.fullmatch("[0-9A-Fa-f]{32,128}", digest) else ()


def read_moment(text: object) -> datetime | None:
    """Return the time that PEP 700 gives, aware; `None` where there is none that can be read."""
    if not isinstance(text, str):
        return None
    try:
        # six digits are all that `fromisoformat` reads before Python 3.11
        moment = datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", _microseconds, text.strip()).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _microseconds(fraction: re.Match[str]) -> str:
    return "." + fraction.group(1).ljust(6, "0")


def read_status(status: object, reason: object) -> tuple[ProjectStatus | None, str]:
    """Return the project's status and the reason for it (PEP 792); one that is not known is none."""
    known = STATUSES.get(status) if isinstance(status, str) else None
    return known, reason if known and isinstance(reason, str) else ""
