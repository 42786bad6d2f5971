"""What licence expressions come to by a list of denied ones; the `license-expression` library takes them apart."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from .errors import PolicyError
from .model import LicenseAnswer

if TYPE_CHECKING:
    from license_expression import Licensing

LONGEST = 2_000
"""Characters of an expression at most; the longest in use have a few hundred."""
DEEPEST = 50
"""Brackets open at once at most."""
EXTRA = "installguard[licenses]"

_CLASSIFIER = "License ::"
_SAYS_NOTHING = "License :: OSI Approved"
CLASSIFIERS: Mapping[str, str] = {
    f"License :: OSI Approved :: {name}": expression
    for name, expression in {
        "Academic Free License (AFL)": "AFL-3.0",
        "Apache Software License": "Apache-2.0",
        "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
        "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
        "Common Development and Distribution License 1.0 (CDDL-1.0)": "CDDL-1.0",
        "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
        "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
        "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
        "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
        "GNU Affero General Public License v3": "AGPL-3.0-only",
        "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
        "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
        "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
        "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
        "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
        "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
        "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
        "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
        "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
        "ISC License (ISCL)": "ISC",
        "MIT License": "MIT",
        "MIT No Attribution License (MIT-0)": "MIT-0",
        "Mozilla Public License 1.0 (MPL)": "MPL-1.0",
        "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
        "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
        "Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
        "PostgreSQL License": "PostgreSQL",
        "Python Software Foundation License": "PSF-2.0",
        "The Unlicense (Unlicense)": "Unlicense",
        "Universal Permissive License (UPL)": "UPL-1.0",
        "University of Illinois/NCSA Open Source License": "NCSA",
        "Zero-Clause BSD (0BSD)": "0BSD",
        "Zope Public License": "ZPL-2.1",
        "zlib/libpng License": "Zlib",
    }.items()
}
"""Those that stand for one SPDX licence (PEP 639 calls the others ambiguous); "BSD License", of several, does not."""


def answer_licenses(expressions: Iterable[str], deny: Sequence[str]) -> Mapping[str, LicenseAnswer]:
    """Return what each of *expressions* comes to, where *deny* lists what is denied.

    Expressions are as `WheelContents.license` has them: SPDX, or licence classifiers joined by ` AND `. Raises
    `PolicyError` where something is denied and the library is not installed, or where an entry is no expression.
    """
    licensing = _licensing()
    if licensing is None:
        if deny:
            missing = "the license-expression library, which 'licenses.deny' needs, is not installed"
            raise PolicyError([f"{missing}: install {EXTRA}"])
        return {each: LicenseAnswer(problem=_misread(each)) for each in frozenset(expressions)}
    denied = tuple(_entries(licensing, deny))
    return {each: _answer(licensing, each, denied) for each in frozenset(expressions)}


def _licensing() -> Licensing | None:
    try:
        from license_expression import get_spdx_licensing
    except ImportError:
        return None
    return get_spdx_licensing()


def _misread(expression: str) -> str | None:
    """Return why *expression* is none, as far as that can be told without the library."""
    spdx, problem = as_expression(expression)
    if problem is not None:
        return problem
    try:
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    except ImportError:  # came with packaging 24.2
        return None
    try:
        canonicalize_license_expression(spdx)
    except InvalidLicenseExpression as error:
        return str(error)
    return None


def as_expression(text: str) -> tuple[str, str | None]:
    """Return *text* with licence classifiers written as SPDX licences, and why that cannot be done where it cannot."""
    if len(text) > LONGEST or text.count("(") > DEEPEST:
        return text, "it is too long to be a licence expression"
    if not text.startswith(_CLASSIFIER):
        return text, None
    named = [each for each in re.split(rf" AND (?={_CLASSIFIER})", text) if each != _SAYS_NOTHING]
    unclear = [each for each in named if each not in CLASSIFIERS]
    if unclear or not named:
        return text, f"{(unclear or [text])[0]!r} does not say which licence"
    return " AND ".join(dict.fromkeys(CLASSIFIERS[each] for each in named)), None


# ---------------------------------------------------------------- by the library


class _Use(IntEnum):
    """What accepting a licence comes to: of alternatives the least is chosen, of a conjunction the most holds."""

    FREE = 0
    UNKNOWN = 1
    DENIED = 2


def _entries(licensing: Licensing, deny: Sequence[str]) -> Iterator[Any]:
    """Yield the licences and conjunctions denied; an entry with alternatives denies each of them."""
    for entry in deny:
        tree = _parsed(licensing, entry)
        if tree is None:
            now = "write an SPDX one, such as 'AGPL-3.0-only'"
            raise PolicyError([f"'licenses.deny': {entry!r} is no licence expression: {now}"])
        yield from tree.args if _joins(tree) == "OR" else (tree,)


def _parsed(licensing: Licensing, text: str) -> Any:
    from license_expression import ExpressionError

    try:
        return licensing.parse(text)
    except (ExpressionError, AssertionError):  # the latter for some unbalanced brackets
        return None


def _answer(licensing: Licensing, text: str, denied: Collection[Any]) -> LicenseAnswer:
    spdx, problem = as_expression(text)
    if problem is not None:
        return LicenseAnswer(problem=problem)
    tree = _parsed(licensing, spdx)
    if tree is None:
        return LicenseAnswer(problem="it is no SPDX expression")
    unknown = frozenset(licensing.unknown_license_keys(tree))
    match _use(tree, denied, unknown):
        case _Use.DENIED:
            return LicenseAnswer(denied=tuple(sorted({str(each) for each in denied if _forced(tree, each)} or {spdx})))
        case _Use.UNKNOWN:
            return LicenseAnswer(problem=f"SPDX knows no {', '.join(sorted(unknown))}")
        case _Use.FREE:
            return LicenseAnswer()


def _use(tree: Any, denied: Collection[Any], unknown: Collection[str]) -> _Use:
    if any(_forced(tree, each) for each in denied):
        return _Use.DENIED
    match _joins(tree):
        case "OR":
            return min(_use(each, denied, unknown) for each in tree.args)
        case "AND":
            return max(_use(each, denied, unknown) for each in tree.args)
        case _:
            return _Use.UNKNOWN if any(each.key in unknown for each in tree.decompose()) else _Use.FREE


def _forced(tree: Any, entry: Any) -> bool:
    """Return whether whoever uses *tree* has to accept *entry*, one licence or a conjunction."""
    if _joins(entry) is not None:
        return all(_forced(tree, each) for each in entry.args)
    match _joins(tree):
        case "OR":
            return all(_forced(each, entry) for each in tree.args)
        case "AND":
            return any(_forced(each, entry) for each in tree.args)
        case _:
            return tree == entry or any(each == entry for each in tree.decompose())


def _joins(tree: Any) -> str | None:
    """Return `AND` or `OR` where *tree* joins others, `None` where it is one licence, with an exception or without."""
    from license_expression import AND, OR

    if isinstance(tree, OR):
        return "OR"
    return "AND" if isinstance(tree, AND) else None
