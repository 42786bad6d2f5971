"""What the loopback index asks of the indexes behind it: credentials, redirects, trouble, and how much it takes."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from installguard.fronting import fetcher
from installguard.index import certificates, fetching
from installguard.index.certificates import Trust
from installguard.index.fetching import Network, decoded
from installguard.index.room import Room
from installguard.index.upstream import Upstream

from .index_site import JSON, Front, Reply, Site, clock_of_the_system, entry, get, own_certificate, serve_site

WHEEL = "thing-1.0-py3-none-any.whl"


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site(Site()) as served:
        yield served


@pytest.fixture
def other() -> Iterator[Site]:
    """Another origin: the same host, another port."""
    with serve_site(Site()) as served:
        yield served


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(home=tmp_path)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def redirect(location: str) -> Reply:
    return Reply(status=302, headers={"Location": location})


def with_user(url: str, userinfo: str) -> str:
    return url.replace("://", f"://{userinfo}@")


def sent(site: Site) -> list[str | None]:
    """The `Authorization` of every request."""
    return [headers.get("authorization") for _, headers, _ in site.requests]


def test_the_credentials_of_the_url_are_sent_and_stand_in_no_page_and_no_file(site: Site, front: Front) -> None:
    site.put("thing", {"filename": WHEEL, "url": f"../../files/{WHEEL}"})
    upstream = Upstream(url=with_user(site.url, "bob:s%40cret"))
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
        assert index.credentials(upstream) == ("bob", "s@cret")
        assert "cret" not in repr(index.asked)
    assert sent(site) == [basic("bob", "s@cret")]
    assert got.urls == {WHEEL: f"{site.root}/files/{WHEEL}"}
    (page,) = front.screen.pages
    assert page.entries[0].artifact.index == site.url
    assert b"cret" not in b"".join(path.read_bytes() for path in front.home.rglob("*") if path.is_file())


def test_the_address_does_not_change_with_the_credentials() -> None:
    urls = (
        "https://index.example.org/simple",
        "https://a:b@index.example.org/simple/",
        "https://c@index.example.org/simple",
    )
    assert len({Upstream(url=url).key for url in urls}) == 1
    assert Upstream(url=urls[0], kind="flat").key != Upstream(url=urls[0]).key


def test_netrc_is_heeded(site: Site, front: Front, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login carol password of-netrc\n")
    netrc.chmod(0o600)
    front.network = Network(timeout=5, clock=clock_of_the_system, netrc=netrc)
    for url in (site.url, with_user(site.url, "dave:own")):
        upstream = Upstream(url=url)
        with front.open(upstream) as index:
            get(f"{index.address_of(upstream)}thing/")
    netrc.write_text("machine")
    with front.open(Upstream(url=site.url)) as index:
        get(f"{index.address_of(Upstream(url=site.url))}thing/")
    assert sent(site) == [basic("carol", "of-netrc"), basic("dave", "own"), None]


def guarded(site: Site, authorization: str) -> None:
    """Let the site answer 401 to whoever does not send this."""
    page = site.put("thing", WHEEL)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        known = handler.headers.get("authorization") == authorization
        handler.send_response(200 if known else 401)
        handler.send_header("Content-Type", JSON)
        handler.send_header("Content-Length", str(len(page.body)))
        handler.end_headers()
        handler.wfile.write(page.body)

    site.replies["/simple/thing/"] = answer


def test_the_keyring_is_asked_once_after_a_401(site: Site, front: Front) -> None:
    guarded(site, basic("erin", "of-keyring"))
    asked: list[str] = []

    def keyring(url: str) -> tuple[str, str]:
        asked.append(url)
        time.sleep(0.05)
        return "erin", "of-keyring"

    front.network = Network(timeout=5, clock=clock_of_the_system, credentials=keyring)
    upstream = Upstream(url=with_user(site.url, "erin"))
    with front.open(upstream) as index, ThreadPoolExecutor(8) as pool:
        got = list(pool.map(get, [f"{index.address_of(upstream)}thing/"] * 8))
    assert {each.status for each in got} == {200}
    assert asked == [upstream.url]


def test_a_keyring_that_knows_nothing_leaves_the_401(site: Site, front: Front) -> None:
    guarded(site, basic("erin", "of-keyring"))
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert [get(f"{index.address_of(upstream)}thing/").status for _ in range(2)] == [401, 401]
    assert sent(site) == [None, None]


def test_credentials_do_not_follow_a_redirect_to_another_origin(site: Site, other: Site, front: Front) -> None:
    site.replies["/simple/thing/"] = redirect(with_user(f"{other.root}/there/", "mallory:pw"))
    other.replies["/there/"] = redirect(f"{site.root}/simple/back/")
    site.put("back", {"filename": WHEEL, "url": WHEEL})
    upstream = Upstream(url=with_user(site.url, "bob:secret"))
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert sent(site) == [basic("bob", "secret")] * 2
    assert sent(other) == [None]
    assert got.urls == {WHEEL: f"{site.root}/simple/back/{WHEEL}"}


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h.example.org/", "http://", "http://[/", "//"])
def test_a_redirect_to_what_is_no_index_is_not_followed(site: Site, front: Front, location: str) -> None:
    site.replies["/simple/thing/"] = redirect(location)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 502


def test_redirects_come_to_an_end(site: Site, front: Front) -> None:
    site.replies["/simple/thing/"] = redirect("/simple/thing/")
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "redirects more than 10 times" in got.reason, len(site.requests)) == (502, True, 11)


def test_an_index_that_is_not_there_or_not_speaking_http_is_told_in_one_line(front: Front) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    upstream = Upstream(url=f"http://127.0.0.1:{port}/simple/")
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "cannot be reached" in got.reason) == (502, True)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\nContent-Length: 900\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    ],
)
def test_an_answer_that_is_broken_is_no_page(front: Front, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(said)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        upstream = Upstream(url=f"http://127.0.0.1:{listener.getsockname()[1]}/simple/")
        with front.open(upstream) as index:
            got = get(f"{index.address_of(upstream)}thing/")
        thread.join(5)
    assert got.status == 502
    assert "cannot be reached" in got.reason


def test_an_index_that_hangs_or_trickles_is_given_up(site: Site, front: Front) -> None:
    released = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", JSON)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not released.wait(0.05):
            handler.wfile.write(b" ")

    def hang(handler: BaseHTTPRequestHandler) -> None:
        released.wait(20)

    site.replies["/simple/hangs/"] = hang
    site.replies["/simple/trickles/"] = trickle
    front.network = Network(timeout=0.2, clock=clock_of_the_system)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        started = time.monotonic()
        hung = get(f"{index.address_of(upstream)}hangs/")
        trickled = get(f"{index.address_of(upstream)}trickles/")
        seconds = time.monotonic() - started
    released.set()
    assert (hung.status, "did not answer within 0.2 s" in hung.reason) == (504, True)
    assert (trickled.status, "too slow" in trickled.reason) == (504, True)
    assert seconds < 4


def test_a_packed_page_is_unpacked_and_a_damaged_or_foreign_one_refused(site: Site, front: Front) -> None:
    body = json.dumps({"files": [entry(WHEEL)]}).encode()
    packed = gzip.compress(body)
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
    upstream = Upstream(url=site.url)
    statuses = {}
    with front.open(upstream) as index:
        for name, data, coding in [
            ("whole", packed, "gzip"),
            ("short", packed[:-9], "gzip"),
            ("damaged", packed[:20] + b"\xff\xff" + packed[22:], "gzip"),
            ("twice", gzip.compress(packed), "gzip, gzip"),
            ("brotli", body, "br"),
        ]:
            site.replies[f"/simple/{name}/"] = Reply(data, headers={**headers, "Content-Encoding": coding})
        site.replies["/simple/thing/"] = site.replies.pop("/simple/whole/")
        for name in ("thing", "short", "damaged", "twice", "brotli"):
            statuses[name] = get(f"{index.address_of(upstream)}{name}/").status
    assert statuses == {"thing": 200, "short": 502, "damaged": 502, "twice": 502, "brotli": 502}


def test_a_bomb_is_unpacked_only_as_far_as_it_is_allowed(site: Site, front: Front) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    site.replies["/simple/thing/"] = Reply(bomb, headers={"Content-Type": JSON, "Content-Encoding": "gzip"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "larger than 64 MiB" in got.reason) == (502, True)
    assert [path for path in (front.home / "cache").rglob("*") if path.is_file()] == []


def test_unpacking_gives_small_blocks_however_well_one_was_packed() -> None:
    bomb = gzip.compress(bytes(20 << 20), 9)
    tracemalloc.start()
    assert sum(map(len, decoded(iter([bomb]), "gzip", "x"))) == 20 << 20
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


def test_a_page_of_twelve_megabytes_is_served(site: Site, front: Front) -> None:
    files = [{**entry(f"thing-{n}-py3-none-any.whl"), "note": "x" * 400} for n in range(20_000)]
    body = site.put("thing", *files).body
    assert len(body) > 12_000_000
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
        assert get(f"{index.address_of(upstream)}thing/", If_None_Match=got.headers["etag"]).status == 304
    assert len(got.urls) == 20_000
    assert len(front.screen.pages[0].entries) == 20_000


def test_room_is_given_to_as_many_as_fit_and_a_giant_has_it_alone() -> None:
    room = Room(10)
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(size: int) -> None:
        with room.taken(size):
            with lock:
                inside.append(size)
                most.append(sum(min(each, 10) for each in inside))
            time.sleep(0.002)
            with lock:
                inside.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 5, 9, 100, 3, 2, 10, 4] * 4))
    assert max(most) <= 10
    assert inside == []


def test_a_form_that_is_no_index_page_is_refused(site: Site, front: Front) -> None:
    site.replies["/simple/thing/"] = Reply(b"{}", headers={"Content-Type": "application/octet-stream"})
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "neither JSON nor HTML" in got.reason) == (502, True)


def test_the_index_is_asked_as_installers_ask_it_and_over_few_connections(site: Site, front: Front) -> None:
    for number in range(12):
        site.put(f"thing{number}", f"thing{number}-1.tar.gz")
    upstream = Upstream(url=site.url.rstrip("/"))
    with front.open(upstream) as index:
        for number in range(12):
            assert get(f"{index.address_of(upstream)}thing{number}/", Cookie="a=b", X_Other="c").status == 200
    assert [path for path in site.paths if path.count("/") != 3] == []
    _, headers, _ = site.requests[0]
    assert headers["accept"].startswith("application/vnd.pypi.simple.v1+json, ")
    assert {"cookie", "x-other", "authorization"} & set(headers) == set()


def test_a_304_to_no_condition_is_no_page(site: Site, front: Front) -> None:
    site.replies["/simple/thing/"] = Reply(status=304)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 502


def test_certificates_that_cannot_be_read_are_told_in_one_line(site: Site, front: Front) -> None:
    def nowhere() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(front.home / "nowhere.pem"))

    front.network = Network(timeout=5, clock=clock_of_the_system, certificates=nowhere)
    upstream = Upstream(url=site.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "cannot be asked" in got.reason) == (502, True)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return own_certificate(tmp_path)


@pytest.fixture
def secure(certificate: Path) -> Iterator[Site]:
    """An index over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve_site(Site(), context) as served:
        yield served


def test_the_users_certificates_decide_which_server_is_believed(secure: Site, front: Front, certificate: Path) -> None:
    secure.put("thing", WHEEL)
    upstream, insecure = Upstream(url=secure.url), Upstream(url=secure.url, insecure=True)
    with front.open(upstream) as index:
        refused = get(f"{index.address_of(upstream)}thing/")
    with front.open(insecure) as index:
        assert get(f"{index.address_of(insecure)}thing/").status == 200
    front.network = Network(
        timeout=5,
        clock=clock_of_the_system,
        certificates=lambda: ssl.create_default_context(cafile=str(certificate)),
    )
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200
    assert (refused.status, "CERTIFICATE_VERIFY_FAILED" in refused.reason) == (502, True)
    assert secure.statuses == [200, 200]


@pytest.fixture
def named_by_hash(certificate: Path, tmp_path: Path) -> Path:
    """A directory in which OpenSSL finds the certificate by name."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here that could tell a certificate's hash")
    told = [openssl, "x509", "-noout", "-hash", "-in", str(certificate)]
    name = subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip()
    directory = tmp_path / "by-hash"
    directory.mkdir()
    shutil.copy(certificate, directory / f"{name}.0")
    return directory


@pytest.fixture
def read_all(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """Every context for which all certificates were read; the server's is in the file of them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    made: list[ssl.SSLContext] = []

    def read() -> Trust:
        trust = certificates.complete_trust()
        made.append(trust.context)
        return trust

    monkeypatch.setattr(fetching, "complete_trust", read)
    return made


def unrelated(directory: Path) -> Path:
    """Make a directory of hashed names that holds no certificate of any use."""
    made = directory / "unrelated"
    made.mkdir()
    (made / "0123abcd.0").write_text("")
    return made


def test_a_certificate_is_found_by_its_name_and_the_file_of_all_is_not_read(
    secure: Site, front: Front, named_by_hash: Path, read_all: list[ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(named_by_hash))
    secure.put("thing", WHEEL)
    upstream = Upstream(url=secure.url)
    with front.open(upstream) as index:
        assert get(f"{index.address_of(upstream)}thing/").status == 200
    assert (certificates.default_trust().complete, read_all) == (False, [])


def test_where_a_name_does_not_lead_to_a_certificate_all_are_read(
    secure: Site, front: Front, tmp_path: Path, read_all: list[ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(unrelated(tmp_path)))
    upstream, names = Upstream(url=secure.url), [f"thing{number}" for number in range(8)]
    for name in names:
        secure.put(name, WHEEL.replace("thing", name))
    with front.open(upstream) as index, ThreadPoolExecutor(len(names)) as pool:
        statuses = [got.status for got in pool.map(get, [f"{index.address_of(upstream)}{each}/" for each in names])]
        assert statuses == [200] * len(names)
        assert get(f"{index.address_of(upstream)}thing0/").status == 200
    assert len(read_all) == 1


@pytest.mark.parametrize("named", ["file", "both", "directory"])
def test_who_is_not_trusted_by_any_certificate_is_refused(
    secure: Site, front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", "" if named == "directory" else str(own_certificate(tmp_path / "other")))
    monkeypatch.setenv("SSL_CERT_DIR", "" if named == "file" else str(unrelated(tmp_path)))
    secure.put("thing", WHEEL)
    upstream = Upstream(url=secure.url)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "CERTIFICATE_VERIFY_FAILED" in got.reason) == (502, True)
    assert secure.statuses == []


@pytest.mark.parametrize(
    ("variables", "by_name"),
    [
        ({}, True),
        ({"SSL_CERT_FILE": "/a", "SSL_CERT_DIR": "/b"}, True),
        ({"SSL_CERT_DIR": "/b"}, True),
        ({"SSL_CERT_FILE": "/a", "SSL_CERT_DIR": ""}, False),
        ({"SSL_CERT_FILE": "/a"}, False),
    ],
)
def test_where_a_user_names_a_file_only_it_is_read_at_once(variables: dict[str, str], by_name: bool) -> None:
    assert fetcher(variables, keyring=False).network.by_name is by_name


def test_a_directory_in_which_nothing_is_found_by_name_is_no_help(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("SSL_CERT_DIR", str(unrelated(tmp_path)))
    assert not certificates.default_trust().complete
    (tmp_path / "empty").mkdir()
    for directory in (tmp_path / "empty", tmp_path / "nowhere"):
        monkeypatch.setenv("SSL_CERT_DIR", str(directory))
        assert certificates.default_trust().complete


def test_only_distrust_is_a_reason_to_read_more_certificates() -> None:
    for error, expected in ((ssl.SSLCertVerificationError(), True), (ssl.SSLError(), False), (OSError(), False)):
        outer = RuntimeError()
        outer.__cause__ = error
        assert certificates.is_distrust(outer) is expected


def test_a_redirect_from_https_to_http_is_not_followed(secure: Site, site: Site, front: Front) -> None:
    secure.replies["/simple/thing/"] = redirect(f"{site.root}/simple/thing/")
    site.put("thing", WHEEL)
    upstream = Upstream(url=secure.url, insecure=True)
    with front.open(upstream) as index:
        got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, "not as safe" in got.reason) == (502, True)
    assert site.requests == []


def test_who_is_believed_unseen_is_so_for_its_own_origin_only(secure: Site, front: Front, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve_site(Site(), context) as elsewhere:
        elsewhere.put("thing", WHEEL)
        secure.replies["/simple/thing/"] = redirect(f"{elsewhere.root}/simple/thing/")
        upstream = Upstream(url=secure.url, insecure=True)
        with front.open(upstream) as index:
            got = get(f"{index.address_of(upstream)}thing/")
    assert (got.status, elsewhere.requests) == (502, [])
