"""What to type next: the command that fixes a finding, and the one that lifts it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..model import Artifact, Code, Finding, Installed, Run
from ..names import canonicalize_name
from .plain import plain

REASON = "say why this is acceptable"
"""Stands for the reason in the command that lifts a finding."""

_ASIDE = frozenset({Code.FEED_MISSING, Code.FEED_STALE, Code.FEED_UNREADABLE, Code.UNJUDGED})
_ANOTHER = frozenset({Code.DENIED_PACKAGE, Code.SIMILAR_NAME})
"""Codes whose fix is another project."""
_FEED = frozenset({Code.FEED_MISSING, Code.FEED_STALE})


def lift(findings: Sequence[Finding]) -> str | None:
    """Return the command that waives *findings*, which share code and release; `None` where nothing can."""
    first = findings[0]
    if first.subject is None or first.subject.name is None or first.code in _ASIDE:
        return None
    release = first.subject.release
    if release is None and first.code is Code.MALICIOUS:
        return None  # malware is waived for one exact release only
    alone = release is not None and len(findings) == 1
    what = first.advisory.id if first.advisory is not None and alone else first.code.value
    pin = release.pin if release is not None else str(first.subject.name)
    words = ("guard", "waive", plain(what), plain(pin), "--reason", REASON, "--expires", "30d")
    return shlex.join(words)


def fix(findings: Sequence[Finding], run: Run) -> str | None:
    """Return what to type, or to ask for, so that *findings* of one release are gone; `None` where it is not known."""
    if findings[0].code in _FEED:
        return "guard feed update"
    requirement = next((finding.fix for finding in findings if finding.fix is not None), None)
    if requirement is None or not _installs(findings[0], run):
        return plain(requirement) if requirement is not None else None
    return plain(shlex.join(("guard", *_asking_for(requirement, run.command))))


def _installs(finding: Finding, run: Run) -> bool:
    """Return whether asking for another release in the same command would bring it."""
    arguments = _from_verb(run.command)
    subject = finding.subject
    of_index = subject is not None and isinstance(subject.origin, (Artifact, Installed)) and subject.role != "build"
    return of_index and finding.code not in _ANOTHER and arguments[:1] == ("install",)


def verb(run: Run) -> str:
    """Return the verb of the command, without the front-end's name before it."""
    return next(iter(_from_verb(run.command)), "")


def _from_verb(command: Sequence[str]) -> tuple[str, ...]:
    words = tuple(command)
    while words and words[0] in {"pip", "uv"}:
        words = words[1:]
    return words


def _asking_for(requirement: str, command: Sequence[str]) -> Sequence[str]:
    """Return *command* with *requirement* in place of what it asked for of the same project, else added."""
    from packaging.requirements import Requirement

    name = canonicalize_name(Requirement(requirement).name)
    replaced = [
        _replaced(word, name, requirement) if _stands_alone(command, at) else word for at, word in enumerate(command)
    ]
    return replaced if replaced != list(command) or requirement in command else [*command, requirement]


_FLAGS = frozenset({
    "-U", "--upgrade", "--pre", "--no-deps", "--user", "--force-reinstall", "--no-cache-dir", "--dry-run", "--no-input",
    "--isolated", "-q", "-qq", "--quiet", "-v", "-vv", "-vvv", "--verbose",
})  # fmt: skip
"""pip's commonest options without a value: what follows them is a requirement."""


def _stands_alone(command: Sequence[str], at: int) -> bool:
    """Return whether the word is a requirement, and not the value of an option before it."""
    before = command[at - 1] if at else "-"
    return not before.startswith("-") or before in _FLAGS or "=" in before


def _replaced(word: str, name: str, requirement: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        asked = Requirement(word)
    except InvalidRequirement:
        return word
    if canonicalize_name(asked.name) != name or asked.url is not None:
        return word
    extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
    return f"{asked.name}{extras}{Requirement(requirement).specifier}"
