"""`guard check` on lock files and hashed requirements: what is judged, what is said, and what the real tools write."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from installguard.errors import UsageError
from installguard.frontends.checked import Checked, read_checked
from installguard.frontends.locks import read_lock
from installguard.frontends.pins import read_requirements
from installguard.model import Artifact, Distribution

from .conftest import malware_record, write_feed
from .environments import Environment, Ran
from .lock_samples import INDEX, PRIVATE, PYLOCK, SAMPLES, UV, digest, uv_file, uv_files, uv_package
from .loopback import Index
from .packages import make_sdist, make_wheel, source_files

NOW = datetime.now(timezone.utc)
STAMP = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


def place_in(directory: Path) -> Environment:
    """Return a home of its own, whose snapshot is kept in a directory beside it."""
    (directory / "home" / "work").mkdir(parents=True)
    cache = {"INSTALLGUARD_CACHE_DIR": str(directory / "cache")}
    return Environment(prefix=Path(sys.prefix), home=directory / "home", extra=cache)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot of a feed that knows `evil` 1.0."""
    directory = tmp_path_factory.mktemp("snapshot")
    feed = write_feed(directory / "feed.zip", [{**malware_record("MAL-2099-1", "evil", ["1.0"]), "modified": STAMP}])
    assert guard(place_in(directory), "feed", "import", feed).code == 0
    return directory / "cache"


@pytest.fixture
def place(tmp_path: Path, snapshot: Path) -> Environment:
    """A place of its own, under that feed."""
    shutil.copytree(snapshot, tmp_path / "cache")
    return place_in(tmp_path)


def guard(place: Environment, *argv: str | Path) -> Ran:
    return place.run([sys.executable, "-m", "installguard", *argv], cwd=place.home / "work")


def write(place: Environment, name: str, text: str) -> Path:
    path = place.home / "work" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def verdict(place: Environment, *argv: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(guard(place, "--format", "json", "check", *argv).out)
    return found


def codes(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(ruling["code"], ruling["level"], ruling["name"]) for ruling in found["rulings"] if ruling["name"]}


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lock_that_holds_malware_is_denied(place: Environment, name: str) -> None:
    write(place, name, SAMPLES[name])
    ran = guard(place, "check", name)
    assert ran.code == 10, ran.text
    assert "error[malicious]: evil 1.0 is known malware" in ran.out
    assert f"  locked       in {name}" in ran.out
    if name != "Pipfile.lock":
        assert "  required by  nice 1.0 → evil" in ran.out


def test_the_verdict_tells_lock_scope_parents_and_path(place: Environment) -> None:
    write(place, "uv.lock", UV)
    found = verdict(place, "uv.lock")
    told = {each["name"]: each for each in found["distributions"]}
    assert found["counts"]["judged"] == 14
    assert (told["evil"]["lock"], told["evil"]["scope"], told["evil"]["path"]) == ("uv.lock", None, ["nice"])
    assert (told["toolpart"]["scope"], told["toolpart"]["path"]) == ("only for group dev", ["tool"])
    assert told["internal"]["origin"]["index"] == PRIVATE
    assert ("needs-build", "warn", "source") in codes(found)
    assert ("direct-origin", "warn", "fromgit") in codes(found)


def test_a_warning_says_for_whom_the_release_is_locked(place: Environment) -> None:
    write(place, "uv.lock", UV)
    said = guard(place, "check", "uv.lock").out
    assert (
        "warning[needs-build]: source 1.0 comes as source: its build runs its code on this machine · only for extra x"
        in said
    )


def test_a_clean_lock_takes_one_line(place: Environment) -> None:
    write(
        place,
        "sub/uv.lock",
        "version = 1\n[manifest]\nrequirements = [{ name = 'a' }]\n"
        + uv_package("a", "1.0", *uv_files("a-1.0", "py3-none-any")),
    )
    ran = guard(place, "check", "sub/uv.lock")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("guard: 1 distribution judged, none denied")
    assert ran.out.count("\n") == 1


def test_a_damaged_lock_ends_in_one_line(place: Environment) -> None:
    write(place, "uv.lock", UV.replace('version = "1.0"\n', "version = 1.0\n", 1))
    ran = guard(place, "check", "uv.lock")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("guard: error: uv.lock: package[0]: 'version' is a number, not text (")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("word", ["no-such.lock", "uv.lock", "sub/requirements", "pylock.toml", "x.json"])
def test_a_lock_that_is_not_there_is_said_to_be_missing(place: Environment, word: str) -> None:
    ran = guard(place, "check", word)
    assert ran.code == 2
    assert ran.err == f"guard: error: {word}: cannot be read: No such file or directory (see that the file is there)\n"


POLICY = '[tool.installguard]\n[tool.installguard.packages.index]\n"internal" = "{url}"\n'


@pytest.mark.parametrize(("url", "denied"), [(PRIVATE, False), (INDEX, True)])
def test_a_release_locked_from_another_index_than_the_policy_names_is_denied(
    place: Environment, url: str, denied: bool
) -> None:
    write(place, "pyproject.toml", POLICY.format(url=url))
    for name in ("uv.lock", "poetry.lock", "Pipfile.lock"):
        write(place, name, SAMPLES[name])
        assert (("wrong-index", "deny", "internal") in codes(verdict(place, name))) is denied


def test_a_release_whose_lock_does_not_tell_the_index_is_not_from_the_one_the_policy_names(place: Environment) -> None:
    write(place, "pyproject.toml", POLICY.format(url=PRIVATE).replace("internal", "nice"))
    write(place, "pdm.lock", SAMPLES["pdm.lock"])
    assert ("wrong-index", "deny", "nice") in codes(verdict(place, "pdm.lock"))
    assert codes(verdict(place, "nice==1.0")) == set()


@pytest.mark.parametrize(("preset", "level"), [("default", "warn"), ("strict", "deny")])
def test_a_locked_release_that_is_young_is_a_warning_unless_strict(place: Environment, preset: str, level: str) -> None:
    write(place, "pyproject.toml", f'[tool.installguard]\npreset = "{preset}"\n')
    young = uv_file("a-1.0-py3-none-any.whl", f"{NOW - timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}")
    old = uv_file("a-1.0.tar.gz")
    write(place, "uv.lock", "version = 1\n" + uv_package("a", "1.0", f"sdist = {old}", f"wheels = [{young}]"))
    assert ("too-young", level, "a") in codes(verdict(place, "uv.lock"))


def test_under_a_strict_policy_locked_files_of_unknown_age_are_denied(place: Environment) -> None:
    write(place, "pyproject.toml", '[tool.installguard]\npreset = "strict"\n')
    for name, project in (("poetry.lock", "nice"), ("Pipfile.lock", "tool")):
        write(place, name, SAMPLES[name])
        assert ("age-unknown", "deny", project) in codes(verdict(place, name))
    assert ("age-unknown", "deny", "nice") not in codes(verdict(place, "nice==1.0"))


# ---------------------------------------------------------------- several at once


def checked(tmp_path: Path, *words: str, files: tuple[str, ...] = ()) -> Checked:
    return read_checked(words, files, tmp_path)


def labels(found: Checked) -> list[str]:
    return [each.label for each in found.distributions]


def test_a_release_in_several_locks_is_judged_once_by_the_less_favourable(tmp_path: Path) -> None:
    newer = PYLOCK.replace("2024-02-06T00:26:44Z", "2025-02-06T00:26:44Z")
    (tmp_path / "uv.lock").write_text(UV, encoding="utf-8")
    (tmp_path / "pylock.toml").write_text(newer, encoding="utf-8")
    evil = next(each for each in checked(tmp_path, "uv.lock", "pylock.toml").distributions if each.name == "evil")
    assert (evil.lock, evil.required_by) == ("uv.lock, pylock.toml", ("nice",))
    assert isinstance(evil.origin, Artifact)
    assert evil.origin.uploaded_at == datetime(2025, 2, 6, 0, 26, 44, tzinfo=timezone.utc)


def test_releases_of_one_name_from_two_indexes_are_both_judged(tmp_path: Path) -> None:
    for name, index in (("uv.lock", INDEX), ("other.lock", PRIVATE)):
        text = "version = 1\n" + uv_package("a", "1.0", *uv_files("a-1.0"), index=index)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert labels(checked(tmp_path, "uv.lock", "other.lock")) == ["a 1.0", "a 1.0"]


def test_a_release_named_beside_a_lock_that_holds_it_is_judged_as_the_lock_has_it(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV, encoding="utf-8")
    (tmp_path / "pins.txt").write_text("nice==1.0\n", encoding="utf-8")
    found = checked(tmp_path, "evil==1.0.0", "uv.lock", "uv.lock", "evil==2.0", files=("pins.txt",))
    assert labels(found).count("evil 1.0") == 1
    assert labels(found)[0] == "evil 2.0"
    assert [each.requested for each in found.distributions if each.label in ("evil 1.0", "nice 1.0")] == [True, True]


def test_what_is_neither_release_nor_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask==3.0\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"requirements\.txt: is not TOML: .*understood are uv\.lock"):
        checked(tmp_path, "requirements.txt")
    with pytest.raises(UsageError, match="'flask' is not an exact release"):
        checked(tmp_path, "flask")
    with pytest.raises(UsageError, match="nothing to check"):
        checked(tmp_path)


# ---------------------------------------------------------------- requirement files with hashes


def required(tmp_path: Path, text: str) -> list[Distribution]:
    (tmp_path / "requirements.txt").write_text(text, encoding="utf-8")
    return list(read_requirements(tmp_path / "requirements.txt"))


COMPILED = f"""# This file was autogenerated
--index-url https://user:secret@index.example.org/simple

a==1.0 ; python_version >= "3" \\
    --hash=sha256:{digest("a")} \\
    --hash=sha256:{digest("b")}
    # via shop
b==2.0 \\
    --hash sha512:{digest("c") * 2}
    # via
    #   -r requirements.in
    #   a
c==3.0
    # via b
"""


def test_hashes_marker_and_index_of_a_requirement_file_are_known(tmp_path: Path) -> None:
    a, b, c = required(tmp_path, COMPILED)
    assert (a.hashed, b.hashed, c.hashed) == (True, True, False)
    assert isinstance(a.origin, Artifact)
    assert isinstance(b.origin, Artifact)
    assert a.origin.hashes == tuple(sorted((("sha256", digest("a")), ("sha256", digest("b")))))
    assert b.origin.hashes == (("sha512", digest("c") * 2),)
    assert a.origin.index == "https://index.example.org/simple"
    assert (a.scope, b.scope) == ('only where python_version >= "3"', None)


@pytest.mark.parametrize(
    ("lines", "index"),
    [
        ("-i https://a.example.org/simple", "https://a.example.org/simple"),
        ("--index-url=https://a.example.org/simple", "https://a.example.org/simple"),
        ("-i https://a.example.org/simple\n-i https://b.example.org/simple", "https://b.example.org/simple"),
        ("-i https://a.example.org/simple\n--extra-index-url https://b.example.org/simple", None),
        ("-i https://a.example.org/simple\n-f dist", None),
        ("--no-index", None),
        ("--pre", None),
    ],
)
def test_the_index_is_known_only_where_there_is_no_other_place(tmp_path: Path, lines: str, index: str | None) -> None:
    (found,) = required(tmp_path, f"{lines}\na==1.0\n")
    assert isinstance(found.origin, Artifact)
    assert found.origin.index == index


def test_a_release_that_is_once_without_hash_does_not_count_as_hashed(tmp_path: Path) -> None:
    (found,) = required(tmp_path, f"a==1.0 --hash=sha256:{digest('a')}\nA==1.0.0\n")
    assert not found.hashed


@pytest.mark.parametrize("wrong", ["sha256", "sha256:", "sha256:xyz", ":abc", "sha256=abcdefabcdef"])
def test_what_is_no_hash_is_said_with_file_and_line(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UsageError, match=r"requirements\.txt:2: '--hash' is no hash"):
        required(tmp_path, f"b==1.0\na==1.0 --hash={wrong}\n")


def test_a_requirement_file_that_names_its_index_is_held_to_the_policy(place: Environment) -> None:
    write(place, "pyproject.toml", POLICY.format(url=PRIVATE).replace("internal", "a"))
    write(place, "pins.txt", f"--index-url {INDEX}\na==1.0 --hash=sha256:{digest('a')}\n")
    assert ("wrong-index", "deny", "a") in codes(verdict(place, "-r", "pins.txt"))
    write(place, "pins.txt", f"--index-url {PRIVATE}\na==1.0 --hash=sha256:{digest('a')}\n")
    assert codes(verdict(place, "-r", "pins.txt")) == set()


# ---------------------------------------------------------------- what the real uv writes


def uv(place: Environment, index: Index, *argv: str) -> Ran:
    """Run the real uv in the working directory, against the loopback index only."""
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, "uv is a development dependency: install the dependency group 'test'"
    ran = place.run(
        [found, *argv],
        cwd=place.home / "work",
        UV_DEFAULT_INDEX=index.url,
        UV_CACHE_DIR=str(place.home / "uv-cache"),
        UV_PYTHON_DOWNLOADS="never",
        UV_PYTHON=sys.executable,
    )
    assert ran.code == 0, ran.text
    return ran


PROJECT = """[project]
name = "shop"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["nice", "winonly ; sys_platform == 'win32'"]
[project.optional-dependencies]
x = ["source"]
[dependency-groups]
dev = ["tool"]
"""


@pytest.fixture
def project(place: Environment, index: Index) -> Index:
    """A project that uv has locked, and the index that it did so from."""
    index.json = True
    for name, requires in (("nice", ["evil"]), ("evil", []), ("winonly", []), ("tool", ["toolpart"]), ("toolpart", [])):
        make_wheel(index.files, name, "1.0", requires=requires)
    make_sdist(index.files, "evil", "1.0", source_files("evil"))
    make_sdist(index.files, "source", "1.0", source_files("source"))
    index.uploaded = {path.name: "2024-02-06T00:26:44.5Z" for path in index.files.iterdir()}
    write(place, "pyproject.toml", PROJECT)
    uv(place, index, "lock")
    return index


EXPECTED = {
    "evil 1.0": (None, ("nice",), False),
    "nice 1.0": (None, (), False),
    "source 1.0": ("only for extra x", (), True),
    "tool 1.0": ("only for group dev", (), False),
    "toolpart 1.0": ("only for group dev", ("tool",), False),
    "winonly 1.0": ("only where sys_platform == 'win32'", (), False),
}


def test_the_lock_of_the_real_uv_is_read_whole(place: Environment, project: Index) -> None:
    lock = read_lock(place.home / "work" / "uv.lock")
    assert {each.label: (each.scope, each.required_by, each.builds) for each in lock.distributions} == EXPECTED
    assert lock.notes == ()
    for each in lock.distributions:
        assert isinstance(each.origin, Artifact)
        assert each.origin.index == project.url.rstrip("/") or each.origin.index == project.url
        assert each.origin.uploaded_at == datetime(2024, 2, 6, 0, 26, 44, 500000, timezone.utc)
        assert each.hashed


@pytest.mark.parametrize(
    ("argv", "read"),
    [
        (("export", "--format", "pylock.toml", "-o", "pylock.toml"), lambda path: read_lock(path).distributions),
        (("export", "--format", "requirements.txt", "--no-emit-project", "-o", "pins.txt"), read_requirements),
    ],
)
def test_what_the_real_uv_exports_is_read_whole(
    place: Environment, project: Index, argv: tuple[str, ...], read: Callable[[Path], tuple[Distribution, ...]]
) -> None:
    uv(place, project, *argv, "--all-groups", "--all-extras", "--quiet")
    found = read(place.home / "work" / argv[-1])
    here = {each.label for each in found if each.scope is None or "win32" not in each.scope}
    assert here == EXPECTED.keys() - {"winonly 1.0"}
    assert all(each.hashed for each in found)
    if argv[-1] == "pylock.toml":
        assert {each.label: each.builds for each in found} == {
            label: builds for label, (_, _, builds) in EXPECTED.items()
        }
