"""Reads a page in whichever form the index answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .entries import Source
from .pages import PageError

if TYPE_CHECKING:
    from .html_pages import HtmlPage
    from .json_pages import JsonPage, Parsed

    Document: TypeAlias = JsonPage | HtmlPage

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = ("text/html", "application/vnd.pypi.simple.v1+html")


def media_type(content_type: str) -> str:
    """Return the form alone, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_document(body: bytes, content_type: str, source: Source, parsed: Parsed | None = None) -> Document:
    """Read a page, of which *parsed* is what it says if it is JSON and that is known; raises `PageError`."""
    kind = media_type(content_type)
    if kind == JSON:
        from .json_pages import read_json

        return read_json(body, source, parsed)
    if kind in HTML:
        from .html_pages import read_html

        return read_html(body.decode(_charset(content_type), errors="replace"), source)
    raise PageError("the index's page is neither JSON nor HTML of a package index", status=502, where=source.url)


def written_type(content_type: str) -> str:
    """Return the form in which such a page is written again."""
    kind = media_type(content_type)
    return kind if kind == JSON else f"{kind}; charset=utf-8"


def _charset(content_type: str) -> str:
    """Return the charset of the page; what matters in it is ASCII nearly always."""
    _, found, charset = content_type.lower().partition("charset=")
    return "latin-1" if found and charset.strip(" \"'") in ("latin-1", "iso-8859-1") else "utf-8"
