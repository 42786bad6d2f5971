"""`guard uv` over uv, same argv, 40 or more ordinary distributions, wall time, interleaved pairs.

The distributions are downloaded once by pip from its configured index, and served from loopback, on pages as large as
those of a public index; with cold caches also from the index that uv itself would ask. Budgets: 0.15 s over uv with
warm caches, 1.10 times uv with cold ones, 0.10 s over `uv sync` of a project that is up to date.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROJECT = """\
[project]
name = "app"
version = "1"
requires-python = "=={python}.*"
dependencies = ["{application}"]
[tool.uv]
environments = ["sys_platform == '{platform}'"]
"""
"""For this interpreter only: there are no wheels for others."""
SETTLED = 2.5
"""Seconds after which the project's files are old enough for a verdict to be remembered."""
FAR = 0.025
"""Seconds to an index that is not on the same machine."""


LARGE = (15_000, 3_700, 3_000, 2_500, 2_100, 2_000, 700, 600)
USUAL = 200
"""So many files the pages of 41 ordinary projects had on a public index: the largest, and what half of them exceed."""


def older(name: str, number: int) -> dict[str, object]:
    """Return the entry of a file of an older release, which nobody asks for."""
    digest = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
    filename = (
        f"{name.replace('-', '_')}-0.0.0.dev{number // 40}-cp3{number % 40}-cp3{number % 40}-manylinux_2_17_x86_64.whl"
    )
    return {
        "filename": filename,
        "url": f"http://127.0.0.1:1/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}",
        "hashes": {"sha256": digest},
        "core-metadata": {"sha256": digest},
        "requires-python": ">=3.8",
        "size": 1_000_000 + number,
        "upload-time": f"2024-01-{number % 28 + 1:02}T12:00:00.000000Z",
        "yanked": False,
    }


class Files(BaseHTTPRequestHandler):
    """An index of the wheels in a directory: PEP 691 pages, PEP 658 metadata."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: a second one would wait 40 ms for the client to confirm the first
    disable_nagle_algorithm = True
    latency = 0.0
    """Seconds after which a request is answered."""
    pages: dict[str, bytes]
    files: dict[str, bytes]

    def do_GET(self) -> None:
        """Answer with a page or a file."""
        time.sleep(self.latency)
        *_, kind, name = self.path.rstrip("/").split("/")
        body = self.pages.get(name) if kind == "simple" else self.files.get(name)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json" if kind == "simple" else "binary")
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(body or b"")

    def do_HEAD(self) -> None:
        """Answer as to GET; nobody asks."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(wheels: Path, latency: float) -> None:
    """Serve *wheels* until the end, each request after *latency* seconds, and print the port."""
    Files.latency = latency
    Files.pages, Files.files = {}, {}
    listed: dict[str, list[dict[str, object]]] = {}
    for path in sorted(wheels.iterdir()):
        data = path.read_bytes()
        name = re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()
        entry: dict[str, object] = {"filename": path.name, "url": f"/files/{path.name}"}
        entry["hashes"] = {"sha256": hashlib.sha256(data).hexdigest()}
        Files.files[path.name] = data
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                member = next(each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
                Files.files[f"{path.name}.metadata"] = archive.read(member)
            entry["core-metadata"] = True
        listed.setdefault(name, []).append(entry)
    for (name, entries), number in zip(sorted(listed.items()), (*LARGE, *[USUAL] * len(listed)), strict=False):
        entries += [older(name, each) for each in range(number)]
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": entries}
        Files.pages[name] = json.dumps(page).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def seconds(*argv: str | Path, environ: dict[str, str], cwd: Path) -> float:
    """Return the wall time of a process that has to succeed."""
    started = time.perf_counter()
    subprocess.run([str(word) for word in argv], check=True, capture_output=True, env=environ, cwd=cwd)
    return time.perf_counter() - started


def pairs(number: int, guard: Callable[[], float], bare: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Return both times of *number* pairs; the one before them warms the caches."""
    timed: list[tuple[float, float]] = []
    for turn in range(number + 1):
        if turn % 2:
            with_guard, alone = guard(), bare()
        else:
            alone, with_guard = bare(), guard()
        timed.append((with_guard, alone))
    return [each for each, _ in timed[1:]], [each for _, each in timed[1:]]


def told(what: str, guard: list[float], bare: list[float], budget: str) -> None:
    """Print one figure."""
    over = [with_guard - alone for with_guard, alone in zip(guard, bare, strict=True)]
    ratios = [with_guard / alone for with_guard, alone in zip(guard, bare, strict=True)]
    print(
        f"{what}: {statistics.median(ratios):.2f} times, {statistics.median(over) * 1000:+.0f} ms "
        f"(uv alone {statistics.median(bare) * 1000:.0f} ms; best against best "
        f"{(min(guard) - min(bare)) * 1000:+.0f} ms; {len(bare)} interleaved pairs, medians; budget {budget})"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--application", default="mlflow-skinny", help="what to install (mlflow-skinny)")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--latency", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()
    if options.serve:
        serve(options.serve, options.latency)
        return
    with tempfile.TemporaryDirectory(prefix="guard-bench-") as name:
        measure(Path(name), options.application, options.pairs)


def measure(directory: Path, application: str, number: int) -> None:
    """Download, serve, install by turns."""
    wheels = directory / "wheels"
    download = [sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), application]
    subprocess.run(download, check=True, capture_output=True)
    with served(wheels, 0.0) as index:
        run(directory / "near", application, index, number, "on loopback")
    with served(wheels, FAR) as index:
        run(directory / "far", application, index, number, f"that answers after {FAR * 1000:.0f} ms")
    run(directory / "own", application, None, number, "that uv asks by its own configuration")


@contextmanager
def served(wheels: Path, latency: float) -> Iterator[str]:
    """Serve *wheels* in a process of their own, and give the index's URL."""
    command = [sys.executable, __file__, "--serve", str(wheels), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = (server.stdout.readline() if server.stdout else "").strip()
            yield f"http://127.0.0.1:{port}/simple"
        finally:
            server.terminate()


def run(directory: Path, application: str, index: str | None, number: int, where: str) -> None:
    """Print the figures; of an index that is not ours only those with empty caches."""
    directory.mkdir()
    dropped = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and (index is None or not name.startswith(("UV_", "PIP_")))
    }
    environ |= {"UV_DEFAULT_INDEX": index, "HOME": str(directory)} if index is not None else {}
    environ |= {
        "UV_CACHE_DIR": str(directory / "uv-cache"),
        "INSTALLGUARD_CACHE_DIR": str(directory / "cache"),
        "UV_PYTHON": sys.executable,
    }
    places = os.pathsep.join((str(Path(sys.executable).parent), environ.get("PATH", "")))
    uv, guard = shutil.which("uv", path=places) or "uv", [shutil.which("guard", path=places) or "guard"]

    def install(*front: str | Path, cold: bool) -> float:
        own = {key: value for key, value in environ.items() if key != "UV_PYTHON"} | {
            "VIRTUAL_ENV": str(directory / "environment")
        }
        shutil.rmtree(directory / "environment", ignore_errors=True)
        subprocess.run(
            [uv, "venv", "-q", "-p", sys.executable, str(directory / "environment")], check=True, env=environ
        )
        if cold:
            for cache in ("uv-cache", "cache"):
                shutil.rmtree(directory / cache, ignore_errors=True)
        return seconds(*front, "pip", "install", application, environ=own, cwd=directory)

    if index is not None:
        warm = pairs(number, lambda: install(*guard, "uv", cold=False), lambda: install(uv, cold=False))
        told(f"guard uv pip install, {application}, warm, index {where}", *warm, "150 ms")
    cold = pairs(number, lambda: install(*guard, "uv", cold=True), lambda: install(uv, cold=True))
    told(f"guard uv pip install, {application}, cold, index {where}", *cold, "1.10 times")
    if index is None:
        return
    project = directory / "project"
    project.mkdir()
    python = ".".join(map(str, sys.version_info[:2]))
    text = PROJECT.format(application=application, python=python, platform=sys.platform)
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    seconds(*guard, "uv", "sync", environ=environ, cwd=project)
    time.sleep(SETTLED)

    def sync(*front: str, anew: bool) -> float:
        if anew:
            shutil.rmtree(directory / "cache" / "unchanged", ignore_errors=True)
        return seconds(*front, "sync", environ=environ, cwd=project)

    for what, anew in (("unchanged", False), ("judged anew", True)):
        times = pairs(2 * number, partial(sync, *guard, "uv", anew=anew), partial(sync, uv, anew=False))
        told(f"guard uv sync, up to date, {what}, index {where}", *times, "100 ms")


if __name__ == "__main__":
    main()
