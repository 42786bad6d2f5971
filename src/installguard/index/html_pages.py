"""Pages in HTML (PEP 503, 592, 658, 792): read, and written anew from what was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from html import escape
from urllib.parse import urljoin

from ..dataclass import dataclass, replace
from .entries import Source, hashes_in_fragment, make_entry, read_moment, read_status
from .html_tags import Attributes, start_tags
from .pages import Entry, Page

KEPT = re.compile("href|data-[a-z0-9-]+")
"""The attributes of an anchor that mean something; others could be spelled to be read in two ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlPage:
    """A page, and what it is written from again."""

    page: Page
    metas: tuple[Attributes, ...]
    anchors: tuple[Attributes, ...]
    """In the order of the page's entries."""

    @property
    def searchable(self) -> bool:
        """Whether a file can be found by its name in the page as it came: never."""
        return False

    def write(self, place: Callable[[Entry], str | None], _moved: Collection[str] | None = None) -> bytes:
        """Return the page with every file at its *place*; those without one are left out."""
        metas = "\n".join(_tag("meta", each) for each in self.metas)
        lines = [
            f"{_tag('a', {**anchor, 'href': url})}{escape(entry.artifact.filename)}</a><br>"
            for entry, anchor in zip(self.page.entries, self.anchors, strict=True)
            if (url := place(entry)) is not None
        ]
        head = f'<head><meta charset="utf-8">{metas}</head>'
        body = "\n".join(lines)
        return f"<!DOCTYPE html>\n<html>{head}<body>\n{body}\n</body></html>\n".encode(errors="replace")


def read_html(text: str, source: Source) -> HtmlPage:
    """Read a page; HTML is never wrong, only empty."""
    base: str | None = None
    anchors: list[Attributes] = []
    metas: list[Attributes] = []
    for tag, attributes in start_tags(text):
        if tag == "a" and "href" in attributes:
            anchors.append({name: value for name, value in attributes.items() if KEPT.fullmatch(name)})
        elif tag == "meta" and attributes.get("name", "").lower().startswith("pypi:"):
            metas.append({name: attributes.get(name, "") for name in ("name", "content")})
        elif tag == "base" and base is None:
            base = attributes.get("href")
    moved = replace(source, url=_base(source.url, base))
    pairs = [(entry, anchor) for anchor in anchors if (entry := _entry(anchor, moved)) is not None]
    stated = {meta.get("name", "").lower(): meta.get("content", "") for meta in metas}
    status, reason = read_status(stated.get("pypi:project-status"), stated.get("pypi:project-status-reason"))
    page = Page(
        upstream=source.upstream,
        project=source.project,
        entries=tuple(entry for entry, _ in pairs),
        status=status,
        status_reason=reason,
    )
    return HtmlPage(page=page, metas=tuple(metas), anchors=tuple(anchor for _, anchor in pairs))


def _base(url: str, base: str | None) -> str:
    try:
        return urljoin(url, base) if base else url
    except ValueError:
        return url


def _entry(anchor: Attributes, source: Source) -> Entry | None:
    href = anchor["href"]
    uploaded_at = read_moment(anchor.get("data-upload-time"))
    yanked = anchor.get("data-yanked")
    return make_entry(source, None, href, hashes=hashes_in_fragment(href), uploaded_at=uploaded_at, yanked=yanked)


def _tag(name: str, attributes: Attributes) -> str:
    return "".join((f"<{name}", *(f' {key}="{escape(value)}"' for key, value in attributes.items()), ">"))
