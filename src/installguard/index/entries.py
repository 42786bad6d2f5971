"""Makes entries of what a page says of a file, in whichever form; what no installer could use is left out."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import quote, unquote, urljoin, urlsplit

from ..dataclass import dataclass
from ..model import Artifact, Hashes, ProjectStatus, bounded
from ..names import NormalizedName
from .filenames import read_filename
from .pages import Entry
from .upstream import Upstream, without_credentials

LONGEST_NAME = 500
LONGEST_URL = 8_000
PLAIN = re.compile(r"https?://[A-Za-z0-9.:-]+/[A-Za-z0-9._~+/-]*(#[A-Za-z0-9=_-]*)?")
"""The absolute URLs that large indexes give, which need no more looking at."""

NEWER_ISO = sys.version_info >= (3, 11)

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
    index: str
    """The index's URL, without credentials."""


def make_entry(
    source: Source, filename: str | None, url: str, *, hashes: Hashes, uploaded_at: datetime | None, yanked: str | None
) -> Entry | None:
    """Return the entry, or `None` for a file that is neither wheel nor sdist, or not of the page's project.

    Without *filename*, the last segment of the URL is the name (HTML).
    """
    place = _absolute(url, source.url)
    if place is None:
        return None
    href, last = place
    filename = last if filename is None else filename
    named = read_filename(filename, source.project) if _usable(filename) else None
    if named is None:
        return None
    kind, project, version = named
    if source.project is not None and project != source.project:
        return None
    artifact = Artifact(
        filename=filename,
        url=without_credentials(href.partition("#")[0]),
        hashes=hashes,
        kind=kind,
        index=source.index,
        uploaded_at=uploaded_at,
        yanked=yanked,
    )
    problem = _problem(href, filename, last, source)
    return Entry(artifact=artifact, project=project, version=version, href=href, problem=problem)


def _usable(filename: str) -> bool:
    """Whether it can be the name of one file; a bar to tricks with separators and control characters."""
    short = 0 < len(filename) <= LONGEST_NAME
    return short and filename.isprintable() and "/" not in filename and "\\" not in filename


def _absolute(url: str, base: str) -> tuple[str, str] | None:
    """Return the absolute URL in plain ASCII and the name that its path ends in; `None` for no URL at all."""
    if PLAIN.fullmatch(url):
        return url, url.partition("#")[0].rstrip("/").rpartition("/")[2]
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
    if scheme not in ("https", "http") and not (scheme == "file" and source.upstream.local):
        return f"its URL is of another kind than the index: {scheme[:20]}"
    if last != filename and read_filename(last, source.project) is not None:
        return "its URL names another file"  # one client goes by the name, the next by the URL
    return None


def read_hashes(text: Mapping[object, object]) -> Hashes:
    """Return the hashes that are text."""
    pairs = [(name, value) for name, value in text.items() if isinstance(name, str) and isinstance(value, str)]
    return tuple(sorted(pairs))


def hashes_in_fragment(url: str) -> Hashes:
    """Return the hash that a URL's fragment gives (PEP 503)."""
    algorithm, equals, digest = url.partition("#")[2].partition("=")
    digest = digest.partition("&")[0]
    return ((algorithm, digest),) if equals and re.fullmatch("[0-9A-Fa-f]{32,128}", digest) else ()


def read_moment(text: object) -> datetime | None:
    """Return the time that PEP 700 gives, aware; `None` where there is none that can be read."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text if NEWER_ISO else _for_older(text))
    except ValueError:
        return None
    return bounded(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc))


def _for_older(text: str) -> str:
    """Return the time with the six digits and the offset that `fromisoformat` wants before Python 3.11."""
    return re.sub(r"\.(\d{1,6})\d*", _microseconds, text).replace("Z", "+00:00")


def _microseconds(fraction: re.Match[str]) -> str:
    return "." + fraction.group(1).ljust(6, "0")


def read_status(status: object, reason: object) -> tuple[ProjectStatus | None, str]:
    """Return the project's status and the reason for it (PEP 792); one that is not known is none."""
    known = STATUSES.get(status) if isinstance(status, str) else None
    return known, reason if known and isinstance(reason, str) else ""
