"""What guard does for the user's indexes under uv: logins as uv finds them, and names that two of them offer."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from installguard.frontends.uv.command import parse_command
from installguard.frontends.uv.settings import read_settings
from installguard.uv_scene import insecure_hosts, is_static, trusts

from .index_site import Reply, Site, own_certificate, serve_site
from .loopback import Index, serve
from .packages import make_wheel
from .uv_home import UvHome

KEYRING = """#!/bin/sh
[ "$1" = get ] && [ "$3" = anna ] && echo secret && exit 0
exit 1
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[UvHome]:
    """A home with a fresh feed of nothing that matters, and an index of one project."""
    make_wheel(tmp_path / "files", "nice")
    with serve(Index(tmp_path / "files", json=True)) as index:
        home = UvHome(directory=tmp_path, index=index).make()
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        affected = [{"package": {"ecosystem": "PyPI", "name": "no-such"}, "versions": ["1"]}]
        record = {"id": "MAL-2026-1", "published": now, "modified": now, "affected": affected}
        (tmp_path / "records").mkdir()
        (tmp_path / "records" / "one.json").write_text(json.dumps(record), encoding="utf-8")
        assert home.guard("feed", "import", tmp_path / "records", "--source", "osv").code == 0
        home.make_environment()
        yield home


def test_a_name_that_two_indexes_offer_is_said_under_uv_too(world: UvHome, tmp_path: Path) -> None:
    make_wheel(tmp_path / "others", "nice", "0.5")
    with serve(Index(tmp_path / "others", json=True)) as other:
        options = ["--index", other.url, "--index-strategy", "unsafe-best-match"]
        ran = world.guard("uv", "pip", "install", *options, "nice")
        world.write_project("nice")
        locked = world.guard("uv", "lock", *options)
    assert ran.code == 0, ran.text
    assert "warning[ambiguous-index]: nice 1.0 is offered by 2 indexes" in ran.err
    assert "warning[ambiguous-index]: nice 1.0 is offered by 2 indexes" in locked.err, locked.text


def test_an_index_that_wants_a_login_gets_the_one_of_the_keyring_where_uv_would_ask_it(
    world: UvHome, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(KEYRING, encoding="utf-8")
    program.chmod(0o755)
    world.extra["PATH"] = f"{program.parent}:{world.environ()['PATH']}"
    with behind_a_login(world.index) as (url, logins):
        asked = ["pip", "install", "--default-index", url.replace("://", "://anna@"), "nice"]
        without = world.guard("uv", *asked)
        ran = world.guard("uv", *asked, "--keyring-provider", "subprocess")
    assert without.code != 0, without.text
    assert ran.code == 0, ran.text
    assert "anna:secret" in logins


def test_a_certificate_that_uv_is_told_not_to_check_is_not_checked_by_guard(world: UvHome, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_certificate(tmp_path))
    with serve_site(Site(), context) as site:
        kind, body = world.index.page("nice") or ("", b"")
        body = body.replace(b'"/files/', f'"http://127.0.0.1:{world.index.port}/files/'.encode())
        site.replies["/simple/nice/"] = Reply(body, headers={"Content-Type": kind})
        asked = ["pip", "install", "--default-index", site.url, "nice"]
        refused = world.guard("uv", *asked)
        elsewhere = world.guard("uv", *asked, "--allow-insecure-host", "127.0.0.1:9")
        ran = world.guard("uv", *asked, "--allow-insecure-host", "127.0.0.1")
        world.extra["UV_INSECURE_HOST"] = f"example.org https://127.0.0.1:{site.port}"
        again = world.guard("uv", *asked, "--reinstall")
    assert refused.code != 0
    assert elsewhere.code != 0
    assert "CERTIFICATE_VERIFY_FAILED" in refused.text, refused.text
    assert (ran.code, again.code) == (0, 0), ran.text + again.text


@pytest.mark.parametrize(
    ("hosts", "url", "trusted"),
    [
        ("example.org", "https://example.org/simple", True),
        ("example.org", "https://anna:secret@Example.org:8443/simple", True),
        ("example.org:8443", "https://example.org:8443/simple", True),
        ("https://example.org", "https://example.org:8443/simple", True),
        ("[::1]", "https://[::1]:8443/simple", True),
        ("example.org:8443", "https://example.org/simple", False),
        ("http://example.org", "https://example.org/simple", False),
        ("example.org", "https://example.org.evil.example/simple", False),
        ("example.org", "https://example.org@evil.example/simple", False),
        ("one.example.org,example.org", "https://example.org/simple", False),
        ("*", "https://example.org/simple", True),
        ("", "file:///simple", False),
    ],
)
def test_which_index_is_on_a_host_that_is_trusted(hosts: str, url: str, trusted: bool, tmp_path: Path) -> None:
    settings = read_settings(
        parse_command("uv", ["sync"]), {}, Path.cwd(), user_dir=None, system_dirs=(), version=(0, 13)
    )
    found = insecure_hosts(parse_command("uv", ["pip", "list"]), settings, {"UV_INSECURE_HOST": hosts})
    assert trusts(found, url) is trusted


@pytest.mark.parametrize(
    ("files", "static"),
    [
        ({"pyproject.toml": '[project]\nname = "a"\nversion = "1"\n'}, True),
        ({"pyproject.toml": '[project]\nname = "a"\nversion = "1"\n[build-system]\nrequires = []\n'}, True),
        ({"pyproject.toml": '[tool.uv.workspace]\nmembers = ["m"]\n'}, True),
        ({"pyproject.toml": '[project]\nname = "a"\ndynamic = ["version"]\n'}, False),
        ({"pyproject.toml": "[build-system]\nrequires = []\n"}, False),
        ({"pyproject.toml": "[tool.uv]\n", "setup.py": ""}, False),
        ({"pyproject.toml": '[project]\nname = "a"\nversion = "1"\n[tool.poetry]\nname = "a"\n'}, False),
        ({"pyproject.toml": '[project]\nname = "a"\nversion = "1"\ndependencies = []\n[tool.poetry]\n'}, True),
        ({"pyproject.toml": "["}, False),
        ({}, False),
    ],
)
def test_which_projects_are_locked_without_being_built(files: dict[str, str], static: bool, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert is_static(tmp_path) is static


def test_hosts_are_trusted_by_the_option_else_by_the_variable_and_by_each_file(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text('allow-insecure-host = ["file.example.org"]\n', encoding="utf-8")
    environ = {"UV_INSECURE_HOST": "variable.example.org"}
    found = []
    for words in (["--allow-insecure-host", "option.example.org"], []):
        command = parse_command("uv", ["pip", "install", "nice", *words])
        settings = read_settings(command, environ, tmp_path, user_dir=None, system_dirs=(), version=(0, 13))
        found.append(sorted(insecure_hosts(command, settings, environ)))
    assert found == [["file.example.org", "option.example.org"], ["file.example.org", "variable.example.org"]]


def test_a_name_like_a_popular_one_is_told_when_it_is_new_and_not_when_it_is_upgraded(world: UvHome) -> None:
    files = world.index.files
    make_wheel(files, "requestsq", "1.0")
    first = world.guard("uv", "pip", "install", "requestsq")
    make_wheel(files, "requestsq", "2.0")
    second = world.guard("uv", "pip", "install", "--upgrade", "requestsq")
    assert "warning[similar-name]: requestsq 1.0" in first.err, first.text
    assert (second.code, "similar-name" in second.err) == (0, False), second.text
    assert "2.0" in second.err


@contextmanager
def behind_a_login(index: Index) -> Iterator[tuple[str, set[str]]]:
    """Serve an index's pages to whoever logs in as anna; its files are where they were."""
    logins: set[str] = set()

    class Gate(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            logins.add(login)
            page = index.page(self.path.rstrip("/").rpartition("/")[2]) if login == "anna:secret" else None
            self.send_response(200 if page else 401)
            body = page[1].replace(b'"/files/', f'"http://127.0.0.1:{index.port}/files/'.encode()) if page else b""
            for name, value in (
                ("Content-Type", page[0] if page else "text/plain"),
                ("Content-Length", str(len(body))),
            ):
                self.send_header(name, value)
            if not page:
                self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple/", logins
        finally:
            server.shutdown()
