"""The exact releases that `guard check` is asked about: `NAME==VERSION` and requirement files of nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError

from packaging.version import InvalidVersion, Version

from ..dataclass import dataclass, replace
from ..errors import UnjudgedError, UsageError
from ..model import Artifact, Distribution, Hashes, Release, parse_version, version_key
from ..names import NormalizedName, canonicalize_name

UNDERSTOOD = "understood are NAME==VERSION, NAME===VERSION and -r FILE of such lines"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PIN = re.compile(rf"\s*({_NAME})\s*(?:\[[^\]]*\])?\s*(===?)\s*([^\s;,)]+)\s*\Z")


def read_targets(pins: Sequence[str], files: Sequence[Path]) -> tuple[Distribution, ...]:
    """Return the releases that *pins* and requirement *files* name, each once; `UsageError` where there is none."""
    if not pins and not files:
        raise UsageError("nothing to check", now=UNDERSTOOD)
    named = [parse_pin(pin) for pin in pins]
    named += [distribution for file in files for distribution in read_requirements(file)]
    return once(named)


def parse_pin(text: str) -> Distribution:
    """Return the release that `NAME==VERSION` or `NAME===anything` names; `UsageError` for anything else."""
    release = _parse_release(text)
    if release is None:
        raise UsageError(f"{text!r} is not an exact release", now=UNDERSTOOD)
    return _pinned(release, requirement=text.strip())


def names_release(text: str) -> bool:
    """Return whether `parse_pin` understands *text*."""
    return _parse_release(text) is not None


def once(distributions: Iterable[Distribution]) -> tuple[Distribution, ...]:
    """Return *distributions* without a release that came before (`1.0` and `1.0.0` are one); hashed if each time."""
    found: dict[tuple[NormalizedName, str] | None, Distribution] = {}
    for each in distributions:
        key = (each.release.name, version_key(each.release.version)) if each.release else None
        known = found.setdefault(key, each)
        if known.hashed and not each.hashed:
            found[key] = replace(known, hashed=False)
    return tuple(found.values())


def _parse_release(text: str) -> Release | None:
    pin = _PIN.match(text)
    if pin is None:
        return None
    name, operator, raw = pin.groups()
    if operator == "===":
        return Release(name=canonicalize_name(name), version=parse_version(raw))
    try:
        return Release(name=canonicalize_name(name), version=Version(raw))
    except InvalidVersion:
        return None


def _pinned(
    release: Release, *, requirement: str, hashes: Hashes = (), index: str | None = None, marker: str = ""
) -> Distribution:
    """Return a release asked for by name: which file of it will come is not known, so it has no file name."""
    return Distribution(
        name=release.name,
        release=release,
        origin=Artifact(filename="", url=release.pin, kind="wheel", hashes=hashes, index=index),
        requested=True,
        requirement=requirement,
        pinned=True,
        hashed=bool(hashes),
        scope=f"only where {marker}" if marker else None,
    )


# ---------------------------------------------------------------- requirement files


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One logical line of a requirement file."""

    text: str
    file: Path
    number: int
    """Of its first physical line, from 1."""
    constraint: bool

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


def read_requirements(path: Path) -> tuple[Distribution, ...]:
    """Return the releases that a requirement file names, with the files that it names by `-r` and `-c`.

    Lines whose marker is false here are skipped; constraints pin what is required without a version. Anything that is
    not pinned, or not understood, is a `UsageError` with file and line. Nothing is fetched. Hashes are those of any
    file of the release; the index is known where the files name one, and no other place beside it.
    """
    options: list[str] = []
    lines = list(_follow(path, constraint=False, seen=set(), options=options))
    index = _index(options)
    held = [line for line in lines if _marker_holds(line)]
    constraints = _constraints([line for line in held if line.constraint])
    required = [line for line in held if not line.constraint]
    return once(_distribution(line, parsed, constraints, index) for line, parsed in _parsed(required))


def _constraints(lines: Sequence[_Line]) -> Mapping[NormalizedName, Release]:
    releases = (release for line in lines if (release := _parse_release(_requirement(line))) is not None)
    return {release.name: release for release in releases}


def _distribution(
    line: _Line, parsed: str, constraints: Mapping[NormalizedName, Release], index: str | None
) -> Distribution:
    release = _parse_release(parsed)
    if release is None:
        bare = re.match(_NAME, parsed)
        release = constraints.get(canonicalize_name(bare[0])) if bare else None
    if release is None:
        raise UsageError(f"{parsed!r} is not pinned to one release", where=line.where, now="pin it as NAME==VERSION")
    return _pinned(release, requirement=parsed, hashes=_hashes(line), index=index, marker=_marker(line))


# ---------------------------------------------------------------- lines (as pip reads them)

_COMMENT = re.compile(r"(^|\s+)#.*$")
_NESTED = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s*)(\S.*)\Z")
_OPTIONS = re.compile(r"\s--?[A-Za-z]")
_HARMLESS = (
    "-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--no-binary",
    "--only-binary", "--prefer-binary", "--require-hashes", "--pre", "--trusted-host", "--use-feature",
)  # fmt: skip
"""Options of a requirement file that do not change which releases it pins."""


_FILES = 200
"""Requirement files that one may lead to."""


def _follow(path: Path, *, constraint: bool, seen: set[tuple[Path, bool]], options: list[str]) -> Iterator[_Line]:
    """Yield the requirement lines of *path* and of the files that it names, each file once; note its *options*."""
    if (path.resolve(), constraint) in seen:
        return
    seen.add((path.resolve(), constraint))
    if len(seen) > _FILES:
        raise UsageError(f"more than {_FILES} files are nested", where=str(path), now="name fewer at a time")
    for number, text in _logical_lines(_read(path)):
        line = _Line(text=text, file=path, number=number, constraint=constraint)
        nested = _NESTED.match(text)
        if nested is not None:
            held = constraint or nested[1] in ("-c", "--constraint")
            yield from _follow(_local(nested[2].strip(), line), constraint=held, seen=seen, options=options)
        elif not text.startswith("-"):
            yield line
        elif re.split(r"[\s=]", text, maxsplit=1)[0] not in _HARMLESS:
            raise UsageError(f"{text!r} is not pinned to one release", where=line.where, now=UNDERSTOOD)
        else:
            options.append(text)


def _index(options: Sequence[str]) -> str | None:
    """Return the only place that releases come from by these options; `None` where that is not told."""
    given = [re.split(r"[\s=]+", option, maxsplit=1) for option in options]
    indexes = [words[1] for words in given if words[0] in ("-i", "--index-url", "--pypi-url") and len(words) > 1]
    elsewhere = ("--extra-index-url", "-f", "--find-links", "--no-index")
    if not indexes or any(words[0] in elsewhere for words in given):
        return None
    return re.sub(r"(?<=://)[^/\s?#]*@", "", indexes[-1].strip("\"'"))


def _local(target: str, line: _Line) -> Path:
    """Return the file that a `-r` or `-c` line names, next to its own; nothing is fetched."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", target):
        raise UsageError(f"{target!r} is not a local file", where=line.where, now="save it and name the copy")
    return line.file.parent / target.strip("\"'")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=str(path), now=UNDERSTOOD) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot be read: {reason}", where=str(path), now="see that the file is there") from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is not empty, continuations joined, comments cut, with the number where it begins."""
    started, parts = 0, ""
    for number, physical in enumerate(text.splitlines(), 1):
        started = started or number
        if physical.endswith("\\") and not _COMMENT.match(physical):
            parts += physical[:-1]
            continue
        yield from _cut(started, parts + (f" {physical}" if _COMMENT.match(physical) else physical))
        started, parts = 0, ""
    yield from _cut(started, parts)


def _cut(number: int, text: str) -> Iterator[tuple[int, str]]:
    if line := _COMMENT.sub("", text).strip():
        yield number, line


def _requirement(line: _Line) -> str:
    """Return the line without its options (`--hash=…`) and its marker."""
    return _OPTIONS.split(f"{line.text} ", maxsplit=1)[0].split(";", 1)[0].strip()


def _hashes(line: _Line) -> Hashes:
    """Return the hashes that the line names, of whichever file of the release."""
    written = re.findall(r"\s--hash[\s=]+(\S+)", line.text)
    hashes = [_HASH.match(each) for each in written]
    if not all(hashes):
        raise UsageError("'--hash' is no hash", where=line.where, now="lock it again: --hash=sha256:…")
    return tuple(sorted({(each[1].lower(), each[2].lower()) for each in hashes if each}))


_HASH = re.compile(r"([A-Za-z0-9_]+):([0-9A-Fa-f]{8,200})\Z")


def _marker(line: _Line) -> str:
    """Return the marker of the line, empty where it has none."""
    return _OPTIONS.split(f"{line.text} ", maxsplit=1)[0].partition(";")[2].strip()


def _marker_holds(line: _Line) -> bool:
    _, semicolon, marker = _OPTIONS.split(f"{line.text} ", maxsplit=1)[0].partition(";")
    if not semicolon:
        return True
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    try:
        return Marker(marker.strip()).evaluate({"extra": ""})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise UsageError(f"{marker.strip()!r} is not a marker", where=line.where, now=UNDERSTOOD) from error


# ---------------------------------------------------------------- requirements


def _parsed(lines: Sequence[_Line]) -> Sequence[tuple[_Line, str]]:
    """Return each line with the requirement that pip-api reads in it.

    Line by line, for pip-api keeps one requirement a name: where a file names a project twice in different spelling,
    the later line would silently take the place of the former.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="installguard-") as directory:
        file = Path(directory) / "line.txt"
        return [(line, _read_by_pip_api(file, line)) for line in lines]


_OF_A_REQUIREMENT = ("--hash", "--config-setting", "--config-settings", "--global-option", "--install-option")
"""Options that a requirement may carry; they do not change which release it pins."""


def _refuse_options(line: _Line) -> None:
    for option in re.findall(r"\s(--?[A-Za-z][\w-]*)", line.text):
        if option not in _OF_A_REQUIREMENT:
            raise UsageError(f"{option!r} does not belong to a pinned release", where=line.where, now=UNDERSTOOD)


def _refuse_paths(line: _Line) -> None:
    """Refuse URLs and paths: pip-api would take the version that a wheel's file name says for a pin."""
    requirement = _requirement(line)
    if "@" in requirement or "/" in requirement or "\\" in requirement or requirement.startswith("."):
        raise UsageError(f"{requirement!r} is a URL or a path, not a pinned release", where=line.where, now=UNDERSTOOD)
    if re.search(r"\.(whl|zip|tar(\.\w+)?|tgz|tbz|txz|tlz)\Z", requirement, re.IGNORECASE) and "=" not in requirement:
        raise UsageError(f"{requirement!r} is a file, not a pinned release", where=line.where, now=UNDERSTOOD)


def _read_by_pip_api(file: Path, line: _Line) -> str:
    """Return the requirement of *line* as pip-api reads it from *file*, which is written for it."""
    _refuse_options(line)
    _refuse_paths(line)
    file.write_text(f"{_requirement(line)}\n", encoding="utf-8")
    try:
        import pip_api
    except (CalledProcessError, OSError) as error:
        now = "see that pip runs where guard is installed"
        raise UnjudgedError(f"pip-api cannot start pip: {error}", now=now) from error
    try:
        found = pip_api.parse_requirements(file)  # type: ignore[attr-defined]  # exported, but not by its __all__
    except (pip_api.exceptions.PipError, ValueError) as error:
        raise UsageError(f"{line.text!r} is not a requirement", where=line.where, now=UNDERSTOOD) from error
    if len(found) != 1 or _TWO_WORDS.search(_requirement(line)):
        raise UsageError(f"{line.text!r} is not one requirement", where=line.where, now=UNDERSTOOD)
    return str(next(iter(found.values())))


_TWO_WORDS = re.compile(r"[\w.*]\s+[\w.*]")
"""What pip-api would read as one word: `flask==1.0 1` as `flask==1.01`."""
