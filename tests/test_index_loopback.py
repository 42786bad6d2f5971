"""The loopback index: judged pages, who gets them, and when the index behind it is asked."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timezone
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name

from installguard.errors import FeedError
from installguard.index import judged, late
from installguard.index.addresses import PORTS, SLOTS
from installguard.index.keeping import SMALL, Shelf
from installguard.index.loopback import LoopbackIndex
from installguard.index.pages import Denied, Hidden
from installguard.index.serving import CONNECTIONS
from installguard.index.upstream import Upstream, parse_upstream

from .index_site import Front, Reply, Site, ask, entry, get, serve_site

WHEEL = "thing-1.0-py3-none-any.whl"
NEWER = "thing-2.0-py3-none-any.whl"


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site(Site()) as served:
        yield served


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(home=tmp_path)


def test_a_page_that_nothing_is_held_against_comes_as_the_index_has_it(site: Site, front: Front) -> None:
    content = {
        "meta": {"api-version": "1.4", "_last-serial": 12345678901234567890},
        "name": "thing",
        "versions": ["1.0"],
        "project-status": {"status": "active"},
        "alternate-locations": [],
        "files": [
            {
                "filename": WHEEL,
                "url": f"https://files.example.org/a/{WHEEL}",
                "hashes": {"sha256": "ab" * 32, "blake2b": "cd"},
                "size": 12,
                "upload-time": "2026-01-02T03:04:05.678901Z",
                "yanked": False,
                "requires-python": ">=3.8,<4",
                "core-metadata": {"sha256": "ef" * 32},
                "provenance": "https://index.example.org/attestation",
                "unheard-of": {"deep": [1, 2.5, None, "\u20ac"]},
            }
        ],
    }
    site.put_json("thing", content)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, got.headers["content-type"]) == (200, "application/vnd.pypi.simple.v1+json")
    assert got.json == content


def test_a_denied_file_keeps_its_place_but_its_url_answers_403_with_the_reason(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, NEWER)
    front.screen.decisions[WHEEL] = Denied(reason="malicious: MAL-2099-1 / see it")
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
        denied = get(got.urls[WHEEL])
        metadata = get(f"{got.urls[WHEEL]}.metadata", method="HEAD")
        asked = index.denied
    assert list(got.urls) == [WHEEL, NEWER]
    assert got.urls[NEWER] == f"https://files.example.org/{NEWER}"
    assert (denied.status, denied.reason) == (403, "malicious: MAL-2099-1 / see it")
    assert (metadata.status, metadata.body) == (403, b"")
    assert [(each.project, each.filename, each.reason) for each in asked] == [
        ("thing", WHEEL, "malicious: MAL-2099-1 / see it")
    ]


def test_a_file_whose_url_names_another_is_denied_though_the_screen_does_not_mind(site: Site, front: Front) -> None:
    site.put("thing", {"filename": WHEEL, "url": f"https://files.example.org/{NEWER}"}, NEWER)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
        denied = get(got.urls[WHEEL])
    assert (denied.status, denied.reason) == (403, "its URL names another file")
    assert got.urls[NEWER] == f"https://files.example.org/{NEWER}"


def test_a_hidden_file_is_not_on_the_page(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, NEWER)
    front.screen.decisions[NEWER] = Hidden()
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert list(get(f"{index.address_of(upstream)}thing/").urls) == [WHEEL]


def test_a_reason_cannot_forge_a_header(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    front.screen.decisions[WHEEL] = Denied(reason="bad\r\nSet-Cookie: a=b\x00\x1b[31m \u202e" + "x" * 1000)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        denied = get(get(f"{index.address_of(upstream)}thing/").urls[WHEEL])
        forged = get(f"{index.base}/{upstream.key}/denied/thing/a%0D%0AX-Forged:%20b/{WHEEL}")
    assert denied.status == 403
    assert "set-cookie" not in denied.headers
    assert denied.reason.startswith("bad Set-Cookie: a=b??[31m ?xx")
    assert len(denied.reason) <= 300
    assert forged.reason == "a X-Forged: b"


def test_a_client_that_has_the_page_is_told_so_and_the_index_is_not_asked_while_the_page_is_fresh(
    site: Site, front: Front
) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=600", "ETag": '"one"'})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing/"
        tag = get(url).headers["etag"]
        again = get(url, If_None_Match=f'"other", W/{tag}')
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == "no-cache"
        assert site.statuses == [200]
        front.now.now += 601
        assert get(url, If_None_Match=tag).status == 304
        assert site.statuses == [200, 304]
        front.now.now += 599
        assert get(url, If_None_Match=tag).status == 304
        assert site.statuses == [200, 304]
        assert [each.status for each in index.asked] == [304]
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/", If_None_Match=tag).status == 304
    assert site.statuses == [200, 304]
    assert len(front.screen.pages) == 1


@pytest.mark.parametrize("wish", ["no-cache", "max-age=0"])
def test_a_client_that_wants_it_fresh_gets_it_from_the_index(site: Site, front: Front, wish: str) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=600", "ETag": '"one"'})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing/"
        get(url)
        site.put("thing", WHEEL, NEWER, headers={"Cache-Control": "max-age=600", "ETag": '"two"'})
        assert list(get(url).urls) == [WHEEL]
        assert list(get(url, Cache_Control=wish).urls) == [WHEEL, NEWER]
    assert site.statuses == [200, 200]


@pytest.mark.parametrize("caching", [{}, {"Cache-Control": "no-cache, max-age=600"}, {"Cache-Control": "max-age=9, x"}])
def test_without_freshness_the_index_is_asked_each_time(site: Site, front: Front, caching: dict[str, str]) -> None:
    site.put("thing", WHEEL, headers={**caching, "Age": "10"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing/"
        tag = get(url).headers["etag"]
        assert get(url, If_None_Match=tag).status == 304
    assert site.statuses == [200, 200]


def test_what_may_not_be_stored_is_gone_when_the_run_is_over(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "no-store"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200
        assert index.page(upstream, canonicalize_name("thing")) is not None
    assert [path for path in (front.home / "cache").rglob("*") if path.is_file()] == []


LARGE = [f"thing-{number}.0-py3-none-any.whl" for number in range(SMALL // 60)]


@pytest.mark.parametrize(
    "sizes",
    [
        ("small", "settle", "small", "large"),
        ("large", "small", "large"),
        ("large", "small", "settle", "large", "small"),
    ],
    ids="-".join,
)
def test_of_pages_that_change_while_a_command_runs_only_the_last_is_kept_or_none(
    site: Site, front: Front, sizes: tuple[str, ...]
) -> None:
    upstream = Upstream(url=site.url)
    for headers, files in (({"Cache-Control": "no-store"}, 0), ({}, 2)):
        with front.open(upstream) as index:
            for number, size in enumerate(sizes):
                if size == "settle":
                    index.settle()
                    continue
                newest = f"thing-0.{number}-py3-none-any.whl"
                site.put("thing", newest, *(LARGE if size == "large" else []), headers=headers)
                assert newest in get(f"{index.address_of(upstream)}thing/").urls
        assert len([path for path in (front.home / "cache").rglob("*") if path.is_file()]) == files


def test_a_large_page_that_comes_while_a_small_one_is_written_is_the_one_that_is_kept(
    site: Site, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, writing, fetched = Upstream(url=site.url), threading.Event(), threading.Event()
    put = Shelf.put

    def slow_put(self: Shelf, *args: Any, **more: Any) -> None:
        if not writing.is_set():
            writing.set()
            fetched.wait(1.5)
        put(self, *args, **more)

    monkeypatch.setattr(Shelf, "put", slow_put)
    with front.open(upstream) as index, ThreadPoolExecutor(1) as pool:
        site.put("thing", WHEEL)
        get(f"{index.address_of(upstream)}thing/")
        settling = pool.submit(index.settle)
        writing.wait(5)
        site.put("thing", *LARGE)
        get(f"{index.address_of(upstream)}thing/")
        fetched.set()
        settling.result()
    (facts,) = (front.home / "cache").rglob("page-thing.json")
    assert json.loads(facts.read_bytes())["size"] > SMALL
    assert len(list(facts.parent.iterdir())) == 2


@pytest.mark.parametrize("kind", ["simple", "flat"])
def test_a_local_page_with_nothing_on_it_is_one(front: Front, tmp_path: Path, kind: Literal["simple", "flat"]) -> None:
    (tmp_path / "files" / "thing").mkdir(parents=True)
    if kind == "simple":
        (tmp_path / "files" / "thing" / "index.html").write_bytes(b"")
    upstream = parse_upstream(str(tmp_path / "files"), kind, base=tmp_path)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}{'thing/' if kind == 'simple' else ''}")
    assert (got.status, b"whl" in got.body) == (200, False)


def test_a_new_judgement_counts_for_a_client_that_has_the_page(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=600"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing/"
        tag = get(url).headers["etag"]
        front.screen.decisions[WHEEL] = Denied(reason="no")
        front.screen.version += 1
        again = get(url, If_None_Match=tag)
        assert again.status == 200
        assert "/denied/thing/no/" in again.urls[WHEEL]
    assert site.statuses == [200]


def test_what_the_index_refuses_is_passed_on_and_never_kept(site: Site, front: Front) -> None:
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing/"
        for status in (401, 403, 404, 410, 429, 500, 503):
            challenge = {"WWW-Authenticate": 'Basic realm="index"'} if status == 401 else {}
            site.replies["/simple/thing/"] = Reply(b"long story", status=status, headers=challenge)
            got = get(url)
            assert got.status == status
            assert got.headers.get("www-authenticate") == challenge.get("WWW-Authenticate")
            assert got.reason.startswith(f"{site.url}thing/: the index answered {status}")
            assert b"long story" not in got.body
            assert [(each.project, each.status) for each in index.asked] == [("thing", status)]
        site.replies["/simple/thing/"] = Reply(b"?", status=299)
        assert get(url).status == 502
        assert index.problems == ()
        site.put("thing", WHEEL)
        assert get(url).status == 200


def test_a_page_that_cannot_be_judged_is_not_given_and_the_reason_is_kept(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    front.screen.error = FeedError("the snapshot is gone", now="run 'guard feed update'")
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing/"
        got = get(url)
        assert (got.status, got.reason) == (424, "the snapshot is gone (run 'guard feed update')")
        front.screen.error = ZeroDivisionError("a mistake of ours")
        broken = get(url)
        assert (broken.status, WHEEL.encode() in broken.body) == (424, False)
        assert [str(each).partition(" (")[0] for each in index.problems] == [
            "the snapshot is gone",
            "the page could not be judged: ZeroDivisionError('a mistake of ours')",
        ]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/simple/thing/",
        "/{token}/simple/thing/",
        "/{token}x/{key}/simple/thing/",
        "/{other}/{key}/simple/thing/",
    ],
)
def test_who_does_not_know_the_secret_is_told_nothing(site: Site, front: Front, path: str) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        root, _, token = index.base.rpartition("/")
        got = get(root + path.format(token=token, key=upstream.key, other="A" * len(token)))
        assert (got.status, got.reason, got.body) == (404, "Not Found", b"")
        assert index.asked == ()
    assert site.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "{key}/simple/",
        "{key}/simple/Thing/",
        "{key}/simple/thing..other/",
        "{key}/simple/%2e%2e/",
        "{key}/simple/../",
        "{key}/simple/thing/more/",
        "{key}/simple/" + "a" * 201,
        "{key}/flat/",
        "0123456789abcdef/simple/thing/",
        "http://127.0.0.1/",
    ],
)
def test_what_is_no_page_of_a_configured_index_is_never_asked_for(site: Site, front: Front, path: str) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert get(f"{index.base}/{path.format(key=upstream.key)}").status == 404
    assert site.requests == []


@pytest.mark.parametrize("host", ["evil.example.org", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_header_finds_nothing(site: Site, front: Front, host: str) -> None:
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        port = urlsplit(index.base).port
        assert get(f"{index.address_of(upstream)}thing/", Host=host.format(port=port)).status == 404
    assert site.requests == []


def test_head_has_the_same_head_and_no_body(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        url = f"{index.address_of(upstream)}thing"
        got, head = get(url), get(url, method="HEAD")
    assert (head.status, head.body, head.headers) == (200, b"", got.headers)


def raw(index_base: str, data: bytes, *, wait: float = 5.0) -> bytes:
    """Send bytes, and return everything that comes back until the other end hangs up."""
    parts = urlsplit(index_base)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=wait) as connection:
        connection.sendall(data)
        received = b""
        while block := connection.recv(65536):
            received += block
        return received


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"A" * 20_000, 400),
    ],
)
def test_bytes_that_are_no_plain_request_end_the_connection(front: Front, request_bytes: bytes, status: int) -> None:
    with front.open() as index:
        answer = raw(index.base, request_bytes)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_requests_sent_in_one_go_and_in_pieces_are_answered_in_turn(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        parts = urlsplit(f"{index.address_of(upstream)}thing/")
        one = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode()
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
            connection.sendall(one + b"\r\n" + one)
            time.sleep(0.05)
            connection.sendall(b"Connection: close\r\n\r\n")
            received = b""
            while block := connection.recv(65536):
                received += block
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_the_address_lasts_and_a_second_guard_has_one_of_its_own(front: Front) -> None:
    with front.open() as first, front.open() as second:
        bases = first.base, second.base
    assert len(set(bases)) == 2
    assert len({base.rpartition("/")[2] for base in bases}) == 2
    with front.open() as first, front.open() as second:
        assert (first.base, second.base) == bases


def test_more_guards_than_lasting_addresses_still_have_one_each(front: Front) -> None:
    indexes = [front.open() for _ in range(SLOTS + 2)]
    try:
        bases = [index.__enter__().base for index in indexes]
        assert len(set(bases)) == SLOTS + 2
        assert all(get(f"{base}/").status == 404 for base in bases)
    finally:
        for index in indexes:
            index.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_secret_is_for_its_user_only(front: Front) -> None:
    with front.open() as index:
        base = index.base
    state = front.home / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "index.json").stat().st_mode) == 0o600
    (state / "index.json").chmod(0o644)
    with front.open() as index:
        assert index.base != base
    assert stat.S_IMODE((state / "index.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"slots": []}',
        '{"slots": [1]}',
        '{"slots": [{"port": 80, "token": "' + "a" * 43 + '"}]}',
        '{"slots": [{"port": true, "token": "' + "a" * 43 + '"}]}',
        '{"slots": [{"port": 25000, "token": "short"}]}',
        '{"slots": [{"port": 25000, "token": "../../../../../../../../../../../../../../.."}]}',
        '{"slots": [{"port": 25000}]}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_a_damaged_state_is_made_anew(front: Front, text: str) -> None:
    (front.home / "state").mkdir(mode=0o700)
    file = front.home / "state" / "index.json"
    file.write_text(text)
    file.chmod(0o600)
    with front.open() as index:
        base = index.base
        assert get(f"{base}/").status == 404
    slots = json.loads(file.read_text())["slots"]
    assert [slot["port"] in PORTS for slot in slots] == [True] * SLOTS
    with front.open() as index:
        assert index.base == base


def test_without_a_place_for_its_state_it_serves_all_the_same(site: Site, front: Front) -> None:
    (front.home / "state").write_text("a file")
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200


def test_a_port_that_somebody_else_has_is_passed_over(front: Front) -> None:
    with front.open() as index:
        port, base = urlsplit(index.base).port, index.base
    with socket.create_server(("127.0.0.1", port or 0)), front.open() as index:
        assert index.base != base


def test_it_listens_on_loopback_only(front: Front) -> None:
    with front.open() as index:
        assert urlsplit(index.base).hostname in ("127.0.0.1", "::1")


def test_many_clients_at_once_cost_the_index_one_request_a_page(site: Site, front: Front) -> None:
    names = [f"thing{number}" for number in range(20)]
    for name in names:
        site.put(name, f"{name}-1.0.tar.gz", headers={"Cache-Control": "max-age=60"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index, ThreadPoolExecutor(40) as pool:
        urls = [f"{index.address_of(upstream)}{name}/" for name in names]
        got = list(pool.map(get, urls * 4))
    assert {each.status for each in got} == {200}
    assert sorted(site.paths) == sorted(f"/simple/{name}/" for name in names)


def test_a_connection_stays_open_for_the_next_request(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=60"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        parts = urlsplit(f"{index.address_of(upstream)}thing/")
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        statuses = [ask(connection, path).status for path in (parts.path, f"{parts.path}no/thing", parts.path)]
        connection.close()
    assert statuses == [200, 404, 200]


def test_connections_that_never_ask_make_room_for_one_that_does(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index, ExitStack() as stack:
        parts = urlsplit(f"{index.address_of(upstream)}thing/")
        client = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        stack.callback(client.close)
        assert ask(client, parts.path).status == 200
        for _ in range(CONNECTIONS + 20):
            stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5))
        assert ask(client, parts.path).status == 200
        for _ in range(3):
            another = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
            stack.callback(another.close)
            assert ask(another, parts.path).status == 200


def test_closing_ends_every_thread_though_a_client_is_silent_and_an_index_hangs(site: Site, front: Front) -> None:
    asked = threading.Event()
    released = threading.Event()

    def hang(handler: object) -> None:
        asked.set()
        released.wait(20)

    site.replies["/simple/thing/"] = hang
    before = set(threading.enumerate())
    upstream = Upstream(url=site.url)
    index = front.open(upstream)
    index.__enter__()
    parts = urlsplit(f"{index.address_of(upstream)}thing/")
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 0)),
            socket.create_connection((parts.hostname or "", parts.port or 0)) as waiting,
        ):
            waiting.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            assert asked.wait(5)
            started = time.monotonic()
            index.close()
            ours = [thread for thread in threading.enumerate() if thread not in before and "guard-" in thread.name]
            for thread in ours:
                thread.join(1.0)
            assert [thread for thread in ours if thread.is_alive()] == []
            assert time.monotonic() - started < 1.0
    finally:
        released.set()


def test_offline_only_what_is_kept_is_served_however_old(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        get(f"{index.address_of(upstream)}thing/")
    front.now.now += 10_000_000
    with front.open(upstream, offline=True) as index:
        assert list(get(f"{index.address_of(upstream)}thing/").urls) == [WHEEL]
        missing = get(f"{index.address_of(upstream)}other/")
    assert (missing.status, missing.reason) == (424, "guard is offline, and the page is not in its cache")
    assert site.paths == ["/simple/thing/"]


def test_a_damaged_cache_is_fetched_again(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=600", "ETag": '"one"'})
    upstream = Upstream(url=site.url)
    for damage in (b"", b"{}", b"[]", b"\xff", b'{"schema": 1}'):
        with front.open(upstream) as index:
            assert get(f"{index.address_of(upstream)}thing/").status == 200
        (facts,) = (front.home / "cache").rglob("page-thing.json")
        facts.write_bytes(damage)
    assert site.statuses == [200] * 5
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200
        index.settle()
        (body,) = (path for path in (front.home / "cache").rglob("page-thing.*") if path.suffix != ".json")
        body.unlink()
        assert get(f"{index.address_of(upstream)}thing/").status == 200
        index.settle()
        body.write_bytes(body.read_bytes().replace(b"thing", b"evil!"))
        assert get(f"{index.address_of(upstream)}thing/").status == 200
    assert site.statuses == [200] * 8


def test_a_small_page_is_written_when_nobody_waits_and_used_before(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=600"})
    upstream = Upstream(url=site.url)

    def kept() -> list[str]:
        return sorted(path.name.partition(".")[0] for path in (front.home / "cache").rglob("page-*"))

    with front.open(upstream) as index:
        for _ in range(2):
            assert get(f"{index.address_of(upstream)}thing/").status == 200
        page = index.page(upstream, canonicalize_name("thing"))
        assert page is not None
        assert [each.artifact.filename for each in page.entries] == [WHEEL]
        assert kept() == []
        index.settle()
        assert kept() == ["page-thing"] * 2
        assert get(f"{index.address_of(upstream)}thing/").status == 200
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200
    assert site.statuses == [200]


def test_large_pages_and_many_small_ones_are_written_at_once(
    site: Site, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("large", *(f"large-{number}.0-py3-none-any.whl" for number in range(SMALL // 60)))
    small = [site.put(name, f"{name}-1.0-py3-none-any.whl") for name in ("one", "two", "three")]
    upstream, folder = Upstream(url=site.url), front.home / "cache"
    monkeypatch.setattr(late, "MOST_UNWRITTEN", 2.5 * len(small[0].body))
    with front.open(upstream) as index:
        for name, written in (("large", 1), ("one", 1), ("two", 1), ("three", 4)):
            assert get(f"{index.address_of(upstream)}{name}/").status == 200
            assert len(list(folder.rglob("page-*.json"))) == written
    assert sorted(path.name for path in folder.rglob("new-*")) == []


def test_what_is_yet_to_be_written_may_be_asked_for_by_many_while_it_is(
    site: Site, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"thing{number}" for number in range(6)]
    for name in names:
        site.put(name, f"{name}-1.0-py3-none-any.whl", headers={"Cache-Control": "max-age=600"})
    upstream, over = Upstream(url=site.url), threading.Event()
    monkeypatch.setattr(late, "MOST_UNWRITTEN", 300)
    with front.open(upstream) as index, ThreadPoolExecutor(8) as pool:

        def settle() -> None:
            while not over.wait(0.0001):
                index.settle()

        settling = pool.submit(settle)
        got = list(pool.map(lambda name: get(f"{index.address_of(upstream)}{name}/"), names * 20))
        over.set()
        settling.result()
    assert {each.status for each in got} == {200}
    for name in names:
        assert sum(path == f"/simple/{name}/" for path in site.paths) == 1


def test_what_cannot_be_written_stays_in_memory_as_long_as_there_is_room(
    site: Site, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["one", "two", "three"]
    size = max(len(site.put(name, f"{name}-1.0-py3-none-any.whl").body) for name in names)
    monkeypatch.setattr(late, "MOST_UNWRITTEN", 2.5 * size)
    monkeypatch.setattr(judged, "MOST_TAKEN", 0)
    upstream = Upstream(url=site.url)
    (front.home / "cache").write_text("no directory")
    with front.open(upstream) as index:
        for name in names[:2]:
            assert get(f"{index.address_of(upstream)}{name}/").status == 200
            index.settle()
            page = index.page(upstream, canonicalize_name(name))
            assert page is not None
            assert len(page.entries) == 1
        refused = get(f"{index.address_of(upstream)}three/")
    assert (refused.status, "the page cannot be kept" in refused.reason) == (424, True)


def test_a_page_that_was_damaged_on_disk_is_written_again(site: Site, front: Front) -> None:
    site.put("thing", WHEEL, headers={"Cache-Control": "max-age=600"})
    upstream = Upstream(url=site.url)
    for _ in range(2):
        with front.open(upstream) as index:
            assert get(f"{index.address_of(upstream)}thing/").status == 200
        (body,) = (path for path in (front.home / "cache").rglob("page-thing.*") if path.suffix != ".json")
        good = body.read_bytes()
        body.write_bytes(good.replace(b"thing", b"other"))
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200
    assert body.read_bytes() == good


def test_the_page_can_be_had_as_it_was_last_seen_without_asking_the_index(site: Site, front: Front) -> None:
    site.put("thing", WHEEL)
    upstream = Upstream(url=site.url)
    thing, other = canonicalize_name("thing"), canonicalize_name("other")
    with front.open(upstream) as index:
        assert index.page(upstream, thing) is None
        get(f"{index.address_of(upstream)}thing/")
        page = index.page(upstream, thing)
        assert page is not None
        assert [entry.artifact.filename for entry in page.entries] == [WHEEL]
        assert index.page(upstream, other) is None
    assert site.paths == ["/simple/thing/"]


def test_a_local_tree_of_pages_is_served_too(front: Front, tmp_path: Path) -> None:
    root = tmp_path / "in dex"
    (root / "thing").mkdir(parents=True)
    (root / "thing" / "index.html").write_text(f'<a href="../../files/{WHEEL}#sha256={"a" * 64}">x</a>')
    upstream = parse_upstream("in dex", base=tmp_path)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
        missing = get(f"{index.address_of(upstream)}other/")
    assert f'<a href="{(tmp_path / "files" / WHEEL).as_uri()}#sha256={"a" * 64}">{WHEEL}</a>' in got.body.decode()
    assert missing.status == 404


def test_a_local_directory_of_files_is_one_page(front: Front, tmp_path: Path) -> None:
    folder = tmp_path / "wheels & more"
    folder.mkdir()
    for name in (WHEEL, "other-1.0.tar.gz", "notes.txt"):
        (folder / name).touch()
    upstream = parse_upstream(str(folder), "flat", base=tmp_path)
    front.screen.decisions[WHEEL] = Denied(reason="no")
    with front.open(upstream) as index:
        text = get(index.address_of(upstream)).body.decode()
    assert (folder / "other-1.0.tar.gz").as_uri() in text
    assert f"/denied/thing/no/{WHEEL}" in text
    assert "notes.txt" not in text
    (page,) = front.screen.pages
    assert [(entry.project, entry.version) for entry in page.entries] == [("other", "1.0"), ("thing", "1.0")]


def test_a_flat_page_of_links_is_one_page_with_the_files_of_all_projects(site: Site, front: Front) -> None:
    site.replies["/links.html"] = Reply(
        f'<base href="/elsewhere/"><a href="{WHEEL}">a</a><a href="https://h.example.org/other-2.zip">b</a>'.encode(),
        headers={"Content-Type": "text/html"},
    )
    upstream = Upstream(url=f"{site.root}/links.html", kind="flat")
    with front.open(upstream) as index:
        text = get(index.address_of(upstream)).body.decode()
    assert f'href="{site.root}/elsewhere/{WHEEL}"' in text
    assert 'href="https://h.example.org/other-2.zip"' in text


# ---------------------------------------------------------------- large pages

LARGE_PAGE = [f"thing-0.{n}-py3-none-any.whl" for n in range(400)]


def large(site: Site, *more: dict[str, object]) -> None:
    """Offer a page that is searched, not read, once it is known."""
    old = [{**entry(each), "upload-time": "2020-01-01T00:00:00Z"} for each in LARGE_PAGE]
    site.put("thing", *old, *more, headers={"Cache-Control": "max-age=600"})


def test_a_large_page_that_is_known_is_searched_and_not_read_as_a_whole(
    site: Site, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, thing = Upstream(url=site.url), canonicalize_name("thing")
    large(site, {**entry(WHEEL), "upload-time": "2026-05-05T00:00:00Z"})
    with front.open(upstream) as index:
        whole = get(f"{index.address_of(upstream)}thing/")
        assert whole.status == 200
        assert not index.is_searched(upstream, thing), "it was taken apart just now"
    monkeypatch.setattr("installguard.index.judged.read_document", None)
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/", If_None_Match=whole.headers["etag"]).status == 304
        assert index.is_searched(upstream, thing)
        page = index.offered(upstream, thing, "1.0")
        assert page is not None
        assert [each.artifact.filename for each in page.entries] == [WHEEL]
        moments = [datetime(2026, 5, day, tzinfo=timezone.utc).timestamp() for day in (4, 6)]
        assert [index.may_have_younger(upstream, thing, moment) for moment in moments] == [True, False]


@pytest.fixture
def known(site: Site, front: Front) -> Iterator[LoopbackIndex]:
    """An index of which the installer, and guard, have a large page of an earlier run."""
    upstream = Upstream(url=site.url)
    large(site)
    with front.open(upstream) as index:
        tag = get(f"{index.address_of(upstream)}thing/").headers["etag"]
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/", If_None_Match=tag).status == 304
        yield index


def test_a_release_that_is_not_found_in_a_large_page_is_looked_for_in_all_of_it(
    site: Site, known: LoopbackIndex
) -> None:
    page = known.offered(Upstream(url=site.url), canonicalize_name("thing"), "7.0")
    assert page is not None
    assert len(page.entries) == len(LARGE_PAGE)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"files": []}'], ids=repr)
def test_a_large_page_whose_body_is_damaged_is_no_page(
    site: Site, front: Front, known: LoopbackIndex, damage: bytes
) -> None:
    (body,) = (path for path in front.home.rglob("page-thing.*") if path.suffix != ".json")
    body.write_bytes(damage)
    assert known.offered(Upstream(url=site.url), canonicalize_name("thing"), "0.5") is None
