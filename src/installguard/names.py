"""Names and versions in the form in which they are compared.

`packaging.utils` has both, but brings all that knows the tags of wheels with it: a fifth of what guard needs to start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.utils import NormalizedName
    from packaging.version import Version
else:
    NormalizedName = str

__all__ = ["NormalizedName", "canonicalize_name", "canonicalize_version"]

_SEPARATORS = re.compile(r"[-_.]+")


def canonicalize_name(name: str) -> NormalizedName:
    """Return the name of a project, or of an extra, as PEP 503 normalises it."""
    lower = name.lower()
    return NormalizedName(lower if lower.isalnum() else _SEPARATORS.sub("-", lower))


def canonicalize_version(version: Version) -> str:
    """Return the text of a version without zeros at the end of its release: `1`, `1.0` and `1.0.0` are one."""
    text, release = str(version), version.release
    zeros = 0
    while zeros < len(release) - 1 and not release[-1 - zeros]:
        zeros += 1
    if not zeros:
        return text
    end = text.find("!") + 1 + len(".".join(map(str, release)))
    return text[: end - 2 * zeros] + text[end:]
