"""`[tool.installguard]` → `Policy`: every file parsed, all mistakes told at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from ..dataclass import dataclass, field, replace
from ..errors import PolicyError
from ..policy import Policy
from .files import PolicyFile, PolicyFiles, identity, open_named
from .keys import BY_PATH, KEYS, SECTIONS, preset_values
from .layers import combine
from .saying import Layer, Said
from .values import Context, MistakesError, Parser, parse_extends, parse_sources, parse_table
from .waiving import parse_waivers

ROOT = "tool.installguard"
MOST_REMOVES = 8
"""How far `extends` may lead from one file to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What has been read so far."""

    today: date
    layers: dict[str, Layer] = field(default_factory=dict)
    """By identity, parents before those that extend them."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Each with its file."""


def load_policy(files: PolicyFiles, *, today: date) -> Policy:
    """Return the effective policy of the files; raises `PolicyError` with every mistake of all of them."""
    reading = Reading(today=today)
    above: tuple[str, ...] = ()
    if files.site is not None:
        read_family(files.site, reading, above=(), chain=())
        above = (identity(files.site.path),)
    beyond = len(reading.layers)
    if files.own is not None:
        read_family(files.own, reading, above=above, chain=())
    if reading.problems:
        raise policy_error(sorted(dict.fromkeys(reading.problems), key=order_of_files(files)))
    layers = list(reading.layers.values())
    return combine([*reversed(layers[beyond:]), *reversed(layers[:beyond])])


def load_table(table: Any, *, path: Path, today: date) -> Policy:
    """Return the policy that one `[tool.installguard]` table is; *path* is the file it stands in."""
    return load_policy(PolicyFiles(own=PolicyFile(path=path, table=table)), today=today)


def order_of_files(files: PolicyFiles) -> Any:
    """Return a sorting key that puts the problems of the nearest file first."""
    names = [str(file.path) for file in files.all]
    return lambda problem: names.index(problem[0]) if problem[0] in names else len(names)


def policy_error(problems: list[tuple[str, str]]) -> PolicyError:
    """Return the error that tells all problems, each with its file where there are several."""
    files = {file for file, _ in problems}
    if len(files) == 1:
        return PolicyError([problem for _, problem in problems], where=files.pop())
    return PolicyError([f"{file}: {problem}" for file, problem in problems])


# ---------------------------------------------------------------- one file and those it extends


def read_family(file: PolicyFile, reading: Reading, *, above: tuple[str, ...], chain: tuple[str, ...]) -> None:
    """Read a file and, before it, those that it extends; *chain* are the files that lead here."""
    own = identity(file.path)
    parents = extended(file, reading.today)
    for index, path in reversed(list(enumerate(parents))):
        problem = read_parent(path, reading, above=above, chain=(*chain, own))
        reading.problems.extend((str(file.path), f"{ROOT}.extends[{index}]: {what}") for what in problem)
    try:
        layer = read_layer(file, today=reading.today)
    except MistakesError as error:
        reading.problems.extend((str(file.path), f"{ROOT}{below}: {what}") for below, what in error.found)
        return
    reading.layers[own] = replace(layer, parents=frozenset({*map(identity, parents), *above}))


def read_parent(path: Path, reading: Reading, *, above: tuple[str, ...], chain: tuple[str, ...]) -> tuple[str, ...]:
    """Read a file that another extends, once; return what keeps it from being a parent."""
    if identity(path) in chain:
        return (f"{path} extends this file in turn (remove one of the two)",)
    if identity(path) in reading.layers:
        return ()
    if len(chain) > MOST_REMOVES:
        return (f"{path} is more than {MOST_REMOVES} files away from the first (let one file extend several)",)
    try:
        parent = open_named(path, demanded=True, special=False)
    except PolicyError as error:
        return tuple(f"{error.where}: {problem}" for problem in error.problems)
    if parent is not None:
        read_family(parent, reading, above=above, chain=chain)
    return ()


def extended(file: PolicyFile, today: date) -> tuple[Path, ...]:
    """Return the files that a table extends, as far as that can be told: its mistakes are told with all others."""
    if not isinstance(file.table, dict):
        return ()
    try:
        paths: tuple[Path, ...] = parse_extends(
            file.table.get("extends", []), Context(base=file.path.parent, today=today)
        )
    except MistakesError:
        return ()
    return paths


# ---------------------------------------------------------------- one file


def section_fields(section: str) -> dict[str, Parser]:
    """Return the parsers of a section's keys, and of the tables below it."""
    fields = {each.name: each.kind.parse for each in KEYS if each.section == section}
    for below in SECTIONS:
        if below.rpartition(".")[0] == section:
            fields[below.rpartition(".")[2]] = partial(parse_table, fields=section_fields(below))
    if section == "feed":
        fields["sources"] = parse_sources
    return fields


def parse_document(table: Any, context: Context) -> dict[str, Any]:
    """Return what a `[tool.installguard]` table writes: its sections as tables of parsed values."""
    top: dict[str, Parser] = section_fields("") | {"extends": parse_extends, "waivers": parse_waivers}
    return parse_table(table, context, top)


def by_path(table: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return the values of nested tables by the paths of their keys."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        path = f"{section}.{name}".lstrip(".")
        found |= by_path(value, path) if path in SECTIONS else {path: value}
    return found


def read_layer(file: PolicyFile, *, today: date) -> Layer:
    """Return what one file's table says; raises `MistakesError`."""
    written = by_path(parse_document(file.table, Context(base=file.path.parent, today=today)))
    written.pop("extends", ())
    sources = written.pop("feed.sources", ())
    waivers = written.pop("waivers", ())
    preset = written.get("preset", "default")
    unwritten = f"preset {preset}" if "preset" in written else "default"
    said = {
        path: Said(value=value, origin=str(file.path) if path in written else unwritten, file=file)
        for path, value in (preset_values(preset) | written).items()
    }
    return Layer(
        file=file,
        identity=identity(file.path),
        parents=frozenset(),
        said=said,
        written=frozenset(BY_PATH if "preset" in written else written),
        sources={source.name: source for source in sources},
        waivers=waivers,
    )
