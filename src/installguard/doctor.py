"""`guard doctor`: am I really guarded here? Looks, and then tries it with a built-in test release."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from . import __version__
from .dataclass import dataclass
from .errors import ExitCode, GuardError
from .model import Level
from .session import Request, read_policy

if TYPE_CHECKING:
    from .model import SourceInfo
    from .policy import Policy

Word: TypeAlias = Literal["ok", "warn", "fail"]

MALWARE, HARMLESS = "installguard-test-malware", "installguard-test-harmless"
PATIENCE = 120
"""Seconds for one installation of the self-test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at."""

    word: Word
    what: str
    said: str

    def __str__(self) -> str:
        return f"{self.word:<5} {self.what:<10} {self.said}"


def examine(request: Request) -> Iterator[Line]:
    """Yield a line for each thing looked at; the self-test last."""
    yield Line(word="ok", what="guard", said=f"{__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}")
    python = yield from look_at_target(request)
    policy = yield from look_at_policy(request)
    if policy is not None:
        yield from look_at_feed(request, policy)
    if python is not None and policy is not None:
        yield from self_test(python, own_policy(request), request.surroundings.environ)
    else:
        yield Line(word="fail", what="self-test", said="not run: mend what failed above first")


# ---------------------------------------------------------------- the target


def look_at_target(request: Request) -> Generator[Line, None, str | None]:
    """Yield a line for the interpreter, for its pip and for uv; return the interpreter, `None` where there is none."""
    from .frontends.installed import read_environment
    from .frontends.target import find_interpreter, site_directories

    environ = request.surroundings.environ
    try:
        python = find_interpreter(request.python, environ)
        target, paths = site_directories(python)
        distributions = read_environment(paths)
    except GuardError as error:
        yield Line(word="fail", what="target", said=str(error))
        return None
    yield Line(word="ok", what="target", said=f"{python}, Python {target.version}, environment {target.environment}")
    yield look_at_pip(python, {str(each.name): each.label for each in distributions if each.name}, environ)
    if shutil.which("uv", path=environ.get("PATH")) is not None:
        yield look_at_uv(environ)
    return python


def look_at_uv(environ: Mapping[str, str]) -> Line:
    """Return which uv `guard uv` runs, and whether it can serve."""
    from .frontends.uv.program import describe_uv, find_uv

    try:
        uv = describe_uv(find_uv("uv", environ), None, environ)
    except GuardError as error:
        return Line(word="warn", what="uv", said=str(error))
    return Line(word="ok", what="uv", said=f"{uv.path}, uv {uv.version}: guarded as 'guard uv …'")


def look_at_pip(python: str, read: Mapping[str, str], environ: Mapping[str, str]) -> Line:
    """Return which pip serves the target, and whether it lists the same distributions that guard reads from disk."""
    from .frontends.pip import own_pip_root

    if "pip" not in read and (root := own_pip_root()) is None:
        return Line(word="fail", what="pip", said="neither the target has one nor guard: install pip beside guard")
    if "pip" not in read:
        return Line(word="ok", what="pip", said=f"the target has none; guard's own serves it, from {root}")
    listed = installed_by_pip(python, environ)
    if listed is None:
        return Line(word="fail", what="pip", said=f"{read['pip']}: it fails when asked what is installed ('pip list')")
    if unseen := sorted(set(listed) - set(read)):
        others = f"{', '.join(unseen)}, which guard audit does not read"
        return Line(word="warn", what="pip", said=f"{read['pip']} also lists {others}")
    return Line(word="ok", what="pip", said=f"{read['pip']}; it lists what guard reads ({len(read)} distributions)")


ASK_PIP = """
import json, sys
import pip_api
sys.stdout.write(json.dumps(list(pip_api.installed_distributions())))
"""


def installed_by_pip(python: str, environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the projects that the target's pip says are installed, or `None` where it cannot say.

    pip-api runs in a process and an empty directory of its own: it starts pip when it is imported, by `-m`, which
    would run a `pip.py` that lies in the current directory, and it is told by the environment which pip to ask.
    """
    from .names import canonicalize_name

    asking = {**environ, "PIPAPI_PYTHON_LOCATION": python}
    try:
        with tempfile.TemporaryDirectory(prefix="installguard-doctor-") as directory:
            done = subprocess.run(  # noqa: S603 - guard's own interpreter
                [sys.executable, "-c", ASK_PIP],
                env=asking,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=True,
            )
        return tuple(canonicalize_name(name) for name in json.loads(done.stdout))
    except (subprocess.SubprocessError, OSError, ValueError):
        return None


# ---------------------------------------------------------------- policy and feed


def look_at_policy(request: Request) -> Generator[Line, None, Policy | None]:
    """Yield which policy is in force, or each mistake in it; return it where it is valid."""
    try:
        policy = read_policy(request)
    except GuardError as error:
        for line in str(error).splitlines():
            yield Line(word="fail", what="policy", said=line)
        return None
    said = f"{', '.join(policy.files) or 'the defaults (no policy file)'}, preset {policy.preset}"
    yield Line(word="ok", what="policy", said=said)
    return policy


def own_policy(request: Request) -> Path | None:
    """Return the policy file in force, but for the system-wide one, which holds in any case."""
    from .config.files import find_policy_files

    here = request.surroundings
    files = find_policy_files(
        here.cwd, explicit=request.policy, user_config_dir=here.user_config(), site_config_dir=here.site_config()
    )
    return files.own.path if files.own is not None else None


def look_at_feed(request: Request, policy: Policy) -> Iterator[Line]:
    """Yield how old each source is; what the policy denies is a failure, since then nothing can be installed."""
    from .feeds.store import status

    here = request.surroundings
    missing = word_of(policy.feed.missing)
    try:
        info = status(here.cache(), policy.feed.sources)
    except GuardError as error:
        yield Line(word="fail", what="feed", said=str(error))
        return
    if info.problem is not None:
        yield Line(word=missing, what="feed", said=info.problem)
    for name in info.missing:
        said = f"no snapshot of {name}, the built-in baseline serves: run 'guard feed update'"
        yield Line(word=missing, what="feed", said=said)
    for source in info.sources:
        if source.taken_at is not None:
            yield look_at_source(source, source.taken_at, here.clock(), policy)


def look_at_source(source: SourceInfo, taken_at: datetime, now: datetime, policy: Policy) -> Line:
    """Return how old a source is."""
    from .reporters.status import age

    fresh = timedelta(0) <= now - taken_at <= policy.feed.max_age
    remedy = "" if fresh else ": run 'guard feed update'"
    said = f"{source.name}, {source.records:,} records, {age(taken_at, now)}{remedy}"
    return Line(word="ok" if fresh else word_of(policy.feed.stale), what="feed", said=said)


def word_of(level: Level) -> Word:
    """Return how a finding of this level is told here."""
    return "fail" if level is Level.DENY else "warn"


# ---------------------------------------------------------------- the self-test


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one installation of the self-test."""

    code: int
    said: str
    """What guard said last."""
    written: bool
    """Whether anything was installed."""


def self_test(python: str, policy: Path | None, environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield what came of installing the test malware, which must be denied unrun, and of a harmless release."""
    try:
        with tempfile.TemporaryDirectory(prefix="installguard-doctor-") as name:
            directory = Path(name)
            marker = directory / "it-ran"
            with serve(releases(marker)) as url:
                guard = [sys.executable, "-m", "installguard", "--python", python]
                guard += ["--policy", str(policy)] if policy is not None else []
                attempt = functools.partial(install, guard, environ, url, directory)
                yield told_of_malware("sdist", attempt("sdist", MALWARE, "--no-binary", ":all:"), marker)
                yield told_of_malware("wheel", attempt("wheel", MALWARE, "--only-binary", ":all:"), marker)
                yield told_of_harmless(attempt("harmless", HARMLESS))
    except OSError as error:
        yield Line(word="fail", what="self-test", said=f"cannot be run: {error.strerror or error}")


def told_of_malware(kind: str, attempt: Attempt, marker: Path) -> Line:
    """Return whether the test malware, as an sdist or a wheel, was denied with nothing run and nothing written."""
    what = f"the test malware ({kind})"
    if marker.exists():
        return Line(word="fail", what="self-test", said=f"{what} was run: you are not guarded here")
    if attempt.written:
        return Line(word="fail", what="self-test", said=f"{what} was written to disk: you are not guarded here")
    if attempt.code != ExitCode.DENIED:
        said = f"{what} ended in {attempt.code} instead of {ExitCode.DENIED:d}: {attempt.said}"
        return Line(word="fail", what="self-test", said=said)
    return Line(word="ok", what="self-test", said=f"{what} was denied; none of it ran, nothing was written")


def told_of_harmless(attempt: Attempt) -> Line:
    """Return whether a harmless release still installs, or what the policy has against it."""
    if attempt.code == ExitCode.OK and attempt.written:
        return Line(word="ok", what="self-test", said="a harmless release was installed")
    by_policy = attempt.code in (ExitCode.DENIED, ExitCode.WARNED) or "error[feed-" in attempt.said
    if by_policy and not attempt.written:
        said = f"a harmless release is not let in by your policy: {attempt.said}"
        return Line(word="warn", what="self-test", said=said)
    said = f"a harmless release was not installed ({attempt.code}): {attempt.said}"
    return Line(word="fail", what="self-test", said=said)


def install(
    guard: Sequence[str], environ: Mapping[str, str], url: str, directory: Path, target: str, name: str, *more: str
) -> Attempt:
    """Run guard as a user would, into a throwaway directory."""
    pip = ["install", "--isolated", "--no-cache-dir", "--no-deps", "--index-url", url, "--disable-pip-version-check"]
    into = directory / target
    plain = {name: value for name, value in environ.items() if not name.startswith("INSTALLGUARD_")}
    plain.update({name: environ[name] for name in ("INSTALLGUARD_CACHE_DIR",) if name in environ})
    plain.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", NO_COLOR="1", COLUMNS="1000")
    plain.update(TMPDIR=str(directory), TEMP=str(directory))  # so that nothing is left, even where all this is ended
    try:
        done = subprocess.run(  # noqa: S603 - guard itself
            [*guard, *pip, "--target", str(into), *more, f"{name}==1.0"],
            env=plain,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Attempt(code=-1, said=f"it took more than {PATIENCE} s", written=holds(into))
    return Attempt(code=done.returncode, said=reason(done.stderr), written=holds(into))


def holds(directory: Path) -> bool:
    """Tell whether there is anything in a directory."""
    return directory.is_dir() and any(directory.iterdir())


def reason(stderr: str) -> str:
    """Return the first error that guard told, else the last line of what was said."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error", "guard: error"))]
    return (errors or lines[-1:] or ["it said nothing"])[0]


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
