"""`[tool.installguard]` → `Policy`: every file parsed, all mistakes told at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import PolicyError
from ..policy import Policy
from .files import PolicyFiles
from .keys import BY_PATH, KEYS, LATER, SECTIONS, preset_values
from .layers import Layer, combine
from .values import Context, MistakesError, Parser, parse_sources, parse_table
from .waiving import parse_waivers

ROOT = "tool.installguard"


def load_policy(files: PolicyFiles, *, today: date) -> Policy:
    """Return the effective policy of the files; raises `PolicyError` with every mistake of all of them."""
    layers: list[Layer] = []
    problems: list[tuple[str, str]] = []
    for file in files.all:
        try:
            layers.append(read_layer(file.table, path=file.path, today=today))
        except MistakesError as error:
            problems += [(str(file.path), f"{ROOT}{below}: {what}") for below, what in error.found]
    if problems:
        raise policy_error(problems)
    return combine(layers)


def load_table(table: Any, *, path: Path, today: date) -> Policy:
    """Return the policy that one `[tool.installguard]` table is; *path* is the file it stands in."""
    try:
        return combine([read_layer(table, path=path, today=today)])
    except MistakesError as error:
        raise PolicyError([f"{ROOT}{below}: {what}" for below, what in error.found], where=str(path)) from error


def policy_error(problems: list[tuple[str, str]]) -> PolicyError:
    """Return the error that tells all problems, each with its file where there are several."""
    files = {file for file, _ in problems}
    if len(files) == 1:
        return PolicyError([problem for _, problem in problems], where=files.pop())
    return PolicyError([f"{file}: {problem}" for file, problem in problems])


# ---------------------------------------------------------------- one file


def section_fields(section: str) -> dict[str, Parser]:
    """Return the parsers of a section's keys."""
    return {each.name: each.kind.parse for each in KEYS if each.section == section}


def table_parser(section: str, fields: Mapping[str, Parser]) -> Parser:
    """Return the parser of a section's table."""
    return partial(parse_table, fields=fields, later=LATER.get(section, ()))


def parse_document(table: Any, context: Context) -> dict[str, Any]:
    """Return what a `[tool.installguard]` table writes: its sections as tables of parsed values."""
    sections: dict[str, Parser] = {}
    for section in SECTIONS:
        extra: dict[str, Parser] = {"sources": parse_sources} if section == "feed" else {}
        sections[section] = table_parser(section, section_fields(section) | extra)
    top: dict[str, Parser] = section_fields("") | sections | {"waivers": parse_waivers}
    written: dict[str, Any] = table_parser("", top)(table, context)
    return written


def read_layer(table: Any, *, path: Path, today: date) -> Layer:
    """Return what one file's table says; raises `MistakesError`."""
    nested = parse_document(table, Context(base=path.parent, today=today))
    sources = nested.get("feed", {}).pop("sources", ())
    waivers = nested.pop("waivers", ())
    written = {key: value for key, value in nested.items() if key not in SECTIONS}
    written |= {f"{section}.{key}": value for section in SECTIONS for key, value in nested.get(section, {}).items()}
    preset = written.get("preset", "default")
    unwritten = f"preset {preset}" if "preset" in written else "default"
    return Layer(
        file=str(path),
        values=preset_values(preset) | written,
        origins={each.path: str(path) if each.path in written else unwritten for each in KEYS},
        written=frozenset(BY_PATH if "preset" in written else written),
        sources={source.name: (source, str(path)) for source in sources},
        waivers=tuple((waiver, str(path)) for waiver in waivers),
        idle={},
    )
