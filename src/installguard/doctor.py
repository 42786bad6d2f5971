"""`guard doctor`: am I really guarded here? Looks, and then tries it with a built-in test release."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import __version__
from .errors import ExitCode, GuardError
from .session import Request, read_policy

MALWARE, HARMLESS = "installguard-test-malware", "installguard-test-harmless"
PATIENCE = 120
"""Seconds for one installation of the self-test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at."""

    word: Literal["ok", "warn", "fail"]
    what: str
    said: str

    def __str__(self) -> str:
        return f"{self.word:<5} {self.what:<10} {self.said}"


def examine(request: Request) -> Iterator[Line]:
    """Yield a line for each thing looked at; the self-test last."""
    yield Line(word="ok", what="guard", said=f"{__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}")
    python, *lines = look_at_target(request)
    yield from lines
    yield look_at_policy(request)
    yield from look_at_feed(request)
    if isinstance(python, str):
        yield from self_test(python, request.surroundings.environ)


def look_at_target(request: Request) -> Iterator[str | Line | None]:
    """Yield the target's path, or `None`, and then a line for interpreter and pip."""
    from .frontends.installed import read_environment
    from .frontends.target import find_interpreter, site_directories

    try:
        python = find_interpreter(request.python, request.surroundings.environ)
        target, paths = site_directories(python)
    except GuardError as error:
        yield None
        yield Line(word="fail", what="target", said=str(error))
        return
    yield python
    yield Line(word="ok", what="target", said=f"{python}, Python {target.version}, environment {target.environment}")
    here = {each.name: each.label for each in read_environment(paths) if each.name}
    if "pip" not in here:
        yield Line(word="warn", what="pip", said="the target has none of its own; guard's pip serves it")
        return
    yield compare_with_pip(python, here)


def compare_with_pip(python: str, read: Mapping[str, str]) -> Line:
    """Return whether pip itself lists the same distributions that guard reads from disk."""
    listed = installed_by_pip(python)
    if listed is None:
        return Line(word="warn", what="pip", said=f"{read['pip']}; it could not be asked what is installed")
    unseen = sorted(set(listed) - set(read))
    if unseen:
        return Line(
            word="warn",
            what="pip",
            said=f"{read['pip']} also lists {', '.join(unseen)}, which guard audit does not read",
        )
    return Line(
        word="ok", what="pip", said=f"{read['pip']}, which lists the distributions that guard reads ({len(read)})"
    )


def installed_by_pip(python: str) -> tuple[str, ...] | None:
    """Return the projects that the target's pip says are installed, or `None` where it cannot say."""
    from packaging.utils import canonicalize_name

    os.environ["PIPAPI_PYTHON_LOCATION"] = python  # the way in which pip-api is told which pip to ask
    try:
        import pip_api

        return tuple(canonicalize_name(name) for name in pip_api.installed_distributions())
    except (pip_api.exceptions.Error, subprocess.SubprocessError, OSError, ValueError):
        return None
    finally:
        del os.environ["PIPAPI_PYTHON_LOCATION"]


def look_at_policy(request: Request) -> Line:
    """Return which policy is in force."""
    try:
        policy = read_policy(request)
    except GuardError as error:
        return Line(word="fail", what="policy", said=str(error).replace("\n", "; "))
    said = f"{', '.join(policy.files) or 'the defaults (no policy file)'}, preset {policy.preset}"
    return Line(word="ok", what="policy", said=said)


def look_at_feed(request: Request) -> Iterator[Line]:
    """Yield how old each source is."""
    from .feeds.store import status
    from .reporters.status import age

    here = request.surroundings
    try:
        policy = read_policy(request)
        info = status(here.cache(), policy.feed.sources)
    except GuardError as error:
        yield Line(word="fail", what="feed", said=str(error).replace("\n", "; "))
        return
    if info.problem is not None:
        yield Line(word="warn", what="feed", said=f"{info.problem}: run 'guard feed update'")
    for name in info.missing:
        yield Line(
            word="warn",
            what="feed",
            said=f"no snapshot of {name}, the built-in baseline serves: run 'guard feed update'",
        )
    for source in info.sources:
        if source.taken_at is None:
            continue
        stale = here.clock() - source.taken_at > policy.feed.max_age
        said = f"{source.name}: {source.records:,} records, {age(source.taken_at, here.clock())}"
        yield Line(
            word="warn" if stale else "ok", what="feed", said=f"{said}{': run guard feed update' if stale else ''}"
        )


# ---------------------------------------------------------------- the self-test


def self_test(python: str, environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield what came of installing the test malware, which must be denied unrun, and of a harmless release."""
    with tempfile.TemporaryDirectory(prefix="installguard-doctor-") as name:
        directory = Path(name)
        marker = directory / "it-ran"
        with serve(releases(marker)) as url:
            for kind in ("sdist", "wheel"):
                yield try_malware(python, environ, url, directory, marker, kind)
            yield try_harmless(python, environ, url, directory)


def try_malware(python: str, environ: Mapping[str, str], url: str, directory: Path, marker: Path, kind: str) -> Line:
    """Return whether the test malware, as an sdist or a wheel, was denied with nothing run and nothing written."""
    only = ("--no-binary", ":all:") if kind == "sdist" else ("--only-binary", ":all:")
    code, said = install(python, environ, url, directory, f"{MALWARE}==1.0", kind, *only)
    written = (directory / kind).exists() and any((directory / kind).iterdir())
    what = f"the test malware ({kind})"
    if marker.exists():
        return Line(word="fail", what="self-test", said=f"{what} was run: you are not guarded here")
    if written:
        return Line(word="fail", what="self-test", said=f"{what} was written to disk: you are not guarded here")
    if code != ExitCode.DENIED:
        return Line(word="fail", what="self-test", said=f"{what} ended in {code} instead of 10: {said}")
    return Line(word="ok", what="self-test", said=f"{what} was denied; none of it ran, nothing was written")


def try_harmless(python: str, environ: Mapping[str, str], url: str, directory: Path) -> Line:
    """Return whether a harmless release still installs."""
    code, said = install(python, environ, url, directory, f"{HARMLESS}==1.0", "harmless")
    if code == ExitCode.OK and (directory / "harmless" / "installguard_test_harmless.py").is_file():
        return Line(word="ok", what="self-test", said="a harmless release was installed")
    return Line(word="fail", what="self-test", said=f"a harmless release was not installed ({code}): {said}")


def install(
    python: str, environ: Mapping[str, str], url: str, directory: Path, requirement: str, target: str, *more: str
) -> tuple[int, str]:
    """Run guard as a user would, into a throwaway directory; return its exit code and the last thing it said."""
    guard = [sys.executable, "-m", "installguard", "--python", python, "install", "--isolated", "--no-cache-dir"]
    where = ["--no-deps", "--index-url", url, "--disable-pip-version-check", "--target", str(directory / target)]
    plain = {name: value for name, value in environ.items() if not name.startswith("INSTALLGUARD_")}
    if "INSTALLGUARD_CACHE_DIR" in environ:
        plain["INSTALLGUARD_CACHE_DIR"] = environ["INSTALLGUARD_CACHE_DIR"]
    plain["NO_PROXY"] = plain["no_proxy"] = "127.0.0.1"
    try:
        done = subprocess.run(  # noqa: S603 - guard itself
            [*guard, *where, *more, requirement],
            env=plain,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"it took more than {PATIENCE} s"
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def releases(marker: Path) -> dict[str, bytes]:
    """Return the files of the two test releases; the malware's payload only touches *marker*."""
    payload = f"import pathlib; pathlib.Path({json.dumps(str(marker))}).touch()\n"
    return {
        "installguard_test_malware-1.0.tar.gz": source_archive(f"{payload}from setuptools import setup; setup()\n"),
        "installguard_test_malware-1.0-py3-none-any.whl": wheel(MALWARE, {"installguard_test_malware.pth": payload}),
        "installguard_test_harmless-1.0-py3-none-any.whl": wheel(HARMLESS, {"installguard_test_harmless.py": ""}),
    }


def source_archive(setup: str) -> bytes:
    """Return a source distribution of the test malware."""
    stem = f"{MALWARE.replace('-', '_')}-1.0"
    members = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {MALWARE}\nVersion: 1.0\n", "setup.py": setup}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in members.items():
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def wheel(name: str, files: Mapping[str, str]) -> bytes:
    """Return a wheel."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    members = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: guard\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},sha256={digest(text)},{len(text.encode())}\n" for member, text in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return buffer.getvalue()


def digest(text: str) -> str:
    """Return a digest as RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@contextmanager
def serve(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve files as a package index on loopback; yields its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(files))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
    finally:
        server.shutdown()
        server.server_close()


def handler_of(files: Mapping[str, bytes]) -> type[http.server.BaseHTTPRequestHandler]:
    """Return the request handler that serves *files*."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = self.found()
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def found(self) -> tuple[str, bytes | None]:
            parts = self.path.strip("/").split("/")
            if parts[0] == "files":
                return "application/octet-stream", files.get(parts[-1])
            stem = parts[-1].replace("-", "_")
            links = [f'<a href="/files/{name}">{name}</a>' for name in files if name.startswith(f"{stem}-")]
            return "text/html", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: what matters is printed by doctor."""

    return Handler
