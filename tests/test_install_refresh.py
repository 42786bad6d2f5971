"""An install brings an old snapshot up to date alongside, and is never held longer than `feed.wait`."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from .conftest import malware_record
from .environments import Environment
from .loopback import Index
from .packages import make_wheel

pytestmark = pytest.mark.last_pip


@dataclass
class Export:
    """An OSV export on loopback, and how long it takes to answer."""

    records: list[dict[str, object]]
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> bytes | None:
        """Return what there is at a path."""
        if path.endswith("modified_id.csv"):
            return "".join(f"{each['modified']},{each['id']}\n" for each in self.records).encode()
        for each in self.records:
            if path.endswith(f"/{each['id']}.json"):
                return json.dumps(each).encode()
        return self.zipped() if path.endswith("all.zip") else None

    def zipped(self) -> bytes:
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for each in self.records:
                archive.writestr(f"{each['id']}.json", json.dumps(each))
        return buffer.getvalue()


@contextmanager
def serve(export: Export) -> Iterator[Export]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            export.asked.append(self.path)
            time.sleep(export.seconds)
            body = export.answer(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    export.url = f"http://127.0.0.1:{server.server_address[1]}/PyPI"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield export
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def export() -> Iterator[Export]:
    """An export that names one release nobody asks for."""
    with serve(Export(records=[malware_record("MAL-2099-9", "other", ["1.0"])])) as served:
        yield served


@pytest.fixture
def project(environment: Environment, index: Index, export: Export, tmp_path: Path) -> Path:
    """A project that refreshes its feed at every install; the feed has been fetched once."""
    directory = tmp_path / "project"
    directory.mkdir()
    write_policy(directory, export, refresh="1s", wait="20s")
    make_wheel(index.files, "evil", "1.0")
    fetched = environment.guard("feed", "update", cwd=directory)
    assert fetched.code == 0, fetched.text
    time.sleep(1.1)
    return directory


def write_policy(directory: Path, export: Export, *, refresh: str, wait: str) -> None:
    feed = f'[tool.installguard.feed]\nrefresh = "{refresh}"\nwait = "{wait}"\n'
    source = f'[tool.installguard.feed.sources.osv]\nurl = "{export.url}"\n'
    (directory / "pyproject.toml").write_text(feed + source, encoding="utf-8")


def test_what_became_known_since_is_denied(environment: Environment, export: Export, project: Path) -> None:
    export.records.append({**malware_record("MAL-2099-1", "evil", ["1.0"]), "modified": "2026-11-21T00:00:00Z"})

    ran = environment.guard("install", "evil", cwd=project)

    assert ran.code == 10, ran.text
    assert "MAL-2099-1" in ran.err


def test_a_slow_feed_holds_an_install_no_longer_than_the_policy_lets_it(
    environment: Environment, export: Export, project: Path
) -> None:
    write_policy(project, export, refresh="1s", wait="1s")
    export.seconds = 60.0
    began = time.monotonic()

    ran = environment.guard("install", "evil", cwd=project)

    assert ran.code == 0, ran.text
    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize("how", ["offline", "never", "fresh"])
def test_nothing_is_asked_where_nothing_is_to_be(
    environment: Environment, export: Export, project: Path, how: str
) -> None:
    export.asked.clear()
    write_policy(project, export, refresh={"offline": "1s", "never": "0", "fresh": "2h"}[how], wait="20s")

    ran = environment.guard(*(["--offline"] if how == "offline" else []), "install", "evil", cwd=project)

    assert ran.code == 0, ran.text
    assert export.asked == []


def test_a_feed_that_was_never_fetched_is_not_fetched_by_an_install(
    environment: Environment, export: Export, project: Path, tmp_path: Path
) -> None:
    export.asked.clear()

    ran = environment.guard("install", "evil", cwd=project, INSTALLGUARD_CACHE_DIR=str(tmp_path / "empty"))

    assert ran.code == 0, ran.text
    assert export.asked == []
    assert "warning[feed-missing]" in ran.err


def test_a_feed_that_is_gone_leaves_the_old_snapshot_in_force(
    environment: Environment, export: Export, project: Path
) -> None:
    export.records.clear()
    write_policy(project, Export(records=[], url="http://127.0.0.1:9/PyPI"), refresh="1s", wait="20s")

    ran = environment.guard("install", "evil", cwd=project)

    assert ran.code == 0, ran.text
    assert "1 distribution judged" in ran.err
