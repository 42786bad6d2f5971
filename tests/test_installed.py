"""What an environment holds: every distribution is listed, whatever state its metadata is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from installguard.checks import run_checks
from installguard.errors import UnjudgedError
from installguard.frontends.installed import read_environment
from installguard.model import Code, Distribution, Installed
from installguard.policy import Policy

from .sample_values import evidence


def install(site: Path, name: str, version: str, *, lines: str = "", **files: str) -> Path:
    directory = site / f"{name.replace('-', '_')}-{version}.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}\nVersion: 666\n", encoding="utf-8"
    )
    for filename, text in files.items():
        (directory / filename.replace("_json", ".json")).write_text(text, encoding="utf-8")
    return directory


def labels(*paths: Path) -> list[str]:
    return [each.label for each in read_environment(paths)]


def only(*paths: Path) -> Distribution:
    [distribution] = read_environment(paths)
    return distribution


def installed(distribution: Distribution) -> Installed:
    assert isinstance(distribution.origin, Installed)
    return distribution.origin


def test_a_distribution_is_known_by_the_header_of_its_metadata(tmp_path: Path) -> None:
    directory = install(tmp_path, "Foo_Bar", "1.0rc1")
    distribution = only(tmp_path)
    assert str(distribution.release) == "foo-bar 1.0rc1"
    assert (distribution.role, distribution.requested, distribution.private) == ("installed", False, False)
    assert installed(distribution).location == str(directory)


def test_what_was_asked_for_is_marked_as_requested(tmp_path: Path) -> None:
    install(tmp_path, "foo", "1.0", REQUESTED="")
    assert only(tmp_path).requested


@pytest.mark.parametrize(
    ("record", "url", "private"),
    [
        ({"url": "file:///src/foo", "dir_info": {"editable": True}}, "file:///src/foo", True),
        ({"url": "https://u:p@example.org/foo.git", "vcs_info": {"vcs": "git"}}, "https://example.org/foo.git", True),
        ({"url": "https://example.org/foo.whl", "archive_info": {}}, "https://example.org/foo.whl", False),
        ({"url": 3, "dir_info": {}}, None, False),
        ([], None, False),
    ],
    ids=["tree", "vcs", "archive", "wrong type", "no table"],
)
def test_where_it_was_installed_from_is_told_by_direct_url(
    tmp_path: Path, record: object, url: str | None, private: bool
) -> None:
    install(tmp_path, "foo", "1.0", direct_url_json=json.dumps(record))
    origin = installed(only(tmp_path))
    assert (origin.direct_url, origin.private) == (url, private)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\0"])
def test_a_direct_url_that_cannot_be_read_makes_nothing_private(tmp_path: Path, text: str) -> None:
    install(tmp_path, "foo", "1.0", direct_url_json=text)
    assert not only(tmp_path).private


@pytest.mark.parametrize(
    ("line", "parents"),
    [
        ("Requires-Dist: b", ("a",)),
        ("Requires-Dist: B (>=1.0)", ("a",)),
        ("Requires-Dist: b[x]>=1.0; python_version >= '3'", ("a",)),
        ("Requires-Dist: b; python_version < '3'", ()),
        ("Requires-Dist: b; extra == 'test'", ()),
        ("Requires-Dist: b; nonsense", ("a",)),
        ("Requires-Dist: b-more", ()),
        ("requires-dist: b @ https://example.org/b.whl", ("a",)),
    ],
)
def test_parents_are_those_whose_requirements_name_it_here(tmp_path: Path, line: str, parents: tuple[str, ...]) -> None:
    install(tmp_path, "a", "1.0", lines=f"{line}\n")
    install(tmp_path, "b", "1.0")
    assert {str(each.name): each.required_by for each in read_environment([tmp_path])} == {"a": (), "b": parents}


def broken_by(kind: str, directory: Path) -> None:
    metadata = directory / "METADATA"
    metadata.unlink()
    match kind:
        case "empty":
            metadata.write_bytes(b"")
        case "no version":
            metadata.write_text("Name: foo\n\nVersion: 1\n", encoding="utf-8")
        case "bad name":
            metadata.write_text("Name: ../foo\nVersion: 1\n", encoding="utf-8")
        case "odd letters":
            metadata.write_text("Name: \u212aivy\nVersion: 1\n", encoding="utf-8")
        case "bytes":
            metadata.write_bytes(bytes(range(128, 256)) * 10)
        case "a directory":
            metadata.mkdir()
        case "a pipe":
            os.mkfifo(metadata)
        case "a loop of links":
            metadata.symlink_to(metadata)


@pytest.mark.parametrize(
    "kind",
    ["missing", "empty", "no version", "bad name", "odd letters", "bytes", "a directory", "a pipe", "a loop of links"],
)
def test_broken_metadata_is_an_unknown_release_and_never_left_out(tmp_path: Path, kind: str) -> None:
    if kind == "a pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    broken_by(kind, install(tmp_path, "foo", "1.0"))
    distribution = only(tmp_path)
    assert (distribution.name, distribution.release) == ("foo", None)
    assert [each.code for each in run_checks(evidence(distribution), Policy())] == [Code.UNKNOWN_RELEASE]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_somebody_holds_open_neither_hangs_nor_breaks_the_reading(tmp_path: Path) -> None:
    directory = install(tmp_path, "foo", "1.0")
    broken_by("a pipe", directory)
    held = os.open(directory / "METADATA", os.O_RDWR)
    try:
        assert only(tmp_path).release is None
    finally:
        os.close(held)


def test_a_leftover_without_a_name_is_listed_too(tmp_path: Path) -> None:
    (tmp_path / "~ip-24.0.dist-info").mkdir()
    distribution = only(tmp_path)
    assert (distribution.name, distribution.release) == (None, None)


def test_the_same_project_twice_is_listed_twice(tmp_path: Path) -> None:
    install(tmp_path / "one", "foo", "1.0")
    install(tmp_path / "one", "foo", "1.1")
    install(tmp_path / "two", "foo", "1.0")
    assert labels(tmp_path / "one", tmp_path / "two") == ["foo 1.0", "foo 1.1", "foo 1.0"]


def test_a_directory_that_two_paths_lead_to_is_read_once(tmp_path: Path) -> None:
    install(tmp_path / "lib", "foo", "1.0")
    (tmp_path / "lib64").symlink_to(tmp_path / "lib")
    assert labels(tmp_path / "lib", tmp_path / "lib64") == ["foo 1.0"]


def test_linked_metadata_is_followed(tmp_path: Path) -> None:
    directory = install(tmp_path / "store", "foo", "1.0")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / directory.name).symlink_to(directory)
    assert labels(tmp_path / "site") == ["foo 1.0"]


def test_old_forms_of_metadata_are_read(tmp_path: Path) -> None:
    text = "Metadata-Version: 1.0\nName: {}\nVersion: 1.0\n"
    (tmp_path / "a.egg-info").write_text(text.format("a"), encoding="utf-8")
    for directory, name in (("b-1.0-py3.8.egg-info", "b"), ("c-1.0.egg/EGG-INFO", "c"), ("src/d.egg-info", "d")):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "PKG-INFO").write_text(text.format(name), encoding="utf-8")
    (tmp_path / "d.egg-link").write_text(f"{tmp_path / 'src'}\n.", encoding="utf-8")
    (tmp_path / "e.egg-link").write_text(f"{tmp_path / 'gone'}\n.", encoding="utf-8")
    found = read_environment([tmp_path])
    assert [(str(each.name), each.release is not None, each.private) for each in found] == [
        ("a", True, False),
        ("b", True, False),
        ("c", True, False),
        ("d", True, True),
        ("e", False, True),
    ]


def test_a_version_that_pep_440_cannot_read_is_kept_as_written(tmp_path: Path) -> None:
    install(tmp_path, "foo", "2009-zeta")
    assert labels(tmp_path) == ["foo 2009-zeta"]


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "python.zip").write_bytes(b"PK")
    assert labels(tmp_path / "gone", tmp_path / "python.zip") == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_directory_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    with pytest.raises(UnjudgedError, match=r"locked: cannot be read"):
        read_environment([locked])


def test_a_path_that_loops_is_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(UnjudgedError, match=r"loop: cannot be read"):
        read_environment([loop])


def test_this_very_environment_is_read_as_pip_reads_it() -> None:
    site = Path(sysconfig.get_path("purelib"))
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check", "--path", str(site)],
        capture_output=True,
        check=True,
    )
    theirs = {
        (each["name"].lower().replace("_", "-").replace(".", "-"), each["version"])
        for each in json.loads(listed.stdout)
    }
    ours = {(str(each.name), str(each.release.version)) for each in read_environment([site]) if each.release}
    assert ours == theirs


def test_a_large_environment_is_read_in_milliseconds(tmp_path: Path) -> None:
    requires = "".join(f"Requires-Dist: p{number}>=1; python_version >= '3.8'\n" for number in range(20))
    for number in range(200):
        install(tmp_path, f"p{number}", "1.0", lines=requires + "Description: x\n\n" + "text\n" * 1000)
    started = time.perf_counter()
    assert len(read_environment([tmp_path])) == 200
    assert time.perf_counter() - started < 1.0  # bounds the order of growth, on a busy machine too
