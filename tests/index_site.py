"""An index on loopback that answers as a test tells it, and what stands in front of it in the tests of that."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from installguard.index.fetching import Fetcher, Network
from installguard.index.loopback import LoopbackIndex
from installguard.index.pages import Decision, Page
from installguard.index.upstream import Upstream

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Reply:
    """What is answered at a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    conditional: bool = True
    """Whether a request that names its `ETag` is answered 304."""


Handle = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """Replies by path, and every request with its headers in lower case."""

    replies: dict[str, Reply | Handle] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], int]] = field(default_factory=list)
    """Path, headers, status of the answer (0 where a handler of its own answered)."""
    port: int = 0
    secure: bool = False

    @property
    def root(self) -> str:
        """The site's own URL, without a slash at its end."""
        return f"http{'s' if self.secure else ''}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The index URL."""
        return f"{self.root}/simple/"

    def put(self, project: str, *files: Mapping[str, Any] | str, headers: Mapping[str, str] | None = None) -> Reply:
        """Answer for a project by a JSON page of these files, each an entry or a file name."""
        return self.put_json(project, {"meta": {"api-version": "1.1"}, "files": list(map(entry, files))}, headers)

    def put_json(self, project: str, content: object, headers: Mapping[str, str] | None = None) -> Reply:
        """Answer for a project by any JSON."""
        reply = Reply(json.dumps(content).encode(), headers={"Content-Type": JSON, **(headers or {})})
        self.replies[f"/simple/{project}/"] = reply
        return reply

    def put_html(self, project: str, text: str) -> Reply:
        """Answer for a project by HTML."""
        reply = Reply(text.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
        self.replies[f"/simple/{project}/"] = reply
        return reply

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [path for path, _, _ in self.requests]

    @property
    def statuses(self) -> list[int]:
        """How they were answered."""
        return [status for _, _, status in self.requests]


def entry(file: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Return the entry of a file of which only the name matters."""
    if not isinstance(file, str):
        return file
    return {"filename": file, "url": f"https://files.example.org/{file}", "hashes": {"sha256": "0" * 64}}


@contextmanager
def serve_site(site: Site, context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve a site on a free port, over TLS where there is a *context* for that."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = site.replies.get(self.path, Reply(b"none", status=404))
            if not isinstance(reply, Reply):
                site.requests.append((self.path, headers, 0))
                reply(self)
                return
            tag = reply.headers.get("ETag")
            status = 304 if tag and reply.conditional and headers.get("if-none-match") == tag else reply.status
            site.requests.append((self.path, headers, status))
            self.send_response(status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            body = b"" if status == 304 else reply.body
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command == "GET" else b"")

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the other end left

    server = Quiet(("127.0.0.1", 0), Handler)
    site.port, site.secure = server.server_address[1], context is not None
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Listed:
    """A screen that decides by file name."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    version: int = 1
    pages: list[Page] = field(default_factory=list)
    """What it was asked about."""
    error: Exception | None = None

    def digest(self) -> str:
        return str(self.version)

    def __call__(self, page: Page) -> Mapping[str, Decision]:
        self.pages.append(page)
        if self.error is not None:
            raise self.error
        return self.decisions


class Clock:
    """Tells the time that it is set to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def clock_of_the_system() -> float:
    """Seconds that only go forward."""
    import time

    return time.monotonic()


@dataclass
class Front:
    """How the loopback indexes of one test are made."""

    home: Path
    screen: Listed = field(default_factory=Listed)
    now: Clock = field(default_factory=Clock)
    network: Network = field(default_factory=lambda: Network(timeout=5.0, clock=clock_of_the_system))

    def open(self, *upstreams: Upstream, offline: bool = False) -> LoopbackIndex:
        """Return an index to be entered."""
        return LoopbackIndex(
            upstreams,
            screen=self.screen,
            state=self.home / "state",
            cache=self.home / "cache",
            fetcher=lambda: Fetcher(network=self.network),
            now=self.now,
            offline=offline,
        )


@dataclass(frozen=True)
class Got:
    """An answer as a client sees it."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def urls(self) -> dict[str, str]:
        """Where a JSON page says that files are, by file name."""
        return {file["filename"]: file["url"] for file in self.json["files"]}


def get(url: str, *, method: str = "GET", **headers: str) -> Got:
    """Ask once, over a connection of its own; `_` in a header's name stands for `-`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        return ask(connection, parts.path, method=method, **headers)
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, path: str, *, method: str = "GET", **headers: str) -> Got:
    """Ask over a connection that stays open."""
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    return Got(response.status, response.reason, {k.lower(): v for k, v in response.getheaders()}, body)


def own_certificate(directory: Path) -> Path:
    """Write a certificate for 127.0.0.1 that nobody has signed, with its key."""
    now = datetime.now(timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    begun = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = begun.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = dated.add_extension(names, critical=False).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = directory / "own.pem"
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path
