"""What a page in JSON says of its files: a large one says it of thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin

from ..dataclass import dataclass
from ..model import FIRST, LAST
from ..names import canonicalize_name
from .entries import LONGEST_NAME, LONGEST_URL, PLAIN, Source, make_entry, read_hashes, read_moment
from .pages import Entry, LazyEntries, Named, PageError

USELESS = (".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg")
"""Endings of files that indexes have, but no installer takes from one."""
ENDINGS = ("-", ".tar.gz", ".zip")
"""What stands behind the version in the name of a file."""
MOST_SPELLINGS = 20
"""Of a project's name, in the names of its sdists."""
EARLY, LATE = FIRST + timedelta(days=2), LAST - timedelta(days=2)
"""Times between these two are so in every zone."""
RELATIVE = re.compile(r"[A-Za-z0-9._~+/-]+(#[A-Za-z0-9=_-]*)?")
"""URLs that others give, which need no more looking at either once they are absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of a page that are entries."""

    files: Sequence[dict[str, Any]]
    entries: Sequence[Entry]
    hrefs: Sequence[str]
    """Where the index has them, absolute."""
    useless: int = 0
    """How many others may stay on the page: no installer takes them."""
    absolute: bool = False
    """Whether the page has all of them where they are, in absolute URLs."""
    regular: bool = False
    """Whether each has the version in its name as it is read from that, and nothing unusual behind it."""


def read_each(files: Sequence[object], source: Source) -> Files:
    """Look at each file of a page."""
    pairs = [
        (file, entry) for file in files if isinstance(file, dict) and (entry := entry_of(file, source)) is not None
    ]
    entries = tuple(entry for _, entry in pairs)
    return Files(files=[file for file, _ in pairs], entries=entries, hrefs=[entry.href for entry in entries])


class PlainFiles:
    """Files of a page, which may come some at a time; their entries are made later.

    What is written in the plainest way, as nearly all is, needs no closer look.
    """

    def __init__(self, source: Source) -> None:
        """*source* is where the page comes from."""
        self.source = source
        self._plain = source.project is not None
        self._files: list[dict[str, Any]] = []
        self._names: list[Named] = []
        self._hrefs: list[str] = []
        self._yanked: list[bool] = []
        self._moments: list[datetime | None] = []
        self._ours: dict[str, bool] = {}
        """By the spellings of projects in the names of wheels, whether it is the page's."""
        self._beginnings: list[str] = []
        """What stands before the version in the names of sdists."""
        self._useless = 0
        self._absolute = self._regular = True

    def add(self, files: Iterable[object]) -> None:
        """Read more files."""
        if not self._plain:
            return
        source, project, url_is_plain = self.source, self.source.project, PLAIN.fullmatch
        kept, names, hrefs = self._files, self._names, self._hrefs
        ours, beginnings = self._ours, self._beginnings
        absolute, regular = self._absolute, self._regular
        before = len(kept)
        for file in files:
            if not isinstance(file, dict):
                continue
            filename, url = file.get("filename"), file.get("url")
            if (
                isinstance(filename, str)
                and isinstance(url, str)
                and "/" not in filename
                and len(filename) <= LONGEST_NAME
                and (href := url if url_is_plain(url) else _joined(url, source.url)).endswith(f"/{filename}")
            ):
                if filename.endswith(".whl"):
                    name, _, rest = filename.partition("-")
                    version, dash, _ = rest.partition("-")
                    if name not in ours:
                        ours[name] = canonicalize_name(name) == project
                    if ours[name] and dash and "_" not in version:
                        kept.append(file)
                        hrefs.append(href)
                        names.append(("wheel", project, version))
                        absolute = absolute and href is url
                        continue
                elif filename.endswith(".tar.gz"):
                    beginning = next(filter(filename.startswith, beginnings), None)
                    if beginning is not None:
                        kept.append(file)
                        hrefs.append(href)
                        names.append(("sdist", project, filename[len(beginning) : -len(".tar.gz")]))
                        absolute = absolute and href is url
                        continue
                elif filename.endswith(USELESS):
                    self._useless += 1
                    continue
            entry = entry_of(file, source)
            if entry is None:
                continue
            if entry.problem is not None or entry.project != project:
                self._plain = False
                return
            kept.append(file)
            hrefs.append(entry.href)
            names.append((entry.artifact.kind, project, entry.version))
            absolute, regular = absolute and entry.href == url, regular and is_regular(entry)
            rest = f"{entry.version}.tar.gz"
            if len(beginnings) < MOST_SPELLINGS and entry.artifact.filename.endswith(f"-{rest}"):
                beginnings.append(entry.artifact.filename[: -len(rest)])
        self._absolute, self._regular = absolute, regular
        added = kept[before:]
        yanked = [file.get("yanked") for file in added]
        self._yanked += [isinstance(each, str) or bool(each) for each in yanked]
        self._moments += _moments(added)

    def all(self) -> Files | None:
        """Return all files; `None` where one of them has a problem, or is of another project than the page."""
        kept, names, source = self._files, self._names, self.source
        if not self._plain:
            return None

        def make(number: int) -> Entry:
            entry = entry_of(kept[number], source)
            if entry is None or entry.problem is not None:
                raise PageError("the index's page was not read as it is written", status=502, where=source.url)
            return entry

        return Files(
            files=kept,
            entries=LazyEntries((names, self._yanked, self._moments), make),
            hrefs=self._hrefs,
            useless=self._useless,
            absolute=self._absolute,
            regular=self._regular,
        )


def entry_of(file: Mapping[str, Any], source: Source) -> Entry | None:
    """Return the entry that a page makes of a file; `None` where it makes none."""
    filename, url, hashes, yanked = file.get("filename"), file.get("url"), file.get("hashes"), file.get("yanked")
    if not isinstance(filename, str) or not isinstance(url, str):
        return None
    return make_entry(
        source,
        filename,
        url,
        hashes=read_hashes(hashes) if isinstance(hashes, dict) else (),
        uploaded_at=read_moment(file.get("upload-time")),
        yanked=yanked if isinstance(yanked, str) else ("" if yanked else None),
    )


def is_regular(entry: Entry) -> bool:
    """Tell whether its file's name has the version as it is read from that, and nothing unusual behind it."""
    filename = entry.artifact.filename
    _, found, behind = filename.partition(f"-{entry.version}")
    return found != "" and behind.startswith(ENDINGS) and filename.isascii()


def _moments(files: Sequence[Mapping[str, Any]]) -> Sequence[datetime | None]:
    """Return when each file was uploaded."""
    try:
        moments = [datetime.fromisoformat(file["upload-time"]) for file in files]
        if moments and min(moments) >= EARLY and max(moments) < LATE:
            return moments
    except (KeyError, ValueError, TypeError):
        pass  # some without a time, or without a zone; Python 3.10 does not know `Z`
    return [read_moment(file.get("upload-time")) for file in files]


def _joined(url: str, base: str) -> str:
    """Return a URL relative to a page's as an absolute one, where both are written plainly; `""` where not."""
    joined = urljoin(base, url) if len(url) <= LONGEST_URL and RELATIVE.fullmatch(url) else ""
    return joined if PLAIN.fullmatch(joined) else ""
