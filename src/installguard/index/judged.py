"""Pages of the user's indexes: fetched, kept, judged, and written again as the screen decides."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from ..dataclass import replace
from ..names import NormalizedName
from .arriving import Arriving
from .documents import read_document, written_type
from .entries import Source
from .fetching import Fetched, Unchanged
from .keeping import Kept, Shelf, Validators, Writing, confirmed
from .late import LateShelf
from .local import read_local
from .pages import Denied, Entry, Hidden, LazyEntries, Page, PageError, Screen
from .room import Room
from .serving import UNJUDGED, Answer, Request, printable
from .upstream import Credentials, Upstream

if TYPE_CHECKING:
    from .documents import Document

LARGEST_PAGE = 64 << 20
ROOM = 32 << 20
"""Bytes of pages that are taken apart at the same time; that takes about ten times as much memory."""
ARRIVING = 16 << 20
"""Bytes of pages that are taken apart while they arrive; the same holds for them."""
LIKELY_FRESH = 300.0
"""Seconds for which most indexes let pages be used without asking again, or longer."""
LARGEST_SHELF = 512 << 20
LARGE = 1 << 15
"""Bytes of a page from which on it takes longer to be read than to be searched."""
MOST_TAKEN = 8 << 20
"""Bytes of pages that are remembered as they were taken apart; that takes about three times as much memory."""
REDO = re.compile(r"no-cache|max-age=0\b")


class Fetch(Protocol):
    """Asks upstream indexes."""

    def fetch(self, upstream: Upstream, url: str, known: Validators, body: Writing) -> Fetched | Unchanged:
        """Write the page at *url* to *body*, unless it is what is *known*; raises `PageError`."""
        ...

    def credentials(self, upstream: Upstream) -> Credentials | None:
        """Return what this index is asked with."""
        ...

    def prepare(self) -> None:
        """Do what would have to be done before anything is fetched; raises nothing that fetching would not tell."""
        ...

    def close(self) -> None:
        """Cut every connection."""
        ...


class JudgedPages:
    """The pages that the user's indexes offer, as an installer is to see them; used in many threads at once."""

    def __init__(
        self, *, base: str, screen: Screen, cache: Path, fetcher: Fetch, now: Callable[[], float], offline: bool
    ) -> None:
        """*base* is what the URLs of denied files begin with; *now* tells seconds since the epoch."""
        self._base = base
        self._screen = screen
        self._shelf = Shelf(directory=cache)
        self._late = LateShelf(self._shelf)
        self._fetcher = fetcher
        self._now = now
        self._offline = offline
        self._room = Room(ROOM)
        self._arriving = Room(ARRIVING)
        self._lock = threading.Lock()
        self._one_at_a_time: dict[tuple[str, str | None], threading.Lock] = {}
        self._passing: set[tuple[str, str | None]] = set()
        self._wrote = False
        self._seen: dict[tuple[str, str | None], Kept] = {}
        """What was known of each page when it was last asked for."""
        self._taken: dict[tuple[str, str | None], tuple[str, Page]] = {}
        """Pages that were taken apart lately, each with its body's digest."""
        self._taken_size = 0

    def prepare(self, upstreams: Iterable[Upstream]) -> None:
        """Make ready to ask those of the indexes whose pages are not likely to be fresh."""
        since = self._now() - LIKELY_FRESH
        if any(not each.local and not self._shelf.changed_since(each.key, since) for each in upstreams):
            self._fetcher.prepare()

    def close(self) -> None:
        """Hang up on the indexes, and tidy the cache."""
        self._fetcher.close()
        self.settle()
        for key, project in self._passing:
            self._late.drop(key, project)
        if self._wrote:
            self._shelf.prune(LARGEST_SHELF)

    def credentials(self, upstream: Upstream) -> Credentials | None:
        """Return what an index is asked with."""
        return self._fetcher.credentials(upstream)

    def page(self, upstream: Upstream, project: NormalizedName | None) -> Page | None:
        """Return the page as it was last seen, without asking the index; `None` where there is none."""
        if upstream.local:
            with suppress(PageError):
                facts, content = read_local(upstream, project, most=LARGEST_PAGE)
                return read_document(content, facts.content_type, _source(upstream, project, facts.url)).page
            return None
        kept = self._seen.get((upstream.key, project))
        digest, page = self._taken.get((upstream.key, project), ("", None))
        if kept is not None and kept.digest == digest:
            return page
        body = self._late.body(upstream.key, project, kept) if kept else None
        if body is None:  # not asked for in this run, or written anew by another one
            kept = self._late.look(upstream.key, project)
            body = self._late.body(upstream.key, project, kept) if kept else None
        if kept is None or body is None:
            return None
        with suppress(PageError):
            return read_document(body, kept.content_type, _source(upstream, project, kept.url)).page
        return None

    def offered(self, upstream: Upstream, project: NormalizedName | None, version: str) -> Page | None:
        """Return the page as `page` does, but, where that is quicker, with the files of one release only."""
        from .json_pages import entries_of

        kept, body = self._searched(upstream, project)
        source = _source(upstream, project, kept.url) if kept is not None else None
        entries = entries_of(body, version, source) if source is not None and body is not None else None
        return Page(upstream=upstream, project=project, entries=entries) if entries else self.page(upstream, project)

    def may_have_younger(self, upstream: Upstream, project: NormalizedName | None, moment: float) -> bool:
        """Tell whether a page, as it was last seen, may say of a file that it was uploaded after *moment* (epoch)."""
        kept = self._seen.get((upstream.key, project))
        return kept is None or not kept.searchable or (kept.newest is not None and kept.newest > moment)

    def is_searched(self, upstream: Upstream, project: NormalizedName | None) -> bool:
        """Tell whether a page that was asked for is large, and can be searched without being read as a whole."""
        key = (upstream.key, project)
        kept = self._seen.get(key)
        return kept is not None and kept.searchable and self._taken.get(key, ("",))[0] != kept.digest

    def _searched(self, upstream: Upstream, project: NormalizedName | None) -> tuple[Kept | None, bytes | None]:
        """Return what is known of such a page, and its body; no body of others."""
        kept = self._seen.get((upstream.key, project))
        if kept is None or not self.is_searched(upstream, project):
            return kept, None
        return kept, self._late.body(upstream.key, project, kept, verify=False)

    def answer(self, upstream: Upstream, project: NormalizedName | None, request: Request) -> Answer:
        """Return the judged page, or that it is the one which the installer has; raises `GuardError`."""
        self._screen.digest()  # before anything is fetched: it may be that nothing is to be judged at all
        redo = REDO.search(request.headers.get("cache-control", "").lower()) is not None
        with Arriving(_source(upstream, project, upstream.page_url(project)), self._arriving) as arriving:
            kept, body = self._current(upstream, project, redo=redo, seen=arriving)
            self._seen[upstream.key, project] = kept
            tag = self._tag(upstream, kept)
            if tag in (each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")):
                return Answer(status=304, headers=_caching(tag))
            with self._room.taken(kept.size):
                body, parsed = arriving.body() if body is None else body, arriving.content()
                if body is None:
                    kept, body = self._loaded(upstream, project, kept)
                    self._seen[upstream.key, project] = kept
                    tag = self._tag(upstream, kept)
                document = read_document(body, kept.content_type, _source(upstream, project, kept.url), parsed)
                written = document.write(*self._places(upstream, document.page))
                self._note(upstream, project, kept, document)
        headers = (("Content-Type", written_type(kept.content_type)), *_caching(tag))
        return Answer(status=200, body=written, headers=headers)

    def _note(self, upstream: Upstream, project: str | None, kept: Kept, document: Document) -> None:
        """Remember a page that was taken apart, if there is room, and what it takes to search it the next time."""
        key, page = (upstream.key, project), document.page
        with self._lock:
            if key not in self._taken and self._taken_size + kept.size <= MOST_TAKEN:
                self._taken[key] = (kept.digest, page)
                self._taken_size += kept.size
        large = kept.size >= LARGE and not kept.searchable and not upstream.local and not self._offline
        if large and document.searchable and isinstance(page.entries, LazyEntries):
            newest = page.entries.newest.timestamp() if page.entries.newest is not None else None
            known = replace(kept, searchable=True, newest=newest)
            self._seen[key] = known
            self._late.keep(upstream.key, project, known, None)

    def settle(self) -> None:
        """Put on the shelf what is yet to be, for which nobody had to wait."""
        self._late.settle()

    def _loaded(self, upstream: Upstream, project: NormalizedName | None, kept: Kept) -> tuple[Kept, bytes]:
        """Return the page that is kept and its body, fetched again where that is gone or damaged."""
        body = self._late.body(upstream.key, project, kept)
        if body is None:
            self._late.drop(upstream.key, project)
            kept, _ = self._current(upstream, project, redo=True, seen=lambda data: None)
            body = self._late.body(upstream.key, project, kept)
        if body is None:
            raise PageError("the page has gone from guard's cache", status=UNJUDGED, now="try again")
        return kept, body

    def _places(self, upstream: Upstream, page: Page) -> tuple[Callable[[Entry], str | None], Collection[str] | None]:
        """Return where each entry of a page is to be found, as the screen decides, and what may have moved."""
        decisions = self._screen(page)

        def place(entry: Entry) -> str | None:
            match decisions.get(entry.artifact.filename) or (Denied(reason=entry.problem) if entry.problem else None):
                case Denied(reason=reason):
                    return self._denied_url(upstream, entry, reason)
                case Hidden():
                    return None
                case None:
                    return entry.href

        return place, decisions.keys() if isinstance(page.entries, LazyEntries) else None

    def _denied_url(self, upstream: Upstream, entry: Entry, reason: str) -> str:
        """Return a URL of ours that says the reason, with the file's hash."""
        _, hash_sign, fragment = entry.href.partition("#")
        parts = (entry.project or "-", printable(reason) or "denied", entry.artifact.filename)
        path = "/".join(quote(part, safe="") for part in parts)
        return f"{self._base}/{upstream.key}/denied/{path}{hash_sign}{fragment}"

    def _tag(self, upstream: Upstream, kept: Kept) -> str:
        """Return the `ETag` of what is written from a page."""
        facts = (kept.digest, kept.url, kept.content_type, self._screen.digest(), self._base, upstream.key)
        return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'

    def _current(
        self, upstream: Upstream, project: NormalizedName | None, *, redo: bool, seen: Callable[[bytes], None]
    ) -> tuple[Kept, bytes | None]:
        """Return what is known of the page as it is now, and its body where that is at hand; raises `PageError`.

        *seen* is given each block that comes from the index.
        """
        if upstream.local:
            return read_local(upstream, project, most=LARGEST_PAGE)
        with self._alone(upstream.key, project):
            kept = self._late.look(upstream.key, project)
            if self._offline:
                if kept is None:
                    raise PageError("guard is offline, and the page is not in its cache", status=UNJUDGED)
                return kept, None
            if kept is not None and kept.fresh(self._now()) and not redo:
                return kept, None
            return self._fetched(upstream, project, kept, seen), None

    def _fetched(
        self, upstream: Upstream, project: NormalizedName | None, kept: Kept | None, seen: Callable[[bytes], None]
    ) -> Kept:
        """Ask the index for the page, or whether it is still the one that is kept; raises `PageError`."""
        url = upstream.page_url(project)
        known = kept.validators if kept else Validators()
        try:
            with self._shelf.writing(upstream.key, most=LARGEST_PAGE, where=url, seen=seen) as body:
                answer = self._fetcher.fetch(upstream, url, known, body)
                now, self._wrote = self._now(), True
                match answer:
                    case Unchanged(fresh_for=fresh_for):
                        if kept is None:
                            raise PageError("the index answered 304 to no condition", status=502, where=url)
                        current = confirmed(kept, fetched_at=now, fresh_for=fresh_for)
                        self._late.keep(upstream.key, project, current, None)
                    case Fetched():
                        current = _kept(answer, body, now)
                        if not answer.lasting:
                            self._passing.add((upstream.key, project))
                        body.close()
                        self._late.keep(upstream.key, project, current, body.path or body.body)
        except OSError as error:
            what = f"the page cannot be kept: {error.strerror or error}"
            raise PageError(what, status=UNJUDGED, where=str(self._shelf.directory)) from error
        return current

    @contextmanager
    def _alone(self, key: str, project: str | None) -> Iterator[None]:
        """Let one thread at a time find out about a page; the next one finds it kept."""
        with self._lock:
            lock = self._one_at_a_time.setdefault((key, project), threading.Lock())
        with lock:
            yield


def _caching(tag: str) -> tuple[tuple[str, str], ...]:
    """Return the headers by which installers keep a page, but ask each time whether it is still good."""
    return ("ETag", tag), ("Cache-Control", "no-cache")


def _source(upstream: Upstream, project: NormalizedName | None, url: str) -> Source:
    return Source(upstream=upstream, project=project, url=url, index=upstream.address)


def _kept(answer: Fetched, body: Writing, now: float) -> Kept:
    return Kept(
        url=answer.url,
        content_type=answer.content_type,
        digest=body.digest,
        size=body.size,
        fetched_at=now,
        fresh_for=answer.fresh_for,
        etag=answer.etag,
        last_modified=answer.last_modified,
        lasting=answer.lasting,
    )
