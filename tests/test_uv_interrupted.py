"""Whatever ends guard under uv: files name the user's index, and the next run clears away what is left behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import malware_record, write_feed
from .loopback import Index, serve
from .packages import make_sdist, make_wheel, source_files
from .uv_home import UvHome
from .world import ENTRY_POINTS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and /proc are those of POSIX")

pytestmark = pytest.mark.every(3)
POLICY = '[tool.installguard.builds]\nlevel = "allow"\n[tool.installguard.feed]\nstale = "allow"\n'
PROJECT = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["slow", "source"]\n'
INDEX = '\n[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n'
WHEEL, METADATA = "-py3-none-any.whl", "-py3-none-any.whl.metadata"
MOMENTS = (
    (("lock",), f"slow-1.0{METADATA}"),
    (("sync",), f"slow-1.0{WHEEL}"),
    (("add", "nice"), f"slow-1.0{METADATA}"),
    (("add", "nice"), f"slow-1.0{WHEEL}"),
    (("run", "python", "-c", "import slow"), f"slow-1.0{WHEEL}"),
    (("pip", "install", "slow", "source"), f"slow-1.0{METADATA}"),
    (("tool", "install", "slow"), f"slow-1.0{WHEEL}"),
    (("tool", "upgrade", "early"), f"early-2.0{METADATA}"),
    (("tool", "upgrade", "early"), f"early-2.0{WHEEL}"),
)
"""Commands, and which file they are waiting for, byte by byte, when they are ended."""
NAMES = [f"{'-'.join(words[:2])}-{'resolves' if file.endswith('metadata') else 'installs'}" for words, file in MOMENTS]


@dataclass
class Place:
    """A home with a project and a tool, in which one run after the other is ended early."""

    world: UvHome
    template: Path

    def fresh(self) -> UvHome:
        """Put everything back as it was before the first run."""
        for name in ("project", "home"):
            shutil.rmtree(self.world.directory / name, ignore_errors=True)
            shutil.copytree(self.template / name, self.world.directory / name, symlinks=True)
        return self.world

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start guard with uv's *words*, as the first of a process group of its own."""
        command = [sys.executable, "-m", "installguard", "uv", *words]
        return subprocess.Popen(
            command,
            cwd=self.world.project,
            env=self.world.environ(),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start_waiting(self, words: tuple[str, ...], file: str) -> subprocess.Popen[bytes]:
        """Start guard, and return some moment after it asked for a file that comes byte by byte."""
        index = self.world.index
        index.trickled.add(file)
        index.requests.clear()
        guard = self.start(*words)
        deadline = time.monotonic() + 20
        while not any(path.endswith(f"/{file}") for path in index.requests):
            assert guard.poll() is None, guard.returncode
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(random.Random(f"{words}{file}").uniform(0, 0.3))
        return guard

    def leftovers(self) -> list[str]:
        """Return what lies beside the project that was not there before."""
        return sorted({path.name for path in self.world.directory.iterdir()} - {"project", "home", "MARKER"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An index some of whose files trickle, and a project and a tool that were made without guard."""
    directory = tmp_path_factory.mktemp("interrupted")
    files = directory / "files"
    points = {"{}-{}.dist-info/entry_points.txt": ENTRY_POINTS}
    for name, version in (("slow", "1.0"), ("early", "1.0"), ("early", "2.0")):
        listed = {path.format(name, version): text.replace("fancy", name) for path, text in points.items()}
        make_wheel(files, name, version, files={f"{name}.py": "def main(): pass\n", **listed})
    make_wheel(files, "nice")
    make_sdist(files, "source", "1.0", source_files("source"))
    with serve(Index(files, json=True)) as index:
        (directory / "policy.toml").write_text(POLICY, encoding="utf-8")
        export = write_feed(directory / "feed.zip", [malware_record("MAL-2099-1", "evil", ["1.0"])])
        variables = {
            "INSTALLGUARD_CACHE_DIR": str(directory / "cache"),
            "INSTALLGUARD_POLICY": str(directory / "policy.toml"),
            "UV_HTTP_RETRIES": "0",
        }
        world = UvHome(directory=directory / "place", index=index, extra=variables)
        world.directory.mkdir()
        done = world.make().guard("feed", "import", export, "--source", "osv")
        assert done.code == 0, done.text
        world.make_environment()
        assert world.bare("tool", "install", "early<2").code == 0
        assert world.bare("tool", "install", "early", "-q").code == 0
        (world.project / "pyproject.toml").write_text(PROJECT + INDEX.format(index=index.url), encoding="utf-8")
        for kept in (world.home / "cache" / "uv").iterdir():
            if kept.is_dir() and not kept.name.startswith("interpreter"):
                shutil.rmtree(kept)
        for name in ("project", "home"):
            shutil.copytree(world.directory / name, directory / "template" / name, symlinks=True)
        yield Place(world=world, template=directory / "template")


def processes_of(session: int) -> list[str]:
    """Return the command lines of the processes of a session that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def ended(session: int, seconds: float) -> bool:
    """Tell whether all processes of a session end within some seconds."""
    deadline = time.monotonic() + seconds
    while processes_of(session) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes_of(session)


@pytest.mark.parametrize(("words", "file"), MOMENTS, ids=NAMES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_run_leaves_nothing_behind(
    place: Place, number: signal.Signals, words: tuple[str, ...], file: str
) -> None:
    world = place.fresh()
    before = world.files()
    with place.start_waiting(words, file) as guard:
        guard.send_signal(number)
        code = guard.wait(timeout=20)
    world.index.trickled.clear()
    assert ended(guard.pid, 3), processes_of(guard.pid)
    assert code == 130
    assert place.leftovers() == []
    assert world.addresses_of_guard() == []
    after = world.files()
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize(("words", "file"), MOMENTS, ids=NAMES)
def test_what_a_killed_run_leaves_is_cleared_away_by_the_next(place: Place, words: tuple[str, ...], file: str) -> None:
    world = place.fresh()
    with place.start_waiting(words, file) as guard:
        guard.kill()
    files = [world.project / name for name in ("pyproject.toml", "uv.lock")]
    ours = f"127.0.0.1:{world.index.port}".encode()
    assert all(b"127.0.0.1:" not in path.read_bytes().replace(ours, b"") for path in files if path.exists())
    assert words[0] == "pip" or file.endswith(WHEEL) or place.leftovers() or world.addresses_of_guard()
    world.index.trickled.clear()
    assert ended(guard.pid, 15), processes_of(guard.pid)
    again = world.guard("uv", "tool", "upgrade", "--all")
    assert again.code == 0, again.text
    assert world.guard("uv", "lock").code == 0
    assert place.leftovers() == []
    assert world.addresses_of_guard() == []


TOGETHER = (
    (("lock",), ("sync",)),
    (("sync",), ("sync",)),
    (("add", "nice"), ("add", "early")),
    (("tool", "install", "slow"), ("tool", "upgrade", "early")),
)


@pytest.mark.parametrize("pair", TOGETHER, ids=lambda pair: "-".join((*pair[0], *pair[1])))
def test_two_at_once_in_one_project_keep_out_of_each_others_way(
    place: Place, pair: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    world = place.fresh()
    first, second = (place.start(*words) for words in pair)
    with first, second:
        codes = (first.wait(timeout=60), second.wait(timeout=60))
    assert place.leftovers() == []
    assert world.addresses_of_guard() == []
    assert set(codes) in ({0}, {0, 12}), codes  # the other one's edit is not to be lost: that one is told to try again
    text = (world.project / "pyproject.toml").read_text(encoding="utf-8")
    added = [words[1] for words, code in zip(pair, codes, strict=True) if words[0] == "add" and code == 0]
    assert all(f'"{name}>=' in text for name in added)
    if added:
        assert world.bare("lock", "--check").code == 0
