"""Interrupts and broken surroundings: one clear line, the right code, no orphan, nothing half-done."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .conftest import malware_record, write_feed
from .environments import Environment, Ran, copy_environment
from .loopback import Index
from .packages import make_sdist, make_wheel, source_files, touch

pytestmark = [
    pytest.mark.last_pip,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc"),
]

PATIENCE = 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
by_name = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A directory for temporary files, in which everything left over is seen."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    return directory


@pytest.fixture(autouse=True)
def place(environment: Environment, temporary: Path) -> None:
    """Let every process put its temporary files there."""
    environment.extra["TMPDIR"] = str(temporary)


# ---------------------------------------------------------------- processes


@dataclass
class Running:
    """A guard that has been started, and every process that it started."""

    process: subprocess.Popen[str]
    family: set[int] = field(default_factory=set)

    def note(self) -> None:
        """Take note of the processes that are there now."""
        self.family |= {self.process.pid, *descendants(self.process.pid)}

    def signal(self, number: int) -> None:
        """Send a signal to guard alone, as `kill` does."""
        self.note()
        self.process.send_signal(number)

    def end(self) -> Ran:
        """Return how it ended."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return Ran(self.process.returncode, out, err)

    def survivors(self) -> set[int]:
        """Return which of its processes are still there a moment after its end."""
        deadline = time.monotonic() + 3
        while (left := {pid for pid in self.family if is_alive(pid)}) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


def stat_of(pid: int) -> tuple[str, int]:
    """Return a process's state and its parent; raises `OSError` where there is none."""
    state, parent, *_ = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return state, int(parent)


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return stat_of(pid)[0] not in "ZX"
    return False


def descendants(pid: int) -> set[int]:
    """Return the processes that a process started, and those that they started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = stat_of(int(entry.name))[1]
    found: set[int] = set()
    while new := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


@pytest.fixture
def start(environment: Environment) -> Iterator[Callable[..., Running]]:
    """Start guard against the environment, in a session of its own; whatever is left of it is ended."""
    started: list[Running] = []

    def start_guard(*argv: str | Path) -> Running:
        command = [sys.executable, "-m", "installguard", "--python", environment.python, *argv]
        process = subprocess.Popen(
            [str(part) for part in command],
            env=environment.environ(),
            cwd=environment.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        started.append(Running(process))
        return started[-1]

    yield start_guard
    for running in started:
        for pid in running.family | {running.process.pid}:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        running.process.communicate()


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


# ---------------------------------------------------------------- situations


@dataclass
class Situation:
    """What pip is doing when trouble comes."""

    arguments: list[str]
    reached: Callable[[], object]


@pytest.fixture
def downloading(index: Index) -> Situation:
    """pip downloads a wheel that comes byte by byte."""
    wheel = make_wheel(index.files, "slow", files={"slow.py": "x = 1\n" * 5000})
    index.trickled.add(wheel.name)
    return Situation(["slow"], lambda: f"/files/{wheel.name}" in index.requests)


@pytest.fixture
def building(index: Index, tmp_path: Path) -> Situation:
    """A build backend sleeps."""
    marker = tmp_path / "building"
    payload = f"{touch(marker)}\nimport time; time.sleep({PATIENCE})"
    make_sdist(index.files, "slow", "1.0", source_files("slow", payload=payload))
    return Situation(["slow"], marker.exists)


@by_name
@pytest.mark.parametrize("doing", ["downloading", "building"])
def test_a_signal_ends_guard_and_everything_it_started_and_leaves_nothing_behind(
    request: pytest.FixtureRequest,
    environment: Environment,
    start: Callable[..., Running],
    temporary: Path,
    doing: str,
    number: signal.Signals,
) -> None:
    situation: Situation = request.getfixturevalue(doing)
    before = environment.files()
    running = start("install", "--no-cache-dir", *situation.arguments)
    wait_until(situation.reached)

    running.signal(number)
    ran = running.end()

    assert len(running.family) > 1
    assert ran.code == 130, ran.text
    assert ours(ran.err) == ["guard: interrupted before anything was installed"]
    assert "Traceback" not in ran.text
    assert running.survivors() == set()
    assert environment.files() == before
    assert list(temporary.iterdir()) == []


def ours(text: str) -> list[str]:
    """Return the lines that guard said, rather than pip."""
    return [line for line in text.splitlines() if re.match(r"guard|(error|warning|note)\[", line)]


def test_impatience_is_understood(
    environment: Environment, start: Callable[..., Running], building: Situation, temporary: Path
) -> None:
    running = start("install", *building.arguments)
    wait_until(building.reached)

    running.signal(signal.SIGINT)
    for _ in range(3):
        with suppress(OSError):
            running.signal(signal.SIGINT)
    ran = running.end()

    assert ran.code in (130, -signal.SIGINT), ran.text
    assert running.survivors() == set()
    assert not list(temporary.glob("installguard-*"))


@pytest.mark.parametrize("doing", ["downloading", "building"])
def test_ctrl_c_in_a_terminal_reaches_everybody_once(
    request: pytest.FixtureRequest, environment: Environment, temporary: Path, doing: str
) -> None:
    situation: Situation = request.getfixturevalue(doing)
    before = environment.files()
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "installguard", "--python", str(environment.python), "install", *situation.arguments],
        env=environment.environ(),
        cwd=environment.home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    wait_until(situation.reached)
    time.sleep(0.2)
    running = Running(process)
    running.note()

    os.write(master, b"\x03")
    said = read_terminal(master)
    code = process.wait(PATIENCE)

    assert code == 130, said
    assert said.count("interrupted") == 1, said
    assert "Traceback" not in said
    assert running.survivors() == set()
    assert environment.files() == before
    assert list(temporary.iterdir()) == []


def read_terminal(master: int) -> str:
    """Return what was printed to a terminal until nobody has it open any more."""
    said = b""
    with suppress(OSError):
        while block := os.read(master, 65536):
            said += block
    os.close(master)
    return said.decode(errors="replace")


def test_a_guard_that_is_killed_takes_its_answer_with_it(
    environment: Environment, start: Callable[..., Running], downloading: Situation, index: Index
) -> None:
    before = environment.files()
    running = start("install", *downloading.arguments)
    wait_until(downloading.reached)
    running.note()
    pip = running.family - {running.process.pid}

    running.process.kill()
    running.process.wait()
    index.trickled.clear()
    wait_until(lambda: not any(map(is_alive, pip)))

    assert environment.files() == before


@by_name
def test_a_signal_ends_a_feed_update_and_leaves_the_snapshot_in_force(
    environment: Environment,
    feed: Path,
    start: Callable[..., Running],
    index: Index,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    (index.files / "all.zip").write_bytes(feed.read_bytes())
    index.trickled.add("all.zip")
    url = index.url.replace("simple/", "files/")
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[tool.installguard.feed.sources.osv]\nurl = "{url}"\n', encoding="utf-8")
    running = start("--policy", policy, "feed", "update")
    wait_until(lambda: "/files/all.zip" in index.requests)

    running.signal(number)
    ran = running.end()

    assert ran.code == 130, ran.text
    assert ran.err == "guard: interrupted\n"
    assert environment.guard("-q", "check", "evil==1.0").code == 10
    assert not [path.name for path in (tmp_path / "guard-cache").iterdir() if path.name.startswith("building")]


def test_a_doctor_that_is_interrupted_leaves_nobody_behind(start: Callable[..., Running], temporary: Path) -> None:
    running = start("doctor")
    wait_until(lambda: any(temporary.glob("installguard-doctor-*/installguard-*")))

    running.signal(signal.SIGTERM)
    ran = running.end()

    assert ran.code == 130, ran.text
    assert ran.err == "guard: interrupted\n"
    assert running.survivors() == set()
    assert list(temporary.iterdir()) == []


# ---------------------------------------------------------------- streams


def shell(environment: Environment, redirection: str, *argv: str) -> Ran:
    """Run guard with a shell's redirections."""
    command = f'exec "$@" {redirection}'
    guard: list[str | Path] = [sys.executable, "-m", "installguard", "--python", environment.python, *argv]
    return environment.run(["sh", "-c", command, "sh", *guard])


@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_neither_verdict_nor_installation(
    environment: Environment, feed: Path, index: Index, redirection: str
) -> None:
    make_wheel(index.files, "nice")
    make_wheel(index.files, "evil")

    assert shell(environment, redirection, "install", "evil").code == 10
    allowed = shell(environment, redirection, "install", "nice")

    assert allowed.code == 0, allowed.text
    assert (environment.site_packages / "nice" / "__init__.py").is_file()
    assert not (environment.site_packages / "evil").exists()


@pytest.mark.parametrize(
    ("redirection", "argv", "code"),
    [
        ("2>/dev/full", ("check", "evil==1.0"), 10),
        (">/dev/full", ("check", "evil==1.0"), 10),
        (">/dev/full", ("check", "nice==1.0"), 12),
        (">/dev/full", ("--format", "json", "check", "nice==1.0"), 12),
        (">/dev/full", ("--version",), 12),
        ("2>/dev/full", ("install", "evil"), 10),
        ("2>/dev/full", ("--report", "-", "install", "evil"), 10),
        (">/dev/full", ("--report", "-", "install", "evil"), 10),
    ],
)
def test_what_cannot_be_told_is_never_taken_for_an_all_clear(
    environment: Environment, feed: Path, index: Index, redirection: str, argv: tuple[str, ...], code: int
) -> None:
    make_wheel(index.files, "evil")

    ran = shell(environment, redirection, *argv)

    assert ran.code == code, ran.text
    assert "Traceback" not in ran.text
    assert "Exception ignored" not in ran.text
    if code == 12:
        assert ran.err == "guard: error: stdout: cannot be written: No space left on device\n"


@pytest.mark.parametrize("stream", ["1", "2", "1,2"])
def test_a_reader_that_went_away_changes_no_verdict(
    environment: Environment, feed: Path, index: Index, stream: str
) -> None:
    make_wheel(index.files, "evil")
    deaf = {int(each) for each in stream.split(",")}
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-m", "installguard", "--python", str(environment.python), "install", "evil"],
        env=environment.environ(),
        cwd=environment.home,
        stdout=writing if 1 in deaf else subprocess.DEVNULL,
        stderr=writing if 2 in deaf else subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    os.close(writing)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode != 0
    assert process.returncode == 10 or 1 in deaf  # pip itself may have failed before it could ask
    assert "installguard" not in (err or "")
    assert not (environment.site_packages / "evil").exists()


def test_help_into_a_pipe_that_is_closed_is_no_trouble(environment: Environment) -> None:
    ran = environment.run(["sh", "-c", '"$@" | true', "sh", sys.executable, "-m", "installguard", "--help"])

    assert (ran.code, ran.err) == (0, "")


# ---------------------------------------------------------------- disks and directories


def limited(environment: Environment, size: int, *argv: str | Path) -> Ran:
    """Run guard where no file can grow beyond *size* bytes, as on a full disk."""
    process = subprocess.Popen(
        [sys.executable, "-m", "installguard", "--python", str(environment.python), *map(str, argv)],
        env=environment.environ(),
        cwd=environment.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    out, err = process.communicate(timeout=PATIENCE)
    return Ran(process.returncode, out, err)


def test_a_full_disk_keeps_the_old_snapshot(environment: Environment, feed: Path, tmp_path: Path) -> None:
    records = [malware_record(f"MAL-2099-{number}", f"bad-{number}", ["1.0"]) for number in range(50)]
    larger = write_feed(tmp_path / "larger.zip", records)

    ran = limited(environment, 4096, "feed", "import", larger)

    assert ran.code == 12, ran.text
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("guard: error: ")
    assert "nothing was changed" in ran.err
    assert environment.guard("-q", "check", "evil==1.0").code == 10


def test_a_disk_too_full_for_the_launcher_installs_nothing(
    environment: Environment, index: Index, temporary: Path
) -> None:
    make_wheel(index.files, "nice")
    before = environment.files()

    ran = limited(environment, 0, "install", "nice")

    assert ran.code == 12, ran.text
    assert ran.err.count("\n") == 1, ran.err
    assert "free some space" in ran.err
    assert environment.files() == before
    assert list(temporary.iterdir()) == []


def test_a_report_that_cannot_be_written_is_said_before_pip_runs(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    make_wheel(index.files, "nice")
    for report in (tmp_path, tmp_path / "no" / "such" / "report.json", environment.python / "report.json"):
        ran = environment.guard("--report", report, "install", "nice")

        assert ran.code == 2, ran.text
        assert ran.err.startswith(f"guard: error: --report {report}: cannot be written")
        assert ran.err.count("\n") == 1
    assert index.requests == []


def test_a_report_of_an_earlier_run_does_not_outlive_one_that_breaks_off(
    environment: Environment, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    assert environment.guard("--report", report, "check", "nice==1.0").code == 0
    assert json.loads(report.read_text(encoding="utf-8"))["verdict"] == "warn"
    policy = tmp_path / "policy.toml"
    policy.write_text("[tool.installguard]\npreset = 1\n", encoding="utf-8")

    assert environment.guard("--report", report, "--policy", policy, "check", "nice==1.0").code == 13
    assert not report.exists()


def test_a_cache_that_cannot_be_written_stops_imports_but_no_judging(
    environment: Environment, feed: Path, tmp_path: Path
) -> None:
    nowhere = str(feed / "cache")  # below a file nothing can be made, not even by root

    imported = environment.guard("feed", "import", feed, INSTALLGUARD_CACHE_DIR=nowhere)
    checked = environment.guard("check", "litellm==1.82.8", INSTALLGUARD_CACHE_DIR=nowhere)

    assert imported.code == 12, imported.text
    assert imported.err.count("\n") == 1
    assert "nothing was changed" in imported.err
    assert checked.code == 10, checked.text
    assert "warning[feed-missing]" in checked.out


@pytest.mark.parametrize("directory", ["no/such/directory", "file/below"])
def test_a_temporary_directory_that_does_not_exist_is_done_without_as_pip_does(
    environment: Environment, index: Index, tmp_path: Path, directory: str
) -> None:
    (tmp_path / "file").touch()
    make_wheel(index.files, "nice")

    ran = environment.guard("install", "nice", TMPDIR=str(tmp_path / directory))

    assert ran.code == 0, ran.text


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_no_home_is_needed(environment: Environment, index: Index, home: str | None) -> None:
    make_wheel(index.files, "nice")
    unset = ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "INSTALLGUARD_CACHE_DIR", "HOME"]
    given = [] if home is None else [f"HOME={home}"]
    command = ["env", *(f"--unset={name}" for name in unset), *given, sys.executable, "-m", "installguard"]

    ran = environment.run([*command, "--python", environment.python, "install", "--no-cache-dir", "nice"])

    assert ran.code == 0 or (home == "" and ran.code == 12), ran.text
    if ran.code:
        assert ran.err == (
            "guard: error: there is no home directory to keep feeds in (set HOME or INSTALLGUARD_CACHE_DIR)\n"
        )


def test_a_working_directory_that_is_gone_is_named(environment: Environment, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    guard = f'cd "{gone}" && rmdir "{gone}" && exec "$@"'

    ran = environment.run(["sh", "-c", guard, "sh", sys.executable, "-m", "installguard", "check", "nice==1.0"])
    told = environment.run(["sh", "-c", "mkdir -p $0; " + guard, gone, sys.executable, "-m", "installguard", "--help"])

    assert ran.code == 2
    assert ran.err == "guard: error: the current directory is gone (change to one that exists)\n"
    assert told.code == 0


# ---------------------------------------------------------------- two at a time


def test_two_guards_at_the_same_time_do_not_meet(
    environment: Environment, start: Callable[..., Running], index: Index, template: Path, tmp_path: Path
) -> None:
    make_wheel(index.files, "nice")
    copy_environment(template, tmp_path / "other")
    other = Environment(prefix=tmp_path / "other", home=environment.home)

    both = [start("install", "nice"), start("--python", other.python, "install", "nice")]
    ends = [running.end() for running in both]

    assert [ran.code for ran in ends] == [0, 0], [ran.text for ran in ends]
    assert (environment.site_packages / "nice").is_dir()
    assert (other.site_packages / "nice").is_dir()


def test_two_imports_at_the_same_time_both_get_in(
    environment: Environment, start: Callable[..., Running], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        write_feed(tmp_path / f"{name}.zip", [malware_record(f"MAL-{name}-1", f"evil-{name}", ["1.0"])])

    both = [start("feed", "import", tmp_path / f"{name}.zip", "--source", name) for name in ("one", "two")]
    ends = [running.end() for running in both]

    assert [ran.code for ran in ends] == [0, 0], [ran.text for ran in ends]
    checked = environment.guard("check", "evil-one==1.0", "evil-two==1.0")
    assert checked.out.count("error[malicious]") == 2


# ---------------------------------------------------------------- interpreters

PYENV = Path.home() / ".pyenv" / "versions"


@pytest.mark.parametrize("release", ["2.7", "3.6", "3.7"])
def test_an_interpreter_that_is_too_old_is_refused_in_one_line(environment: Environment, release: str) -> None:
    found = sorted(PYENV.glob(f"{release}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {release} below ~/.pyenv/versions")

    ran = environment.guard("--python", found[0], "install", "nice")

    assert ran.code == 12, ran.text
    assert ran.err.startswith(f"guard: error: {found[0]} ended with 12")
    assert "Python 3.8 or newer" in ran.err
    assert (ran.out, ran.err.count("\n")) == ("", 1)


def test_what_is_no_interpreter_is_refused_in_one_line(environment: Environment, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a program\n", encoding="utf-8")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    script.chmod(0o755)
    for path, code, what in (
        (script, 12, "ended with 0 before guard's hook ran in it"),
        (text, 12, "cannot be started: Permission denied"),
        (tmp_path / "missing", 2, "no such interpreter"),
        (tmp_path, 2, "there is no Python interpreter in this environment"),
    ):
        ran = environment.guard("--python", path, "install", "nice")

        assert (ran.code, ran.out) == (code, ""), ran.text
        assert ran.err.count("\n") == 1, ran.err
        assert what in ran.err


def test_without_any_pip_that_is_said(environment: Environment, tmp_path: Path) -> None:
    bare = guard_without_pip(tmp_path)
    venv.create(tmp_path / "target", with_pip=False)
    target = Environment(prefix=tmp_path / "target", home=environment.home)

    ran = environment.run([bare, "-m", "installguard", "--python", target.python, "install", "nice"])

    assert ran.code == 12, ran.text
    assert ran.err.count("\n") == 1, ran.err
    assert "has no pip, and guard has none of its own to lend" in ran.err


def guard_without_pip(directory: Path) -> Path:
    """Return an interpreter that has guard and what it needs, but no pip."""
    import httpx

    import installguard

    links = directory / "links"
    links.mkdir()
    for path in Path(httpx.__file__).parent.parent.iterdir():
        if not path.name.startswith("pip"):
            (links / path.name).symlink_to(path)
    venv.create(directory / "guard", with_pip=False)
    made = Environment(prefix=directory / "guard", home=directory)
    lines = f"{links}\n{Path(installguard.__file__).parent.parent}\n"
    (made.site_packages / "guard.pth").write_text(lines, encoding="utf-8")
    return made.python
