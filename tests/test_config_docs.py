"""docs/policy.md says of every key what the code does."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from installguard.config.keys import KEYS
from installguard.config.reading import load_table
from installguard.config.toml import parse_toml
from installguard.config.values import SOURCE_FIELDS
from installguard.policy import Preset

TEXT = (Path(__file__).parents[1] / "docs" / "policy.md").read_text(encoding="utf-8")


def rows() -> dict[str, list[str]]:
    """The table of keys: by key, its value in each preset."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:4] for row in cells if len(row) == 5}


def test_the_table_has_every_key_and_no_other() -> None:
    assert list(rows()) == [key.path for key in KEYS]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_table_gives_each_presets_values(column: int) -> None:
    presets: tuple[Preset, ...] = ("relaxed", "default", "strict")
    for key in KEYS[1:]:
        assert rows()[key.path][column] == key.kind.write(key.presets[presets[column]]).strip('"'), key.path


def test_every_key_of_a_source_is_named() -> None:
    section = TEXT.partition("### Feed sources")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == list(SOURCE_FIELDS)


def test_every_rule_of_combining_names_keys_that_there_are() -> None:
    table = TEXT.partition("## Parents")[2].partition("## Values")[0]
    named = set(re.findall(r"`([a-z]+\.[a-z-]+)`", table))
    assert named <= {"feed.sources", *(key.path for key in KEYS)}


def test_every_example_is_a_valid_policy() -> None:
    examples = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 6
    for example in examples:
        table = parse_toml(example)["tool"]["installguard"]
        table.pop("extends", None)  # names files that are not here
        assert load_table(table, path=Path("/p/pyproject.toml"), today=date(2026, 11, 21)).files
