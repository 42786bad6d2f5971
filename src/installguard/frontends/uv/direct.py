"""Requirements as uv reads them, and what those are that name a file, a directory or a checkout themselves."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from ...dataclass import dataclass
from ...model import (
    ArtifactKind,
    DirectUrl,
    Hashes,
    LocalTree,
    Origin,
    Release,
    VcsCheckout,
    parse_release,
    version_key,
)
from ...names import NormalizedName, canonicalize_name

HASHED = 1024 * 1024 * 1024
"""Bytes of a file up to which its hash is told."""
METADATA = 1024 * 1024
"""Bytes of a wheel's METADATA that are read."""
_NAMED = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(?![^\s@<>=!~;(])"
_ARCHIVE = r"(?i)\.(?:whl|zip|tgz|tbz2?|txz|tlz|tar(?:\.(?:gz|bz2|xz|lzma|lz|zst|Z))?)\Z"
_PIN = r"(?<![<>=!~])={2,3}(?!=)\s*([^\s,;)]+)"
_MARKER = r"\s;|;\s"
_EXTRAS = r"[ \t]*\[([^\[\]]*)\]\Z"
_VARIABLE = r"(?<!\\)\$\{([A-Z0-9_]+)\}"
_SCHEME = r"(?i)(?:(?:git|hg|svn|bzr)\+[a-z+]+|git|https?|file):"
_HASH = r"([A-Za-z0-9]+)[:=]([0-9A-Fa-f]{8,200})\Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One requirement."""

    name: NormalizedName | None
    """`None` where only a file, a directory or a checkout is named."""
    extras: tuple[NormalizedName, ...] = ()
    target: str | None = None
    """That file, directory or checkout, by URL or path, as written."""
    pins: tuple[str, ...] = ()
    """The versions that it is pinned to, as written."""
    marker: str = ""

    @property
    def pinned(self) -> bool:
        """Whether it admits one version only."""
        return any(not each.endswith(".*") for each in self.pins)

    @property
    def releases(self) -> Iterator[tuple[NormalizedName, str]]:
        """Yield name and `version_key` of what it is pinned to."""
        for each in self.pins:
            if self.name is not None and not each.endswith(".*"):
                yield self.name, version_key(parse_release(self.name, each).version)


def parse_asked(text: str) -> Asked:
    """Return what a requirement says; of one that is none, the path that uv takes it for."""
    text = text.strip()
    named = re.match(_NAMED, text)
    if named is None or re.search(_ARCHIVE, named[1]):
        return _unnamed(text)
    name, extras, rest = canonicalize_name(named[1]), _extras(named[2]), text[named.end() :]
    if rest.startswith("@"):
        target, marker = _without_marker(rest[1:])
        return Asked(name=name, extras=extras, target=target, marker=marker)
    specifiers, _, marker = rest.partition(";")
    return Asked(name=name, extras=extras, pins=tuple(re.findall(_PIN, specifiers)), marker=marker.strip())


def _unnamed(text: str) -> Asked:
    target, marker = _without_marker(text)
    found = re.search(_EXTRAS, target)
    if found is None:
        return Asked(name=None, target=target, marker=marker)
    return Asked(name=None, extras=_extras(found[1]), target=target[: found.start()], marker=marker)


def _without_marker(text: str) -> tuple[str, str]:
    cut = re.search(_MARKER, text)
    return (text[: cut.start()].strip(), text[cut.end() :].strip()) if cut else (text.strip(), "")


def _extras(text: str | None) -> tuple[NormalizedName, ...]:
    return tuple(canonicalize_name(each.strip()) for each in (text or "").split(",") if each.strip())


def parse_tool(text: str) -> Asked:
    """Return what a tool's name says, which may be `NAME@VERSION` or `NAME@latest`."""
    name, at, version = text.partition("@")
    if at and re.fullmatch(r"[0-9v][^/\\:]*|latest", version.strip()) and re.match(_NAMED, name.strip()):
        return parse_asked(name if version.strip() == "latest" else f"{name}=={version.strip()}")
    return parse_asked(text)


def separated(value: str) -> Iterator[str]:
    """Yield the requirements of one `--with`: a comma before a comparison, or in brackets, belongs to a requirement."""
    parts = [""]
    for piece in re.split(r"(,\s*(?![\s<>=!~]))", value):
        if piece.startswith(",") and all(parts[-1].count(a) <= parts[-1].count(b) for a, b in ("[]", "()")):
            parts.append("")
        else:
            parts[-1] += piece
    yield from (each.strip() for each in parts if each.strip())


# ---------------------------------------------------------------- where it comes from


def expanded(text: str, environ: Mapping[str, str], directory: Path) -> str:
    """Return a URL or a path with `${NAME}` replaced where there is such a variable."""
    if "${" not in text:
        return text
    known = {"PROJECT_ROOT": str(directory)}
    return re.sub(_VARIABLE, lambda match: environ.get(match[1], known.get(match[1], match[0])), text)


def is_url(text: str) -> bool:
    """Return whether a text is a URL of a kind that uv knows, and no path."""
    return re.match(_SCHEME, text) is not None


def locate(target: str, directory: Path, *, editable: bool = False, hashes: Sequence[str] = ()) -> Origin | None:
    """Return what a URL or path, its variables expanded, names; `None` for what uv itself could not use.

    Nothing is fetched. *hashes* are those that the requirement carries.
    """
    if is_url(target) and not target.lower().startswith("file:"):
        from ..locks.files import file_name, kind_of, without_credentials

        url = without_credentials(target)
        if not url.lower().startswith("http"):
            return VcsCheckout(url=url, editable=editable)
        filename = file_name(url)
        written = (*hashes, *url.partition("#")[2].split("&"))
        return DirectUrl(url=url, filename=filename, kind=kind_of(filename) or "sdist", hashes=_hashes(written))
    path = local_path(target, directory)
    return None if path is None else _local(path, editable=editable, hashes=hashes)


def local_path(target: str, directory: Path) -> Path | None:
    """Return the file or directory that is there under a path or a `file:` URL; `None` where none is."""
    for text in (target, target.partition("#")[0]):
        for plain in (text, unquote(text)):
            if plain.lower().startswith("file:"):
                plain = re.sub(r"\A//(?:localhost)?(?=/)", "", plain[5:])
                plain = plain[1:] if re.match(r"/[A-Za-z]:", plain) and os.name == "nt" else plain
            path = Path(os.path.normpath(directory / plain)) if "\0" not in plain and plain else None
            if path is not None and path.exists():
                return path
    return None


def _local(path: Path, *, editable: bool, hashes: Sequence[str]) -> Origin | None:
    if path.is_dir():
        return LocalTree(path=str(path), editable=editable)
    if not re.search(_ARCHIVE, path.name):
        return None
    kind: ArtifactKind = "wheel" if path.name.lower().endswith(".whl") else "sdist"
    digest = sha256_of(path)
    found = (("sha256", digest),) if digest is not None else _hashes(hashes)
    return DirectUrl(url=path.as_uri(), filename=path.name, kind=kind, hashes=found)


def sha256_of(path: Path) -> str | None:
    """Return a file's digest, `None` where it is none that can be read, or is larger than `HASHED`."""
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > HASHED:
                return None
            for _ in range(HASHED >> 20):
                if not (part := file.read(1 << 20)):
                    return digest.hexdigest()
                digest.update(part)
    except OSError:
        pass
    return None


def _hashes(written: Sequence[str]) -> Hashes:
    found = (re.match(_HASH, each) for each in written)
    return tuple(sorted({(each[1].lower(), each[2].lower()) for each in found if each}))


def release_of(filename: str) -> Release | None:
    """Return the release that the name of a wheel or an sdist tells; `None` where it tells none."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
    from packaging.version import InvalidVersion

    try:
        if filename.lower().endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(re.sub(r"\.(?:tgz|tar\.\w+|t[bxl]z2?|tar)\Z", ".tar.gz", filename))
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return Release(name=name, version=version)


def wheel_requires(path: Path) -> Iterator[str]:
    """Yield what a wheel says that it requires; nothing where that cannot be read, for uv cannot either."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as wheel:
            names = [each for each in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each)]
            data = b"".join(wheel.open(each).read(METADATA) for each in names[:2])
    except (OSError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError):
        return
    for line in data.decode("utf-8", errors="replace").splitlines():
        if line.lower().startswith("requires-dist:"):
            yield line.partition(":")[2].strip()
