"""Lock files that are damaged, forged or huge: one clear line, in bounded time, and never fewer releases in silence."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from datetime import time as clock
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.errors import ExitCode, UsageError
from installguard.frontends.locks import Lock, parse_lock, read_lock
from installguard.frontends.locks.distributions import distributions_of
from installguard.frontends.locks.entries import LockedPackage
from installguard.frontends.locks.pdm import read_pdm
from installguard.frontends.locks.pipfile import read_pipfile
from installguard.frontends.locks.poetry import read_poetry
from installguard.frontends.locks.pylock import read_pylock
from installguard.frontends.locks.tables import Table
from installguard.frontends.locks.toml import parse_toml
from installguard.frontends.locks.uv import read_uv

from .lock_samples import (
    FILES,
    INDEX,
    PDM,
    PIPFILE,
    POETRY,
    POETRY_1,
    PYLOCK,
    SAMPLES,
    UV,
    uv_file,
    uv_files,
    uv_package,
)

Reader = Callable[[Table], tuple[list[LockedPackage], list[str]]]
READERS: dict[str, tuple[Reader, dict[str, Any]]] = {
    "uv.lock": (read_uv, parse_toml(UV)),
    "pylock.toml": (read_pylock, parse_toml(PYLOCK)),
    "poetry.lock": (read_poetry, parse_toml(POETRY)),
    "poetry-1.lock": (read_poetry, parse_toml(POETRY_1)),
    "pdm.lock": (read_pdm, parse_toml(PDM)),
    "Pipfile.lock": (read_pipfile, json.loads(PIPFILE)),
}


def read(name: str, text: str | bytes) -> Lock:
    return parse_lock(text if isinstance(text, bytes) else text.encode(), Path(name), name)


def refused(name: str, text: str | bytes) -> str:
    with pytest.raises(UsageError) as error:
        read(name, text)
    assert error.value.exit_code is ExitCode.USAGE
    assert str(error.value).isprintable()
    return str(error.value)


# ---------------------------------------------------------------- what is said

UV_HEAD = 'version = 1\n[[package]]\nname = "a"\nversion = "1.0"\n'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("uv.lock", "", "uv.lock: missing 'version'"),
        ("uv.lock", "version = 2\n", "uv.lock: is of version 2, and guard knows version 1 (update guard)"),
        ("uv.lock", 'version = "1"\n', "uv.lock: 'version' is text, not a whole number"),
        ("uv.lock", "version = true\n", "uv.lock: 'version' is a boolean, not a whole number"),
        ("uv.lock", "version = 1\npackage = 3\n", "uv.lock: 'package' is a number, not an array"),
        ("uv.lock", "version = 1\npackage = [3]\n", "uv.lock: 'package[0]' is a number, not a table"),
        ("uv.lock", 'version = 1\n[[package]]\nname = "a"\n', "uv.lock: package[0]: missing 'source'"),
        ("uv.lock", 'version = 1\n[[package]]\nversion = "1"\n', "uv.lock: package[0]: missing 'name'"),
        ("uv.lock", "version = 1\n[[package]]\nname = 2024-01-01\n", "package[0]: 'name' is a date or time, not text"),
        ("uv.lock", 'version = 1\n[[package]]\nname = "-a"\n', "package[0]: 'name' is not the name of a project"),
        ("uv.lock", 'version = 1\n[[package]]\nname = " "\n', "package[0]: 'name' is empty"),
        ("uv.lock", f'{UV_HEAD}source = {{ }}\n', "uv.lock: package[0].source: is none of registry, git"),
        ("uv.lock", f'{UV_HEAD}source = {{ git = "a", registry = "b" }}\n', "[0].source: names more than one source"),
        ("uv.lock", f'{UV_HEAD}source = {{ registry = 1 }}\n', "package[0].source: 'registry' is a number, not text"),
        (
            "uv.lock",
            f'version = 1\n[[package]]\nname = "a"\nsource = {{ registry = "{INDEX}" }}\n',
            "uv.lock: package[0]: missing 'version' (lock it again with the tool that wrote it)",
        ),
        (
            "uv.lock",
            "version = 1\n" + uv_package("a", "1.0", "wheels = [{ url = 1 }]"),
            "uv.lock: package[0].wheels[0]: 'url' is a number, not text",
        ),
        (
            "uv.lock",
            "version = 1\n" + uv_package("a", "1.0", 'sdist = { url = "a-1.0.tar.gz", hash = "md5" }'),
            "uv.lock: package[0].sdist: 'hash' is not a hash",
        ),
        (
            "uv.lock",
            "version = 1\n" + uv_package("a", "1.0", f"sdist = {uv_file('a-1.0.tar.gz', 'yesterday')}"),
            "uv.lock: package[0].sdist: 'upload-time' is not a date and time",
        ),
        (
            "uv.lock",
            "version = 1\n" + uv_package("a", "1.0", f"sdist = {uv_file('a-1.0.tar.gz', '0001-01-01T00:00:00+23:59')}"),
            "uv.lock: package[0].sdist: 'upload-time' is not a date and time",
        ),
        (
            "uv.lock",
            "version = 1\n" + uv_package("a", "1.0", 'dependencies = [{ name = "gone" }]'),
            "uv.lock: package[0]: asks for 'gone', which is not in it (it was cut short or changed by hand",
        ),
        ("pylock.toml", 'lock-version = "2.0"\n', "is of lock-version 2.0, and guard knows 1.x (update guard)"),
        ("pylock.toml", 'lock-version = "one"\n', "pylock.toml: 'lock-version' is not a version"),
        ("pylock.toml", "lock-version = 1.0\n", "pylock.toml: 'lock-version' is a number, not text"),
        ("pylock.toml", 'lock-version = "1.0"\n', "pylock.toml: missing 'packages'"),
        (
            "pylock.toml",
            'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1"\n',
            "pylock.toml: packages[0]: names no file, and no other source",
        ),
        (
            "pylock.toml",
            'lock-version = "1.0"\n[[packages]]\nname = "a"\nwheels = [{ hashes = { sha256 = "aa" } }]\n',
            "pylock.toml: packages[0].wheels[0]: missing 'url' or 'path'",
        ),
        (
            "pylock.toml",
            'lock-version = "1.0"\n[[packages]]\nname = "a"\nwheels = []\ndirectory = { path = "a" }\n',
            "pylock.toml: packages[0]: names more than one source",
        ),
        ("poetry.lock", "package = []\n", "poetry.lock: missing 'metadata' (it was cut short: lock it again)"),
        ("poetry.lock", '[metadata]\nlock-version = "3.0"\n', "is of lock-version 3.0, and guard knows 1.x and 2.x"),
        (
            "poetry.lock",
            POETRY.replace('type = "git"', 'type = "cvs"'),
            "poetry.lock: package[1].source: 'type' is none that guard knows",
        ),
        ("pdm.lock", '[metadata]\nlock_version = "5.0"\n', "pdm.lock: is of lock-version 5.0, and guard knows 4.x"),
        ("pdm.lock", "[metadata]\n", "pdm.lock: metadata: missing 'lock_version'"),
        ("Pipfile.lock", "{}", "Pipfile.lock: missing '_meta'"),
        ("Pipfile.lock", '{"_meta": {"pipfile-spec": 7}}', "_meta: is of pipfile-spec 7, and guard knows 6 (update"),
        ("Pipfile.lock", '{"_meta": {"pipfile-spec": 5}}', "guard knows 6 (lock it again with a recent pipenv)"),
        ("Pipfile.lock", '{"_meta": {}, "_meta": {}}', "Pipfile.lock: is not JSON: a key is there twice"),
        ("Pipfile.lock", PIPFILE.replace('"==1.0"', '">=1.0"', 1), "default.evil: 'version' is no exact version"),
        ("Pipfile.lock", PIPFILE.replace('"main",\n', '"gone",\n', 1), "'index' is 'gone', which '_meta.sources' does"),
        ("Pipfile.lock", '{"_meta": {"pipfile-spec": 6}, "default": {"a": []}}', "'a' is an array, not a table"),
        ("Pipfile.lock", "[" * 200_000, "Pipfile.lock: is not JSON: nested too deeply"),
        ("uv.lock", "a = " + "[" * 200_000, "uv.lock: is not TOML: nested too deeply"),
        ("uv.lock", b"version = 1\n\nname = '\xff'\n", "uv.lock: is not UTF-8 text, at line 3"),
        ("uv.lock", b"version = 1\nname = '\x00'\n", "uv.lock: is not TOML: "),
        ("uv.lock", "version = 1\n[[package]]\nname = ", "uv.lock: is not TOML: Invalid value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_with_file_and_place(name: str, text: str | bytes, said: str) -> None:
    assert said in refused(name, text)


def test_a_place_with_odd_characters_is_escaped() -> None:
    said = refused("Pipfile.lock", '{"_meta": {"pipfile-spec": 6}, "default": {"a\\u001b[31m\\n": {}}}')
    assert "\\x1b" in said


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "nul"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "uv.lock"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "nul":
        path = tmp_path / "uv\0.lock"
    with pytest.raises(UsageError, match=r"uv.*\.lock: (cannot be read|is not a file)"):
        read_lock(path)


def test_a_file_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uv.lock"
    with path.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(UsageError, match="is larger than 64 MiB"):
        read_lock(path)


# ---------------------------------------------------------------- forged


@pytest.mark.parametrize(
    "filename",
    [
        "evil-1.0-py3-none-any.whl", "a-2.0-py3-none-any.whl", "a_b-1.0-py3-none-any.whl", "evil-1.0.tar.gz",
        "a-2.0.tar.gz", "ab-1.0.tar.gz", "a-evil-1.0.tar.gz", "a-evil-1.0.tar.zst", "a%2Devil-1.0-py3-none-any.whl",
        "a.whl",
    ],
)  # fmt: skip
def test_a_file_of_another_release_does_not_pass_for_one_of_the_entry(filename: str) -> None:
    assert "is no file of a 1.0 (see who changed it" in refused(
        "uv.lock", "version = 1\n" + uv_package("a", "1.0", f"wheels = [{uv_file(filename)}]")
    )


@pytest.mark.parametrize(
    ("name", "version", "filename"),
    [
        ("a-b", "1.0", "a_b-1.0-py3-none-any.whl"),
        ("a-b", "1.0", "a-b-1.0.tar.gz"),
        ("a.b", "1.0.0", "A.B-1.0.tar.gz"),
        ("ruamel-yaml", "0.18", "ruamel.yaml-0.18.tar.gz"),
        ("torch", "2.0+cu118", "torch-2.0%2Bcu118-cp311-cp311-linux_x86_64.whl"),
        ("torch", "2.0+cu118", "torch-2.0-cp311-cp311-linux_x86_64.whl"),
        ("a", "1.0.post1", "a-1.0_1-1-py3-none-any.whl"),
        ("a", "2009-zeta", "a-2009-zeta.tar.gz"),
        ("a", "1.0", "a-1.0.linux-x86_64.exe"),
        ("a", "1.0", "a-1.0-py2.7.egg"),
    ],
)
def test_files_named_in_odd_ways_are_those_of_their_release(name: str, version: str, filename: str) -> None:
    lock = read("uv.lock", "version = 1\n" + uv_package(name, version, f"wheels = [{uv_file(filename)}]"))
    assert [each.name for each in lock.distributions] == [name.replace(".", "-")]


def test_the_release_that_a_url_names_cannot_hide_in_other_locks_either() -> None:
    forged = PYLOCK.replace(f"{FILES}/nice-1.0-py3-none-any.whl", f"{FILES}/evil-1.0-py3-none-any.whl")
    assert "is no file of nice 1.0" in refused("pylock.toml", forged)
    assert "is no file of speed" in refused("pdm.lock", PDM.replace(f"{FILES}/speed", f"{FILES}/evil"))


# ---------------------------------------------------------------- laws

WRONG: list[Any] = [
    None, True, 7, -1, 1e300, float("nan"), 10**400, "", " ", "text", "\x00\x1b[31m\n", "x" * 5000, "../..", "==1",
    "1.0", "2024-02-06T00:26:44Z", datetime(2024, 1, 1, tzinfo=timezone.utc), date(2024, 1, 1), clock(1, 2), [], [[]],
    [None], ["x"], [{}], {}, {"": ""}, {"a": [1]},
]  # fmt: skip


def places(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a document."""
    if way:
        yield way
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in children:
        yield from places(child, (*way, step))


def changed(document: dict[str, Any], way: tuple[Any, ...], value: Any, *, drop: bool) -> dict[str, Any]:
    """Return *document* with what is at *way* replaced, or dropped."""
    result = copy.deepcopy(document)
    node = result
    for step in way[:-1]:
        node = node[step]
    if drop:
        del node[way[-1]]
    else:
        node[way[-1]] = copy.deepcopy(value)
    return result


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_by_law_a_wrong_value_anywhere_is_refused_in_one_line_or_judged(name: str, data: st.DataObject) -> None:
    reader, document = READERS[name]
    way = data.draw(st.sampled_from(list(places(document))))
    damaged = changed(document, way, data.draw(st.sampled_from(WRONG)), drop=data.draw(st.booleans()))
    try:
        packages, _ = reader(Table(damaged, name))
    except UsageError as error:
        assert str(error).isprintable()
        assert str(error).startswith(f"{name}: ")
        return
    found = distributions_of(packages, name)
    assert all(each.name for each in found)
    if not removes_evil(document, way):
        assert "evil 1.0" in [str(each.release) for each in found]


def removes_evil(document: dict[str, Any], way: tuple[Any, ...]) -> bool:
    """Return whether a change at *way* may take the malicious release out of the document, or make another of it."""
    node: Any = document
    for step in way:
        node = node[step]
    holds = (node if isinstance(node, dict) else {}).get("name") == "evil" or "evil" in way
    own = way[-1] in ("name", "version") or way[-1] in ("package", "packages", "default")
    siblings: Any = document
    for step in way[:-1]:
        siblings = siblings[step]
    within = isinstance(siblings, dict) and siblings.get("name") == "evil" and way[-1] in ("name", "version", "source")
    return holds or within or (own and len(way) == 1)


@pytest.mark.parametrize("name", SAMPLES)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_by_law_damaged_bytes_are_refused_in_one_line_or_read(name: str, data: st.DataObject) -> None:
    whole = SAMPLES[name].encode()
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start, len(whole)) | st.just(len(whole)))
    damaged = whole[:start] + data.draw(st.binary(max_size=3)) + whole[end:]
    try:
        lock = read(name, damaged)
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert all(each.name for each in lock.distributions)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("pylock.toml", "pdm.lock")])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_by_law_a_lock_cut_short_is_refused_or_says_so(name: str, data: st.DataObject) -> None:
    text = SAMPLES[name]
    cut = text[: data.draw(st.integers(0, len(text.rstrip()) - 1))]
    try:
        lock = read(name, cut)
    except UsageError:
        return
    whole = read(name, text)
    same = [each.release for each in lock.distributions] == [each.release for each in whole.distributions]
    assert same or "cut short" in " ".join(lock.notes)


# ---------------------------------------------------------------- size


def big(number: int) -> str:
    """Return a uv.lock of *number* releases, each asking for three others."""
    packages = [
        uv_package(
            f"p{each}",
            "1.0",
            "dependencies = [\n"
            + "".join(f'    {{ name = "p{(each * 2 + add) % number}" }},\n' for add in (1, 2, 3))
            + "]",
            *uv_files(f"p{each}-1.0", "py3-none-any"),
        )
        for each in range(number)
    ]
    root = '[[package]]\nname = "root"\nversion = "1"\nsource = { virtual = "." }\ndependencies = [{ name = "p0" }]\n'
    return "version = 1\nrevision = 3\n\n" + "\n".join([*packages, root])


def seconds(name: str, text: str) -> tuple[float, Lock]:
    data = text.encode()
    began = time.process_time()
    lock = parse_lock(data, Path(name), name)
    return time.process_time() - began, lock


def test_a_lock_of_twenty_thousand_releases_is_read_in_seconds() -> None:
    taken, lock = seconds("uv.lock", big(20_000))
    assert len(lock.distributions) == 20_000
    assert taken < 8  # 2 on a quiet machine


def test_many_versions_groups_and_markers_take_no_square_of_time() -> None:
    releases = [uv_package("p", str(each), 'dependencies = [{ name = "p" }]') for each in range(3000)]
    groups = "".join(f'g{each} = [{{ name = "p", marker = "m{each}" }}]\n' for each in range(3000))
    root = '[[package]]\nname = "root"\nversion = "1"\nsource = { virtual = "." }\n[package.dev-dependencies]\n'
    taken, lock = seconds("uv.lock", "version = 1\n" + "\n".join(releases) + root + groups)
    assert len(lock.distributions) == 3000
    assert lock.distributions[0].scope is not None
    assert "and 48 more" in lock.distributions[0].scope
    assert taken < 5
