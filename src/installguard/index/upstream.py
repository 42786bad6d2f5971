"""The user's own indexes, and what of a URL is whose: origin, credentials, local path."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from ..dataclass import dataclass, field
from ..errors import UsageError

UpstreamKind: TypeAlias = Literal["simple", "flat"]
"""`simple`: a page a project (PEP 503, 691); `flat`: one page or directory with the files of all (find-links)."""

Credentials: TypeAlias = tuple[str, str]
"""User name and password."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An index that the user configured."""

    url: str = field(repr=False)
    """http, https or file; as the user wrote it, so it may hold credentials."""
    kind: UpstreamKind = "simple"
    insecure: bool = False
    """Whether the user told the installer not to check the certificate of this host."""

    @property
    def address(self) -> str:
        """The URL without credentials."""
        return without_credentials(self.url)

    @property
    def key(self) -> str:
        """Stands for this index in our own addresses: the same for as long as its URL is the same."""
        return _key_of(self.kind, self.url)

    @property
    def local(self) -> bool:
        """Whether it lies on this machine's file system."""
        return urlsplit(self.url).scheme == "file"

    def page_url(self, project: str | None) -> str:
        """Where the page of *project* is, without credentials; a flat index has one page only."""
        if self.kind == "flat" or project is None:
            return self.address
        parts = urlsplit(self.address)
        return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{project}/", parts.query, ""))


@lru_cache(maxsize=256)
def _key_of(kind: UpstreamKind, url: str) -> str:
    """Return the key of an index; it is asked for several times a page."""
    return hashlib.sha256(f"{kind} {without_credentials(url).rstrip('/')}".encode()).hexdigest()[:16]


def parse_upstream(text: str, kind: UpstreamKind = "simple", *, base: Path, insecure: bool = False) -> Upstream:
    """Return the index named by a URL or by a path relative to *base*; raises `UsageError`."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)  # one letter is a drive
    if scheme is None:
        return Upstream(url=(base / text).absolute().as_uri(), kind=kind)
    try:
        parts = urlsplit(text)
        usable = parts.scheme == "file" or (parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("is no index that can be asked (http, https or file)", where=without_credentials(text))
    return Upstream(url=text.strip(), kind=kind, insecure=insecure)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what credentials belong to; raises `ValueError`."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme, 0)


def without_credentials(url: str) -> str:
    """Return the URL without its user name and password."""
    if "@" not in url:
        return url
    scheme, slashes, rest = url.partition("://")
    authority, *path = re.split("(?=[/?#])", rest, maxsplit=1)
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{''.join(path)}"


def credentials_in(url: str) -> Credentials | None:
    """Return the user name and password in the URL; the password may be empty."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def local_path(url: str) -> Path:
    """Return what a file URL names; raises `ValueError` for one on another machine."""
    from urllib.request import url2pathname

    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ValueError("a file URL with a host")
    return Path(url2pathname(parts.path))
