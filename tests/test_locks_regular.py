"""The quick reader of regular TOML: whatever it returns is what the standard reader would return."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from installguard.frontends.locks.regular import read_regular
from installguard.frontends.locks.toml import parse_toml

from .lock_samples import PDM, POETRY, POETRY_1, PYLOCK, UV

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SAMPLES = [UV, PYLOCK, POETRY, POETRY_1, PDM]


def standard(text: str) -> dict[str, Any] | None:
    """Return what the standard reader makes of *text*, `None` where that is no TOML to it."""
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


@pytest.mark.parametrize("text", SAMPLES, ids=["uv", "pylock", "poetry", "poetry-1", "pdm"])
def test_what_tools_write_is_regular(text: str) -> None:
    assert read_regular(text) == tomllib.loads(text)


PIECES = [
    "a", "b", '"a"', '"a.b"', " = ", "=", ".", '"x"', '"x\\"y"', '"\\\\"', '"\\u0041"', "'x'", '""', '"""', "1", "01",
    "-1", "1_0", "1.5", "true", "truey", "2024-02-06T00:26:44Z", "2024-02-06T00:26:44.123456789Z",
    "2024-13-06T00:26:44Z", "2024-02-06", "[", "]", "[[", "]]", "{", "}", ", ", ",", " ", "\n", "\n", "\n    ", "\r\n",
    "# c\n", "#\x01\n", "[a]\n", "[[a]]\n", "[a.b]\n", "[[a.b]]\n", "[b]\n", 'a = "x"\n', "a = []\n", "a = {}\n",
    'b = {a = "x", b = 1}\n', "b = [\n    {a = 1},\n]\n", "a = [[a]]\n", "\t", "\x00", "\x7f", "é", "\ufeff",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("a = []\n[[a]]\n")
@example("[a]\n[a]\n")
@example("[a.b]\n[a]\n")
@example("[[a]]\n[a]\n")
@example("a = {b = {}}\n[a.b]\n")
@example("[[a]]\n[a.b]\n[[a]]\n[a.b]\n")
@example('a = "x"\na = "y"\n')
@example("a = {b = 1, b = 2}\n")
@example("a = {b = 1,}\n")
@example("a = {b = 1\n}\n")
@example("a = [1 2]\n")
@example("a = [,]\n")
@example('a = ["x",,]\n')
@example('"" = "x"\n')
@example("a = 1 b = 2\n")
def test_by_law_the_quick_reader_agrees_with_the_standard_one_or_gives_way(text: str) -> None:
    quick = read_regular(text)
    assert quick is None or quick == standard(text)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_by_law_the_quick_reader_agrees_on_damaged_locks_too(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    damaged = text[:start] + data.draw(st.sampled_from(PIECES)) + text[end:]
    quick = read_regular(damaged)
    assert quick is None or quick == standard(damaged)


@pytest.mark.parametrize(
    "text",
    [
        'a = "\\u0041"\n', "a.b = 1\n", "a = 'x'\n", "a = -1\n", "a = 1.5\n", "a = 1_000\n", 'a = """x"""\n', "a = 1",
        "a = [\n  # why\n  1,\n]\n", "[a.b]\n[a]\n", "  a = 1\n", "a = 2024-02-06\n",
    ],
)  # fmt: skip
def test_irregular_toml_is_read_all_the_same(text: str) -> None:
    assert read_regular(text) is None
    assert parse_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000, "a = " + "{a = " * 100_000, "a" + ".a" * 100_000 + " = 1\n",
        "[a" + ".a" * 100_000 + "]\n", 'a = "x', "a = 1\na = 2\n", "a = " + "9" * 5000,
        "[[a]]\n" * 3 + "[a]\n", "\ufeffa = 1\n", '"a"' + '."a"' * 100_000 + " = 1\n",
        '\\"' * 500_000, 'a = {b = """\n""", a' + ".a" * 100_000 + " = 1}\n",
    ],
    ids=[
        "arrays", "tables", "keys", "headers", "open", "twice", "digits", "again", "mark", "quoted keys", "quotes",
        "after",
    ],
)  # fmt: skip
def test_what_is_no_toml_or_nested_without_end_is_an_error_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A.+\Z") as error:
        parse_toml(text)
    assert len(str(error.value)) < 1000
