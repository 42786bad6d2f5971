"""Asks upstream indexes over HTTP: within bounds, with credentials for their own origin only."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from weakref import WeakSet

from ..dataclass import dataclass, field
from .certificates import Later, Trust, complete_trust, default_trust, is_distrust, unverified_context
from .documents import ACCEPT
from .keeping import Validators, Writing
from .pages import PageError
from .upstream import Credentials, Upstream, credentials_in, origin, without_credentials

if TYPE_CHECKING:
    import ssl

    import httpx

REDIRECTS = 10
CONNECTIONS = 12
"""To all indexes together; an installer may ask for more pages at once, which then wait."""
BLOCK = 1 << 16
TOTAL = 10
"""How many times its time-out a page may take in all."""
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How the user's own network is to be used."""

    timeout: float = 30.0
    """Seconds without any data after which an index is given up."""
    clock: Callable[[], float]
    """Seconds that only go forward."""
    certificates: Callable[[], ssl.SSLContext] | None = None
    """Makes the context that servers are verified by; by default that of `ssl.create_default_context`."""
    by_name: bool = True
    """Whether certificates are looked up by name first, where there is a directory for that."""
    netrc: Path | None = None
    credentials: Callable[[str], Credentials | None] = lambda url: None
    """Asked, by the index's URL, once it has answered 401: a keyring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came with a page's body."""

    url: str
    """Where it was in the end, without credentials."""
    content_type: str
    etag: str | None
    last_modified: str | None
    fresh_for: float
    """Seconds."""
    lasting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The index says that the page is what it was."""

    fresh_for: float | None
    """Seconds; `None` where it does not say."""


@dataclass(slots=True)
class Fetcher:
    """Connections to the user's indexes, made when they are first needed."""

    network: Network
    _clients: dict[bool, httpx.Client] = field(default_factory=dict)
    _trust: Later | None = None
    _former: list[httpx.Client] = field(default_factory=list)
    """Those that trusted less, in which others may still be at work."""
    _told: dict[str, Credentials | None] = field(default_factory=dict)
    """What the keyring said, by the index's key."""
    _sockets: WeakSet[socket.socket] = field(default_factory=WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def fetch(self, upstream: Upstream, url: str, known: Validators, body: Writing) -> Fetched | Unchanged:
        """Write the page at *url* to *body*, unless it is what is *known*; raises `PageError`."""
        trust = self._find_trust()
        deadline = self.network.clock() + TOTAL * self.network.timeout
        conditions = {"if-none-match": known.etag, "if-modified-since": known.last_modified}
        headers = {"accept": ACCEPT, **{name: value for name, value in conditions.items() if value}}
        with self._in_words(url):
            import httpx

            try:
                return self._follow(upstream, url, headers, body, deadline)
            except httpx.ConnectError as error:
                if not is_distrust(error) or trust.result().complete:
                    raise
                self._trust_more(trust)
                return self._follow(upstream, url, headers, body, deadline)

    def prepare(self) -> None:
        """Begin to read the certificates, and import httpx: what takes longest before the first request."""
        self._find_trust()
        import httpcore  # noqa: F401 - which httpx imports only when a client is made
        import httpx  # noqa: F401

    def credentials(self, upstream: Upstream) -> Credentials | None:
        """Return what this index is asked with: of its URL, else of netrc, else what the keyring has told."""
        if told := self._told.get(upstream.key):
            return told
        own = credentials_in(upstream.url)
        return own if own and own[1] else self._of_netrc(upstream) or own

    def close(self) -> None:
        """Cut every connection, so that nobody waits for an answer any longer."""
        with self._lock:
            self._closed = True
            clients, sockets = (*self._clients.values(), *self._former), tuple(self._sockets)
        for each in sockets:
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # under TLS too, whose own would break its reader
        for client in clients:
            client.close()
        if self._trust is not None:
            self._trust.wait()

    def _follow(
        self, upstream: Upstream, url: str, headers: Mapping[str, str], body: Writing, deadline: float
    ) -> Fetched | Unchanged:
        """Follow redirects to where the page is."""
        start, sent = url, self.credentials(upstream)
        hops = 0
        while hops <= REDIRECTS:
            own = origin(url) == origin(upstream.url)
            with self._answer(upstream, url, headers, sent if own else None) as response:
                if response.status_code == 401 and own and (told := self._ask_keyring(upstream)) not in (None, sent):
                    sent = told
                    continue
                if not response.has_redirect_location:
                    return self._receive(response, url, body, deadline, conditional=len(headers) > 1)
                url = _next(upstream, url, response.headers["location"])
                hops += 1
        raise PageError(f"the index redirects more than {REDIRECTS} times", status=502, where=start)

    @contextmanager
    def _answer(
        self, upstream: Upstream, url: str, headers: Mapping[str, str], credentials: Credentials | None
    ) -> Iterator[httpx.Response]:
        client = self._client(insecure=upstream.insecure and origin(url) == origin(upstream.url))
        extensions = {"trace": self._trace}
        with client.stream("GET", url, headers=dict(headers), auth=credentials, extensions=extensions) as response:
            yield response

    def _receive(
        self, response: httpx.Response, url: str, body: Writing, deadline: float, *, conditional: bool
    ) -> Fetched | Unchanged:
        caching = _caching(response)
        if response.status_code == 304 and conditional:
            return Unchanged(fresh_for=_fresh_for(response, caching) if caching else None)
        if response.status_code != 200:
            raise _refused(response, url)
        for block in decoded(response.iter_raw(), response.headers.get("content-encoding", ""), url):
            body.write(block)
            if self.network.clock() > deadline:
                raise PageError("the index is too slow", status=504, where=url)
        return Fetched(
            url=url,
            content_type=_header(response, "content-type") or "",
            etag=_header(response, "etag"),
            last_modified=_header(response, "last-modified"),
            fresh_for=_fresh_for(response, caching),
            lasting="no-store" not in caching,
        )

    def _find_trust(self) -> Later:
        """Begin to read the certificates: that takes as long as the import of httpx, and both go on at once."""
        with self._lock:
            if self._closed:
                raise PageError("guard is shutting down", status=503)
            if self._trust is None:
                own = self.network.certificates
                found = default_trust if self.network.by_name else complete_trust
                self._trust = Later(found if own is None else lambda: Trust(context=own(), complete=True))
            return self._trust

    def _trust_more(self, before: Later) -> None:
        """Verify new connections by all certificates that there are, if that was not done since *before*."""
        with self._lock:
            if self._trust is before and not self._closed:
                self._trust = Later(complete_trust)
                self._former += [self._clients.pop(False)] if False in self._clients else []

    def _client(self, *, insecure: bool) -> httpx.Client:
        """The client that heeds the user's proxies, and certificates unless told not to."""
        self._find_trust()
        import httpx

        with self._lock:
            trust = self._trust
            if self._closed or trust is None:
                raise PageError("guard is shutting down", status=503)
            if insecure not in self._clients:
                seconds = self.network.timeout
                self._clients[insecure] = httpx.Client(
                    verify=unverified_context() if insecure else trust.result().context,
                    timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS), pool=TOTAL * seconds),
                    limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                    headers={"user-agent": "installguard", "accept-encoding": "gzip"},
                    follow_redirects=False,
                )
            return self._clients[insecure]

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a new connection (httpcore's trace extension), so that it can be cut."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            connection = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(connection)
                closed = self._closed
            if closed:
                connection.close()

    def _ask_keyring(self, upstream: Upstream) -> Credentials | None:
        """Ask for credentials once, however many pages need them."""
        with self._asking:
            if upstream.key not in self._told:
                self._told[upstream.key] = self.network.credentials(upstream.url)
            return self._told[upstream.key]

    def _of_netrc(self, upstream: Upstream) -> Credentials | None:
        from netrc import NetrcParseError, netrc

        if self.network.netrc is None:
            return None
        try:
            found = netrc(str(self.network.netrc)).authenticators(urlsplit(upstream.url).hostname or "")
        except (OSError, ValueError, NetrcParseError):  # no such file, or one that other tools cannot read either
            return None
        return (found[0], found[2] or "") if found else None

    @contextmanager
    def _in_words(self, url: str) -> Iterator[None]:
        """Turn whatever httpx and the network raise into one line."""
        import ssl

        import httpx

        try:
            yield
        except httpx.TimeoutException as error:
            what = f"the index did not answer within {self.network.timeout:g} s"
            raise PageError(what, status=504, where=url) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, ValueError, RuntimeError) as error:
            what = str(error) or type(error).__name__
            raise PageError(f"the index cannot be reached: {what}", status=502, where=url) from error
        except (ssl.SSLError, OSError, ImportError) as error:
            raise PageError(f"the index cannot be asked: {error}", status=502, where=url) from error


def decoded(blocks: Iterator[bytes], encoding: str, where: str) -> Iterator[bytes]:
    """Yield the body in small blocks, however much one block was packed from; raises `PageError`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        yield from blocks
        return
    if encoding not in ("gzip", "x-gzip"):
        raise PageError("the index answered in an encoding that was not asked for", status=502, where=where)
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for block in blocks:
            while block and not unpacker.eof:
                yield unpacker.decompress(block, BLOCK)
                block = unpacker.unconsumed_tail
    except zlib.error as error:
        raise PageError("the index's page is damaged", status=502, where=where) from error
    if not unpacker.eof:
        raise PageError("the index's page is cut short", status=502, where=where)


def _next(upstream: Upstream, url: str, location: str) -> str:
    """Return where a redirect leads; raises `PageError` where it may not."""
    try:
        target = without_credentials(urljoin(url, location)).partition("#")[0]
        scheme, host, _ = origin(target)
    except ValueError:
        scheme, host, target = "", "", url
    plain = urlsplit(upstream.url).scheme == "http"
    if not host or not (scheme == "https" or (scheme == "http" and plain)):
        raise PageError("the index redirects to a place that is not as safe as its own URL", status=502, where=url)
    return target


def _refused(response: httpx.Response, url: str) -> PageError:
    """Return the index's own refusal."""
    status = response.status_code
    passed = 400 <= status <= 599
    challenge = _header(response, "www-authenticate") if status == 401 else None
    said = f"{status} {response.reason_phrase}".strip()
    return PageError(f"the index answered {said}", status=status if passed else 502, where=url, challenge=challenge)


def _header(response: httpx.Response, name: str) -> str | None:
    value: str = response.headers.get(name, "")
    return value if 0 < len(value) <= 500 and value.isascii() and value.isprintable() else None


def _caching(response: httpx.Response) -> dict[str, str]:
    """Return the directives of `Cache-Control`."""
    pairs = (each.partition("=") for each in response.headers.get("cache-control", "").lower().split(","))
    return {name.strip(): value.strip(' "') for name, _, value in pairs if name.strip()}


def _fresh_for(response: httpx.Response, caching: Mapping[str, str]) -> float:
    """Return the seconds for which the page may be used without asking (RFC 9111, a private cache)."""
    if "no-cache" in caching or "no-store" in caching:
        return 0.0
    return max(0.0, _seconds(caching.get("max-age", "")) - _seconds(response.headers.get("age", "")))


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0.0
