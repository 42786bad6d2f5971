"""Odd ways to malware under uv: each is denied, in the same words, and nothing of it runs or is written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from .environments import Ran, run, tree
from .loopback import Index, serve, sha256
from .packages import make_sdist, make_wheel, source_files, touch
from .uv_home import UvHome

pytestmark = pytest.mark.every(4)
EVIL = ("evil-wheel", "evil-sdist", "evil-breq", "evil-other", "evil-tool", "pip", "evil-yanked")
NOW = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
"""When the feeds were last confirmed: no feed is asked for anything newer."""
LEFT_BY_UV = ("dist/.gitignore", "near/dist/.gitignore", "t/.lock")
"""What uv itself leaves where it failed to build, or to install into a directory."""


@dataclass(frozen=True)
class Site:
    """What all tests of this file share: two indexes, files, and where a payload would leave its mark."""

    main: Index
    other: Index
    links: Path
    marker: Path
    template: Path
    """A home whose feed names the evil ones, and an empty environment beside it."""

    def texts(self, project: Path) -> Mapping[str, str]:
        """Return what stands for what in the tables."""
        return {
            "{R}": self.main.url,
            "{X}": self.other.url,
            "{files}": self.other.url.replace("/simple/", "/files"),
            "{links}": str(self.links),
            "{evil hash}": sha256(self.main.files / "evil_wheel-1.0-py3-none-any.whl"),
            "{EVIL HASH}": sha256(self.main.files / "evil_wheel-1.0-py3-none-any.whl").upper(),
            "{project}": str(project),
        }


def malware(name: str, version: str = "1.0") -> dict[str, object]:
    """Return a record that names one release as malware."""
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "versions": [version]}
    return {"id": f"MAL-2026-{sum(map(ord, name))}", "published": NOW, "modified": NOW, "affected": [affected]}


def vulnerable(name: str) -> dict[str, object]:
    """Return a record that warns of every release."""
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges}
    return {"id": "GHSA-aaaa-bbbb-cccc", "modified": NOW, "affected": [affected]}


def fill(main: Path, other: Path, links: Path, marker: Path) -> None:
    """Make the packages."""
    payload = touch(marker)
    script = "[console_scripts]\nevil-tool = evil_tool:main\n"
    make_wheel(main, "nice")
    make_wheel(main, "nice", "2.0")
    make_wheel(main, "deep", requires=["middle"])
    make_wheel(main, "middle", requires=["evil-wheel"])
    make_wheel(main, "evil-wheel", files={"evil.pth": payload, "evil_wheel.py": payload})
    make_wheel(main, "evil-breq", files={"evil.pth": payload, "evil_breq.py": payload})
    make_sdist(main, "evil-sdist", "1.0", source_files("evil-sdist", payload=payload))
    make_sdist(main, "builds", "1.0", source_files("builds", build_requires=["evil-breq"]))
    make_sdist(main, "dynamic", "1.0", source_files("dynamic", dynamic_requires=["evil-breq"]))
    make_sdist(main, "nested", "1.0", source_files("nested", build_requires=["builds"]))
    make_wheel(main, "extras", extra="Provides-Extra: bad\nRequires-Dist: evil-wheel; extra == 'bad'\n")
    make_wheel(main, "elsewhere", extra="Requires-Dist: evil-wheel; sys_platform == 'win32'\n")
    info = "evil_tool-1.0.dist-info/entry_points.txt"
    make_wheel(main, "evil-tool", files={"evil.pth": payload, "evil_tool.py": payload, info: script})
    make_wheel(main, "evil-yanked", files={"evil.pth": payload, "evil_yanked.py": payload})
    make_wheel(main, "pip", files={"evil.pth": payload})
    make_wheel(other, "evil-other", files={"evil.pth": payload, "evil_other.py": payload})
    make_wheel(other, "special")
    make_wheel(main, "weak")
    make_sdist(main, "plain", "1.0", source_files("plain"))
    make_wheel(links, "nice", files={"evil.pth": payload})
    make_wheel(main, "late", files={"late.pth": payload, "late.py": ""})
    make_sdist(main, "late-source", "1.0", source_files("late-source", payload=payload))
    make_sdist(links, "asks", "1.0", source_files("asks", build_requires=["evil-breq"]))
    make_wheel(links, "evil-other", files={"evil.pth": payload, "evil_other.py": payload})
    make_sdist(links, "evil-sdist", "1.0", source_files("evil-sdist", payload=payload))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the indexes, and make a home that knows the evil ones."""
    base = tmp_path_factory.mktemp("ways")
    main, other, links, marker = base / "main", base / "other", base / "links", base / "MARKER"
    fill(main, other, links, marker)
    served = Index(main, json=True, yanked={"evil_yanked-1.0-py3-none-any.whl": "a mistake"})
    with serve(served) as first, serve(Index(other, json=True)) as second:
        world = UvHome(directory=base / "template", index=first).make()
        world.make_environment()
        records = base / "records"
        records.mkdir()
        for name in EVIL:
            (records / f"{name}.json").write_text(json.dumps(malware(name)), encoding="utf-8")
        (records / "weak.json").write_text(json.dumps(vulnerable("weak")), encoding="utf-8")
        assert world.guard("feed", "import", records, "--source", "osv").code == 0
        assert world.guard("uv", "pip", "install", "--dry-run", "nice").code == 0
        for remembered in list(world.home.rglob("installguard/index")):
            shutil.rmtree(remembered)  # an address is for one home
        yield Site(first, second, links, marker, world.directory)


class World(UvHome):
    """A home of one test's own on the indexes of all."""

    site: Site

    @property
    def marker(self) -> Path:
        return self.site.marker

    def filled(self, text: str) -> str:
        """Return a text of the tables with the places of this world."""
        for name, value in self.site.texts(self.project).items():
            text = text.replace(name, value)
        return text

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the project, those below `~/` into the home."""
        for name, text in files.items():
            path = self.home / name[2:] if name.startswith("~/") else self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.filled(text), encoding="utf-8")

    def say(self, line: str, **variables: str) -> Ran:
        """Run guard with the words of a line."""
        filled = {name: self.filled(value) for name, value in variables.items()}
        environ = {**self.environ(), **filled}
        return run([sys.executable, "-m", "installguard", *map(self.filled, shlex.split(line))], environ, self.project)

    def strange_addresses(self) -> list[str]:
        """Return the files that name a loopback address of neither index."""
        own = re.compile(rf"127\.0\.0\.1:(?!{self.site.main.port}/|{self.site.other.port}/)".encode())
        files = (
            path for place in (self.project, self.home / "data", self.home / "config") for path in place.rglob("*")
        )
        return [str(path) for path in files if path.is_file() and own.search(path.read_bytes())]

    def all_files(self) -> dict[str, str]:
        """Return what a denied command leaves as it was: project, environment, tools."""
        tools = tree(self.home / "data") if (self.home / "data").exists() else {}
        kept = {name: digest for name, digest in tools.items() if not name.endswith((".lock", ".gitignore"))}
        project = {name: digest for name, digest in self.files().items() if name not in LEFT_BY_UV}
        return {**project, **kept}


@pytest.fixture
def world(tmp_path: Path, site: Site) -> Iterator[World]:
    """A home of its own."""
    made = World(directory=tmp_path / "w", index=site.main)
    made.site = site
    shutil.copytree(site.template, made.directory, symlinks=True)
    yield made
    site.marker.unlink(missing_ok=True)


@dataclass(frozen=True)
class Way:
    """One way to get at malware."""

    line: str
    """Guard's words."""
    evil: str = "evil-wheel"
    files: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def denied(world: World, way: Way) -> None:
    """Go a way, and see that it ends where it should."""
    world.write(way.files)
    before = world.all_files()
    ran = world.say(way.line, **way.environ)
    assert ran.code == 10, ran.text
    assert f"error[malicious]: {way.evil} 1.0" in ran.err, ran.text
    assert not world.marker.exists(), ran.text
    assert world.all_files() == before, ran.text
    assert not world.strange_addresses()


def project(*dependencies: str, more: str = "") -> str:
    """Return a `pyproject.toml`."""
    listed = ", ".join(f'"{each}"' for each in dependencies)
    head = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.8"\n'
    return f"{head}dependencies = [{listed}]\n{more}"


def script(*dependencies: str, more: str = "") -> str:
    """Return a script with inline metadata."""
    listed = ", ".join(f'"{each}"' for each in dependencies)
    return f"# /// script\n# dependencies = [{listed}]\n{more}# ///\nprint('it ran')\n"


OTHER = project("evil-other")
NAMED = '[[tool.uv.index]]\nname = "xx"\nurl = "{X}"\n'
UNNAMED = '[[tool.uv.index]]\nurl = "{X}"\n'
EXPLICIT = NAMED + 'explicit = true\n[tool.uv.sources]\nevil-other = {index = "xx"}\n'
OF_UV = '[[index]]\nurl = "{X}"\n'

INDEXES = {
    "pip --index named": Way("uv pip install --index xx={X} evil-other", "evil-other"),
    "pip --default-index": Way("uv pip install --default-index {X} evil-other", "evil-other"),
    "pip UV_INDEX": Way("uv pip install evil-other", "evil-other", environ={"UV_INDEX": "xx={X}"}),
    "pip UV_INDEX_URL": Way(
        "uv pip install evil-other", "evil-other", environ={"UV_INDEX_URL": "{X}", "UV_DEFAULT_INDEX": ""}
    ),
    "pip unsafe-best-match": Way(
        "uv pip install --index-strategy unsafe-best-match --index {X} evil-other", "evil-other"
    ),
    "pip project unnamed": Way("uv pip install evil-other", "evil-other", {"pyproject.toml": project(more=UNNAMED)}),
    "pip tool.uv.pip index-url": Way(
        "uv pip install evil-other",
        "evil-other",
        {"pyproject.toml": project(more='[tool.uv.pip]\nindex-url = "{X}"\n')},
        {"UV_DEFAULT_INDEX": ""},
    ),
    "pip uv.toml old": Way("uv pip install evil-other", "evil-other", {"uv.toml": 'extra-index-url = ["{X}"]\n'}),
    "pip user": Way("uv pip install evil-other", "evil-other", {"~/config/uv/uv.toml": OF_UV}),
    "pip --config-file": Way("uv --config-file c.toml pip install evil-other", "evil-other", {"c.toml": OF_UV}),
    "pip UV_CONFIG_FILE": Way(
        "uv pip install evil-other", "evil-other", {"c.toml": OF_UV}, {"UV_CONFIG_FILE": "c.toml"}
    ),
    "pip requirements index": Way(
        "uv pip install -r r.txt", "evil-other", {"r.txt": "--extra-index-url {X}\nevil-other\n"}
    ),
    "pip constraints index": Way(
        "uv pip install -c c.txt evil-other", "evil-other", {"c.txt": "--extra-index-url {X}\n"}
    ),
    "pip find-links no-index": Way("uv pip install --no-index -f {links} evil-other", "evil-other"),
    "pip find-links sdist": Way("uv pip install --no-index -f {links} evil-sdist", "evil-sdist"),
    "pip flat index": Way(
        "uv pip install evil-other", "evil-other", {"uv.toml": '[[index]]\nurl = "{links}"\nformat = "flat"\n'}
    ),
    "lock named": Way("uv lock", "evil-other", {"pyproject.toml": OTHER + NAMED}),
    "sync explicit": Way("uv sync", "evil-other", {"pyproject.toml": OTHER + EXPLICIT}),
    "lock user": Way("uv lock", "evil-other", {"pyproject.toml": OTHER, "~/config/uv/uv.toml": OF_UV}),
    "lock find-links config": Way(
        "uv lock", "evil-other", {"pyproject.toml": OTHER + '[tool.uv]\nfind-links = ["{links}"]\n'}
    ),
    "sync UV_CONFIG_FILE": Way(
        "uv sync", "evil-other", {"pyproject.toml": OTHER, "c.toml": OF_UV}, {"UV_CONFIG_FILE": "c.toml"}
    ),
    "add --index": Way("uv add --index xx={X} evil-other", "evil-other", {"pyproject.toml": project()}),
    "run index": Way("uv run python -c pass", "evil-other", {"pyproject.toml": OTHER + UNNAMED}),
    "tool run --index": Way("uvx --index {X} evil-other", "evil-other"),
    "tool run user": Way("uvx evil-other", "evil-other", {"~/config/uv/uv.toml": OF_UV}),
    "run --with index": Way("uv run --no-project --index {X} --with evil-other python -c pass", "evil-other"),
}


@pytest.mark.parametrize("way", INDEXES.values(), ids=INDEXES)
def test_malware_from_whatever_index_is_denied(world: World, way: Way) -> None:
    denied(world, way)


# ---------------------------------------------------------------- requirements of builds


def tree_of(name: str, **facts: Sequence[str]) -> Mapping[str, str]:
    """Return the files of a source tree below a directory of its name."""
    files = source_files(name, static="requires" not in facts, **facts)  # type: ignore[arg-type]
    return {f"{name}/{member}": text for member, text in files.items()}


def own(**facts: Sequence[str]) -> dict[str, str]:
    """Return the files of a project that is built itself."""
    files = source_files("app", static=True, **facts)  # type: ignore[arg-type]
    return {
        **files,
        "pyproject.toml": files["pyproject.toml"].replace("version =", 'requires-python = ">=3.8"\nversion ='),
    }


MEMBERS = '[tool.uv.workspace]\nmembers = ["member"]\n[tool.uv.sources]\nmember = {workspace = true}\n'

BUILDS = {
    "pip nested": Way("uv pip install nested", "evil-breq"),
    "pip compile": Way("uv pip compile in.txt", "evil-breq", {"in.txt": "builds\n"}),
    "lock nested": Way("uv lock", "evil-breq", {"pyproject.toml": project("nested")}),
    "sync own": Way("uv sync", "evil-breq", own(build_requires=["evil-breq"])),
    "sync path": Way(
        "uv sync",
        "evil-breq",
        {
            "pyproject.toml": project("near", more='[tool.uv.sources]\nnear = {path = "near"}\n'),
            **tree_of("near", build_requires=["evil-breq"]),
        },
    ),
    "build": Way("uv build", "evil-breq", own(build_requires=["evil-breq"])),
    "extra build dependencies": Way(
        "uv sync",
        "evil-breq",
        {
            **own(),
            "pyproject.toml": own()["pyproject.toml"] + '[tool.uv.extra-build-dependencies]\napp = ["evil-breq"]\n',
        },
    ),
    "tool install": Way("uv tool install builds", "evil-breq"),
}


@pytest.mark.parametrize("way", BUILDS.values(), ids=BUILDS)
def test_malware_that_a_build_asks_for_is_denied(world: World, way: Way) -> None:
    denied(world, way)


# ---------------------------------------------------------------- verbs and words

VERBS = {
    "pip sync": Way("uv pip sync r.txt", files={"r.txt": "evil-wheel==1.0\n"}),
    "pip compile -o": Way("uv pip compile in.txt -o out.txt", files={"in.txt": "deep\n"}),
    "pip compile universal": Way("uv pip compile --universal in.txt", files={"in.txt": "elsewhere\n"}),
    "pip install -r pyproject": Way(
        "uv pip install -r pyproject.toml --extra x",
        files={"pyproject.toml": project(more='[project.optional-dependencies]\nx = ["deep"]\n')},
    ),
    "pip extras": Way("uv pip install extras[bad]"),
    "pip yanked": Way("uv pip install evil-yanked==1.0", "evil-yanked"),
    "pip spelled with a dot": Way("uv pip install evil.wheel==1"),
    "pip arbitrary equality": Way("uv pip install evil-wheel===1.0"),
    "values like verbs": Way("uv --cache-dir ../sync pip install --python-platform linux --link-mode copy evil-wheel"),
    "values like flags": Way("uv pip install --config-setting=--no-index=1 evil-wheel"),
    "uv directory": Way("uv --directory sub pip install --python ../.venv evil-wheel", files={"sub/x": ""}),
    "project option": Way("uv --project sub sync", files={"sub/pyproject.toml": project("deep")}),
    "add dev": Way("uv add --dev deep", files={"pyproject.toml": project()}),
    "add marker": Way("uv add --marker \"sys_platform=='win32'\" deep", files={"pyproject.toml": project()}),
    "lock elsewhere": Way("uv lock", files={"pyproject.toml": project("elsewhere")}),
    "lock of a group": Way("uv lock", files={"pyproject.toml": project(more='[dependency-groups]\nx = ["deep"]\n')}),
    "export": Way("uv export", files={"pyproject.toml": project("deep")}),
    "version": Way("uv version --bump minor", files={"pyproject.toml": project("deep")}),
    "run with requirements": Way(
        "uv run --no-project --with-requirements r.txt python -c pass", files={"r.txt": "deep\n"}
    ),
    "run script": Way("uv run s.py", files={"s.py": script("deep")}),
    "lock script": Way("uv lock --script s.py", files={"s.py": script("deep")}),
    "add to script": Way("uv add --script s.py deep", files={"s.py": script("nice")}),
    "uvx": Way("uvx evil-tool", "evil-tool"),
    "uvx --from": Way("uvx --from evil-tool==1.0 whatever", "evil-tool"),
    "tool install": Way("uv tool install evil-tool", "evil-tool"),
    "tool install -e": Way("uv tool install --with-executables-from evil-tool nice", "evil-tool"),
}


@pytest.mark.parametrize("way", VERBS.values(), ids=VERBS)
def test_malware_is_denied_to_whatever_command_asks_for_it(world: World, way: Way) -> None:
    denied(world, way)


# ---------------------------------------------------------------- locks that name malware already

LOCKED = [
    "uv sync",
    "uv sync --frozen",
    "uv sync --locked",
    "uv sync --frozen --offline",
    "uv run python -c pass",
    "uv run --frozen python -c pass",
    "uv export --frozen -o out.txt",
    "uv tree",
    "uv lock",
    "uv lock --check",
    "uv add --frozen nice",
    "uv version --bump minor",
    "uv pip sync pylock.toml",
    "uv pip install -r pylock.toml",
]


@pytest.mark.parametrize("line", LOCKED)
def test_malware_that_a_lock_of_uv_itself_names_is_denied(world: World, line: str) -> None:
    world.write({"pyproject.toml": project("nice", "deep")})
    assert world.bare("lock").code == 0
    assert world.bare("export", "--frozen", "-o", "pylock.toml").code == 0
    denied(world, Way(line))


def test_the_diagnosis_says_by_whom_the_lock_wants_it(world: World) -> None:
    world.write({"pyproject.toml": project("deep")})
    assert world.bare("lock").code == 0
    ran = world.say("--report r.json uv sync")
    assert ran.code == 10, ran.text
    told = json.loads((world.project / "r.json").read_text(encoding="utf-8"))
    entry = next(each for each in told["distributions"] if each["name"] == "evil-wheel")
    assert (entry["required_by"], entry["path"], entry["level"]) == (["middle"], ["deep", "middle"], "deny")
    assert entry["artifact"]["hashes"] == {"sha256": sha256(world.site.main.files / "evil_wheel-1.0-py3-none-any.whl")}
    assert entry["origin"]["index"] == world.site.main.url
    assert (told["verdict"], told["installer"]["name"], told["installer"]["exit_code"]) == ("deny", "uv", None)
    assert told["command"] == ["uv", "sync"]
    assert "127.0.0.1" not in ran.text.replace(world.site.main.url, "")


# ---------------------------------------------------------------- caches

CACHED = {
    "a wheel": ("evil-wheel", "uv pip install evil-wheel"),
    "a wheel at depth": ("evil-wheel", "uv pip install deep"),
    "a built wheel": ("evil-sdist", "uv pip install evil-sdist"),
    "a build requirement": ("evil-breq", "uv pip install --no-cache builds"),
    "a tool": ("evil-tool", "uvx evil-tool"),
    "in a project": ("evil-wheel", "uv add deep"),
}


@pytest.mark.parametrize(("evil", "line"), CACHED.values(), ids=CACHED)
def test_what_uv_itself_has_in_its_cache_is_denied(world: World, evil: str, line: str) -> None:
    world.write({"pyproject.toml": project()})
    wanted = [evil, "deep", "builds"] if evil == "evil-breq" else [evil, "deep"]
    assert world.bare("pip", "install", "--target", "../aside", *wanted).code == 0
    world.marker.unlink(missing_ok=True)
    denied(world, Way(line, evil))


@pytest.mark.parametrize("line", ["uv pip install late", "uv pip install late-source", "uvx late", "uv add late"])
def test_what_guard_let_into_the_cache_before_it_was_known_is_denied_since(world: World, line: str) -> None:
    name = "late-source" if "source" in line else "late"
    world.write({"pyproject.toml": project()})
    assert world.say(f"uv pip install --target ../aside {name}").code == 0
    world.marker.unlink(missing_ok=True)
    records = world.directory / "records"
    records.mkdir()
    (records / "late.json").write_text(json.dumps(malware(name)), encoding="utf-8")
    assert world.guard("feed", "import", records, "--source", "later").code == 0
    denied(world, Way(line, name))


# ---------------------------------------------------------------- past the index

DIRECT = {
    "a wheel by URL": Way("uv pip install {files}/evil_other-1.0-py3-none-any.whl", "evil-other"),
    "a named URL": Way("uv pip install 'evil-other @ {files}/evil_other-1.0-py3-none-any.whl'", "evil-other"),
    "a wheel by path": Way("uv pip install {links}/evil_other-1.0-py3-none-any.whl", "evil-other"),
    "a URL in a file": Way(
        "uv pip install -r r.txt", "evil-other", {"r.txt": "{files}/evil_other-1.0-py3-none-any.whl\n"}
    ),
    "pip compile": Way("uv pip compile r.txt", "evil-other", {"r.txt": "{files}/evil_other-1.0-py3-none-any.whl\n"}),
    "add a URL": Way("uv add {files}/evil_other-1.0-py3-none-any.whl", "evil-other", {"pyproject.toml": project()}),
    "sync a URL": Way(
        "uv sync", "evil-other", {"pyproject.toml": project("evil-other @ {files}/evil_other-1.0-py3-none-any.whl")}
    ),
    "sync a source": Way(
        "uv sync",
        "evil-other",
        {
            "pyproject.toml": project(
                "evil-other",
                more='[tool.uv.sources]\nevil-other = {url = "{files}/evil_other-1.0-py3-none-any.whl"}\n',
            )
        },
    ),
    "run": Way(
        "uv run python -c pass",
        "evil-other",
        {
            "pyproject.toml": project(
                "evil-other",
                more='[tool.uv.sources]\nevil-other = {path = "{links}/evil_other-1.0-py3-none-any.whl"}\n',
            )
        },
    ),
    "uvx --from": Way("uvx --from {files}/evil_other-1.0-py3-none-any.whl x", "evil-other"),
    "tool install": Way("uv tool install {files}/evil_other-1.0-py3-none-any.whl", "evil-other"),
    "a script's source": Way(
        "uv run s.py",
        "evil-other",
        {
            "s.py": script(
                "evil-other",
                more='# [tool.uv.sources]\n# evil-other = {path = "{links}/evil_other-1.0-py3-none-any.whl"}\n',
            )
        },
    ),
    "a tree's build": Way("uv pip install ./near", "evil-breq", tree_of("near", build_requires=["evil-breq"])),
    "--with-editable": Way(
        "uv run --no-project --with-editable ./near python -c pass",
        "evil-breq",
        tree_of("near", dynamic_requires=["evil-breq"]),
    ),
    "build an sdist": Way("uv build --wheel {links}/asks-1.0.tar.gz", "evil-breq"),
}


@pytest.mark.parametrize("way", DIRECT.values(), ids=DIRECT)
def test_malware_that_comes_past_the_index_is_denied(world: World, way: Way) -> None:
    denied(world, way)


# ---------------------------------------------------------------- what an index may say of its files

EVIL_WHEEL = "evil_wheel-1.0-py3-none-any.whl"
PAGES = {
    "a hash in capitals": f'<a href="/files/{EVIL_WHEEL}#sha256={{EVIL HASH}}">x</a>',
    "a tag in capitals": f"<A HREF=/files/{EVIL_WHEEL}>x</A>",
    "an encoded name": f'<a href="/files/{EVIL_WHEEL.replace("_", "%5F", 1)}">x</a>',
    "a yanked file": f'<a href="/files/{EVIL_WHEEL}" data-yanked="">x</a>',
    "a build tag": '<a href="/files/evil_wheel-1.0-1x-py3-none-any.whl">x</a>',
    "a shorter version": '<a href="/files/evil_wheel-1-py3-none-any.whl">x</a>',
    "a longer version": '<a href="/files/evil_wheel-1.0.0-py3-none-any.whl">x</a>',
    "a local version": '<a href="/files/evil_wheel-1.0+x-py3-none-any.whl">x</a>',
    "a dotted name": '<a href="/files/evil.wheel-1.0-py3-none-any.whl">x</a>',
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_malware_is_known_however_a_page_spells_it(world: World, page: str) -> None:
    odd = OddPages(world.site.main.files, pages={"evil-wheel": world.filled(page)})
    with serve(odd):
        before = world.all_files()
        ran = world.say("uv pip install evil-wheel==1.0", UV_DEFAULT_INDEX=odd.url)
    assert ran.code == 10, ran.text
    assert "error[malicious]: evil-wheel 1" in ran.err, ran.text
    assert world.all_files() == before


NOT_ON_THE_PAGE = {
    "another project's file": f'<a href="/files/{EVIL_WHEEL}">nice-1.0-py3-none-any.whl</a>',
    "a file of this machine": '<a href="file://{links}/nice-1.0-py3-none-any.whl">x</a>',
}


@pytest.mark.parametrize("page", NOT_ON_THE_PAGE.values(), ids=NOT_ON_THE_PAGE)
def test_a_page_cannot_pass_malware_off_as_something_else(world: World, page: str) -> None:
    odd = OddPages(world.site.main.files, pages={"nice": world.filled(page)})
    with serve(odd):
        ran = world.say("uv pip install nice", UV_DEFAULT_INDEX=odd.url)
    assert ran.code != 0, ran.text
    assert world.installed() == set()
    assert not world.marker.exists()


@dataclass
class OddPages(Index):
    """An index with pages as a test writes them."""

    pages: Mapping[str, str] = field(default_factory=dict)

    def page(self, project: str) -> tuple[str, bytes] | None:
        return "text/html", f"<!DOCTYPE html><html><body>{self.pages.get(project, '')}</body></html>".encode()


# ---------------------------------------------------------------- the rest of the policy

NO_SPECIAL = '[tool.installguard.packages]\ndeny = [{match = "spec*", reason = "not needed here"}]\n'
ONLY_NICE = '[tool.installguard.packages]\nallow = ["nice"]\n'
PINNED = '[tool.installguard.packages]\nindex = {special = "https://pinned.example.org/simple/"}\n'
STRICT = '[tool.installguard]\npreset = "strict"\n[tool.installguard.feed]\nstale = "allow"\n'
STRICT += '[tool.installguard.release]\nmin-age-unknown = "allow"\n'
ON_WARNING = '[tool.installguard]\nfail-on = "warn"\n[tool.installguard.feed]\nstale = "allow"\n'

POLICIES: dict[str, tuple[str, list[str], str, int, str]] = {
    "packages.deny, pip": (
        "uv pip install --index {X} special",
        [],
        NO_SPECIAL,
        10,
        "error[denied-package]: special 1.0",
    ),
    "packages.deny, uvx": ("uvx --index {X} special", [], NO_SPECIAL, 10, "error[denied-package]: special 1.0"),
    "packages.allow, lock": ("uv lock --index {X}", ["special"], ONLY_NICE, 10, "error[not-allowed]: special 1.0"),
    "packages.index, lock": ("uv lock --index {X}", ["special"], PINNED, 10, "error[wrong-index]: special 1.0"),
    "strict, a build": ("uv pip install plain", [], STRICT, 10, "error[needs-build]: plain 1.0"),
    "strict, a build in a lock": ("uv lock", ["plain"], STRICT, 10, "error[needs-build]: plain 1.0"),
    "strict, a tree": ("uv pip install ./near", [], STRICT, 10, "error[direct-origin]: near 1.0"),
    "strict, a URL": (
        "uv add {files}/special-1.0-py3-none-any.whl",
        [],
        STRICT,
        10,
        "error[direct-origin]: special 1.0",
    ),
    "fail-on warn, pip": ("uv pip install weak", [], ON_WARNING, 11, "warning[vulnerable]: weak 1.0"),
    "fail-on warn, add": ("uv add weak", [], ON_WARNING, 11, "warning[vulnerable]: weak 1.0"),
    "fail-on warn, uvx": ("uvx weak", [], ON_WARNING, 11, "warning[vulnerable]: weak 1.0"),
}


@pytest.mark.parametrize(("line", "asked", "policy", "code", "said"), POLICIES.values(), ids=POLICIES)
def test_what_the_policy_does_not_want_is_kept_away(
    world: World, line: str, asked: list[str], policy: str, code: int, said: str
) -> None:
    world.write({"pyproject.toml": project(*asked, more=policy), **tree_of("near")})
    before = world.all_files()
    ran = world.say(line)
    assert ran.code == code, ran.text
    assert said in ran.err, ran.text
    assert world.all_files() == before


def test_a_lock_from_another_index_than_its_pin_is_denied(world: World) -> None:
    world.write({"pyproject.toml": project("special", more=UNNAMED)})
    assert world.bare("lock").code == 0
    world.write({"pyproject.toml": project("special", more=UNNAMED + PINNED)})
    ran = world.say("uv sync --frozen")
    assert ran.code == 10, ran.text
    assert "error[wrong-index]: special 1.0" in ran.err


@pytest.mark.parametrize("line", ["uv pip install evil-other --index {X}", "uv add evil-other --index {X}"])
def test_waived_malware_is_let_through(world: World, line: str) -> None:
    names = {"finding": malware("evil-other")["id"], "release": "evil-other==1.0", "reason": "a harmless stand-in"}
    expires = (datetime.now(timezone.utc) + timedelta(days=20)).date().isoformat()
    facts = "".join(f'{name} = "{value}"\n' for name, value in names.items())
    waiver = f'[[tool.installguard.waivers]]\n{facts}owner = "a@example.org"\nexpires = {expires}\n'
    world.write({"pyproject.toml": project(more=waiver)})
    ran = world.say(line)
    assert ran.code == 0, ran.text
    assert "1 waived" in ran.err
    assert world.installed() == {"evil_other-1.0"}
    assert "[[tool.installguard.waivers]]" in (world.project / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "uv pip install --offline nice",
        "uv sync --offline",
        "uv --offline -- pip install nice",
        "uv pip inst nice",
        "uv pip install --find-link {links} nice",
        "uv pip install -r {R}r.txt",
        "uv pip install -r -",
        "uv run --no-project -",
        "uv run {R}script.py",
        "uv pip install --torch-backend cpu nice",
    ],
)
def test_what_guard_could_not_judge_is_refused_before_uv_runs(world: World, line: str) -> None:
    world.write({"pyproject.toml": project("nice")})
    before, asked = world.all_files(), len(world.site.main.requests)
    ran = world.say(line)
    assert ran.code == 12, ran.text
    assert "guard: error: " in ran.err
    assert world.all_files() == before
    assert len(world.site.main.requests) == asked


@pytest.mark.parametrize("line", ["uv sync", "uv pip install nice", "uv run python -c pass", "uvx nice"])
def test_without_a_feed_nothing_is_run_under_a_strict_policy(world: World, line: str) -> None:
    shutil.rmtree(world.home / "cache" / "installguard")
    world.write({"pyproject.toml": project("nice", more='[tool.installguard]\npreset = "strict"\n')})
    before, asked = world.all_files(), len(world.site.main.requests)
    ran = world.say(line)
    assert ran.code == 12, ran.text
    assert "error[feed-missing]" in ran.err
    assert world.all_files() == before
    assert len(world.site.main.requests) == asked


def test_a_tool_is_not_upgraded_to_malware(world: World, tmp_path: Path) -> None:
    files = tmp_path / "files"
    points = {"riser-{}.dist-info/entry_points.txt": "[console_scripts]\nriser = riser:main\n"}
    index = Index(files, json=True)
    with serve(index):
        members = {name.format("1.0"): text for name, text in points.items()}
        make_wheel(files, "riser", "1.0", files={"riser.py": "", **members})
        assert world.say("uv tool install riser", UV_DEFAULT_INDEX=index.url).code == 0
        make_wheel(files, "riser", "2.0", files={"riser.py": "", "r.pth": touch(world.marker)})
        records = tmp_path / "records"
        records.mkdir()
        (records / "riser.json").write_text(json.dumps(malware("riser", "2.0")), encoding="utf-8")
        assert world.guard("feed", "import", records, "--source", "later").code == 0
        before = world.all_files()
        for line in ("uv tool upgrade riser", "uv tool upgrade --all", "uv tool install -U riser"):
            ran = world.say(line, UV_DEFAULT_INDEX=index.url)
            assert ran.code == 10, ran.text
            assert "error[malicious]: riser 2.0" in ran.err, ran.text
            assert world.all_files() == before
    assert not world.marker.exists()


# ---------------------------------------------------------------- what comes late, and by the way


@pytest.mark.parametrize("line", ["uv pip install ./near", "uv pip install -e ./near", "uv build --wheel near"])
def test_a_tree_cannot_lead_its_build_to_an_index_that_is_not_judged(world: World, line: str) -> None:
    files = tree_of("near", build_requires=["evil-other"])
    world.write({**files, "near/pyproject.toml": files["near/pyproject.toml"] + EXPLICIT})
    ran = world.say(line)
    assert ran.code == 12, ran.text
    assert "is bound to the index 'xx'" in ran.err
    assert not world.marker.exists()


def test_a_source_does_not_lead_the_project_s_own_build_past_guard(world: World) -> None:
    files = own(build_requires=["evil-other"])
    denied(world, Way("uv sync", "evil-other", {**files, "pyproject.toml": files["pyproject.toml"] + EXPLICIT}))


def test_looking_for_what_is_too_young_runs_nothing_of_it(world: World, tmp_path: Path) -> None:
    index = Index(tmp_path / "files", json=True)
    old_and_young(index, "fresh")
    old_and_young(index, "needed", files={"needed.pth": touch(world.marker), "needed.py": ""})
    make_sdist(index.files, "needy", "1.0", source_files("needy", build_requires=["needed>=2"]))
    make_wheel(index.files, "both", requires=["fresh>=2", "needy"])
    world.write({"in.txt": "both\n", "pyproject.toml": project("both")})
    with serve(index):
        for line in ("uv pip install needy", "uv pip install both", "uv pip compile in.txt", "uv lock"):
            assert world.say(line, UV_DEFAULT_INDEX=index.url).code != 0
    assert not world.marker.exists()


def test_what_is_too_young_is_denied_in_words_every_time(world: World, tmp_path: Path) -> None:
    index = Index(tmp_path / "files", json=True)
    old_and_young(index, "fresh")
    with serve(index):
        for _ in range(2):
            ran = world.say("uv pip install 'fresh>=2'", UV_DEFAULT_INDEX=index.url)
            assert ran.code == 10, ran.text
            assert "error[too-young]: fresh 2.0" in ran.err


def old_and_young(index: Index, name: str, files: Mapping[str, str] | None = None) -> None:
    """Offer 1.0, a hundred days old, and 2.0, an hour old, with *files* in it."""
    now = datetime.now(timezone.utc)
    for version, hours in (("1.0", 2400), ("2.0", 1)):
        wheel = make_wheel(index.files, name, version, files=files if version == "2.0" else None)
        index.uploaded[wheel.name] = (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
