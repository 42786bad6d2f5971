"""A verdict on a project that has not changed is told again; whatever it rests on, when that changes, all is judged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from installguard.unchanged import LASTS, SETTLED, key_of, recall, remember, taken
from installguard.uv_ground import Ground

from .loopback import Index, serve
from .packages import make_sdist, make_wheel, source_files, touch, write_tree
from .test_uv_denied import malware
from .uv_home import UvHome

AGAIN = "unchanged since"
POLICY = '[tool.installguard.release]\nyanked = "allow"\n'
PROJECT = {
    "pyproject.toml": """\
[project]
name = "app"
version = "1.0"
requires-python = ">=3.8"
dependencies = ["nice", "fine"]
[dependency-groups]
late = ["other"]
[build-system]
requires = []
build-backend = "tiny_backend"
backend-path = ["."]
"""
}


@contextmanager
def open_world(base: Path, project: dict[str, str]) -> Iterator[UvHome]:
    """Give a home with a feed, and a project that was synchronised twice, the second time with its files at rest."""
    files = base / "files"
    for name in ("nice", "other", "evil-wheel"):
        make_wheel(files, name)
    make_sdist(files, "fine", "1.0", source_files("fine"))
    with serve(Index(files, json=True)) as index:
        world = UvHome(directory=base, index=index).make()
        shown = base / "bin"
        shown.mkdir()
        (shown / "uv").symlink_to(world.uv)
        world.uv, world.extra["COLUMNS"] = str(shown / "uv"), "400"
        learn(world, "evil-wheel")
        write_tree(world.project, {**source_files("app"), **project})
        assert world.guard("uv", "sync").code == 0
        settle(world)
        yield world


def learn(world: UvHome, *names: str) -> None:
    """Import a feed that knows 1.0 of these as malware."""
    records = world.directory / "records"
    shutil.rmtree(records, ignore_errors=True)
    records.mkdir()
    for name in names:
        (records / f"{name}.json").write_text(json.dumps(malware(name, "1.0")), encoding="utf-8")
    ran = world.guard("feed", "import", records, "--source", "osv")
    assert ran.code == 0, ran.text


def settle(world: UvHome, *words: str) -> None:
    """Let files come to rest, and have the project judged once more."""
    time.sleep(SETTLED + 0.2)
    ran = world.guard("uv", *(words or ("sync",)))
    assert ran.code == 0, ran.text
    assert AGAIN not in ran.err, ran.text


def records_of(world: UvHome) -> list[Path]:
    """Return what is remembered."""
    return sorted((world.home / "cache" / "installguard" / "unchanged").glob("*"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UvHome]:
    """A project at rest, which every test leaves as it was."""
    with open_world(tmp_path_factory.mktemp("unchanged"), PROJECT) as world:
        yield world


@pytest.fixture(autouse=True)
def only_one_record(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave what is remembered of the shared project as it was."""
    if "shared" not in request.fixturenames:
        yield
        return
    shared: UvHome = request.getfixturevalue("shared")
    before = {path: path.read_bytes() for path in records_of(shared)}
    yield
    for path in records_of(shared):
        if path not in before:
            path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
        path.chmod(0o600)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[UvHome]:
    """A project at rest for one test, whose index stands in a file."""
    with open_world(tmp_path, PROJECT) as opened:
        config = opened.home / "config" / "uv"
        config.mkdir(parents=True)
        text = f'[[index]]\nurl = "{opened.index.url}"\ndefault = true\n'
        (config / "uv.toml").write_text(text, encoding="utf-8")
        opened.extra["UV_DEFAULT_INDEX"] = ""
        settle(opened)
        yield opened


def without_times(text: str) -> str:
    """Return what uv says without the times that it took."""
    return "".join(line.partition(" in ")[0] + "\n" for line in text.splitlines() if not line.startswith("guard:"))


# ---------------------------------------------------------------- told again


def test_a_verdict_is_told_again_in_uv_s_own_output_and_no_index_is_asked(shared: UvHome) -> None:
    bare, before, asked = shared.bare("sync"), shared.files(), len(shared.index.requests)
    ran = shared.guard("uv", "sync")
    assert ran.code == 0, ran.text
    assert "guard: 3 distributions judged, none denied" in ran.err
    assert AGAIN in ran.err, ran.text
    assert ran.out == bare.out
    assert without_times(ran.err).startswith(without_times(bare.err)), ran.text
    assert shared.files() == before
    assert len(shared.index.requests) == asked


def test_only_the_user_can_read_what_is_remembered(shared: UvHome) -> None:
    (record,) = records_of(shared)
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700


SHOW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv, sys.prefix])); sys.exit(3)"


def test_what_run_starts_is_started_as_by_uv_itself(world: UvHome) -> None:
    words = ("run", "python", "-c", SHOW, "--locked", "more")
    time.sleep(SETTLED + 0.2)
    first = world.guard("uv", *words)
    again, bare = world.guard("uv", *words), world.bare(*words)
    assert AGAIN not in first.err, first.text
    assert AGAIN in again.err, again.text
    assert (first.code, again.code, bare.code) == (3, 3, 3)
    assert json.loads(again.out) == json.loads(bare.out)


def test_a_script_that_is_run_is_looked_at(world: UvHome) -> None:
    script = world.project / "work.py"
    script.write_text("print('done')\n", encoding="utf-8")
    settle(world, "run", "work.py")
    again = world.guard("uv", "run", "work.py")
    assert (again.out, AGAIN in again.err) == ("done\n", True), again.text
    block = '# /// script\n# dependencies = ["evil-wheel"]\n# ///\n'
    script.write_text(block + touch(world.marker), encoding="utf-8")
    denied = world.guard("uv", "run", "work.py")
    assert denied.code == 10, denied.text
    assert not world.marker.exists()


def test_the_form_of_the_terminal_is_not_mixed_up(shared: UvHome) -> None:
    assert AGAIN not in shared.guard("uv", "sync", COLUMNS="40").err
    assert AGAIN not in shared.guard("-q", "uv", "sync").err
    assert "\x1b[" in shared.guard("uv", "sync", FORCE_COLOR="1").err


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interruption_is_passed_on(world: UvHome) -> None:
    started = world.directory / "STARTED"
    wait = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    words = ("run", "python", "-c", f"import os\nif 'WAIT' in os.listdir('..'): {wait}")
    settle(world, *words)
    assert AGAIN in world.guard("uv", *words).err
    (world.directory / "WAIT").touch()
    guard = subprocess.Popen(
        [sys.executable, "-m", "installguard", "uv", *words],
        env=world.environ(), cwd=world.project, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 30
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.02)
    guard.send_signal(signal.SIGTERM)
    _, err = guard.communicate(timeout=30)
    assert guard.returncode == 130, err
    assert "guard: interrupted" in err


# ---------------------------------------------------------------- judged again

Change: TypeAlias = Callable[[UvHome], object]
Rows: TypeAlias = Sequence[tuple[str, Callable[[UvHome], Any]]]


@contextmanager
def written(path: Path, content: bytes | None) -> Iterator[None]:
    """Write a file, or remove it, and put it back with its times."""
    before, found = (path.read_bytes(), path.stat()) if path.exists() else (None, None)
    new = [each for each in path.parents if not each.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink() if content is None else path.write_bytes(content)
    yield
    if before is None:
        path.unlink()
        for each in new:
            each.rmdir()
    else:
        path.write_bytes(before)
    if found is not None:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def more(path: Path, text: str) -> Any:
    """Write a file with *text* behind what it holds."""
    return written(path, (path.read_bytes() if path.exists() else b"") + text.encode())


def altered(world: UvHome, **facts: object) -> Any:
    """Change some facts of the record."""
    (record,) = records_of(world)
    return written(record, json.dumps(json.loads(record.read_bytes()) | facts).encode())


def judged(world: UvHome) -> float:
    (record,) = records_of(world)
    return float(json.loads(record.read_bytes())["judged"])


@contextmanager
def readable_by_others(world: UvHome) -> Iterator[None]:
    (record,) = records_of(world)
    record.chmod(0o644)
    yield
    record.chmod(0o600)


@contextmanager
def outdated(world: UvHome) -> Iterator[None]:
    """Take a distribution out of the environment; guard brings it back."""
    assert world.bare("pip", "uninstall", "nice").code == 0
    yield
    assert "nice-1.0" in world.installed()


@contextmanager
def another_uv(world: UvHome) -> Iterator[None]:
    """Put another program in the place of uv."""
    path = Path(world.uv)
    real = path.readlink()
    path.unlink()
    path.write_text(f'#!/bin/sh\nexec "{real}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    yield
    path.unlink()
    path.symlink_to(real)


def cache(world: UvHome) -> Path:
    return world.home / "cache" / "installguard"


CHANGES: Rows = [
    ("the lock", lambda world: more(world.project / "uv.lock", "\n# more\n")),
    ("the project", lambda world: more(world.project / "pyproject.toml", "\n# more\n")),
    ("the project's policy", lambda world: more(world.project / "pyproject.toml", POLICY)),
    ("a policy above", lambda world: more(world.directory / "pyproject.toml", POLICY)),
    ("the user's policy", lambda world: more(world.home / "config" / "installguard" / "policy.toml", POLICY)),
    ("the site's policy", lambda world: more(world.home / "site-config" / "installguard" / "policy.toml", POLICY)),
    ("uv's settings in the project", lambda world: more(world.project / "uv.toml", "offline = false\n")),
    ("uv's settings above", lambda world: more(world.directory / "uv.toml", "offline = false\n")),
    ("uv's settings of the user", lambda world: more(world.home / "config" / "uv" / "uv.toml", "offline = false\n")),
    ("uv's settings, site", lambda world: more(world.home / "site-config" / "uv" / "uv.toml", "offline = false\n")),
    ("the feed's state", lambda world: more(cache(world) / "current.json", "\n")),
    ("the snapshot", lambda world: more(next(cache(world).glob("snapshot-*.sqlite")), "x")),
    ("no snapshot any longer", lambda world: written(next(cache(world).glob("snapshot-*.sqlite")), None)),
    ("uv", another_uv),
    ("the environment", outdated),
    ("the environment's Python", lambda world: more(world.environment / "pyvenv.cfg", "more = 1\n")),
    ("the record is readable by others", readable_by_others),
    ("the record is from the future", lambda world: altered(world, judged=judged(world) + 100)),
    ("the record is too old", lambda world: altered(world, judged=judged(world) - LASTS)),
    ("the record is empty", lambda world: altered(world, judged=None)),
    ("the record names no files", lambda world: altered(world, files=None)),
    ("the record's files are none", lambda world: altered(world, files={"uv.lock": 1})),
    ("the record's command is none", lambda world: altered(world, running=[None])),
    ("the record names another program", lambda world: altered(world, uv=sys.executable)),
    ("the record's command holds a zero", lambda world: altered(world, running=["sync\0"])),
    ("the record's question holds a zero", lambda world: altered(world, asking=["sync\0"])),
    ("the record's files hold a zero", lambda world: altered(world, stored={"a\0b": [1, 2]})),
    ("the record's question is no text", lambda world: altered(world, asking=["sync\ud800"])),
    ("the record's files are no text", lambda world: altered(world, stored={"/a\ud800": [1, 2]})),
    ("the record's time is no time", lambda world: altered(world, judged=10**400)),
    ("the record is no JSON", lambda world: more(records_of(world)[0], "}")),
    ("the record is nested without end", lambda world: written(records_of(world)[0], b"[" * 100_000)),
]  # fmt: skip


@pytest.mark.parametrize("change", [row[1] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_a_verdict_rests_on_is_looked_at(shared: UvHome, change: Callable[[UvHome], Any]) -> None:
    (record,) = records_of(shared)
    before = record.read_bytes()
    with change(shared):
        ran = shared.guard("uv", "sync")
        assert AGAIN not in ran.err, ran.text
        assert "Traceback" not in ran.err, ran.text
    record.write_bytes(before)
    assert shared.bare("sync").code == 0  # which may build the project anew
    again = shared.guard("uv", "sync")
    assert AGAIN in again.err, again.text


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("--offline", "uv", "sync"), {}),
        (("--fail-on", "warn", "uv", "sync"), {}),
        (("uv", "sync", "--inexact"), {}),
        (("uv", "sync", "--group", "late", "--dry-run"), {}),
        (("uv", "sync"), {"UV_NO_CACHE": "0"}),
        (("uv", "sync"), {"INSTALLGUARD_VERBOSE": "1"}),
        (("--report", "-", "uv", "sync"), {}),
    ],
    ids=str,
)
def test_another_command_is_judged(shared: UvHome, words: Sequence[str], variables: dict[str, str]) -> None:
    ran = shared.guard(*words, cwd=None, **variables)
    assert ran.code == (11 if "warn" in words else 0), ran.text
    assert AGAIN not in ran.text, ran.text


def test_malware_that_a_feed_learns_of_is_denied_in_an_unchanged_project(world: UvHome) -> None:
    assert AGAIN in world.guard("uv", "sync").err
    learn(world, "nice")
    before = world.files()
    for words in (["sync"], ["run", "python", "-c", touch(world.marker)]):
        ran = world.guard("uv", *words)
        assert ran.code == 10, ran.text
        assert "error[malicious]: nice 1.0" in ran.err
    assert world.files() == before
    assert not world.marker.exists()


def test_a_lock_that_names_malware_is_denied_however_old_it_looks(world: UvHome) -> None:
    assert AGAIN in world.guard("uv", "sync").err
    lock = world.project / "uv.lock"
    times = lock.stat()
    lock.write_bytes(lock.read_bytes().replace(b'"nice"', b'"evil-wheel"').replace(b"nice-1.0", b"evil_wheel-1.0"))
    os.utime(lock, ns=(times.st_atime_ns, times.st_mtime_ns))
    ran = world.guard("uv", "sync", "--frozen")
    assert ran.code == 10, ran.text


def test_a_link_that_leads_elsewhere_during_the_run_does_not_swap_what_was_judged(world: UvHome) -> None:
    one, two, current = (world.directory / name for name in ("one", "two", "current"))
    for directory, asked in ((one, "nice"), (two, "evil-wheel")):
        directory.mkdir()
        text = f'[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["{asked}"]\n'
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
        assert world.bare("sync", cwd=directory).code == 0
    current.symlink_to("one")
    time.sleep(SETTLED + 0.2)
    flip = "import os; os.readlink('current') == 'one' and (os.symlink('two', 'new'), os.replace('new', 'current'))"
    words = ("uv", "run", "--project", "current", "python", "-c", flip)
    assert world.guard(*words, cwd=world.directory).code == 0
    assert current.readlink() == Path("two")
    denied = world.guard(*words, cwd=world.directory)
    assert denied.code == 10, denied.text


def test_a_project_that_is_built_to_know_what_it_asks_for_is_not_asked_about(tmp_path: Path) -> None:
    files, marker = tmp_path / "files", tmp_path / "MARKER"
    make_wheel(files, "helper", "0.9")
    dynamic = {
        **source_files("app", requires=["nice"]),
        "pyproject.toml": PROJECT["pyproject.toml"]
        .replace('dependencies = ["nice", "fine"]', 'dynamic = ["dependencies"]')
        .replace("requires = []", 'requires = ["helper"]'),
        "setup.cfg": "",
    }
    with open_world(tmp_path, dynamic) as world:
        make_wheel(files, "helper", "1.0", files={"helper/__init__.py": "", "helper.pth": touch(marker)})
        learn(world, "evil-wheel", "helper")
        settle(world)
        assert records_of(world) == []
        assert world.bare("venv", tmp_path / "v").code == 0
        assert world.bare("pip", "install", "--python", tmp_path / "v" / "bin" / "python", "helper").code == 0
        marker.unlink(missing_ok=True)
        (world.project / "setup.cfg").write_text("# touched\n", encoding="utf-8")
        assert world.guard("uv", "sync").code == 10
        assert not marker.exists()


def test_a_feed_that_becomes_stale_meanwhile_is_heeded(world: UvHome) -> None:
    policy = world.home / "config" / "installguard" / "policy.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text('[tool.installguard.feed]\nmax-age = "1h"\nstale = "deny"\n', encoding="utf-8")
    settle(world)
    assert AGAIN in world.guard("uv", "sync").err
    policy.write_text('[tool.installguard.feed]\nmax-age = "9m"\nstale = "deny"\n', encoding="utf-8")
    settle(world)
    assert AGAIN not in world.guard("uv", "sync").err


# ---------------------------------------------------------------- not remembered


def test_what_is_started_is_led_to_guard_s_index_each_time_where_a_variable_leads_it_to_one(shared: UvHome) -> None:
    nested = (
        f"import subprocess, sys; sys.exit(subprocess.run([{shared.uv!r}, 'pip', 'install', 'evil-wheel']).returncode)"
    )
    for started in ("pass", nested):
        for _ in range(2):
            ran = shared.guard("uv", "run", "python", "-c", started)
            assert AGAIN not in ran.err
    assert ran.code != 0, ran.text
    assert "denied by guard" in ran.err
    assert "evil_wheel-1.0" not in shared.installed()


@pytest.mark.parametrize("variable", ["UV_ISOLATED", "UV_REFRESH", "UV_SOMETHING_NEW"])
def test_beside_variables_that_may_mean_more_nothing_is_remembered(shared: UvHome, variable: str) -> None:
    for _ in range(2):
        ran = shared.guard("uv", "run", "python", "-c", "", cwd=None, **{variable: "1"})
        assert ran.code == 0, ran.text
        assert AGAIN not in ran.err


@pytest.mark.parametrize(
    ("more_of_it", "words"),
    [
        ("", ("run", "--with", "other", "python", "-c", "")),
        ("", ("run", "--isolated", "python", "-c", "")),
        ("", ("run", "--no-sync", "python", "-c", "")),
        ("", ("sync", "--reinstall")),
        ("", ("sync", "--no-build-isolation")),
        ("", ("sync", "--upgrade")),
        ("", ("sync", "--dry-run")),
        ("", ("lock",)),
        ('[tool.uv]\nconstraint-dependencies = ["other @ {url}"]\n', ("sync",)),
        ('[tool.installguard.feed]\nrefresh = "5m"\n', ("sync",)),
    ],
    ids=str,
)
def test_what_rests_on_more_than_files_is_not_remembered(shared: UvHome, more_of_it: str, words: Sequence[str]) -> None:
    project = shared.project / "pyproject.toml"
    url = f"http://127.0.0.1:{shared.index.port}/files/other-1.0-py3-none-any.whl"
    before, lock = records_of(shared), (shared.project / "uv.lock").read_bytes()
    with written(project, project.read_bytes() + more_of_it.format(url=url).encode()):
        for _ in range(2):
            time.sleep((SETTLED + 0.2) if more_of_it else 0.0)
            ran = shared.guard("uv", *words)
            assert ran.code == 0, ran.text
            assert AGAIN not in ran.text
    (shared.project / "uv.lock").write_bytes(lock)
    assert records_of(shared) == before


def test_a_denial_is_not_remembered(world: UvHome) -> None:
    learn(world, "nice")
    time.sleep(SETTLED + 0.2)
    for path in records_of(world):
        path.unlink()
    for _ in range(2):
        assert world.guard("uv", "sync").code == 10
    assert not records_of(world)


# ---------------------------------------------------------------- the record itself

KEY = key_of({}, "/")


def ground(*files: Path, read: Sequence[Path] = ()) -> Ground:
    return Ground(files=files, read=tuple(read), shown=(), stored=(), uv="/uv", asking=("ask",), running=("run",))


def keep(directory: Path, what: Ground, *, began: float, now: float, key: str = KEY) -> None:
    """Remember a verdict that was reached when the run began, unless it may not be."""
    facts = taken(what, began=began)
    if facts is not None:
        remember(str(directory), key, facts, "told", judged=began, now=now)


def kept(directory: Path, what: Ground, *, began: float, now: float | None = None) -> bool:
    now = began if now is None else now
    keep(directory, what, began=began, now=now)
    return recall(str(directory), KEY, now) is not None


def test_a_file_that_was_just_written_is_no_ground(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    written_at = file.stat().st_ctime
    assert not kept(tmp_path, ground(file), began=written_at + SETTLED - 0.1)
    os.utime(file, (0, 0))  # which can be set to anything; when that was done cannot
    assert not kept(tmp_path, ground(file), began=written_at + SETTLED - 0.1)
    assert kept(tmp_path, ground(file), began=file.stat().st_ctime + SETTLED + 0.1)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX file")
def test_a_pipe_is_no_ground_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not kept(tmp_path, ground(tmp_path / "pipe"), began=time.time() + 60)
    assert not kept(tmp_path, ground(tmp_path), began=time.time() + 60), "nor is a directory"


def test_a_file_that_was_read_and_is_gone_is_no_ground(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert not kept(tmp_path, ground(file, read=[file]), began=1000.0)
    assert kept(tmp_path, ground(file), began=1000.0)


def test_a_verdict_stands_for_minutes_and_within_its_day(tmp_path: Path) -> None:
    day = 20_000 * 86_400
    keep(tmp_path, ground(), began=day + 1000.0, now=day + 1500.0)
    found = [recall(str(tmp_path), KEY, day + now) is not None for now in (999, 1000, 1599, 1601)]
    assert found == [False, True, True, False]
    keep(tmp_path, ground(), began=day - 10.0, now=day - 10.0)
    assert [recall(str(tmp_path), KEY, day + now) is not None for now in (-1.0, 1.0)] == [True, False]


def test_what_is_of_no_use_any_longer_is_dropped(tmp_path: Path) -> None:
    now = time.time()
    assert kept(tmp_path, ground(), began=now)
    (old,) = (tmp_path / "unchanged").iterdir()
    os.utime(old, (now - LASTS - 1, now - LASTS - 1))
    keep(tmp_path, ground(), began=now, now=now, key=key_of({}, "/elsewhere"))
    assert not old.exists()
    assert len(list((tmp_path / "unchanged").iterdir())) == 1


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "unchanged").write_bytes(b"")
    assert not kept(tmp_path, ground(), began=time.time())


def test_the_name_of_a_command_tells_apart_what_counts() -> None:
    assert key_of({"A": "1", "SHLVL": "1"}, "/", "x") == key_of({"SHLVL": "2", "_": "/bin/x", "A": "1"}, "/", "x")
    keys = [
        key_of({"A": "1"}, "/", "x"),
        key_of({"A": "2"}, "/", "x"),
        key_of({}, "/", "x"),
        key_of({"A": "1"}, "/a", "x"),
    ]
    assert len({*keys, key_of({"A": "1"}, "/", "y"), key_of({"A": "\udc80"}, "/", "x")}) == 6
