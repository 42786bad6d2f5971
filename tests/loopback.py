"""A package index on loopback: real HTTP, PEP 503 pages or PEP 691 JSON, made of the files in a directory."""

from __future__ import annotations

import hashlib
import html
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename


@dataclass
class Index:
    """What is served, and what was asked for."""

    files: Path
    json: bool = False
    hashes: bool = True
    metadata: bool = True
    """Whether PEP 658 metadata files are offered."""
    yanked: dict[str, str] = field(default_factory=dict)
    uploaded: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, tuple[str, str]] = field(default_factory=dict)
    """PEP 792 status and reason, by project."""
    requests: list[str] = field(default_factory=list)
    trickled: set[str] = field(default_factory=set)
    """Files that come byte by byte, as long as they are in here."""
    caching: str | None = None
    """The `Cache-Control` of files."""
    port: int = 0

    @property
    def url(self) -> str:
        """The index URL, as pip's `-i` takes it."""
        return f"http://127.0.0.1:{self.port}/simple/"

    def project_files(self, project: str) -> list[Path]:
        """Return the files of a project."""
        return [path for path in sorted(self.files.iterdir()) if project_of(path) == project]

    def page(self, project: str) -> tuple[str, bytes] | None:
        """Return content type and body of a project's page."""
        paths = self.project_files(project)
        if not paths:
            return None
        if self.json:
            status, reason = self.statuses.get(project, ("active", ""))
            body = {
                "meta": {"api-version": "1.4"},
                "project-status": {"status": status, "reason": reason},
                "name": project,
                "versions": [],
                "files": list(map(self.entry, paths)),
            }
            return "application/vnd.pypi.simple.v1+json", json.dumps(body).encode()
        head = self.head(project)
        return (
            "text/html",
            f"<!DOCTYPE html><html>{head}<body>{''.join(map(self.anchor, paths))}</body></html>".encode(),
        )

    def head(self, project: str) -> str:
        """Return the head of a project's HTML page."""
        if project not in self.statuses:
            return ""
        status, reason = map(html.escape, self.statuses[project])
        named = f'<meta name="pypi:project-status" content="{status}">'
        return f'<head>{named}<meta name="pypi:project-status-reason" content="{reason}"></head>'

    def entry(self, path: Path) -> dict[str, object]:
        """Return a file as PEP 691 lists it."""
        entry: dict[str, object] = {"filename": path.name, "url": f"/files/{quote(path.name)}"}
        entry["hashes"] = {"sha256": sha256(path)} if self.hashes else {}
        if path.name in self.yanked:
            entry["yanked"] = self.yanked[path.name] or True
        if path.name in self.uploaded:
            entry["upload-time"] = self.uploaded[path.name]
        if self.metadata and path.suffix == ".whl":
            entry["core-metadata"] = True
        return entry

    def anchor(self, path: Path) -> str:
        """Return a file as PEP 503 lists it."""
        fragment = f"#sha256={sha256(path)}" if self.hashes else ""
        attributes = (
            ' data-core-metadata="true" data-dist-info-metadata="true"'
            if self.metadata and path.suffix == ".whl"
            else ""
        )
        if path.name in self.yanked:
            attributes += f' data-yanked="{html.escape(self.yanked[path.name])}"'
        return f'<a href="/files/{quote(path.name)}{fragment}"{attributes}>{path.name}</a><br>'

    def file(self, name: str) -> bytes | None:
        """Return a file's bytes, or those of a wheel's metadata."""
        path = self.files / name
        if path.is_file():
            return path.read_bytes()
        wheel = self.files / name.removesuffix(".metadata")
        if self.metadata and name.endswith(".whl.metadata") and wheel.is_file():
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA")))
        return None


def project_of(path: Path) -> str | None:
    """Return the project of a distribution file, by its name."""
    try:
        parse = parse_wheel_filename if path.suffix == ".whl" else parse_sdist_filename
        return str(parse(path.name)[0])
    except ValueError:
        return None


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def serve(index: Index) -> Iterator[Index]:
    """Serve an index on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if self.command == "GET":
                index.requests.append(self.path)
            parts = [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]
            found: tuple[str, bytes] | None = None
            if parts[0] == "simple" and len(parts) == 2:
                found = index.page(str(canonicalize_name(parts[1])))
            elif parts[0] == "files" and len(parts) == 2:
                data = index.file(parts[1])
                found = ("application/octet-stream", data) if data is not None else None
            self.answer(found)

        def answer(self, found: tuple[str, bytes] | None) -> None:
            self.send_response(200 if found else 404)
            kind, body = found or ("text/plain", b"not found")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if index.caching and self.path.startswith("/files/"):
                self.send_header("Cache-Control", index.caching)
            self.end_headers()
            if self.command == "HEAD":
                return
            while body and self.path.rpartition("/")[2] in index.trickled:
                self.wfile.write(body[:1])
                body = body[1:]
                time.sleep(0.05)
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
