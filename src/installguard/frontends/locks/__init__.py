"""Lock files: what they pin, read without running the tool that wrote them (uv, PEP 751, Poetry, PDM, Pipenv)."""

from __future__ import annotations

from .entries import Dependency, Lock, LockedFile, LockedPackage, LockFormat, Registry, Scope
from .reading import UNDERSTOOD, is_lock_name, parse_lock, read_lock

__all__ = [
    "UNDERSTOOD",
    "Dependency",
    "Lock",
    "LockFormat",
    "LockedFile",
    "LockedPackage",
    "Registry",
    "Scope",
    "is_lock_name",
    "parse_lock",
    "read_lock",
]
