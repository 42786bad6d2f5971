"""Pages in JSON (PEP 691, 700, 714, 740, 792): read, and written again with every key they came with."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urljoin

from ..dataclass import dataclass
from ..model import FIRST, LAST, version_key_of
from ..names import canonicalize_name
from .entries import LONGEST_NAME, LONGEST_URL, PLAIN, Source, make_entry, read_hashes, read_moment, read_status
from .pages import Entry, Facts, LazyEntries, Named, Page, PageError

USELESS = (".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg")
"""Endings of files that indexes have, but no installer takes from one."""
LONGEST_FILE = 4_096
"""Bytes of what a page says of one file, if it is to be found by its name."""
MOST_SPELLINGS = 20
"""Of a project's name, in the names of its sdists."""
MOST_FILES = 1_000
"""Files of one release that are looked for."""
ENDINGS = ("-", ".tar.gz", ".zip")
"""What stands behind the version in the name of a file."""
NESTED = 8
"""Objects that may lie in it before its name."""
RELATIVE = re.compile(r"[A-Za-z0-9._~+/-]+(#[A-Za-z0-9=_-]*)?")
"""URLs that others give, which need no more looking at either once they are absolute."""

EARLY, LATE = FIRST + timedelta(days=2), LAST - timedelta(days=2)
"""Times between these two are so in every zone."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPage:
    """A page, and what it is written from again."""

    page: Page
    content: dict[str, Any]
    read: Files
    body: bytes | None
    """The page as it came, where all of its files are entries or useless, and it cannot be read in two ways."""

    @property
    def searchable(self) -> bool:
        """Whether all files of a release can be found by their names in the page as it came.

        They are named in one way only, nothing is escaped, no file comes twice, and nothing is said of the project.
        """
        entries = self.page.entries
        if self.body is None or not isinstance(entries, LazyEntries) or not self.read.regular:
            return False
        if b"\\" in self.body or "project-status" in self.content:
            return False
        versions = {version for _, _, version in entries.named}
        return (
            None not in versions
            and len({file["filename"] for file in self.read.files}) == len(self.read.files)
            and len({version_key_of(each) for each in versions if each is not None}) == len(versions)
        )

    def write(self, place: Callable[[Entry], str | None], moved: Collection[str] | None = None) -> bytes:
        """Return the page with every file at its *place*; those without one are left out.

        *moved* are the names of those that may have another one than the index gives; `None` where it could be any.
        """
        import json

        if self.body is not None and self.read.absolute and moved is not None and not moved:
            return self.body
        files, untouched = [], True
        for number, file in enumerate(self.read.files):
            stays = moved is not None and file["filename"] not in moved
            url = self.read.hrefs[number] if stays else place(self.page.entries[number])
            untouched = untouched and file["url"] == url
            if url is not None:
                files.append(file if file["url"] == url else {**file, "url": url})
        if self.body is not None and untouched:
            return self.body
        return json.dumps({**self.content, "files": files}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a page says."""

    content: dict[str, Any]
    twice: bool
    """Whether a key comes twice in one object, of which other readers may take the first."""


class Parser:
    """Parses JSON, and notes whether any key came twice in one object."""

    def __init__(self) -> None:
        self.twice = False

    def parse(self, text: str | bytes) -> Any:
        """Return the value that is the whole of *text*; raises `ValueError`, `RecursionError`."""
        import json

        return json.loads(text, object_pairs_hook=self._object, parse_constant=_no_number)

    def parse_first(self, text: str) -> tuple[Any, int]:
        """Return the value that *text* begins with, and where that ends; raises the same."""
        import json

        return json.JSONDecoder(object_pairs_hook=self._object, parse_constant=_no_number).raw_decode(text)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.twice = True
        return found


def read_json(body: bytes, source: Source, parsed: Parsed | None = None) -> JsonPage:
    """Read a page, of which *parsed* is what it says where that is known already; raises `PageError`."""
    parsed = parsed or _parse(body, source)
    content = parsed.content
    if not isinstance(content.get("files"), list):
        raise PageError("the index's page has no list of files", status=502, where=source.url)
    read = _plain(content["files"], source) or _any(content["files"], source)
    project_status = content.get("project-status")
    stated = project_status if isinstance(project_status, dict) else {}
    status, reason = read_status(stated.get("status"), stated.get("reason"))
    page = Page(
        upstream=source.upstream,
        project=source.project,
        entries=read.entries,
        status=status,
        status_reason=reason,
    )
    as_it_came = not parsed.twice and len(read.files) + read.useless == len(content["files"])
    return JsonPage(page=page, content=content, read=read, body=body if as_it_came else None)


def _any(files: Sequence[object], source: Source) -> Files:
    """Look at each file."""
    pairs = [(file, entry) for file in files if isinstance(file, dict) and (entry := _entry(file, source)) is not None]
    entries = tuple(entry for _, entry in pairs)
    return Files(files=[file for file, _ in pairs], entries=entries, hrefs=[entry.href for entry in entries])


def _plain(files: Sequence[object], source: Source) -> Files | None:
    """Do the same, the entries to be made later; return `None` where one of them has a problem, or another project.

    What is written in the plainest way, as nearly all is, needs no closer look.
    """
    project, url_is_plain = source.project, PLAIN.fullmatch
    if project is None:
        return None
    kept: list[dict[str, Any]] = []
    names: list[Named] = []
    hrefs: list[str] = []
    ours: dict[str, bool] = {}
    beginnings: list[str] = []
    useless, absolute, regular = 0, True, True
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
                useless += 1
                continue
        entry = _entry(file, source)
        if entry is None:
            continue
        if entry.problem is not None or entry.project != project:
            return None
        kept.append(file)
        hrefs.append(entry.href)
        names.append((entry.artifact.kind, project, entry.version))
        absolute, regular = absolute and entry.href == url, regular and _is_regular(entry)
        rest = f"{entry.version}.tar.gz"
        if len(beginnings) < MOST_SPELLINGS and entry.artifact.filename.endswith(f"-{rest}"):
            beginnings.append(entry.artifact.filename[: -len(rest)])

    def facts() -> Facts:
        given = [file.get("yanked") for file in kept]
        return names, [isinstance(yanked, str) or bool(yanked) for yanked in given], _moments(kept)

    def make(number: int) -> Entry:
        entry = _entry(kept[number], source)
        if entry is None or entry.problem is not None:
            raise PageError("the index's page was not read as it is written", status=502, where=source.url)
        return entry

    entries = LazyEntries(names, facts, make)
    return Files(files=kept, entries=entries, hrefs=hrefs, useless=useless, absolute=absolute, regular=regular)


def _moments(files: Sequence[Mapping[str, Any]]) -> Sequence[datetime | None]:
    """Return when each file was uploaded."""
    try:
        moments = [datetime.fromisoformat(file["upload-time"]) for file in files]
        if moments and min(moments) >= EARLY and max(moments) < LATE:
            return moments
    except (KeyError, ValueError, TypeError):
        pass  # some without a time, or without a zone; Python 3.10 does not know `Z`
    return [read_moment(file.get("upload-time")) for file in files]


def _is_regular(entry: Entry) -> bool:
    filename = entry.artifact.filename
    _, found, behind = filename.partition(f"-{entry.version}")
    return found != "" and behind.startswith(ENDINGS) and filename.isascii()


def entries_of(body: bytes, version: str, source: Source) -> tuple[Entry, ...] | None:
    """Return the entries of one release, found in a `searchable` page without reading the rest of it.

    *version* is as PEP 440 writes it. `None` where none is found, which may be written otherwise, and where the page is
    not easily searched after all.
    """
    found: dict[str, Entry] = {}
    text, at = f"-{version}".encode(), 0
    endings = tuple(each.encode() for each in ENDINGS)
    while (at := body.find(text, at)) >= 0:
        behind = at + len(text)
        if not body.startswith(endings, behind):
            at = behind
            continue
        file, at = _object_around(body, at)
        if file is None or len(found) >= MOST_FILES:
            return None
        entry = _entry(file, source)
        if entry is not None and entry.project == source.project and entry.version == version:
            found[entry.artifact.filename] = entry
    return tuple(found.values()) or None


def _object_around(body: bytes, at: int) -> tuple[dict[str, Any] | None, int]:
    """Return the file of a page whose object holds the byte *at*, if there is one near by, and where that ends."""
    from json import JSONDecoder

    start = at
    for _ in range(NESTED):
        start = body.rfind(b"{", max(0, at - LONGEST_FILE), start)
        if start < 0:
            break
        try:
            found, length = JSONDecoder().raw_decode(body[start : start + LONGEST_FILE].decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        end = start + length  # or less than that, where not all is ASCII
        if isinstance(found, dict) and "filename" in found and end > at:
            return found, end
    return None, at


def _joined(url: str, base: str) -> str:
    """Return a URL relative to a page's as an absolute one, where both are written plainly; `""` where not."""
    joined = urljoin(base, url) if len(url) <= LONGEST_URL and RELATIVE.fullmatch(url) else ""
    return joined if PLAIN.fullmatch(joined) else ""


def _parse(body: bytes, source: Source) -> Parsed:
    parser = Parser()
    try:
        content = parser.parse(body)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error) or type(error).__name__
        raise PageError(f"the index's page is no JSON page: {what}", status=502, where=source.url) from error
    if not isinstance(content, dict):
        raise PageError("the index's page is no JSON page: no object", status=502, where=source.url)
    return Parsed(content=content, twice=parser.twice)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _entry(file: Mapping[str, Any], source: Source) -> Entry | None:
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
