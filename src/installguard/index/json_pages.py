"""Pages in JSON (PEP 691, 700, 714, 740, 792): read, and written again with every key they came with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any, NoReturn

from ..dataclass import dataclass
from .entries import Source, make_entry, read_hashes, read_moment, read_status
from .pages import Entry, Page, PageError

JUDGED = ("filename", "url", "hashes", "upload-time", "yanked")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPage:
    """A page, and what it is written from again."""

    page: Page
    content: dict[str, Any]
    files: tuple[dict[str, Any], ...]
    """In the order of the page's entries."""
    body: bytes | None
    """The page as it came, where all of its files are entries and it cannot be read in two ways."""

    def write(self, place: Callable[[Entry], str | None]) -> bytes:
        """Return the page with every file at its *place*; those without one are left out."""
        import json

        files = []
        for file, entry in zip(self.files, self.page.entries, strict=True):
            url = place(entry)
            if url is not None:
                files.append(file if file["url"] == url else {**file, "url": url})
        untouched = len(files) == len(self.files) and all(map(is_, files, self.files))
        if self.body is not None and untouched:
            return self.body
        return json.dumps({**self.content, "files": files}, separators=(",", ":")).encode()


def read_json(body: bytes, source: Source) -> JsonPage:
    """Read a page; raises `PageError`."""
    content = _parse(body, source)
    pairs = [(entry, file) for file in content["files"] if (entry := _entry(file, source)) is not None]
    project_status = content.get("project-status")
    stated = project_status if isinstance(project_status, dict) else {}
    status, reason = read_status(stated.get("status"), stated.get("reason"))
    page = Page(
        upstream=source.upstream,
        project=source.project,
        entries=tuple(entry for entry, _ in pairs),
        status=status,
        status_reason=reason,
    )
    files = tuple(file for _, file in pairs)
    plain = len(files) == len(content["files"]) and _unambiguous(body, files)
    return JsonPage(page=page, content=content, files=files, body=body if plain else None)


def _unambiguous(body: bytes, files: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no key that is judged comes twice in one object, of which other readers may take the first."""
    if (
        b"\\" in body
        or body.count(b'"files"') != 1
        or body.count(b'"project-status"') > 1
        or body.count(b'"status"') > 1
    ):
        return False  # a backslash can hide a key
    return all(body.count(b'"%b"' % key.encode()) == sum(key in file for file in files) for key in JUDGED)


def _parse(body: bytes, source: Source) -> dict[str, Any]:
    import json

    try:
        content = json.loads(body, parse_constant=_no_number)
        files = content["files"] if isinstance(content, dict) else None
    except (ValueError, KeyError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error) or type(error).__name__
        raise PageError(f"the index's page is no JSON page: {what}", status=502, where=source.url) from error
    if not isinstance(files, list):
        raise PageError("the index's page has no list of files", status=502, where=source.url)
    return dict(content)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _entry(file: object, source: Source) -> Entry | None:
    if not isinstance(file, dict):
        return None
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
