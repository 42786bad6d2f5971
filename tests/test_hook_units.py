"""What the hook reads out of names, links, wheels and trees, and which pip it refuses."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installguard.hook import pip_hook
from installguard.hook.pip_hook import (
    canonical,
    central_directory,
    look_into_wheel,
    redact,
    split_sdist,
    split_wheel,
    static_release,
    vcs_url,
)

from .environments import Environment
from .loopback import Index
from .packages import make_sdist, make_wheel, source_files, touch, write_tree

# ------------------------------------------------------------------ names and links


@pytest.mark.parametrize(
    ("filename", "name", "version"),
    [
        ("nice-1.0-py3-none-any.whl", "nice", "1.0"),
        ("nice-1.0-1-py3-none-any.whl", "nice", "1.0"),
        ("Nice_Thing-1.0+local.1-cp311-abi3-linux_x86_64.whl", "Nice_Thing", "1.0+local.1"),
        ("nice.whl", None, None),
        ("nice-1.0.whl", None, None),
        ("", None, None),
    ],
)
def test_a_wheels_file_name_gives_name_and_version(filename: str, name: str | None, version: str | None) -> None:
    assert split_wheel(filename) == (name, version)


@pytest.mark.parametrize(
    ("filename", "project", "name", "version"),
    [
        ("nice-1.0.tar.gz", None, "nice", "1.0"),
        ("nice-1.0.zip", None, "nice", "1.0"),
        ("nice-1.0.TAR.BZ2", None, "nice", "1.0"),
        ("nice-1.0.tgz", None, "nice", "1.0"),
        ("nice-thing-1.0.tar.gz", None, "nice-thing", "1.0"),
        ("nice-thing-1.0.tar.gz", "Nice.Thing", "Nice.Thing", "1.0"),
        ("nice-1.0-post1.tar.gz", "nice", "nice", "1.0-post1"),
        ("nice-2-3.0.tar.gz", "nice-2", "nice-2", "3.0"),
        ("ctx-0.1.2-1.tar.gz", "ctx", "ctx", "0.1.2-1"),
        ("other-1.0.tar.gz", "nice", "nice", None),
        ("latest.tar.gz", None, None, None),
        ("latest.tar.gz", "nice", "nice", None),
        ("nice-main.zip", None, None, None),
        ("-1.0.zip", None, None, None),
        ("nice-.zip", "nice", "nice", None),
        ("nice", "nice", "nice", None),
        ("", None, None, None),
    ],
)
def test_a_source_archives_file_name_gives_what_it_says_and_no_more(
    filename: str, project: str | None, name: str | None, version: str | None
) -> None:
    assert split_sdist(filename, project) == (name, version)


@given(st.text(), st.none() | st.text())
def test_no_file_name_breaks_the_reading_of_it(filename: str, project: str | None) -> None:
    assert len(split_wheel(filename)) == len(split_sdist(filename, project)) == 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.org/a.whl#sha256=0", "https://example.org/a.whl"),
        ("https://token@example.org/simple/?q=1", "https://example.org/simple/?q=1"),
        ("https://us%40er:p%40ss@example.org:8080/", "https://example.org:8080/"),
        ("https://a@b@example.org/", "https://example.org/"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("file:///tmp/a.whl", "file:///tmp/a.whl"),
        ("links", "links"),
        ("", ""),
    ],
)
def test_credentials_never_leave_a_url(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("git+https://user:secret@example.org/a.git@v1#egg=a", "git+https://example.org/a.git@v1"),
        ("git+ssh://git@example.org/a.git", "git+ssh://git@example.org/a.git"),
        ("git+ssh://git:secret@example.org/a.git", "git+ssh://git@example.org/a.git"),
        ("git+file:///tmp/a", "git+file:///tmp/a"),
    ],
)
def test_a_checkouts_url_keeps_the_account_of_ssh_and_no_secret(url: str, shown: str) -> None:
    assert vcs_url(url) == shown


@pytest.mark.parametrize("name", ["Nice.Thing", "nice_thing", "NICE--thing", "nice-_.thing"])
def test_names_are_compared_as_pep_503_says(name: str) -> None:
    assert canonical(name) == "nice-thing"


# ------------------------------------------------------------------ wheels


def zip_of(members: Iterable[tuple[str, bytes]], *, comment: bytes = b"", before: bytes = b"") -> bytes:
    """Return a zip file, with bytes before it as a self-extracting one has."""
    stream = io.BytesIO()
    stream.write(before)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
        archive.comment = comment
    return stream.getvalue()


MEMBERS = st.lists(
    st.tuples(st.text(min_size=1, max_size=12).filter(lambda name: "\0" not in name), st.binary(max_size=40)),
    max_size=6,
    unique_by=lambda member: member[0],
).map(lambda members: [(name, data) for name, data in members if encodable(name)])


def encodable(name: str) -> bool:
    try:
        return bool(name.encode("utf-8"))
    except UnicodeEncodeError:
        return False


@given(members=MEMBERS, comment=st.binary(max_size=60), before=st.binary(max_size=60))
def test_the_central_directory_found_is_the_one_that_zipfile_reads(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]], comment: bytes, before: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "some.zip"
    path.write_bytes(zip_of(members, comment=comment, before=before))

    found = central_directory(str(path))

    if found is not None:
        with zipfile.ZipFile(path) as archive:
            assert names_in(found) == [info.orig_filename.encode() for info in archive.infolist()]


def names_in(directory: bytes) -> list[bytes]:
    """Return the file names of a central directory, by the zip specification (APPNOTE 4.3.12)."""
    names = []
    while directory:
        assert directory[:4] == b"PK\x01\x02"
        name, extra, comment = struct.unpack("<HHH", directory[28:34])
        names.append(directory[46 : 46 + name])
        directory = directory[46 + name + extra + comment :]
    return names


def test_an_ordinary_zip_is_read_by_its_central_directory_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    path.write_bytes(zip_of([("a", b""), ("b/c", b"x")]))
    found = central_directory(str(path))
    assert found is not None
    assert names_in(found) == [b"a", b"b/c"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06",
        b"no zip at all",
        b"\0" * 22,
        b"PK\x05\x06" + b"\xff" * 18,
        zip_of([("a", b"")])[:-1],
        zip_of([("a", b"")])[:40],
        zip_of([("evil.pth", b"import os\n")])[:-30],
    ],
)
def test_a_damaged_zip_is_a_value_error_and_nothing_else(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        look_into_wheel(str(path))


WHEEL = zip_of([("nice/__init__.py", b""), ("evil.pth", b"import os\n"), ("x.data/purelib/b.start", b"b")])


@given(st.integers(0, len(WHEEL) - 1), st.integers(0, 255), st.integers(0, len(WHEEL)))
def test_no_damage_to_a_wheel_breaks_the_hook(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.whl"
    path.write_bytes((WHEEL[:at] + bytes([byte]) + WHEEL[at + 1 :])[:length])
    try:
        found = look_into_wheel(str(path))
    except ValueError:
        return
    assert all(isinstance(name, str) for name in found)


def test_a_zip64_wheel_is_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(65_600):
            archive.writestr(zipfile.ZipInfo(f"n/{number}"), b"")
        archive.writestr("evil.pth", "import os\n")
    assert look_into_wheel(str(path)) == ["evil.pth"]


STARTS: list[tuple[str, bytes]] = [
    ("evil.pth", b"import os\n"),
    ("evil.pth", b"import\tos\n"),
    ("evil.pth", b"\xef\xbb\xbfimport os\n"),
    ("evil.pth", b"some/path\r\nimport os\r\n"),
    ("evil.pth", b"some/path\rimport os"),
    ("evil.pth", b"# comment\n\nimport os; print()\n"),
    ("evil.pth", b"# comment\xe2\x80\xa8import os\n"),
    ("evil.pth", b"x" * 3_000_000),
    (".pth", b"import os\n"),
    ("evil-1.0.data/purelib/evil.pth", b"import os\n"),
    ("evil-1.0.data/platlib/evil.pth", b"import os\n"),
    ("evil-1.0.data/data/lib/python3.11/site-packages/evil.pth", b"import os\n"),
    ("evil-1.0.data/data/Lib/site-packages/evil.pth", b"import os\n"),
    ("other-2.0.data/purelib/evil.pth", b"import os\n"),
    ("evil.start", b"evil:main\n"),
    ("evil-1.0.data/purelib/evil.start", b"evil:main\n"),
    ("sitecustomize.py", b""),
    ("sitecustomize.pyc", b""),
    ("sitecustomize.so", b""),
    ("sitecustomize.cpython-311-x86_64-linux-gnu.so", b""),
    ("sitecustomize.pyd", b""),
    ("sitecustomize/__init__.py", b""),
    ("usercustomize.py", b""),
    ("usercustomize/__init__.py", b""),
    ("evil-1.0.data/purelib/sitecustomize.py", b""),
    ("evil-1.0.data/platlib/usercustomize/__init__.py", b""),
    ("evil-1.0.data/data/lib/python3.11/site-packages/sitecustomize.py", b""),
    ("evil-1.0.data/data/lib/python3.11/site-packages/sitecustomize/__init__.py", b""),
    ("./evil.pth", b"import os\n"),
    ("evil/../evil.pth", b"import os\n"),
    ("evil//../evil.pth", b"import os\n"),
    ("evil-1.0.data/purelib/./evil.pth", b"import os\n"),
    ("evil-1.0.data/purelib/evil/../evil.pth", b"import os\n"),
    ("evil-1.0.data/purelib//evil.pth", b"import os\n"),
    ("./sitecustomize/__init__.py", b""),
]


@pytest.mark.parametrize(("name", "data"), STARTS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(STARTS)])
def test_what_runs_when_an_interpreter_starts_is_found(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(zip_of([("evil/__init__.py", b""), (name, data)]))
    assert look_into_wheel(str(path)) == [name]


HARMLESS: list[tuple[str, bytes]] = [
    ("nice.pth", b"some/path\n# import this\nimportant/path\n"),
    ("nice.pth", b""),
    ("nice/evil.pth", b"import os\n"),
    ("nice/sitecustomize.py", b""),
    ("nice-1.0.data/scripts/evil.pth", b"import os\n"),
    ("nice-1.0.data/headers/evil.pth", b"import os\n"),
    ("nice-1.0.data/purelib/nice/evil.pth", b"import os\n"),
    ("nice-1.0.dist-info/evil.pth", b"import os\n"),
    ("nice.pth/readme.txt", b"import os\n"),
    ("mysitecustomize.py", b""),
    ("sitecustomize_more.py", b""),
    ("nice.pth.txt", b"import os\n"),
    ("nice.pth/", b""),
    ("nice-1.0.data/purelib/", b""),
    ("nice-1.0.data/data/", b""),
    ("nice-1.0.data/data/share/customize/", b""),
    ("nice-1.0.data/", b""),
    ("customize/", b""),
]


@pytest.mark.parametrize(("name", "data"), HARMLESS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(HARMLESS)])
def test_what_an_interpreter_never_runs_by_itself_is_left_alone(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(zip_of([("nice/__init__.py", b""), ("nice/customize.py", b""), (name, data)]))
    assert look_into_wheel(str(path)) == []


def test_a_startup_file_that_cannot_be_unpacked_counts_as_code(tmp_path: Path) -> None:
    data = bytearray(zip_of([("evil.pth", b"harmless/path\n")]))
    data[data.index(b"harmless")] ^= 1  # so that its checksum is wrong
    path = tmp_path / "some.whl"
    path.write_bytes(bytes(data))
    assert look_into_wheel(str(path)) == ["evil.pth"]


@pytest.mark.last_pip
@pytest.mark.parametrize(
    "member", ["evil.pth", "./evil.pth", "evil/../evil.pth", "evil-1.0.data/data/{site}/evil.pth"], ids=str
)
def test_start_up_code_is_told_of_wherever_pip_would_put_it(
    environment: Environment, index: Index, tmp_path: Path, member: str
) -> None:
    site = environment.site_packages.relative_to(environment.prefix).as_posix()
    name = member.format(site=site)
    marker = tmp_path / "it-ran"
    make_wheel(index.files, "evil", files={"evil/__init__.py": "", name: f"{touch(marker)}\n"})

    ran = environment.guard("install", "evil")

    assert (environment.site_packages / "evil.pth").exists() == (ran.code == 0), ran.text
    assert "[startup-code]" in ran.err or ran.code != 0, ran.text


# ------------------------------------------------------------------ trees


TREES: list[tuple[dict[str, str], tuple[str | None, str | None]]] = [
    ({"PKG-INFO": "Metadata-Version: 2.1\nName: nice\nVersion: 1.0\n\nVersion: 9\n"}, ("nice", "1.0")),
    ({"PKG-INFO": "Name: nice\r\nVersion: 1.0\r\n\r\nText\r\n"}, ("nice", "1.0")),
    ({"PKG-INFO": "Summary: x\n\nName: nice\nVersion: 1.0\n"}, (None, None)),
    ({"pyproject.toml": '[project]\nname = "nice"\nversion = "1.0"\n'}, ("nice", "1.0")),
    ({"pyproject.toml": '[project]\nname = "nice"\ndynamic = ["version"]\n'}, ("nice", None)),
    ({"pyproject.toml": 'project = {name = "nice", version = "1.0"}\n'}, ("nice", "1.0")),
    ({"pyproject.toml": "[project]\nname = 1\nversion = [2]\n"}, (None, None)),
    ({"pyproject.toml": 'project = "nice"\n'}, (None, None)),
    ({"pyproject.toml": "[project\n"}, (None, None)),
    ({"pyproject.toml": "project = " + "[" * 100_000}, (None, None)),
    ({"setup.cfg": "[metadata]\nname = nice\nversion = 1.0\n"}, ("nice", "1.0")),
    ({"setup.cfg": "[metadata]\nname = nice\nversion = attr: nice.VERSION\n"}, ("nice", None)),
    ({"setup.cfg": "[metadata]\nname = nice\nname = nicer\n[metadata]\nversion = 1.0\n"}, ("nicer", "1.0")),
    ({"setup.cfg": "no section\n"}, (None, None)),
    ({"setup.cfg": "[metadata]\nname = %(x)s\n"}, ("%(x)s", None)),
    ({"setup.py": "raise SystemExit\n"}, (None, None)),
    ({}, (None, None)),
    (
        {"PKG-INFO": "Name: nice\nVersion: 1.0\n", "pyproject.toml": '[project]\nname = "other"\nversion = "2"\n'},
        ("nice", "1.0"),
    ),
]


@pytest.mark.parametrize(("files", "release"), TREES)
def test_a_tree_says_its_release_without_being_run(
    tmp_path: Path, files: dict[str, str], release: tuple[str | None, str | None]
) -> None:
    assert static_release(str(write_tree(tmp_path, files))) == release


@pytest.mark.parametrize("name", ["PKG-INFO", "pyproject.toml", "setup.cfg"])
@given(content=st.binary(max_size=200))
def test_no_content_of_a_tree_breaks_the_hook(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    tree = tmp_path_factory.getbasetemp() / f"tree-{name}"
    tree.mkdir(exist_ok=True)
    (tree / name).write_bytes(content)
    assert len(static_release(str(tree))) == 2


def test_a_huge_metadata_file_is_read_up_to_a_mebibyte(tmp_path: Path) -> None:
    write_tree(tmp_path, {"PKG-INFO": "Name: nice\nVersion: 1.0\n" + "x" * 3_000_000})
    assert static_release(str(tmp_path)) == ("nice", "1.0")
    assert len(pip_hook.read_text(str(tmp_path / "PKG-INFO"))) == 1 << 20


def test_what_is_no_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "PKG-INFO").mkdir()
    (tmp_path / "setup.cfg").symlink_to(tmp_path / "nowhere")
    assert static_release(str(tmp_path)) == (None, None)


# ------------------------------------------------------------------ the interpreter and the launcher


def test_a_python_too_old_for_the_hook_can_still_parse_the_launcher() -> None:
    text = pip_hook.launcher_text("/some/hook.py", {"host": "127.0.0.1", "port": 1, "token": 'it\'s "quoted" \\ here'})
    compiled = compile(text, "launcher", "exec")
    assert "import annotations" not in text
    assert "f'" not in text
    assert 'f"' not in text
    assert any("quoted" in str(constant) for constant in compiled.co_consts)


# ------------------------------------------------------------------ seams

SEAMS = [
    ("_prepare_linked_requirement", "RequirementPreparer._prepare_linked_requirement"),
    ("prepare_linked_requirement", "RequirementPreparer.prepare_linked_requirement"),
    ("prepare_linked_requirements_more", "RequirementPreparer.prepare_linked_requirements_more"),
    ("prepare_editable_requirement", "RequirementPreparer.prepare_editable_requirement"),
    ("prepare_installed_requirement", "RequirementPreparer.prepare_installed_requirement"),
    ("RequirementPreparer", "RequirementPreparer"),
    ("_get_prepared_distribution", "_get_prepared_distribution"),
    ("parallel_builds", "RequirementPreparer._prepare_linked_requirement(self, req, "),
    ("skip_reason", "RequirementPreparer.prepare_installed_requirement(self, req, "),
    ("check_supported_wheels", "Resolver.resolve(self, root_reqs, "),
    ("install_given_reqs", "install_given_reqs"),
    ("_?get_runnable_pip", "get_runnable_pip"),
    ("create_command", "create_command"),
    ("yanked_reason", "AttributeError: 'Link' object has no attribute 'yanked_reason'"),
    ("user_supplied", "AttributeError: 'InstallRequirement' object has no attribute 'user_supplied'"),
    ("get_install_requirement", "has no attribute 'get_install_requirement'"),
    ("prepare", "pip._internal.operations.prepare"),
    ("build_env", "pip._internal.build_env"),
]


@pytest.mark.parametrize(("seam", "named"), SEAMS, ids=[seam for seam, _ in SEAMS])
@pytest.mark.last_pip
def test_a_pip_whose_seams_are_elsewhere_is_refused(
    environment: Environment, index: Index, seam: str, named: str
) -> None:
    make_wheel(index.files, "nice")
    make_sdist(index.files, "source", "1.0", source_files("source"))
    rename_throughout(environment.site_packages / "pip" / "_internal", seam)
    before = environment.files()

    ran = environment.guard("install", "nice", "source")

    assert ran.code == 12, ran.text
    assert re.search(rf"this pip is not built as expected, at pip \d+\.\S+: .*{re.escape(named)}", ran.err), ran.text
    assert "Traceback" not in ran.text
    assert environment.files() == before
    bare = environment.pip("install", "nice", "source")
    assert bare.code == 0, bare.text


def rename_throughout(package: Path, name: str) -> None:
    """Give a function, parameter or module of pip's another name, consistently, as a later pip might."""
    found = 0
    for path in sorted(package.rglob("*.py")):
        text, count = re.subn(rf"\b{name}\b", f"{name.strip('_?')}_as_renamed", path.read_text(encoding="utf-8"))
        found += count
        if count:
            path.write_text(text, encoding="utf-8")
    for path in (*package.rglob(f"{name}.py"), *package.rglob(name)):
        path.rename(path.with_name(f"{name}_as_renamed{path.suffix}"))
    assert found > 1


@pytest.mark.parametrize(
    ("text", "year"),
    [("9999-12-31T23:59:59-12:00", 9999), ("0001-01-01T00:00:00+14:00", 1), ("2026-05-05T00:00:00Z", 2026)],
)
def test_a_time_at_either_end_of_time_is_still_one(text: str, year: int) -> None:
    found = pip_hook.moment(text)
    assert found is not None
    assert abs(found / (365.2425 * 86_400) + 1970 - year) < 1.1
