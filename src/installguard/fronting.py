"""Puts the loopback index in front of the indexes that an installer would ask."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .index.fetching import Fetcher, Network
from .index.loopback import LoopbackIndex
from .index.pages import Screen
from .index.upstream import Credentials, Upstream, UpstreamKind, parse_upstream

DEFAULT_TIMEOUT = 30.0
KEYRING_SECONDS = 30
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_LOOPBACK = "127.0.0.1,::1,localhost"


class Front:
    """The loopback index, and which text of ours stands for which of the user's."""

    def __init__(self, index: LoopbackIndex, upstreams: Mapping[str, Upstream]) -> None:
        self.index = index
        self.texts = {text: self._ours(text, upstream) for text, upstream in upstreams.items()}
        """Ours by theirs, as written: with a slash at the end where theirs has one."""

    def _ours(self, text: str, upstream: Upstream) -> str:
        address = self.index.address_of(upstream)
        return address if text.endswith("/") else address.rstrip("/")

    def __call__(self, text: str) -> str:
        """Return what to write instead of *text*."""
        return self.texts.get(text, text)

    def within(self, value: str) -> str:
        """Return a list of indexes, separated by spaces or commas and perhaps named, with ours in their places."""
        for theirs in sorted(self.texts, key=len, reverse=True):
            ours = self.texts[theirs].replace("\\", r"\\")
            value = re.sub(rf"(?<![^\s,=]){re.escape(theirs)}(?![^\s,])", ours, value)
        return value


@contextmanager
def open_front(
    indexes: Sequence[tuple[str, UpstreamKind]],
    *,
    screen: Screen,
    cache: Path,
    base: Path,
    environ: Mapping[str, str],
    keyring: bool = False,
    offline: bool = False,
) -> Iterator[Front]:
    """Serve judged pages of *indexes*, each as the user wrote it, relative paths being taken from *base*."""
    upstreams = {text: parse_upstream(text, kind, base=base) for text, kind in indexes}
    fetcher = Fetcher(network_of(environ, keyring=keyring))
    serving = LoopbackIndex(
        tuple({upstream.key: upstream for upstream in upstreams.values()}.values()),
        screen=screen,
        state=cache / "index",
        cache=cache / "index" / "pages",
        fetcher=fetcher,
        now=time.time,
        offline=offline,
    )
    with serving as index:
        yield Front(index, upstreams)


def network_of(environ: Mapping[str, str], *, keyring: bool) -> Network:
    """Return how the user lets uv use the network."""
    netrc = environ.get("NETRC")
    return Network(
        timeout=timeout_of(environ),
        clock=time.monotonic,
        netrc=Path(netrc) if netrc else None,
        credentials=of_keyring(environ) if keyring else lambda url: None,
    )


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
        from urllib.parse import urlsplit

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
    value = ",".join(filter(None, (passing, _LOOPBACK)))
    return {"NO_PROXY": value, "no_proxy": value}
