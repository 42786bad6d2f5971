"""Commands of uv that read copies of files of requirements, in which other indexes are named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ...dataclass import dataclass
from .command import UvCommand, parse_command
from .requirement_files import Statement, with_values
from .requirements import VARIABLES, File, Inputs

_WITH_FILES = ("--requirements", "--with-requirements", "--constraints", "--overrides", "--build-constraints")
_INDEX = ("index", "extra", "find-links")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A command that reads copies of files in which other indexes are named."""

    command: UvCommand
    environ: Mapping[str, str]
    """The variables that have to change, and no others."""
    copies: Mapping[str, str]
    """The path of each copy, and how the user names the file that it is of: uv may write the former somewhere."""


def rewritten(
    command: UvCommand, inputs: Inputs, environ: Mapping[str, str], replace: Callable[[str], str], directory: Path
) -> Rewritten:
    """Return a command that reads copies, written into *directory*, of the files of requirements that name indexes.

    There each URL is what *replace* makes of `IndexLine.url`; all else stays as it was, for relative paths in such
    files are relative to where uv works. Where no file names an index, the command stays as it is.
    """
    if not inputs.files:
        return Rewritten(command=command, environ={}, copies={})
    copies = {each.path: directory / f"{number}" / each.path.name for number, each in enumerate(inputs.files)}
    for each in inputs.files:
        copies[each.path].parent.mkdir(parents=True)
        copies[each.path].write_text(_copied(each, copies, replace), encoding="utf-8", newline="")
    named = {text: str(copies[path]) for text, path in inputs.named.items() if path in copies}
    told = {str(copies[path]): text for text, path in inputs.named.items() if path in copies}
    return Rewritten(
        command=_renamed(command, named),
        environ={name: " ".join(_each(environ[name].split(), named)) for name in VARIABLES if environ.get(name)},
        copies={**{str(copy): str(path) for path, copy in copies.items()}, **told},
    )


def _copied(file: File, copies: Mapping[Path, Path], replace: Callable[[str], str]) -> str:
    """Return a file's text as its copy has it."""
    changed: list[tuple[Statement, str]] = []
    for each in file.statements:
        if each.kind in _INDEX:
            new = replace(file.indexes[each.value])
            changed.append((each, new if "://" in new else _written(Path(new))))
        elif each.value in file.includes:
            path = file.includes[each.value]
            changed.append((each, _written(copies.get(path, path))))
    return with_values(file.text, changed)


def _written(path: Path) -> str:
    """Return a path as a line can hold it: behind an option, `#` begins a comment even in quotes."""
    return path.as_uri() if re.search(r"[#\s\"'$]", str(path)) else str(path)


def _each(texts: Iterable[str], named: Mapping[str, str]) -> Iterator[str]:
    return (named.get(each, each) for each in texts)


def _renamed(command: UvCommand, named: Mapping[str, str]) -> UvCommand:
    """Return the command with other names for files."""
    argv = list(command.argv)
    taken = {place for given in command.options for place in (given.token, given.value_token)}
    for given in command.options:
        if given.name in _WITH_FILES and given.value is not None:
            between = "," if given.name == "--with-requirements" else None
            values = given.value.split(between) if between else [given.value]
            head = argv[given.value_token][: given.value_offset]
            argv[given.value_token] = head + ",".join(_each(values, named))
    if command.verb in (("pip", "sync"), ("pip", "compile")):
        for at in range(command.behind_verb, len(argv)):
            argv[at] = named.get(argv[at], argv[at]) if at not in taken else argv[at]
    return parse_command(command.program, argv)
