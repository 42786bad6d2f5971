"""Writing into policy files: a first table, one more waiver; all else stays byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import PolicyError, UsageError
from ..policy import Waiver
from .files import PolicyFile, PolicyFiles, identity, our_table, problems_of, read_bytes, replace_file
from .keys import KEYS, SECTIONS
from .reading import ROOT, load_policy, read_layer
from .saying import place
from .toml import TomlError, decode_toml, parse_toml
from .values import Context, MistakesError
from .waiving import (
    check_ahead,
    parse_waiver,
    release_text,
    waiver_fields,
    waiver_table,
    waiver_value,
)


def write_waiver(
    path: Path,
    *,
    finding: str,
    release: str,
    reason: str,
    expires: date,
    owner: str | None = None,
    today: date,
    site: PolicyFile | None = None,
) -> Waiver:
    """Append a waiver to a policy file and return it; its `barred` tells which rulings it cannot lift.

    Raises `PolicyError` for a waiver or a file that is wrong, or where a parent (a file that it extends, or *site*)
    lets the waiver hold for nothing, and `UsageError` for a file that cannot be written; nothing is written then.
    """
    check_ahead(expires, today)
    given = {"finding": finding, "release": release, "reason": reason, "owner": owner, "expires": expires}
    waiver = new_waiver({key: value for key, value in given.items() if value is not None}, today)
    before = read_bytes(path, special=True)
    with problems_of(path):
        text = decode_toml(before or b"")
        found = our_table(parse_toml(text))
    known = own_waivers({} if found is None else found, path, today)
    refuse_duplicate(waiver, known, path)
    after = with_waiver(text, waiver, path)
    held = as_it_holds(after, path, site=site, today=today, where=waiver_table(len(known)))
    replace_file(path, before, after.encode())
    return held


def own_waivers(table: Any, path: Path, today: date) -> tuple[Waiver, ...]:
    """Return the waivers that one file writes; raises `PolicyError` where its table is wrong."""
    try:
        return read_layer(PolicyFile(path=path, table=table), today=today).waivers
    except MistakesError as error:
        raise PolicyError([f"{ROOT}{below}: {what}" for below, what in error.found], where=str(path)) from error


def as_it_holds(text: str, path: Path, *, site: PolicyFile | None, today: date, where: str) -> Waiver:
    """Return the waiver of that table as the policy has it; raises `PolicyError` where it would hold for nothing."""
    own = PolicyFile(path=path, table=our_table(parse_toml(text)), text=text)
    above = site if site is not None and identity(site.path) != identity(path) else None
    policy = load_policy(PolicyFiles(own=own, site=above), today=today)
    for index, waiver in enumerate(policy.waivers):
        if waiver.where == where and policy.origins[f"waivers[{index}]"] == str(path):
            return waiver
    remark = next(each for each in policy.remarks() if each.startswith(f"{place(own)}: {where}: "))
    raise PolicyError([f"the waiver {remark.removeprefix(f'{place(own)}: {where}: ')}"], where=str(path))


def new_waiver(table: Mapping[str, Any], today: date) -> Waiver:
    """Return the waiver; raises `PolicyError` naming each field that is wrong."""
    try:
        waiver = parse_waiver(table, Context.nowhere(today), where="waiver")
    except MistakesError as error:
        raise PolicyError([f"{below.lstrip('.') or 'waiver'}: {what}" for below, what in error.found]) from error
    for key, value in table.items():
        if isinstance(value, str) and not is_unicode(value):
            raise PolicyError([f"{key}: is not valid text (a policy file is UTF-8)"])
    return waiver


def is_unicode(text: str) -> bool:
    """Say whether a text can be written as UTF-8 (one typed in another encoding may not)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_duplicate(waiver: Waiver, known: tuple[Waiver, ...], path: Path) -> None:
    """Raise `PolicyError` where the file waives the same finding for the same releases already."""
    for other in known:
        if (other.finding.lower(), release_text(other)) == (waiver.finding.lower(), release_text(waiver)):
            already = f"waives {other.finding} for {release_text(other)} already, until {other.expires}"
            raise PolicyError([f"{other.where}: {already} (edit it there)"], where=str(path))


# ---------------------------------------------------------------- where a waiver fits in


def with_waiver(text: str, waiver: Waiver, path: Path) -> str:
    """Return the file's text with the waiver in it; raises `PolicyError` where it cannot be put in.

    Each place that it may go is tried: the right one is that after which the document says what it said before,
    and the waiver.
    """
    fields = waiver_fields(waiver)
    expected = with_entry(compared(text), compared("\n".join(f"{key} = {value}" for key, value in fields.items())))
    if expected is not None:
        for candidate in candidates(text, fields):
            if says(candidate, expected):
                return candidate
    problem = "its 'waivers' cannot be appended to (write them as [[tool.installguard.waivers]])"
    raise PolicyError([problem], where=str(path))


def compared(text: str) -> dict[str, Any]:
    """Return a document in values that equal themselves (a float may be NaN, which does not)."""
    return parse_toml(text, parse_float=str)


def says(text: str, expected: Mapping[str, Any]) -> bool:
    """Say whether a text is TOML and means exactly that."""
    try:
        return compared(text) == expected
    except (TomlError, RecursionError):  # dotted keys nest without end
        return False


def with_entry(document: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the document with one more waiver; `None` where something else stands in its place."""
    tool = document.setdefault("tool", {})
    if not isinstance(tool, dict):
        return None
    ours = tool.setdefault("installguard", {})
    ours.setdefault("waivers", []).append(entry)
    return document


def candidates(text: str, fields: Mapping[str, str]) -> Iterator[str]:
    """Yield the text with the waiver as a table at its end, then inside each array and inline table of it."""
    lines = ["[[tool.installguard.waivers]]", *(f"{key} = {value}" for key, value in fields.items())]
    yield appended(text, lines)
    value = waiver_value(fields)
    for bracket in re.finditer(r"\]", text):
        yield from inserted(text, bracket.start(), value)
    for brace in re.finditer(r"\}", text):
        yield from inserted(text, brace.start(), f"waivers = [{value}]")
        yield from inserted(text, brace.start(), f"installguard = {{ waivers = [{value}] }}")


def appended(text: str, lines: list[str]) -> str:
    """Return the text with a table after it, a blank line between, in the text's own newlines."""
    newline = newline_of(text)
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    return text + gap + newline.join(lines) + newline


def newline_of(text: str) -> str:
    """Return the newline that most lines end in."""
    crlf = text.count("\r\n")
    return "\r\n" if crlf > text.count("\n") - crlf else "\n"


def inserted(text: str, at: int, item: str) -> Iterator[str]:
    """Yield the text with an item before a closing bracket: on a line of its own where the bracket has one."""
    start = text.rfind("\n", 0, at) + 1
    indent = text[start:at]
    if start and not indent.strip():
        newline = "\r\n" if text[:start].endswith("\r\n") else "\n"
        above = text[: start - len(newline)].rpartition("\n")[2]
        indent = above[: len(above) - len(above.lstrip())] or indent + "    "
        for comma in ("", ", "):
            yield text[:start] + indent + comma + item + newline + text[start:]
    else:
        head = text[:at].rstrip(" \t")
        for comma in ("" if head.endswith(("[", "{")) else " ", ", "):
            yield head + comma + item + text[len(head) :]


# ---------------------------------------------------------------- a first table


def init_policy(path: Path) -> str:
    """Append a commented `[tool.installguard]` table, which says the defaults, and return what was appended.

    Raises `UsageError` where there is one already or the file cannot be written, `PolicyError` where it is not TOML.
    """
    before = read_bytes(path, special=True)
    with problems_of(path):
        text = decode_toml(before or b"")
        document = compared(text)
    if our_table(document) is not None:
        raise UsageError("has a [tool.installguard] table already", where=str(path), now="nothing was written")
    after = appended(text, list(first_table()))
    tool = document.setdefault("tool", {})
    expected = {**document, "tool": {**tool, "installguard": {"preset": "default"}}} if isinstance(tool, dict) else {}
    if not says(after, expected):
        problem = "'tool' is written in a way that no table can be added to (write [tool.…] tables)"
        raise UsageError(problem, where=str(path), now="nothing was written")
    replace_file(path, before, after.encode())
    return after[len(text) :]


def first_table() -> Iterator[str]:
    """Yield the lines of a table that sets the preset and tells all the rest in comments."""
    yield "[tool.installguard]"
    for section in ("", *SECTIONS):
        if section:
            yield "#"
            yield f"# [tool.installguard.{section}]"
        for key in KEYS:
            if key.section == section:
                line = f"{'' if key.path == 'preset' else '# '}{key.name} = {key.kind.write(key.presets['default'])}"
                yield f"{line:<34}# {key.hint}"
    yield "#"
    yield "# an accepted finding: write it with 'guard waive FINDING RELEASE --reason TEXT --expires 30d'"
