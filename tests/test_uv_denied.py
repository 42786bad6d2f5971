"""What is denied under uv: nothing of it runs, nothing is written, the exit code is 10."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from .loopback import Index, serve
from .packages import make_sdist, make_wheel, source_files, touch, write_tree
from .uv_home import UvHome

EVIL = {"evil-wheel": "1.0", "evil-sdist": "1.0", "evil-breq": "1.0"}


def malware(name: str, version: str) -> dict[str, object]:
    """Return a record that names one release as malware."""
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "versions": [version]}
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # an older feed would be refreshed
    times = {"published": now, "modified": now}
    return {"id": f"MAL-2026-{sum(map(ord, name))}", **times, "affected": [affected]}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index of harmless packages, and of some that are not."""
    files, marker = tmp_path / "files", tmp_path / "MARKER"
    make_wheel(files, "nice")
    make_wheel(files, "deep", requires=["middle"])
    make_wheel(files, "middle", requires=["evil-wheel"])
    make_wheel(files, "evil-wheel", files={"evil.pth": touch(marker), "evil_wheel.py": ""})
    make_wheel(files, "evil-breq", files={"evil.pth": touch(marker), "evil_breq.py": touch(marker)})
    make_sdist(files, "evil-sdist", "1.0", source_files("evil-sdist", payload=touch(marker)))
    make_sdist(files, "builds", "1.0", source_files("builds", build_requires=["evil-breq"]))
    make_sdist(files, "dynamic", "1.0", source_files("dynamic", dynamic_requires=["evil-breq"]))
    make_sdist(files, "fine", "1.0", source_files("fine"))
    with serve(Index(files, json=True)) as served:
        yield served


@pytest.fixture
def world(tmp_path: Path, index: Index) -> UvHome:
    """A home whose feed names the evil ones."""
    world = UvHome(directory=tmp_path, index=index).make()
    records = tmp_path / "records"
    records.mkdir()
    for name, version in EVIL.items():
        (records / f"{name}.json").write_text(json.dumps(malware(name, version)), encoding="utf-8")
    assert world.guard("feed", "import", records, "--source", "osv").code == 0
    return world


DENIED = [
    ("a wheel", "evil-wheel", "evil-wheel"),
    ("a wheel at depth two", "deep", "evil-wheel"),
    ("an sdist", "evil-sdist", "evil-sdist"),
    ("a static build requirement", "builds", "evil-breq"),
    ("a dynamic build requirement", "dynamic", "evil-breq"),
]


@pytest.mark.parametrize(("asked", "evil"), [case[1:] for case in DENIED], ids=[case[0] for case in DENIED])
def test_pip_install_of_what_is_denied_changes_nothing(world: UvHome, asked: str, evil: str) -> None:
    world.make_environment()
    before = world.files()
    ran = world.guard("uv", "pip", "install", asked)
    assert ran.code == 10, ran.text
    assert f"error[malicious]: {evil} 1.0" in ran.err, ran.text
    assert not world.marker.exists()
    assert world.files() == before


@pytest.mark.parametrize(("asked", "evil"), [case[1:] for case in DENIED], ids=[case[0] for case in DENIED])
@pytest.mark.parametrize("verb", ["lock", "sync", "add", "run"])
def test_a_project_that_asks_for_what_is_denied_is_left_as_it_was(
    world: UvHome, verb: str, asked: str, evil: str
) -> None:
    world.write_project(*([] if verb == "add" else [asked]))
    before = world.files()
    words = {"add": ["add", asked], "run": ["run", "python", "-c", touch(world.marker)]}.get(verb, [verb])
    ran = world.guard("uv", *words)
    assert ran.code == 10, ran.text
    assert f"error[malicious]: {evil} 1.0" in ran.err, ran.text
    assert not world.marker.exists()
    assert world.files() == before
    assert not world.addresses_of_guard()


def test_what_is_harmless_is_installed(world: UvHome) -> None:
    world.make_environment()
    ran = world.guard("uv", "pip", "install", "nice", "fine")
    assert ran.code == 0, ran.text
    assert world.installed() == {"nice-1.0", "fine-1.0"}
    assert "2 distributions judged, none denied" in ran.err


def test_a_harmless_project_is_locked_and_synchronised_as_by_uv_itself(world: UvHome, tmp_path: Path) -> None:
    world.write_project("nice", "fine")
    ran = world.guard("uv", "sync")
    assert ran.code == 0, ran.text
    lock = (world.project / "uv.lock").read_bytes()
    assert world.installed() == {"nice-1.0", "fine-1.0"}
    assert not world.addresses_of_guard()
    (world.project / "uv.lock").unlink()
    assert world.bare("lock").code == 0
    assert (world.project / "uv.lock").read_bytes() == lock


# ---------------------------------------------------------------- cooldown


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"])
def test_a_release_from_the_end_of_time_is_young(world: UvHome, index: Index, moment: str) -> None:
    make_wheel(index.files, "nice", "2.0")
    index.uploaded["nice-2.0-py3-none-any.whl"] = moment
    world.make_environment()
    ran = world.guard("uv", "pip", "install", "nice")
    assert ran.code == 0, ran.text
    assert world.installed() == {"nice-1.0"}
    assert "nice 2.0 is held back" in ran.err


def test_a_young_release_is_left_out_and_the_older_one_is_used(world: UvHome, index: Index) -> None:
    young(index, "fresh", "1.0", "2.0")
    world.make_environment()
    ran = world.guard("uv", "pip", "install", "fresh")
    assert ran.code == 0, ran.text
    assert world.installed() == {"fresh-1.0"}
    assert "fresh 2.0 is held back until" in ran.err


@pytest.mark.parametrize("words", [["pip", "install", "outer"], ["pip", "compile", "in.txt"], ["sync"], ["lock"]])
def test_where_only_a_young_release_would_do_that_is_a_denial(world: UvHome, index: Index, words: list[str]) -> None:
    young(index, "fresh", "1.0", "2.0")
    make_wheel(index.files, "outer", requires=["fresh>=2"])
    world.make_environment()
    world.write_project("outer")
    (world.project / "in.txt").write_text("outer\n", encoding="utf-8")
    before = world.files()
    ran = world.guard("uv", *words)
    assert ran.code == 10, ran.text
    assert "error[too-young]: fresh 2.0" in ran.err
    assert world.files() == before


def test_an_exact_pin_of_a_young_release_is_denied_in_words(world: UvHome, index: Index) -> None:
    young(index, "fresh", "1.0", "2.0")
    world.make_environment()
    ran = world.guard("uv", "pip", "install", "fresh==2.0")
    assert ran.code == 10, ran.text
    assert "error[too-young]: fresh 2.0" in ran.err


def young(index: Index, name: str, old: str, new: str) -> None:
    """Offer two releases, the second of which was uploaded an hour ago."""
    now = datetime.now(timezone.utc)
    for version, age in ((old, timedelta(days=100)), (new, timedelta(hours=1))):
        index.uploaded[make_wheel(index.files, name, version).name] = (now - age).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_build_requirement_that_a_project_binds_to_an_index_is_judged_too(world: UvHome, index: Index) -> None:
    build = '[build-system]\nrequires = ["evil-breq"]\nbuild-backend = "tiny_backend"\nbackend-path = ["."]\n'
    bound = f'[[tool.uv.index]]\nname = "xx"\nurl = "{index.url}"\nexplicit = true\n'
    source = '[tool.uv.sources]\nevil-breq = { index = "xx" }\n'
    backend = source_files("app")["tiny_backend.py"]
    (world.project / "tiny_backend.py").write_text(backend, encoding="utf-8")
    world.write_project(more=build + bound + source)
    before = world.files()
    ran = world.guard("uv", "sync", UV_DEFAULT_INDEX="http://127.0.0.1:1/simple")
    assert ran.code == 10, ran.text
    assert "error[malicious]: evil-breq 1.0" in ran.err
    assert not world.marker.exists()
    assert world.files() == before


def test_what_run_is_to_have_beside_the_project_is_judged_before_the_project_is_looked_at(world: UvHome) -> None:
    world.write_project("nice")
    before = world.files()
    ran = world.guard("uv", "run", "--with", "deep", "python", "-c", touch(world.marker))
    assert ran.code == 10, ran.text
    assert world.files() == before
    assert not world.marker.exists()


def test_to_find_out_whether_a_young_release_is_wanted_nothing_is_built(world: UvHome, index: Index) -> None:
    young(index, "fresh", "1.0", "2.0")
    payload = {"fresh.pth": touch(world.marker), "fresh.py": ""}
    make_wheel(index.files, "fresh", "2.0", files=payload)
    make_sdist(index.files, "needs", "1.0", source_files("needs", build_requires=["fresh>=2"]))
    world.make_environment()
    ran = world.guard("uv", "pip", "install", "needs")
    assert ran.code != 0, ran.text
    assert not world.marker.exists()


@pytest.mark.parametrize(
    "words", [["pip", "install", "fresh>=2"], ["tool", "install", "fresh>=2"], ["tool", "run", "fresh>=2"]]
)
def test_a_denial_for_age_is_told_each_time(world: UvHome, index: Index, words: list[str]) -> None:
    young(index, "fresh", "1.0", "2.0")
    world.make_environment()
    for _ in range(2):
        ran = world.guard("uv", *words)
        assert ran.code == 10, ran.text
        assert "error[too-young]: fresh 2.0" in ran.err


def test_what_is_held_back_is_told_each_time(world: UvHome, index: Index) -> None:
    young(index, "fresh", "1.0", "2.0")
    world.make_environment()
    for _ in range(2):
        ran = world.guard("uv", "pip", "install", "--reinstall", "fresh")
        assert ran.code == 0, ran.text
    world.guard("uv", "pip", "uninstall", "fresh")
    assert "fresh 2.0 is held back until" in world.guard("uv", "pip", "install", "fresh").err


@pytest.mark.parametrize("words", [["pip", "install", "./near"], ["pip", "install", "-e", "./near"], ["build", "near"]])
def test_a_tree_that_binds_its_build_to_an_index_of_its_own_is_refused(
    world: UvHome, index: Index, words: list[str]
) -> None:
    world.make_environment()
    files = source_files("near", build_requires=["evil-breq"])
    files["pyproject.toml"] += f'[[tool.uv.index]]\nname = "xx"\nurl = "{index.url}"\nexplicit = true\n'
    files["pyproject.toml"] += '[tool.uv.sources]\nevil-breq = { index = "xx" }\n'
    write_tree(world.project / "near", files)
    ran = world.guard("uv", *words)
    assert ran.code == 12, ran.text
    assert "bound to the index 'xx'" in ran.err
    assert not world.marker.exists()


def test_a_failure_of_the_command_that_is_run_stays_its_own(world: UvHome, index: Index) -> None:
    young(index, "fresh", "1.0", "2.0")
    world.write_project("fresh")
    for words in (["run", "python", "-c", "raise SystemExit(7)"], ["run", "--no-project", "--with", "fresh"]):
        ran = world.guard("uv", *words, *(["python", "-c", "raise SystemExit(7)"] if "--with" in words else []))
        assert ran.code == 7, ran.text
        assert "error" not in ran.err


SETTINGS = {
    "override-dependencies": "wants",
    "constraint-dependencies": "wants",
    "build-constraint-dependencies": "builds",
    "extra-build-dependencies": "fine",
    "dependency-metadata": "bare",
}
"""Settings of uv that can name a file by URL, and what has to be asked for so that the file is used."""


def settings_text(key: str, index: Index) -> str:
    """Return the setting that brings malware in, as uv reads it."""
    breq, sdist = (
        (index.files / name).as_uri() for name in ("evil_breq-1.0-py3-none-any.whl", "evil_sdist-1.0.tar.gz")
    )
    match key:
        case "extra-build-dependencies":
            return f'{key} = {{ fine = ["evil-breq @ {breq}"] }}\n'
        case "dependency-metadata":
            return f'[[{{table}}{key}]]\nname = "bare"\nversion = "1.0"\nrequires-dist = ["evil-sdist @ {sdist}"]\n'
        case "build-constraint-dependencies":
            return f'{key} = ["evil-breq @ {breq}"]\n'
        case _:
            return f'{key} = ["evil-sdist @ {sdist}"]\n'


@pytest.mark.every(3)
@pytest.mark.parametrize("where", ["project/uv.toml", "config/uv/uv.toml", "pyproject.toml"])
@pytest.mark.parametrize("key", sorted(SETTINGS))
@pytest.mark.parametrize(
    "argv", ["pip install {}", "pip compile r.txt", "lock", "run --no-project --with {} python -c 1"]
)
def test_malware_that_a_setting_of_uv_names_by_url_is_denied(
    world: UvHome, index: Index, where: str, key: str, argv: str
) -> None:
    asked = SETTINGS[key]
    world.make_environment()
    make_wheel(index.files, "wants", requires=["evil-sdist"])
    make_sdist(index.files, "bare", "1.0", source_files("bare"))
    world.write_project(asked)
    text = settings_text(key, index).replace("{table}", "" if where.endswith("uv.toml") else "tool.uv.")
    if where == "pyproject.toml":
        head = "" if text.startswith("[[") else "[tool.uv]\n"
        with (world.project / "pyproject.toml").open("a") as file:
            file.write(f"{head}{text}")
    else:
        path = world.project / "uv.toml" if where.startswith("project") else world.home / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (world.project / "r.txt").write_text(f"{asked}\n")
    before = world.files()
    ran = world.guard("uv", *argv.format(asked).split())
    assert ran.code == 10, ran.text
    assert "error[malicious]: evil-" in ran.err
    assert not world.marker.exists()
    assert world.files() == before


WORKSPACE = """
[dependency-groups]
dev = ["member"]
[tool.uv.workspace]
members = ["member"]
[tool.uv.sources]
member = { workspace = true }
"""


@pytest.mark.parametrize("words", [["-r", "pyproject.toml"], ["--group", "dev"]])
def test_a_member_of_the_workspace_is_judged_like_any_tree_when_it_is_installed(
    world: UvHome, index: Index, words: list[str]
) -> None:
    world.make_environment()
    world.write_project("member", more=WORKSPACE)
    files = source_files("member", static=True)
    write_tree(world.project / "member", files)
    ran = world.guard("uv", "pip", "install", *words)
    assert ran.code == 0, ran.text
    assert "warning[direct-origin]: member 1.0" in ran.err
    assert "member-1.0" in world.installed()


@pytest.mark.parametrize("words", [["-r", "pyproject.toml"], ["--group", "dev"]])
def test_what_a_member_of_the_workspace_is_built_with_is_judged_before(
    world: UvHome, index: Index, words: list[str]
) -> None:
    world.make_environment()
    world.write_project("member", more=WORKSPACE)
    evil = (index.files / "evil_breq-1.0-py3-none-any.whl").as_uri()
    write_tree(world.project / "member", source_files("member", static=True, build_requires=[f"evil-breq @ {evil}"]))
    before = world.files()
    ran = world.guard("uv", "pip", "install", *words)
    assert ran.code == 10, ran.text
    assert not world.marker.exists()
    assert world.files() == before


@pytest.fixture
def slow(world: UvHome) -> Iterator[str]:
    """A policy that denies the stale feed there is, but not before a feed that never answers was waited for."""
    records = world.directory / "old"
    records.mkdir()
    old = {**malware("evil-wheel", "1.0"), "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z"}
    (records / "old.json").write_text(json.dumps(old), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f'[tool.installguard.feed.sources.osv]\nurl = "http://127.0.0.1:{silent.getsockname()[1]}/"\n'
        policy = f'[tool.installguard]\npreset = "strict"\n[tool.installguard.feed]\nwait = "2s"\n{source}'
        (world.project / "pyproject.toml").write_text(policy, encoding="utf-8")
        imported = world.guard("feed", "import", records, "--source", "osv", "--accept-rollback")
        assert imported.code == 0, imported.text
        yield policy


UNDECIDED = [
    ("a dynamic member", "lock", 'dynamic = ["version"]\n', ""),
    ("a member of poetry's", "lock", 'version = "1.0"\n', "[tool.poetry]\n"),
    ("a dynamic member", "sync", 'dynamic = ["version"]\n', ""),
    ("a member", "pip install -r pyproject.toml", 'version = "1.0"\n', ""),
    ("a member", "pip install --group dev", 'version = "1.0"\n', ""),
    ("nothing local", "pip install --target there nice", 'version = "1.0"\n', ""),
    ("nothing local", "pip install --prefix there nice", 'version = "1.0"\n', ""),
    ("nothing local", "pip install nice", 'version = "1.0"\n', ""),
]


@pytest.mark.parametrize(("what", "argv", "head", "more"), UNDECIDED)
def test_as_long_as_it_is_not_known_whether_anything_may_be_done_nothing_is(
    world: UvHome, index: Index, slow: str, what: str, argv: str, head: str, more: str
) -> None:
    world.make_environment()
    world.write_project("member", more=WORKSPACE + slow)
    files = source_files("member", payload=touch(world.marker))
    files["pyproject.toml"] = f'[project]\nname = "member"\n{head}{files["pyproject.toml"]}{more}'
    write_tree(world.project / "member", files)
    before, asked = world.files(), len(index.requests)
    ran = world.guard("uv", *argv.split())
    assert ran.code == 12, ran.text
    assert "error[feed-stale]" in ran.err
    assert not world.marker.exists()
    assert world.files() == before
    assert not (world.project / "there").exists()
    assert len(index.requests) == asked


@pytest.mark.parametrize("argv", ["pip install nice", "lock", "sync"])
def test_a_uv_that_is_started_meanwhile_gets_no_page_before_that_is_known(
    world: UvHome, index: Index, slow: str, argv: str
) -> None:
    world.make_environment()
    world.write_project("nice", more=slow)
    before, asked = world.files(), len(index.requests)
    ran = world.guard("uv", *argv.split())
    assert ran.code == 12, ran.text
    assert "error[feed-stale]" in ran.err
    assert "127.0.0.1" not in ran.err.replace("guard feed", "")
    assert (world.files(), len(index.requests)) == (before, asked)
