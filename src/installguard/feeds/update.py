"""`guard feed update`: the zip of each configured source, fetched whole, so that no package name leaves the machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urljoin

from ..errors import FeedError, GuardError
from ..model import SourceInfo
from ..policy import SourcePolicy
from .imports import archive_records, check_name, load_export, load_records
from .sources import Bounds, check_url, chosen_sources, export_url, is_loopback, is_remote, redacted
from .state import SourceState, StateError, read_state
from .store import Unreadable
from .writing import note_source

if TYPE_CHECKING:
    import socket
    import ssl

    import httpx

Progress: TypeAlias = Callable[[str, int, "int | None"], None]
"""Told the source's name, the bytes that are here, and how many there will be, if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """The source was fetched and is in the snapshot."""

    source: SourceInfo
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The source's origin confirmed that ours is the newest."""

    source: SourceInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The source could not be fetched; what the snapshot had of it stays."""

    name: str
    error: GuardError


UpdateResult: TypeAlias = Updated | Unchanged | Failed


def update(
    directory: Path,
    sources: Sequence[SourcePolicy],
    *,
    now: datetime,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[UpdateResult, ...]:
    """Fetch each source (the default ones where there are none) into the snapshot in *directory*.

    One source's failure is its result and keeps no other from being updated. *clock* gives seconds, for the bounds.
    """
    bounds = bounds or Bounds()
    results: list[UpdateResult] = []
    for source in chosen_sources(tuple(sources)):
        try:
            if is_remote(source.url):
                results.append(_update_remote(directory, source, now, _Limits(bounds=bounds, clock=clock), progress))
            else:
                results.append(_update_local(directory, source, now, bounds))
        except GuardError as error:
            _note_failure(directory, source, error, bounds)
            results.append(Failed(name=source.name, error=error))
    return tuple(results)


def _update_local(directory: Path, source: SourcePolicy, now: datetime, bounds: Bounds) -> Updated:
    """Read a source that is a path of this machine: being read is being confirmed."""
    result = load_export(Path(source.url), _fresh(source, now), directory=directory, now=now, bounds=bounds)
    return Updated(source=result.source, unreadable=result.unreadable)


def _update_remote(
    directory: Path, source: SourcePolicy, now: datetime, limits: _Limits, progress: Progress | None
) -> Updated | Unchanged:
    check_name(source.name)
    url = export_url(source.url)
    known = _known(directory, source)
    with _download(directory) as file:
        fetched = _fetch(url, known, file, limits, lambda done, total: progress and progress(source.name, done, total))
        if fetched is None:
            return Unchanged(source=_confirm(directory, source, now, limits.bounds))
        state = replace(_fresh(source, now), etag=fetched.etag, last_modified=fetched.last_modified)
        records = archive_records(file, where=redacted(url), bounds=limits.bounds)
        result = load_records(records, state, directory=directory, now=now, bounds=limits.bounds)
        return Updated(source=result.source, unreadable=result.unreadable)


def _fresh(source: SourcePolicy, taken_at: datetime | None) -> SourceState:
    url = redacted(source.url) if is_remote(source.url) else source.url
    return SourceState(
        name=source.name, url=url, malicious=source.malicious, records=0, unreadable=0, taken_at=taken_at
    )


def _known(directory: Path, source: SourcePolicy) -> SourceState | None:
    """What we hold of the source, if it came from this very place and is usable."""
    with suppress(StateError):
        state = read_state(directory)
        known = state.source(source.name)
        fresh = known is not None and (known.url, known.malicious) == (redacted(source.url), source.malicious)
        if fresh and state.generation is not None and (directory / state.generation.file).is_file():
            return known
    return None


def _confirm(directory: Path, source: SourcePolicy, now: datetime, bounds: Bounds) -> SourceInfo:
    """Write down that the origin has nothing newer."""
    confirmed: list[SourceState] = []

    def change(state: SourceState | None) -> SourceState:
        if state is None or state.taken_at is None:
            raise FeedError("the snapshot of it was removed meanwhile", where=f"feed {source.name}", now="try again")
        confirmed.append(replace(state, taken_at=now, last_error=None))
        return confirmed[0]

    note_source(directory, source.name, change, bounds)
    if not confirmed:
        raise FeedError("the snapshot of it was damaged meanwhile", where=f"feed {source.name}", now="try again")
    return confirmed[0].info


def _note_failure(directory: Path, source: SourcePolicy, error: GuardError, bounds: Bounds) -> None:
    """Write the failure down for `guard feed status`; where that fails as well, the result still tells."""
    nothing = _fresh(source, None)
    with suppress(GuardError):
        note_source(
            directory,
            source.name,
            lambda known: replace(known or nothing, last_error=str(error)),
            replace(bounds, lock=1),
        )


@contextmanager
def _download(directory: Path) -> Iterator[IO[bytes]]:
    """A file beside the snapshot that has no name, so that nothing of it is left whatever happens to us."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=directory, prefix="download-")  # noqa: SIM115  closed below
    except OSError as error:
        raise FeedError(f"cannot be written: {error.strerror or error}", where=str(directory)) from error
    with file:
        yield file


# ---------------------------------------------------------------- over the network


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """What the server says by which the next request can be conditional."""

    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    bounds: Bounds
    clock: Callable[[], float]


_Tell: TypeAlias = Callable[[int, "int | None"], object]


def _fetch(url: str, known: SourceState | None, file: IO[bytes], limits: _Limits, tell: _Tell) -> _Fetched | None:
    """Fetch *url* into *file*; `None` where the server says that what is known is still the newest."""
    check_url(url)
    import httpx

    where = redacted(url)
    try:
        with _client(url, limits.bounds) as client:
            return _follow(client, url, _conditions(known), file, limits, tell)
    except httpx.TimeoutException as error:
        raise FeedError("the server did not answer in time", where=where, now="the snapshot stays as it was") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ImportError, UnicodeError, ValueError) as error:
        what = _printable(str(error)) or type(error).__name__
        raise FeedError(f"cannot be fetched: {what}", where=where, now="the snapshot stays as it was") from error
    except OSError as error:
        raise FeedError(f"cannot be stored: {error.strerror or error}", where=where) from error


def _printable(text: str) -> str:
    """The text on one line, with nothing in it that steers a terminal: a server has a say in it."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def _client(url: str, bounds: Bounds) -> httpx.Client:
    """A client that heeds the user's proxies and certificates; this machine is reached without a proxy."""
    import httpx

    return httpx.Client(
        verify=_certificates(),
        trust_env=not is_loopback(url),
        timeout=httpx.Timeout(bounds.stalled, connect=bounds.connect),
        headers={"accept-encoding": "identity", "user-agent": "installguard"},
        follow_redirects=False,
    )


def _certificates() -> ssl.SSLContext:
    """The system's certificates, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; httpx's own where there are none."""
    import ssl

    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath and not context.get_ca_certs():
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _conditions(known: SourceState | None) -> dict[str, str]:
    if known is None:
        return {}
    headers = {"if-none-match": known.etag, "if-modified-since": known.last_modified}
    return {name: value for name, value in headers.items() if value}


def _follow(
    client: httpx.Client, url: str, conditions: Mapping[str, str], file: IO[bytes], limits: _Limits, tell: _Tell
) -> _Fetched | None:
    """Follow redirects, each to a place that is allowed, and receive what stands at the end."""
    start = url
    with _patience(limits.bounds) as patience:
        for _ in range(limits.bounds.redirects + 1):
            patience.start()
            extensions = {"trace": patience.trace}
            with client.stream("GET", url, headers=dict(conditions), extensions=extensions) as response:
                patience.end()
                if response.status_code == 304 and conditions:
                    return None
                if not response.has_redirect_location:
                    _receive(response, file, limits, tell)
                    return _Fetched(etag=_kept(response, "etag"), last_modified=_kept(response, "last-modified"))
                url = urljoin(url, response.headers["location"])
                check_url(url, came_from=start)
    raise FeedError(f"redirects more than {limits.bounds.redirects} times", where=redacted(start))


def _kept(response: httpx.Response, header: str) -> str | None:
    value: str = response.headers.get(header, "")
    return value if 0 < len(value) <= 200 and value.isascii() and value.isprintable() else None


def _receive(response: httpx.Response, file: IO[bytes], limits: _Limits, tell: _Tell) -> None:
    """Write the body to *file*, within the bounds of size and speed; raises `FeedError`."""
    bounds, where = limits.bounds, redacted(str(response.url))
    if response.status_code != 200:
        now = "try again later" if response.status_code >= 500 else "is the URL an OSV export?"
        raise FeedError(f"the server answered {response.status_code}", where=where, now=now)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FeedError("the server answered in an encoding that was not asked for", where=where)
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() and length.isascii() else None
    done, mark, marked = 0, limits.clock(), 0
    _bound_size(total or 0, bounds, where)
    for block in response.iter_raw():
        file.write(block)
        done += len(block)
        _bound_size(done, bounds, where)
        if (passed := limits.clock() - mark) >= bounds.stalled:
            if done - marked < bounds.rate * passed:
                raise FeedError(f"given up: slower than {bounds.rate} bytes a second", where=where)
            mark, marked = limits.clock(), done
        tell(done, total)
    if total is not None and done != total:
        raise FeedError(f"the server sent {done} of {total} bytes", where=where, now="the snapshot stays as it was")
    file.flush()
    _expect_zip(response, file, where)


def _bound_size(size: int, bounds: Bounds, where: str) -> None:
    if size > bounds.archive:
        raise FeedError(f"is larger than {bounds.archive / (1 << 20):g} MiB", where=where)


def _expect_zip(response: httpx.Response, file: IO[bytes], where: str) -> None:
    file.seek(0)
    if file.read(2) != b"PK":
        kind = ascii(response.headers.get("content-type", "unknown")[:60])
        raise FeedError(f"is no zip (content type {kind})", where=where, now="is the URL an OSV export?")


@dataclass(slots=True)
class _Patience:
    """Cuts the connection where the answer's head does not come in time; byte by byte it would hold us for ever."""

    seconds: float
    _timer: Timer | None = None
    _sockets: list[socket.socket] = field(default_factory=list)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a new connection (httpcore's trace extension)."""
        if event == "connection.connect_tcp.complete":
            self._sockets.append(info["return_value"].get_extra_info("socket").dup())

    def start(self) -> None:
        """Start to wait for the head of an answer."""
        self._timer = Timer(self.seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(2)

    def close(self) -> None:
        """Let go of everything."""
        self.end()
        for connection in self._sockets:
            connection.close()


@contextmanager
def _patience(bounds: Bounds) -> Iterator[_Patience]:
    patience = _Patience(seconds=bounds.connect + bounds.stalled)
    try:
        yield patience
    finally:
        patience.close()
