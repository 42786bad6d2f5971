"""Puts the loopback index in front of the indexes that an installer would ask."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .index.loopback import LoopbackIndex
from .index.pages import Page, Screen
from .index.upstream import Credentials, Upstream, credentials_in
from .names import NormalizedName

if TYPE_CHECKING:
    from .index.fetching import Fetcher

DEFAULT_TIMEOUT = 30.0
PAUSE = 0.005
"""Seconds without another page being asked for, after which those there are may be looked at."""
LONGEST_PAUSE = 0.2
KEYRING_SECONDS = 30
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_LOOPBACK = "127.0.0.1,::1,localhost"


class Front:
    """The loopback index, and which text of ours stands for which of the user's."""

    def __init__(self, index: LoopbackIndex, upstreams: Mapping[str, Upstream]) -> None:
        self.index = index
        self.upstreams = tuple(upstreams.values())
        self._pages: dict[tuple[str, NormalizedName | None], tuple[int, Page | None]] = {}
        """Pages, and how often they had been asked for when they were taken apart."""
        self.texts = {text: self._ours(text, upstream) for text, upstream in upstreams.items()}
        """Ours by theirs, as written: with a slash at the end where theirs has one."""

    def _ours(self, text: str, upstream: Upstream) -> str:
        address = self.index.address_of(upstream)
        return address if text.endswith("/") else address.rstrip("/")

    def page(self, upstream: Upstream, project: NormalizedName | None) -> Page | None:
        """Return a page as uv saw it last, taken apart once only."""
        project = None if upstream.kind == "flat" else project
        known, times = (upstream.key, project), self.index.times_asked(upstream, project)
        kept = self._pages.get(known)
        if kept is None or kept[0] != times:
            self._pages[known] = kept = (times, self.index.page(upstream, project))
        return kept[1]

    def offered(self, upstream: Upstream, project: NormalizedName | None, version: str) -> Page | None:
        """Return a page as uv saw it last, perhaps with no other files than those of one release."""
        project = None if upstream.kind == "flat" else project
        if (upstream.key, project) in self._pages:
            return self.page(upstream, project)
        return self.index.offered(upstream, project, version)

    @contextmanager
    def reading_ahead(self) -> Iterator[None]:
        """Take the pages that uv was given apart while it goes on to download and to install."""
        over = threading.Event()

        def read() -> None:
            number, pause = 0, PAUSE
            while not over.wait(pause):
                asked = self.index.asked
                if asked and len(asked) == number:
                    for each in asked:
                        searched = over.is_set() or self.index.is_searched(each.upstream, each.project)
                        if each.served and not searched:
                            self.page(each.upstream, each.project)
                    self.index.settle()
                    pause = min(2 * pause, LONGEST_PAUSE)
                number = len(asked)

        def read_quietly() -> None:
            with suppress(Exception):  # who needs the page meets the same, and tells it
                read()

        thread = threading.Thread(target=read_quietly, name="guard-ahead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def __call__(self, text: str) -> str:
        """Return what to write instead of *text*."""
        return self.texts.get(text, text)

    def within(self, value: str) -> str:
        """Return a list of indexes, separated by spaces or commas and perhaps named, with ours in their places."""
        for theirs in sorted(self.texts, key=len, reverse=True):
            ours = self.texts[theirs].replace("\\", r"\\")
            value = re.sub(rf"(?<![^\s,=]){re.escape(theirs)}(?![^\s,])", ours, value)
        return value

    def put_back(self, data: bytes) -> bytes:
        """Return what uv wrote with the user's indexes, as typed, where ours stand."""
        theirs: dict[str, str] = {}
        for text, ours in self.texts.items():
            theirs.setdefault(ours, text)
        for ours in sorted(theirs, key=len, reverse=True):
            data = data.replace(ours.encode(), theirs[ours].encode())
        return data


@contextmanager
def open_front(
    upstreams: Mapping[str, Upstream],
    *,
    screen: Screen,
    cache: Path,
    environ: Mapping[str, str],
    keyring: bool = False,
    offline: bool = False,
) -> Iterator[Front]:
    """Serve judged pages of *upstreams*, which are by the texts that name them."""
    serving = LoopbackIndex(
        tuple({upstream.key: upstream for upstream in upstreams.values()}.values()),
        screen=screen,
        state=cache / "index",
        cache=cache / "index" / "pages",
        fetcher=lambda: fetcher(environ, keyring=keyring),
        now=time.time,
        offline=offline,
    )
    with serving as index:
        yield Front(index, upstreams)


def logins(upstreams: Iterable[Upstream], environ: Mapping[str, str]) -> str:
    """Return a netrc with the passwords that stand in the indexes' URLs before the user's own, `""` where none does.

    uv asks for the files on an index's host itself, and would have taken the password from the index's URL.
    """
    found = {}
    for upstream in upstreams:
        told, host = credentials_in(upstream.url), urlsplit(upstream.url).hostname
        if told is not None and host:
            found[host] = f"machine {host}\n  login {told[0]}\n  password {told[1]}\n"
    if not found:
        return ""
    own = netrc_of(environ)
    with suppress(OSError, ValueError):
        return "".join(found.values()) + (own.read_text(encoding="utf-8") if own is not None else "")
    return "".join(found.values())


def fetcher(environ: Mapping[str, str], *, keyring: bool) -> Fetcher:
    """Return what asks the user's indexes, as the user lets uv use the network."""
    from .index.fetching import Fetcher, Network

    network = Network(
        timeout=timeout_of(environ),
        clock=time.monotonic,
        by_name=bool(environ.get("SSL_CERT_DIR")) or not environ.get("SSL_CERT_FILE"),
        netrc=netrc_of(environ),
        credentials=of_keyring(environ) if keyring else lambda url: None,
    )
    return Fetcher(network)


def netrc_of(environ: Mapping[str, str]) -> Path | None:
    """Return the user's netrc file, which need not be there."""
    if named := environ.get("NETRC"):
        return Path(named)
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(home) / ("_netrc" if os.name == "nt" else ".netrc") if home else None


def timeout_of(environ: Mapping[str, str]) -> float:
    """Return the seconds after which uv gives up an index."""
    for name in ("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT"):
        with suppress(KeyError, ValueError):
            seconds = float(environ[name])
            if 0 < seconds < float("inf"):
                return seconds
    return DEFAULT_TIMEOUT


def of_keyring(environ: Mapping[str, str]) -> Callable[[str], Credentials | None]:
    """Return what asks the `keyring` program, as uv does with `--keyring-provider subprocess`."""

    def ask(url: str) -> Credentials | None:
        user = urlsplit(url).username or "oauth2accesstoken"
        host = urlsplit(url).hostname or ""
        for service in (url, host):
            with suppress(OSError, subprocess.SubprocessError):
                done = subprocess.run(  # noqa: S603
                    ["keyring", "get", service, user],  # noqa: S607 - as uv itself finds it
                    capture_output=True,
                    text=True,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    timeout=KEYRING_SECONDS,
                    check=True,
                )
                if password := done.stdout.strip("\r\n"):
                    return user, password
        return None

    return ask


def beside_proxies(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return what lets loopback addresses pass by the user's proxy, where there is one."""
    if not any(environ.get(name) for name in _PROXIES):
        return {}
    passing = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if {"*", "127.0.0.1"} & {each.strip() for each in passing.split(",")}:
        return {}
    value = ",".join(filter(None, (passing, _LOOPBACK)))
    return {"NO_PROXY": value, "no_proxy": value}
