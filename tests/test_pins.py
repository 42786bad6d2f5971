"""What `guard check` is asked about: exact releases only, each once, nothing fetched."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.errors import UsageError
from installguard.frontends.pins import parse_pin, read_requirements, read_targets
from installguard.model import Distribution


def pins(*distributions: Distribution) -> list[str]:
    return [each.release.pin if each.release else "?" for each in distributions]


def read(tmp_path: Path, text: str, **others: str) -> list[str]:
    for name, content in others.items():
        (tmp_path / f"{name}.txt").write_text(content, encoding="utf-8")
    file = tmp_path / "requirements.txt"
    file.write_text(text, encoding="utf-8")
    return pins(*read_requirements(file))


# ---------------------------------------------------------------- NAME==VERSION


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("flask==3.0", "flask==3.0"),
        (" Flask == 3.0.0 ", "flask==3.0.0"),
        ("zope.interface==6.0", "zope-interface==6.0"),
        ("uvicorn[standard]==0.30", "uvicorn==0.30"),
        ("torch==2.0+cu118", "torch==2.0+cu118"),
        ("a==1!2.0", "a==1!2.0"),
        ("a===1.0", "a==1.0"),
        ("a===2009-zeta", "a===2009-zeta"),
        ("a==1.0-1", "a==1.0.post1"),
    ],
)
def test_an_exact_release_is_understood(text: str, pin: str) -> None:
    distribution = parse_pin(text)
    assert pins(distribution) == [pin]
    assert (distribution.requested, distribution.pinned, distribution.builds) == (True, True, False)


@pytest.mark.parametrize(
    "text",
    [
        "", "flask", "flask>=3", "flask==3.*", "flask==3.0,<4", "flask==3.0; python_version<'3'", "flask==zeta",
        "flask=3.0", "==3.0", "flask==", "flask===", "https://example.org/flask-3.0-py3-none-any.whl", "./flask",
        "uv.lock", "requirements.txt", "flask==3.0 django==5.0", "-flask==3.0",
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_pin(text)
    assert repr(text) in str(error.value)
    assert "NAME==VERSION" in str(error.value)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_is_anything_but_a_release_or_refused(text: str) -> None:
    try:
        assert parse_pin(text).release is not None
    except UsageError as error:
        assert "\n" not in str(error)


def test_a_release_named_twice_is_judged_once(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("Flask==1.0\ndjango==5.0\n", encoding="utf-8")
    assert pins(*read_targets(["flask==1.0.0", "flask==1.1", "flask==1.0"], [file])) == [
        "flask==1.0.0",
        "flask==1.1",
        "django==5.0",
    ]


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to check"):
        read_targets([], [])


# ---------------------------------------------------------------- requirement files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flask==3.0\n", ["flask==3.0"]),
        ("\ufeffflask==3.0\r\ndjango==5.0\r\n", ["flask==3.0", "django==5.0"]),
        ("# a comment\n\nflask==3.0  # why\n", ["flask==3.0"]),
        ("flask==3.0 \\\n    --hash=sha256:" + "a" * 64 + " \\\n    --hash=sha256:" + "b" * 64 + "\n", ["flask==3.0"]),
        ("flask==3.0 ; python_version >= '3.8' and python_version not in '2.7'\n", ["flask==3.0"]),
        ("flask==3.0; python_version < '3'\n", []),
        ("flask>=1; python_version < '3'\ndjango==5.0", ["django==5.0"]),
        ("--index-url https://example.org/simple\n-i https://example.org\n--pre\nflask==3.0\n", ["flask==3.0"]),
        ("uvicorn[standard]==0.30\n", ["uvicorn==0.30"]),
        ("flask (==3.0)\n", ["flask==3.0"]),
        ("flask===2009-zeta\n", ["flask===2009-zeta"]),
        ("Flask==1.0\nflask==2.0\nFLASK==1.0.0\n", ["flask==1.0", "flask==2.0"]),
        ("", []),
    ],
)
def test_a_file_of_pins_is_read_as_pip_reads_it(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("flask", "not pinned"),
        ("flask>=3", "not pinned"),
        ("flask==3.*", "not pinned"),
        ("flask==3.0,<4", "not pinned"),
        ("flask~=3.0", "not pinned"),
        ("flask==3.0 1", "not one requirement"),
        ("flask==1.0 evil", "not a requirement"),
        ("-e git+https://example.org/flask#egg=flask", "not pinned"),
        ("--editable=.", "not pinned"),
        ("-e .", "not pinned"),
        ("git+https://example.org/flask#egg=flask", "URL or a path"),
        ("https://example.org/flask-3.0-py3-none-any.whl", "URL or a path"),
        ("flask @ https://example.org/flask-3.0-py3-none-any.whl", "URL or a path"),
        ("./flask-3.0-py3-none-any.whl", "URL or a path"),
        ("flask-3.0-py3-none-any.whl", "a file"),
        ("flask==3.0; nonsense", "not a marker"),
        ("flask=3.0", "not a requirement"),
        ("?", "not a requirement"),
        ("--unheard-of", "not pinned"),
        ("flask==3.0 -e .", "does not belong"),
        ("flask==3.0 -r more.txt", "does not belong"),
        ("-r https://example.org/requirements.txt", "not a local file"),
        ("--requirement=https://example.org/requirements.txt", "not a local file"),
        ("-rhttps://example.org/requirements.txt", "not a local file"),
        ("-c file:///requirements.txt", "not a local file"),
    ],
)
def test_what_is_not_pinned_or_not_understood_is_named_with_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, f"# pins\ndjango==5.0 \\\n  --hash=sha256:{'a' * 64}\n{line}\n")
    assert said in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'requirements.txt'}:4: ")


LINES = st.lists(
    st.text(st.sampled_from("ab=<>!~*.,;#@[]()'\"+-_1 :/\\\t$${}%\0é\u2028") | st.characters(), max_size=20), max_size=3
)


@settings(deadline=None, max_examples=150)
@given(LINES)
def test_no_file_is_anything_but_read_or_refused(lines: list[str]) -> None:
    with TemporaryDirectory() as directory:
        file = Path(directory) / "requirements.txt"
        file.write_text("\n".join(lines), encoding="utf-8", errors="replace", newline="")
        try:
            assert all(each.release is not None for each in read_requirements(file))
        except UsageError as error:
            assert error.where is not None


def test_nested_files_are_followed_next_to_the_one_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.txt").write_text("django==5.0\n-r last one.txt\n", encoding="utf-8")
    (tmp_path / "sub" / "last one.txt").write_text("jinja2==3.1\n-r ../requirements.txt\n", encoding="utf-8")
    assert read(tmp_path, "flask==3.0\n-r sub/more.txt\n--requirement sub/more.txt\n") == [
        "flask==3.0",
        "django==5.0",
        "jinja2==3.1",
    ]


def test_files_nested_without_end_are_refused(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n", encoding="utf-8")
    with pytest.raises(UsageError, match="more than 200 files"):
        read_requirements(tmp_path / "0.txt")


def test_constraints_pin_what_is_required_without_a_version_and_are_not_judged_themselves(tmp_path: Path) -> None:
    constraints = "Flask==3.0\ndjango==5.0\nwerkzeug>=2\n"
    assert read(tmp_path, "flask\njinja2==3.1\n-c constraints.txt\n", constraints=constraints) == [
        "flask==3.0",
        "jinja2==3.1",
    ]


def test_a_constraint_that_is_no_pin_pins_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'flask' is not pinned"):
        read(tmp_path, "flask\n-c constraints.txt\n", constraints="flask>=3\n")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", "directory"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | str | None) -> None:
    file = tmp_path / "requirements.txt"
    if content == "directory":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"requirements\.txt: "):
        read_requirements(file)


def test_a_lock_file_is_refused_with_what_is_understood(tmp_path: Path) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text('version = 1\n[[package]]\nname = "flask"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"uv\.lock:1: .*understood are NAME==VERSION"):
        read_requirements(lock)
