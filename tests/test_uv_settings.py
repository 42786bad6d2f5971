"""Which indexes uv is going to ask is read as the real uv reads it: its own report of its settings is the measure."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from installguard.errors import UnjudgedError
from installguard.frontends.uv.command import parse_command
from installguard.frontends.uv.program import Program
from installguard.frontends.uv.settings import (
    Index,
    Reading,
    UvSettings,
    find_project,
    merged_config,
    read_script,
    read_settings,
    system_directories,
    user_directory,
)

UV = Path(sysconfig.get_path("scripts")) / "uv"
PROJECT = '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.10"\n'


@dataclass
class Place:
    """A directory with files, and what uv finds around it."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def cwd(self) -> Path:
        return self.root / "work"

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def read(self, *argv: str, program: Program = "uv") -> UvSettings:
        command = parse_command(program, argv)
        assert command.unknown is None
        return read_settings(
            command,
            self.environ,
            self.cwd,
            user_dir=self.root / "config",
            system_dirs=[self.root / "nothing", self.root / "system"],
        )

    def told(self, *argv: str) -> str:
        """Return the settings that the real uv reports for a command."""
        environ = {"PATH": os.defpath, "HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root / "config")}
        environ |= {"XDG_CONFIG_DIRS": f"{self.root}/nothing:{self.root}/system", "UV_PYTHON_DOWNLOADS": "never"}
        environ |= {"UV_CACHE_DIR": str(self.root / "cache"), "UV_OFFLINE": "1", **self.environ}
        command = parse_command("uv", argv).with_options(["--show-settings"]).argv
        done = subprocess.run(
            [UV, *command], cwd=self.cwd, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(tmp_path)


# ---------------------------------------------------------------- what the real uv reports


def list_in(report: str, key: str) -> str:
    """Return the text of a list of locations in the report: up to the bracket that is indented as its key."""
    locations = report[report.index("IndexLocations {") :]
    found = re.search(rf"^( *){key}: \[\n(.*?)^\1\],", locations, re.MULTILINE | re.DOTALL)
    return found[2] if found else ""


def reported(report: str, key: str) -> list[tuple[str | None, str, bool, bool]]:
    """Return name, place, whether explicit and whether default, of each index in the report."""
    found = []
    for text in list_in(report, key).split("Index {\n")[1:]:
        name = re.search(r'IndexName\(\s*"([^"]*)"', text)
        scheme, path = re.search(r'scheme: "(\w+)"', text), re.search(r'path: "([^"]*)"', text)
        given = re.search(r'given: Some\(\s*"([^"]*)"', text)
        assert scheme is not None
        assert path is not None
        url = path[1] if scheme[1] == "file" else given[1] if given else ""
        found.append((name[1] if name else None, url, "explicit: true" in text, "default: true" in text))
    return found


def in_uv_order(indexes: Sequence[tuple[str | None, str, bool, bool]]) -> tuple[str | None, list[str], list[str]]:
    """Return the default index, those asked before it, and those asked by name only: by uv's own rules for its list."""
    names: set[str] = set()
    kept = [each for each in indexes if each[0] is None or (each[0] not in names and not names.add(each[0]))]  # type: ignore[func-returns-value]
    default = next((url for _, url, _, is_default in kept if is_default), None)
    implicit = [url for _, url, explicit, is_default in kept if not explicit and not is_default]
    return default, implicit, [url for _, url, explicit, is_default in kept if explicit and not is_default]


def mine(settings: UvSettings) -> tuple[str | None, list[str], list[str]]:
    default = None if settings.default is None else settings.default.absolute
    implicit = [each.absolute for each in settings.others if not each.explicit]
    explicit = [each.absolute for each in settings.others if each.explicit and not each.default]
    return default, implicit, explicit


USER = """\
index-url = "http://user.example.org/simple"
extra-index-url = ["http://user.example.org/extra"]
find-links = ["./wheels", "http://user.example.org/links"]
[[index]]
url = "http://user.example.org/named"
name = "b"
[pip]
extra-index-url = ["http://user.example.org/pip"]
"""
SYSTEM = """\
[[index]]
url = "http://system.example.org/default"
default = true
[[index]]
name = "a"
url = "http://system.example.org/a"
"""
LOCAL = (
    PROJECT
    + """\
[tool.uv]
find-links = ["links"]
no-build-package = ["x"]
[tool.uv.pip]
index-url = "http://pip.example.org"
find-links = ["../piplinks"]
[[tool.uv.index]]
name = "a"
url = "http://a.example.org/simple"
explicit = true
[[tool.uv.index]]
name = "c"
url = "../local/simple"
[[tool.uv.index]]
url = "http://flat.example.org"
format = "flat"
"""
)
DEFAULTED = LOCAL + '[[tool.uv.index]]\nurl = "http://default.example.org"\ndefault = true\nname = "d"\n'
ABOVE = "[tool.uv]\nindex-url = './up'\n[tool.uv.workspace]\nmembers = ['{}']\n"
ALL = {"work/pyproject.toml": LOCAL, "config/uv/uv.toml": USER, "system/uv/uv.toml": SYSTEM}
NAMED = {
    "UV_DEFAULT_INDEX": "z=http://env.example.org/default",
    "UV_INDEX": "b=http://env.example.org/b\n http://env.example.org/2",
    "UV_FIND_LINKS": "./env,http://env.example.org/links",
}
OLD = {"UV_INDEX_URL": "http://env.example.org/old", "UV_EXTRA_INDEX_URL": "http://env.example.org/x ./envlocal"}


@pytest.mark.parametrize(
    "line",
    ["pip install x", "pip sync x.txt", "lock", "add x", "run x", "venv x", "build x", "tool install x", "tool run x"],
)
@pytest.mark.parametrize(
    ("files", "environ", "more"),
    [
        ({}, {}, ""),
        (ALL, {}, ""),
        (ALL, NAMED, ""),
        (ALL, OLD, ""),
        (ALL, {**OLD, **NAMED}, "--index a=http://cli.example.org/a --default-index http://cli.example.org/d"),
        ({**ALL, "work/pyproject.toml": DEFAULTED}, OLD, "-i ./cli --extra-index-url http://cli.example.org -f ./f,g"),
        ({**ALL, "work/pyproject.toml": DEFAULTED}, {}, ""),
        ({**ALL, "work/uv.toml": 'find-links = ["here"]\n'}, {"UV_INDEX_URL": ""}, ""),
        (ALL, {"UV_NO_CONFIG": "1"}, ""),
        (ALL, {}, "--isolated"),
        (ALL, {}, "--project ../config"),
        (ALL, {"UV_NO_SYSTEM_CONFIG": "true"}, "--no-index"),
        (ALL, {"UV_CONFIG_FILE": "../config/uv/uv.toml"}, ""),
        (ALL, {"UV_CONFIG_FILE": "nothing.toml"}, "--config-file ../system/uv/uv.toml"),
        ({"uv.toml": 'index-url = "./up"', "work/pyproject.toml": PROJECT}, {}, ""),
        ({"pyproject.toml": ABOVE.format("w*"), "work/pyproject.toml": DEFAULTED}, {}, ""),
        ({"pyproject.toml": ABOVE.format("z*"), "work/pyproject.toml": DEFAULTED}, {}, ""),
        ({"work/pyproject.toml": DEFAULTED + "[tool.uv.sources]\n", "uv.toml": USER}, {}, "--isolated"),
        ({"work/pyproject.toml": f"managed = true\n[tool.uv]\n{LOCAL}", "uv.toml": USER}, {}, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)  # fmt: skip
def test_the_indexes_are_those_that_uv_reports(
    files: Mapping[str, str], environ: Mapping[str, str], more: str, line: str, place: Place
) -> None:
    place.write(files)
    place.environ |= environ
    verb, _, rest = line.rpartition(" ") if line != "lock" else (line, "", "")
    argv = [*verb.split(), *more.split(), *rest.split()]
    report, settings = place.told(*argv), place.read(*argv)
    assert mine(settings) == in_uv_order(reported(report, "indexes"))
    assert [each.absolute for each in settings.find_links] == [url for _, url, *_ in reported(report, "flat_index")]
    assert settings.no_index is ("no_index: true" in report)


# ---------------------------------------------------------------- one file for all


RICH = """\
no-build-package = ["y"]
prerelease = "allow"
exclude-newer = "2024-01-01T00:00:00Z"
allow-insecure-host = ["one.example.org"]
config-settings = { key = "value", other = ["a", "b"] }
constraint-dependencies = ["aaa<2"]
preview = true
[[dependency-metadata]]
name = "aaa"
version = "1"
requires-dist = ["b; python_version < '4'"]
[pip]
strict = true
no-binary = ["z"]
"""


POOR = 'prerelease = "disallow"\nconfig-settings = { key = "no" }\n'


def plain(report: str) -> str:
    """Return a report without what depends on the file that a value was read from, and without times."""
    report = re.sub(r"origin: (None|Some\(\s*\w+,\s*\))", "origin: -", report)
    report = re.sub(r"given: (None|Some\(\s*\"[^\"]*\",\s*\))", "given: -", report)
    return re.sub(r"tv_n?sec: \d+", "tv: -", report)


@pytest.mark.parametrize("line", ["pip install x", "lock", "run x", "tool install x"])
@pytest.mark.parametrize(
    "files",
    [
        ALL,
        {**ALL, "work/pyproject.toml": DEFAULTED + "[tool.uv.workspace]\nmembers = []\n"},
        {**ALL, "config/uv/uv.toml": RICH.replace("exclude-newer", "# ")},
        {**ALL, "work/uv.toml": RICH, "config/uv/uv.toml": POOR},
        {"system/uv/uv.toml": USER},
    ],
    ids=",".join,
)  # fmt: skip
def test_one_file_stands_for_all_configuration(files: Mapping[str, str], line: str, place: Place) -> None:
    place.write(files)
    argv = line.split()
    before = place.told(*argv)
    settings = place.read(*argv)
    place.write({"elsewhere/uv.toml": merged_config(settings.files, lambda url: url)})
    place.environ["UV_CONFIG_FILE"] = str(place.root / "elsewhere" / "uv.toml")
    assert plain(place.told(*argv)) == plain(before)
    assert mine(place.read(*argv)) == mine(settings)


def test_in_the_one_file_each_index_is_replaced(place: Place) -> None:
    place.write(ALL)
    before = place.read("pip", "install", "x")
    place.write({"elsewhere/uv.toml": merged_config(before.files, lambda url: f"http://127.0.0.1/{url}")})
    after = place.read("pip", "install", "x", "--config-file", "../elsewhere/uv.toml")
    assert [each.url for each in after.indexes] == [f"http://127.0.0.1/{each.absolute}" for each in before.indexes]
    assert len(after.indexes) > 8


# ---------------------------------------------------------------- projects and scripts


WORKSPACE = {
    "work/pyproject.toml": PROJECT
    + '[tool.uv.workspace]\nmembers = ["libs/*", "./apps/one", "deep/*/*"]\nexclude = ["libs/not"]\n',
    **{
        f"work/{name}/pyproject.toml": PROJECT.replace("mine", name.replace("/", "-"))
        for name in ("libs/a", "libs/b", "libs/not", "apps/one", "apps/two", "libs/a/inner")
    },
    "work/libs/.hidden/notes.txt": "",
    "work/deep/a/b/pyproject.toml": PROJECT.replace("mine", "deep-b"),
    "work/deep/a/pyproject.toml": "[tool.other]\n",
}


@pytest.mark.parametrize(
    "start",
    [
        ".",
        "libs",
        "libs/a",
        "libs/not",
        "apps/one",
        "apps/two",
        "libs/a/inner",
        "apps",
        "deep/a/b",
    ],
)
def test_the_project_is_the_one_that_uv_finds(start: str, place: Place, tmp_path: Path) -> None:
    place.write(WORKSPACE)
    environ = {"PATH": os.defpath, "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")}
    told = [
        subprocess.run(
            [UV, "workspace", *verb], cwd=place.cwd / start, env=environ, capture_output=True, text=True, check=True
        )
        for verb in (["dir"], ["list", "--paths"])
    ]
    found = find_project(place.cwd / start, Reading())
    assert found is not None
    assert str(found.root) == told[0].stdout.strip()
    assert sorted(map(str, found.members)) == sorted(told[1].stdout.split())


def test_there_is_no_project_where_uv_has_none(place: Place) -> None:
    assert find_project(place.cwd, Reading()) is None
    place.write({"pyproject.toml": "[tool.other]\n"})
    assert find_project(place.cwd, Reading()) is None
    place.write({"work/pyproject.toml": PROJECT + "[tool.uv]\nmanaged = false\n"})
    assert find_project(place.cwd, Reading()) is None


def test_indexes_of_members_are_asked_for_their_own(place: Place) -> None:
    member = PROJECT + '[[tool.uv.index]]\nname = "m"\nurl = "http://member.example.org"\n'
    place.write({**WORKSPACE, "work/libs/a/pyproject.toml": member})
    settings = place.read("sync")
    assert [(each.name, each.url, each.explicit) for each in settings.member_indexes] == [
        ("m", "http://member.example.org", True)
    ]
    assert settings.others == ()


SCRIPT = """\
#!/usr/bin/env python
# /// script
# dependencies = ["aaa"]
# [[tool.uv.index]]
# url = "http://script.example.org"
# ///
print("no block: # /// script")
"""


@pytest.mark.parametrize("line", ["run s.py --index x", "sync --script s.py", "run --script s.py"])
def test_indexes_of_a_script_count_before_those_of_files(line: str, place: Place) -> None:
    place.write({**ALL, "work/s.py": SCRIPT})
    settings = place.read(*line.split())
    assert settings.script is not None
    assert settings.script.lock == place.cwd / "s.py.lock"
    assert settings.script.table["dependencies"] == ["aaa"]
    assert (settings.others[0].url, settings.others[0].where) == ("http://script.example.org", "script")


def test_a_script_without_metadata_is_none(place: Place) -> None:
    place.write({"work/s.py": "print()\n", "work/t.py": "# /// script\n# dependencies = [\n# ///\n", "work/u.py": "\0"})
    reading = Reading()
    assert [read_script(place.cwd / name, reading) for name in ("s.py", "t.py", "u.py", "v.py")] == [None] * 4
    assert len(reading.problems) == 1  # a script that is not there; of what is broken uv says more
    place.write({"work/crlf.py": SCRIPT.replace("\n", "\r\n")})
    assert read_script(place.cwd / "crlf.py", Reading()) is not None


# ---------------------------------------------------------------- the rest


@pytest.mark.parametrize(
    ("line", "environ", "frozen", "locked", "offline", "no_sync"),
    [
        ("sync", {}, False, False, False, False),
        ("sync", {"UV_FROZEN": "1", "UV_OFFLINE": "true", "UV_NO_SYNC": "on"}, True, False, True, True),
        ("sync", {"UV_FROZEN": "0", "UV_OFFLINE": "false", "UV_NO_SYNC": ""}, False, False, False, False),
        ("sync --no-frozen --no-offline", {"UV_FROZEN": "1", "UV_OFFLINE": "1"}, False, False, False, False),
        ("sync --locked", {"UV_FROZEN": "1"}, False, True, False, False),
        ("sync --frozen", {"UV_LOCKED": "1"}, True, False, False, False),
    ],
)
def test_the_command_line_counts_before_variables(
    line: str, environ: Mapping[str, str], frozen: bool, locked: bool, offline: bool, no_sync: bool, place: Place
) -> None:
    place.environ |= environ
    found = place.read(*line.split())
    assert (found.frozen, found.locked, found.offline, found.no_sync) == (frozen, locked, offline, no_sync)


def test_what_else_changes_where_files_come_from_is_told(place: Place) -> None:
    place.environ |= {
        "UV_CONSTRAINT": "a.txt b.txt",
        "UV_OVERRIDE": "o.txt",
        "UV_TORCH_BACKEND": "cpu",
        "UV_VENV_SEED": "1",
    }
    found = place.read("pip", "install", "-c", "mine.txt", "x")
    assert found.requirement_files == (("--overrides", "o.txt"),)
    assert place.read("pip", "install", "x").requirement_files[:2] == (
        ("--constraints", "a.txt"),
        ("--constraints", "b.txt"),
    )
    assert found.torch_backend == "cpu"
    assert place.read("pip", "install", "--torch-backend=auto", "x").torch_backend == "auto"
    assert Index(url="./a/../b", where="cli", base=Path("/x")).absolute == "/x/b"


def test_a_uv_that_does_not_know_a_variable_is_not_taken_to_heed_it(place: Place) -> None:
    place.write({"system/uv/uv.toml": SYSTEM})
    place.environ["UV_NO_SYSTEM_CONFIG"] = "1"
    command = parse_command("uv", ["lock"])
    facts: dict[str, Any] = {"user_dir": None, "system_dirs": [place.root / "system"]}
    assert read_settings(command, place.environ, place.cwd, **facts).indexes == ()
    assert len(read_settings(command, place.environ, place.cwd, **facts, version=(0, 9, 30)).indexes) == 2


def test_directories_are_followed_as_uv_follows_them(place: Place) -> None:
    place.write(
        {"work/a/uv.toml": 'index-url = "http://a.example.org"', "work/b/uv.toml": 'index-url = "http://b.example.org"'}
    )
    for argv, host in (
        (["--directory", "a"], "a"),
        (["--project", "b"], "b"),
        (["--directory=a", "--project=../b"], "b"),
    ):
        default = place.read("pip", "install", "x", *argv).default
        assert default is not None
        assert default.url == f"http://{host}.example.org"
    place.environ["UV_WORKING_DIR"] = "a"
    assert place.read("lock").cwd == place.cwd / "a"


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe", b"index = [", b"[index]\nurl = 1", b"index = 1\nfind-links = 'x'\n", b"pip = 1",
        b"[[index]]\nname = 1\nurl = 'x'\n", b"extra-index-url = [1, [2]]", b"[tool]\nuv = 1\n",
        b"\xef\xbb\xbfindex-url = 'x'",
    ],
)  # fmt: skip
def test_damaged_configuration_is_left_to_uv(text: bytes, place: Place) -> None:
    for name in ("uv.toml", "pyproject.toml"):
        (place.cwd / name).write_bytes(text)
        settings = place.read("pip", "install", "x")
        assert settings.project is None
        assert isinstance(merged_config(settings.files, str.upper), str)


def test_values_that_nest_without_end_are_refused(place: Place) -> None:
    place.write({"uv.toml": "a." * 900 + "b = 1", "work/pyproject.toml": "[tool.uv]\n" + "a." * 900 + "b = 1"})
    with pytest.raises(UnjudgedError, match="nested too deeply"):
        merged_config(place.read("lock").files, str.upper)


def test_what_could_name_an_index_and_cannot_be_read_is_told(place: Place) -> None:
    place.write({"work/uv.toml": "index-url = [", "config/uv/uv.toml": "offline = ["})
    assert [each.partition(": ")[0] for each in place.read("lock").problems] == [str(place.cwd / "uv.toml")]


def test_what_only_uv_calls_toml_is_read_as_well(place: Place) -> None:
    place.write({"work/uv.toml": 'index = [{\n  url = "http://one.example.org",\n  name = "a",\n}]\n'})
    assert mine(place.read("lock")) == in_uv_order(reported(place.told("lock"), "indexes")) == (
        None, ["http://one.example.org"], []
    )  # fmt: skip


@pytest.mark.parametrize(
    "url", ["HTTP://Up.example.org", "foo:bar", "~/x", "file:///x", "http://${X}.example.org", "c:/x"]
)
def test_what_is_a_url_is_what_uv_takes_for_one(url: str, place: Place) -> None:
    place.write({"work/uv.toml": f"[[index]]\nurl = '{url}'\n"})
    ((_, told, *_),) = reported(place.told("lock"), "indexes")
    (found,) = place.read("lock").others
    assert found.absolute.removeprefix("file://") == told


def test_configuration_directories_are_those_of_the_platform() -> None:
    assert user_directory({"HOME": "/home/x"}, "linux") == Path("/home/x/.config")
    assert user_directory({"HOME": "/home/x", "XDG_CONFIG_HOME": "/c"}, "darwin") == Path("/c")
    assert user_directory({"HOME": "/home/x", "XDG_CONFIG_HOME": "not/absolute"}, "linux") == Path("/home/x/.config")
    assert user_directory({"APPDATA": "C:/Roaming"}, "win32") == Path("C:/Roaming")
    assert user_directory({}, "linux") is None
    assert system_directories({}, "linux") == (Path("/etc/xdg"), Path("/etc"))
    assert system_directories({"XDG_CONFIG_DIRS": "/a:/b::/c"}, "linux") == (Path("/a"), Path("/b"), Path("/etc"))
    assert system_directories({}, "win32") == ()
