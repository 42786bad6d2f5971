"""`guard feed update` over a real server on loopback, with every fault that a server can have."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from installguard.errors import FeedError
from installguard.feeds.imports import import_export
from installguard.feeds.sources import DEFAULT_SOURCES, Bounds, check_url, export_url, redacted
from installguard.feeds.store import open_snapshot, status
from installguard.feeds.update import Failed, Unchanged, Updated, UpdateResult, update
from installguard.model import SnapshotInfo, SourceInfo
from installguard.policy import SourcePolicy

from .feed_samples import NOW, record, write_export

BOUNDS = Bounds(connect=0.5, stalled=0.3, rate=10_000, lock=1.0, rounds=1, pause=0.05)
LATER = NOW + timedelta(hours=2)


@dataclass
class Server:
    """A server whose answer a test decides on."""

    url: str
    answer: Callable[[BaseHTTPRequestHandler], None]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            served.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are part of these tests."""

    http = Quiet(("127.0.0.1", 0), Handler)
    served = Server(url=f"http://127.0.0.1:{http.server_port}", answer=sending(b""))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


def sending(body: bytes, status: int = 200, length: int | None = None, **headers: str) -> Callable[..., None]:
    """An answer of this body; headers by name with underscores."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def tagged(body: bytes, etag: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that knows what the client has."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("If-None-Match") == etag:
            handler.send_response(304)
            handler.end_headers()
        else:
            sending(body, ETag=etag, Last_Modified="Sat, 21 Nov 2026 18:00:00 GMT")(handler)

    return answer


def moved(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return sending(b"", 302, Location=to)


@pytest.fixture
def export(tmp_path: Path) -> bytes:
    return write_export(tmp_path / "export.zip", record("PYSEC-2026-1", versions=["1.0"])).read_bytes()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def seeded(tmp_path: Path, cache: Path) -> Path:
    path = write_export(tmp_path / "seed.zip", record("SEED-1", versions=["1.0"]))
    import_export(path, directory=cache, name="osv", malicious=False, now=NOW)
    return cache


def source(url: str, name: str = "osv") -> SourcePolicy:
    return SourcePolicy(name=name, url=url)


def run(directory: Path, *sources: SourcePolicy, bounds: Bounds = BOUNDS) -> tuple[UpdateResult, ...]:
    return update(directory, sources, now=NOW, bounds=bounds)


def failure(directory: Path, *sources: SourcePolicy, bounds: Bounds = BOUNDS) -> str:
    (result,) = run(directory, *sources, bounds=bounds)
    assert isinstance(result, Failed)
    assert "\n" not in str(result.error)
    return str(result.error)


def ids(directory: Path) -> list[str]:
    with open_snapshot(directory, ()) as snapshot:
        return [one.id for one in snapshot.lookup([canonicalize_name("nice")])]


def info(directory: Path) -> SnapshotInfo:
    return status(directory, [source("http://127.0.0.1")], now=NOW)


def osv(directory: Path) -> SourceInfo:
    (found,) = [each for each in info(directory).sources if each.name == "osv"]
    return found


# ---------------------------------------------------------------- what works


def test_the_zip_of_a_source_is_fetched_whole_and_dated_by_the_fetch(
    server: Server, cache: Path, export: bytes
) -> None:
    server.answer = sending(export)
    (result,) = run(cache, source(f"{server.url}/PyPI/"))
    assert isinstance(result, Updated)
    assert (result.source.records, result.source.taken_at, result.source.url) == (1, NOW, f"{server.url}/PyPI/")
    assert [path for path, _ in server.requests] == ["/PyPI/modified_id.csv", "/PyPI/all.zip"]
    assert ids(cache) == ["PYSEC-2026-1"]


def test_nothing_but_the_snapshot_is_left_in_the_cache(server: Server, cache: Path, export: bytes) -> None:
    server.answer = sending(export)
    run(cache, source(server.url))
    assert sorted(path.name for path in cache.iterdir()) == ["current.json", "lock", "snapshot-1.sqlite"]


def test_a_zip_that_has_nothing_new_costs_one_conditional_request(server: Server, cache: Path, export: bytes) -> None:
    server.answer = tagged(export, '"v1"')
    run(cache, source(f"{server.url}/all.zip"))
    (result,) = update(cache, [source(f"{server.url}/all.zip")], now=LATER, bounds=BOUNDS)
    assert isinstance(result, Unchanged)
    assert result.source.taken_at == info(cache).taken_at == LATER
    assert [headers.get("if-none-match") for _, headers in server.requests] == [None, '"v1"']
    assert server.requests[1][1]["if-modified-since"] == "Sat, 21 Nov 2026 18:00:00 GMT"
    assert (cache / "snapshot-1.sqlite").exists()
    assert ids(cache) == ["PYSEC-2026-1"]


def test_a_source_that_moved_or_was_damaged_is_fetched_unconditionally(
    server: Server, cache: Path, export: bytes
) -> None:
    server.answer = tagged(export, '"v1"')
    run(cache, source(f"{server.url}/one.zip"))
    run(cache, source(f"{server.url}/two.zip"))
    (cache / "current.json").write_text("rubbish")
    run(cache, source(f"{server.url}/two.zip"))
    assert [headers.get("if-none-match") for _, headers in server.requests] == [None, None, None]
    assert info(cache).problem is None


def test_progress_is_told_in_bytes(server: Server, cache: Path, export: bytes) -> None:
    server.answer = sending(export)
    told: list[tuple[str, int, int | None]] = []
    update(cache, [source(server.url)], now=NOW, bounds=BOUNDS, progress=lambda *args: told.append(args))
    assert told[-1] == ("osv", len(export), len(export))


def test_a_redirect_on_loopback_is_followed(server: Server, cache: Path, export: bytes) -> None:
    server.answer = lambda handler: (
        sending(export)(handler) if handler.path == "/real.zip" else moved("/real.zip")(handler)
    )
    (result,) = run(cache, source(server.url))
    assert isinstance(result, Updated)


def test_a_source_that_is_a_path_is_read_and_dated_by_its_reading(tmp_path: Path, cache: Path, export: bytes) -> None:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "all.zip").write_bytes(export)
    (result,) = run(cache, source(str(folder)))
    assert isinstance(result, Updated)
    assert (result.source.taken_at, ids(cache)) == (NOW, ["PYSEC-2026-1"])


def test_one_failing_source_keeps_no_other_from_being_updated(server: Server, cache: Path, export: bytes) -> None:
    server.answer = lambda handler: sending(export if "good" in handler.path else b"")(handler)
    results = run(cache, source(f"{server.url}/bad", "bad"), source(f"{server.url}/good", "good"))
    assert [type(result) for result in results] == [Failed, Updated]
    assert {each.name: (each.records, bool(each.last_error)) for each in status(cache, []).sources[:2]} == {
        "bad": (0, True),
        "good": (1, False),
    }


def test_a_success_clears_the_last_error(server: Server, cache: Path, export: bytes) -> None:
    server.answer = sending(b"", 500)
    run(cache, source(server.url))
    assert osv(cache).last_error is not None
    server.answer = sending(export)
    run(cache, source(server.url))
    assert osv(cache).last_error is None


# ---------------------------------------------------------------- what goes wrong


def trickle_head(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(100):
        handler.wfile.write(b"H")
        time.sleep(0.05)


def trickle_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"PK")
        handler.wfile.flush()
        time.sleep(0.05)


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.0)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


FAULTS: list[tuple[str, Callable[[BaseHTTPRequestHandler], None], str]] = [
    ("not found", sending(b"<html>", 404), "the server answered 404"),
    ("broken", sending(b"", 500), "the server answered 500"),
    ("partial", sending(b"PK", 206), "the server answered 206"),
    ("html", sending(b"<html>hello", Content_Type="text/html"), "is no zip (it begins with b'<h')"),
    ("empty", sending(b""), "is no zip"),
    ("truncated", sending(b"PK\x03\x04" + b"x" * 50), "is no zip that can be read"),
    ("empty zip", sending(b"PK\x05\x06" + b"\0" * 18), "holds no record of PyPI"),
    ("too short", sending(b"PK\x03\x04", length=4000), "cannot be fetched"),
    ("too long", sending(b"PK", length=1 << 31), "is larger than 64 MiB"),
    ("encoded", sending(b"PK", Content_Encoding="gzip"), "in an encoding that was not asked for"),
    ("loop", moved("/PyPI/all.zip"), "redirects more than 5 times"),
    ("astray", moved("http://example.org/all.zip"), "is neither https nor http on loopback"),
    ("odd scheme", moved("file:///etc/passwd"), "is neither https nor http on loopback"),
    ("no place", moved("http://[::1"), "cannot be fetched"),
    ("unasked", sending(b"", 304), "the server answered 304"),
    ("slow head", trickle_head, "cannot be fetched"),
    ("slow body", trickle_body, "slower than 10000 bytes a second"),
    ("silent", silent, "did not answer in time"),
    ("hangs up", hang_up, "cannot be fetched"),
]


@pytest.mark.parametrize(("answer", "message"), [pytest.param(*rest, id=name) for name, *rest in FAULTS])
def test_a_fault_of_the_server_is_told_and_the_old_snapshot_stays(
    server: Server, seeded: Path, answer: Callable[[BaseHTTPRequestHandler], None], message: str
) -> None:
    server.answer = answer
    before, start = osv(seeded), time.monotonic()
    error = failure(seeded, source(f"{server.url}/PyPI"))
    assert message in error
    assert time.monotonic() - start < 2
    assert osv(seeded) == replace(before, last_error=error)
    assert ids(seeded) == ["SEED-1"]


def test_a_body_beyond_the_bound_is_cut_off_even_when_its_length_is_not_told(server: Server, seeded: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"PK" * 10_000)

    server.answer = answer
    assert "is larger than" in failure(seeded, source(server.url), bounds=replace(BOUNDS, archive=1 << 20))


def test_a_server_that_is_not_there_is_told(seeded: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "cannot be fetched" in failure(seeded, source(f"http://127.0.0.1:{port}"))


def test_a_bomb_that_was_fetched_is_refused(server: Server, tmp_path: Path, seeded: Path) -> None:
    bomb = write_export(tmp_path / "bomb.zip", record(versions=["1"], details=" " * 3_000_000))
    server.answer = sending(bomb.read_bytes())
    assert "compressed more than 200 times" in failure(seeded, source(server.url))


def test_an_update_into_a_place_that_cannot_be_written_is_told(server: Server, tmp_path: Path, export: bytes) -> None:
    server.answer = sending(export)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in failure(tmp_path / "file" / "cache", source(server.url))


def test_a_path_where_nothing_is_is_told(tmp_path: Path, seeded: Path) -> None:
    assert "there is no such file" in failure(seeded, source(str(tmp_path / "nowhere")))
    assert ids(seeded) == ["SEED-1"]


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "ftp://127.0.0.1/x", "http://127.0.0.1.example.org/", "https:///x", "http://[::1", "x"],
)
def test_urls_that_are_neither_https_nor_on_loopback_are_refused(url: str) -> None:
    with pytest.raises(FeedError):
        check_url(url)


@pytest.mark.parametrize("url", ["https://example.org", "http://localhost:1/x", "http://127.9.9.9/x", "http://[::1]/x"])
def test_https_and_loopback_are_allowed(url: str) -> None:
    check_url(url)


def test_a_redirect_from_elsewhere_to_loopback_is_refused() -> None:
    with pytest.raises(FeedError, match=r"redirected from https://example\.org/a"):
        check_url("http://127.0.0.1/x", came_from="https://user:secret@example.org/a?token=1")


def test_credentials_are_never_shown() -> None:
    assert redacted("https://user:secret@example.org:8443/a?token=1#x") == "https://example.org:8443/a"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/PyPI", "https://example.org/PyPI/all.zip"),
        ("https://example.org/PyPI/?token=1", "https://example.org/PyPI/all.zip?token=1"),
        ("https://example.org/feed.zip", "https://example.org/feed.zip"),
        ("https://example.org", "https://example.org/all.zip"),
    ],
)
def test_a_source_is_the_base_folder_of_its_export_or_a_zip(url: str, expected: str) -> None:
    assert export_url(url) == expected


def test_the_default_sources_are_fetched_over_https() -> None:
    assert [(source.name, source.kind) for source in DEFAULT_SOURCES] == [
        ("osv", "osv"), ("kev", "exploited"), ("popular", "popular"),
    ]  # fmt: skip
    for source in DEFAULT_SOURCES:
        check_url(source.url)
