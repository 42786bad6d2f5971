"""Pages in JSON (PEP 691, 700, 714, 740, 792): read, and written again with every key they came with."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NoReturn

from ..dataclass import dataclass
from ..model import version_key_of
from .entries import Source, read_status
from .json_files import ENDINGS, Files, PlainFiles, entry_of, read_each
from .pages import Entry, LazyEntries, Page, PageError

LONGEST_FILE = 4_096
"""Bytes of what a page says of one file, if it is to be found by its name."""
MOST_FILES = 1_000
"""Files of one release that are looked for."""
NESTED = 8
"""Objects that may lie in it before its name."""


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

        They are named in one way only, nothing is escaped, nothing else has a file's name, no file comes twice, and
        nothing is said of the project.
        """
        entries = self.page.entries
        if self.body is None or not isinstance(entries, LazyEntries) or not self.read.regular:
            return False
        if b"\\" in self.body or "project-status" in self.content:
            return False
        if self.body.count(b'"filename"') != len(self.content["files"]):
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
    files: PlainFiles | None = None
    """Its files, where they have been read."""


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
    import json

    parsed = parsed or _parse(body, source)
    content = parsed.content
    if not isinstance(content.get("files"), list):
        raise PageError("the index's page has no list of files", status=502, where=source.url)
    plain = parsed.files
    if plain is None or plain.source != source:
        plain = PlainFiles(source)
        plain.add(content["files"])
    read = plain.all() or read_each(content["files"], source)
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
    whole = len(read.files) + read.useless == len(content["files"])
    as_it_came = whole and not parsed.twice and json.detect_encoding(body) == "utf-8"
    return JsonPage(page=page, content=content, read=read, body=body if as_it_came else None)


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
        entry = entry_of(file, source)
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
