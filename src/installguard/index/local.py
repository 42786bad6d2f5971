"""Reads indexes that lie on this machine: a tree of PEP 503 pages, a page of links, a directory of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .keeping import Kept
from .pages import PageError
from .upstream import Upstream, local_path


def read_local(upstream: Upstream, project: str | None, *, most: int) -> tuple[Kept, bytes]:
    """Return a page and what is known of it; raises `PageError`."""
    url = upstream.page_url(project)
    try:
        path = local_path(url)
        if path.is_dir() and upstream.kind == "flat":
            body, place = _listing(path), f"{path.as_uri()}/"
        else:
            page = path / "index.html" if path.is_dir() else path
            body, place = _read(page, most, url), page.as_uri()
    except FileNotFoundError as error:
        raise PageError("there is no such page", status=404, where=url) from error
    except (OSError, ValueError) as error:
        raise PageError(f"the page cannot be read: {error}", status=403, where=url) from error
    facts = hashlib.sha256(body).hexdigest()
    kept = Kept(
        url=place,
        content_type="text/html",
        digest=facts,
        size=len(body),
        fetched_at=0.0,
        fresh_for=0.0,
        etag=None,
        last_modified=None,
    )
    return kept, body


def _read(path: Path, most: int, where: str) -> bytes:
    with path.open("rb") as file:
        body = file.read(most + 1)
    if len(body) > most:
        raise PageError(f"the index's page is larger than {most / (1 << 20):g} MiB", status=502, where=where)
    return body


def _listing(directory: Path) -> bytes:
    """Return a page of links to the files of a directory."""
    from html import escape

    urls = (path.absolute().as_uri() for path in sorted(directory.iterdir()) if path.is_file())
    return "".join(f'<a href="{escape(url)}"></a>\n' for url in urls).encode()
