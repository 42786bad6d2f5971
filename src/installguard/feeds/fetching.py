"""Fetching over HTTP within bounds: redirects to allowed places only, no more bytes than agreed, no endless waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Timer
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urljoin

from ..dataclass import dataclass, field
from ..errors import FeedError
from ..trust import default_context
from .sources import Bounds, check_url, is_loopback, redacted

if TYPE_CHECKING:
    import socket

    import httpx


class TransientError(FeedError):
    """Something that may be better in a moment: no answer, a broken connection, a server in trouble."""


class StatusError(FeedError):
    """The server answered that it does not have what was asked for."""


class TooLargeError(FeedError):
    """The server sends more than was agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What the server says by which the next request can be conditional."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def conditions(self) -> Mapping[str, str]:
        """The headers of a conditional request."""
        headers = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds, and the clock (in seconds) that they are held against."""

    bounds: Bounds
    clock: Callable[[], float]


Tell: TypeAlias = Callable[[int, "int | None"], object]
"""Told the bytes that are here, and how many there will be, if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A client for one place, whose connections can be cut."""

    client: httpx.Client
    patience: Patience
    limits: Limits

    def fetch(
        self, url: str, file: IO[bytes], *, most: int, known: Validators | None = None, tell: Tell | None = None
    ) -> Validators | None:
        """Fetch *url*, at most *most* bytes, into *file*; `None` where the server says that *known* is the newest.

        Raises `FeedError`, its subclasses where more can be said.
        """
        with _in_words(redacted(url)), self.patience.waiting():
            return _follow(self, url, known.conditions if known else {}, file, most, tell or _silent)

    def fetch_at_once(self, url: str, file: IO[bytes], *, most: int) -> None:
        """`fetch` in one of many threads, for which somebody else holds `patience`."""
        with _in_words(redacted(url)):
            _follow(self, url, {}, file, most, _silent)


@contextmanager
def connect(url: str, limits: Limits) -> Iterator[Connection]:
    """Open a client for the place of *url*; raises `FeedError` for one that is not allowed."""
    check_url(url)
    bounds = limits.bounds
    patience = Patience(seconds=bounds.connect + bounds.stalled)
    with _in_words(redacted(url)):
        client = _client(url, bounds)
    try:
        with client:
            yield Connection(client=client, patience=patience, limits=limits)
    finally:
        patience.close()


@contextmanager
def _in_words(where: str) -> Iterator[None]:
    """Turn whatever httpx and the network raise into one line."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise TransientError(
            "the server did not answer in time", where=where, now="the snapshot stays as it was"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ImportError, UnicodeError, ValueError) as error:
        what = printable(str(error)) or type(error).__name__
        kind = TransientError if isinstance(error, httpx.TransportError) else FeedError
        raise kind(f"cannot be fetched: {what}", where=where, now="the snapshot stays as it was") from error
    except OSError as error:
        raise FeedError(f"cannot be stored: {error.strerror or error}", where=where) from error


def _silent(done: int, total: int | None) -> None:
    """Tell nobody."""


def printable(text: str) -> str:
    """The text on one line, with nothing in it that steers a terminal: a server has a say in it."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def _client(url: str, bounds: Bounds) -> httpx.Client:
    """A client that heeds the user's proxies and certificates; this machine is reached without a proxy."""
    import httpx

    return httpx.Client(
        verify=default_context(),
        trust_env=not is_loopback(url),
        timeout=httpx.Timeout(bounds.stalled, connect=bounds.connect),
        headers={"accept-encoding": "identity", "user-agent": "installguard"},
        follow_redirects=False,
    )


def _follow(
    connection: Connection, url: str, conditions: Mapping[str, str], file: IO[bytes], most: int, tell: Tell
) -> Validators | None:
    """Follow redirects, each to a place that is allowed, and receive what stands at the end."""
    start, limits, patience = url, connection.limits, connection.patience
    for _ in range(limits.bounds.redirects + 1):
        patience.start()
        extensions = {"trace": patience.trace}
        with connection.client.stream("GET", url, headers=dict(conditions), extensions=extensions) as response:
            patience.end()
            if response.status_code == 304 and conditions:
                return None
            if not response.has_redirect_location:
                _receive(response, file, limits, most, tell)
                return Validators(etag=_kept(response, "etag"), last_modified=_kept(response, "last-modified"))
            url = urljoin(url, response.headers["location"])
            check_url(url, came_from=start)
    raise FeedError(f"redirects more than {limits.bounds.redirects} times", where=redacted(start))


def _kept(response: httpx.Response, header: str) -> str | None:
    value: str = response.headers.get(header, "")
    return value if 0 < len(value) <= 200 and value.isascii() and value.isprintable() else None


def _receive(response: httpx.Response, file: IO[bytes], limits: Limits, most: int, tell: Tell) -> None:
    """Write the body to *file*, within the bounds of size and speed; raises `FeedError`."""
    bounds, where = limits.bounds, redacted(str(response.url))
    if response.status_code != 200:
        passing = response.status_code >= 500 or response.status_code == 429
        now = "try again later" if passing else "is the URL an OSV export?"
        kind = TransientError if passing else StatusError
        raise kind(f"the server answered {response.status_code}", where=where, now=now)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FeedError("the server answered in an encoding that was not asked for", where=where)
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() and length.isascii() else None
    done, mark, marked = 0, limits.clock(), 0
    _bound_size(total or 0, most, where)
    for block in response.iter_raw():
        file.write(block)
        done += len(block)
        _bound_size(done, most, where)
        if (passed := limits.clock() - mark) >= bounds.stalled:
            if done - marked < bounds.rate * passed:
                raise TransientError(f"given up: slower than {bounds.rate} bytes a second", where=where)
            mark, marked = limits.clock(), done
        tell(done, total)
    if total is not None and done != total:
        raise TransientError(
            f"the server sent {done} of {total} bytes", where=where, now="the snapshot stays as it was"
        )
    file.flush()


def _bound_size(size: int, most: int, where: str) -> None:
    if size > most:
        raise TooLargeError(f"is larger than {most / (1 << 20):g} MiB", where=where)


@dataclass(slots=True)
class Patience:
    """Cuts the connections where answers do not come in time; byte by byte they would hold us for ever."""

    seconds: float
    """For the head of one answer."""
    _timer: Timer | None = None
    _held: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a new connection (httpcore's trace extension)."""
        if event == "connection.connect_tcp.complete":
            self._sockets.append(info["return_value"].get_extra_info("socket").dup())

    def start(self) -> None:
        """Start to wait for the head of an answer."""
        if not self._held:
            self._begin(self.seconds)

    def end(self) -> None:
        """Wait no more."""
        if not self._held and self._timer is not None:
            self._timer.cancel()

    @contextmanager
    def waiting(self, seconds: float | None = None) -> Iterator[None]:
        """Wait for one answer, or for many that together take *seconds* at most."""
        self._held = seconds is not None
        if seconds is not None:
            self._begin(seconds)
        try:
            yield
        finally:
            self._held = False
            self.end()

    def _begin(self, seconds: float) -> None:
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(2)

    def close(self) -> None:
        """Let go of everything."""
        self._held = False
        self.end()
        for connection in self._sockets:
            connection.close()
