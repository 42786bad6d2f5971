"""An OSV export on loopback: `all.zip`, `modified_id.csv` and records, with etags, and faults where a test asks."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Export:
    """What is served, and what was asked for."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str, Answer] = field(default_factory=dict)
    """Answers that take the place of those of a path."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Other files, or others in place of the export's own."""
    requests: list[tuple[str, bool, int]] = field(default_factory=list)
    """Path, whether the request was conditional, and the status of the answer."""
    port: int = 0

    @property
    def url(self) -> str:
        """The export's base folder."""
        return f"http://127.0.0.1:{self.port}/PyPI"

    def put(self, *records: dict[str, Any]) -> None:
        """Add records, or replace them."""
        self.records.update({record["id"]: record for record in records})

    def listing(self) -> bytes:
        """`modified_id.csv`."""
        lines = sorted(((record["modified"], each) for each, record in self.records.items()), reverse=True)
        return "".join(f"{modified},{each}\r\n" for modified, each in lines).encode()

    def zipped(self) -> bytes:
        """`all.zip`, the same bytes for the same records."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, record in sorted(self.records.items()):
                archive.writestr(zipfile.ZipInfo(f"{each.replace('/', '__')}.json"), json.dumps(record))
        return buffer.getvalue()

    def body(self, path: str) -> bytes | None:
        """What stands at a path."""
        if path in self.files:
            return self.files[path]
        if path == "/PyPI/all.zip":
            return self.zipped()
        if path == "/PyPI/modified_id.csv":
            return self.listing()
        segments = path.split("/")
        if len(segments) != 3 or not path.endswith(".json"):
            return None
        record = self.records.get(unquote(segments[2]).removesuffix(".json"))
        return None if record is None else json.dumps(record).encode()

    def asked(self) -> list[str]:
        """The paths asked for since this was last called."""
        paths = [path.removeprefix("/PyPI/") for path, _, _ in self.requests]
        self.requests.clear()
        return paths


@contextmanager
def serve_export(export: Export) -> Iterator[Export]:
    """Serve an export on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path in export.faults:
                self.close_connection = True
                export.requests.append((self.path, False, 0))
                export.faults[self.path](self)
                return
            body = export.body(self.path)
            tag = f'"{hashlib.sha256(body or b"").hexdigest()[:16]}"'
            condition = self.headers.get("If-None-Match")
            status = 404 if body is None else 304 if condition == tag else 200
            export.requests.append((self.path, condition is not None, status))
            self.send_response(status)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body or b"") if status == 200 else 0))
            self.end_headers()
            if status == 200:
                self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are part of these tests."""

    server = Quiet(("127.0.0.1", 0), Handler)
    export.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield export
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
