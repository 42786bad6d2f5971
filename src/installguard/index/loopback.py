"""Stands in front of the user's indexes: pages come from there, and are judged before an installer reads them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..dataclass import dataclass
from ..errors import GuardError, UnjudgedError
from ..names import NormalizedName
from .addresses import Address, take_address
from .pages import Page, PageError, Screen
from .serving import UNJUDGED, Answer, Request, Server, printable
from .upstream import Credentials, Upstream

if TYPE_CHECKING:
    from .judged import Fetch, JudgedPages

PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

GRACE = 2.0
"""Seconds for threads to find out that everybody has hung up."""
NOT_FOUND = Answer(status=404)
STRANGER = Answer(status=404, last=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A page that an installer asked for."""

    upstream: Upstream
    project: NormalizedName | None
    status: int
    """200 and 304 where it got one."""
    reason: str = ""
    times: int = 1
    """How often it asked."""

    @property
    def served(self) -> bool:
        """Whether the installer has the page."""
        return self.status == 200 or self.unchanged

    @property
    def unchanged(self) -> bool:
        """Whether it had the page already."""
        return self.status == 304


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDenied:
    """A denied file that an installer asked for."""

    upstream: Upstream
    project: NormalizedName | None
    filename: str
    reason: str


class LoopbackIndex:
    """Serves judged pages at an address that only this user's installers know; a context manager."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        screen: Screen,
        state: Path,
        cache: Path,
        fetcher: Callable[[], Fetch],
        now: Callable[[], float],
        offline: bool = False,
    ) -> None:
        """*state* keeps the addresses, *cache* the pages; *now* tells seconds since the epoch.

        What fetches pages is made, and all that it takes imported, when the first page is asked for.
        """
        self._upstreams = {upstream.key: upstream for upstream in upstreams}
        self._screen = screen
        self._state = state
        self._cache = cache
        self._fetcher = fetcher
        self._now = now
        self._offline = offline
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._opened: JudgedPages | None = None
        self._asked: dict[tuple[str, str | None], Asked] = {}
        self._denied: dict[tuple[str, str], AskedDenied] = {}
        self._problems: list[GuardError] = []
        self._address: Address | None = None
        self._server: Server | None = None

    def __enter__(self) -> LoopbackIndex:
        self._address = take_address(self._state)
        self._server = Server(self._address.listener, self._respond)
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on installers and indexes, and tidy the cache."""
        if self._server is not None:
            self._server.close()
        if self._opened is not None:
            self._opened.close()
        if self._server is not None:
            self._server.wait(GRACE)

    @property
    def base(self) -> str:
        """What all our URLs begin with; it holds the secret, so it belongs in no output."""
        if self._address is None:
            raise UnjudgedError("the loopback index is not open")
        return f"http://{self._address.authority}/{self._address.token}"

    def address_of(self, upstream: Upstream) -> str:
        """Return the URL that takes the place of the index's own."""
        return f"{self.base}/{upstream.key}/{upstream.kind}/"

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The pages that were asked for, each with how that ended the last time."""
        with self._lock:
            return tuple(self._asked.values())

    def times_asked(self, upstream: Upstream, project: NormalizedName | None) -> int:
        """Return how often a page was asked for: as long as that is the same, so is what `page` returns."""
        with self._lock:
            asked = self._asked.get((upstream.key, project))
        return asked.times if asked is not None else 0

    @property
    def denied(self) -> tuple[AskedDenied, ...]:
        """The denied files that were asked for."""
        with self._lock:
            return tuple(self._denied.values())

    @property
    def problems(self) -> tuple[GuardError, ...]:
        """Why pages could not be judged; what an index itself refused is in `asked`."""
        with self._lock:
            return tuple(self._problems)

    def credentials(self, upstream: Upstream) -> Credentials | None:
        """Return what the index is asked with: the installer needs it for files on the same host, and our pages do not
        say it, because installers write the URLs of files into lock files and caches.
        """
        return self._pages.credentials(upstream)

    def page(self, upstream: Upstream, project: NormalizedName | None) -> Page | None:
        """Return the page as it was last seen, without asking the index; `None` where there is none."""
        return self._pages.page(upstream, project)

    def offered(self, upstream: Upstream, project: NormalizedName | None, version: str) -> Page | None:
        """Return the same, perhaps with no other files than those of one release, *version* as PEP 440 writes it."""
        return self._pages.offered(upstream, project, version)

    def may_have_younger(self, upstream: Upstream, project: NormalizedName | None, moment: float) -> bool:
        """Tell whether that page may say of a file that it was uploaded after *moment*, in seconds since the epoch."""
        return self._pages.may_have_younger(upstream, project, moment)

    def is_searched(self, upstream: Upstream, project: NormalizedName | None) -> bool:
        """Tell whether `offered` and `may_have_younger` need not read the page as a whole."""
        return self._pages.is_searched(upstream, project)

    def settle(self) -> None:
        """Do what nobody has to wait for."""
        if self._opened is not None:
            self._opened.settle()

    def prepare(self) -> None:
        """Make ready to ask indexes, if that is likely to be needed: an installer takes a while before it asks."""
        if not self._offline:
            self._pages.prepare(self._upstreams.values())

    @property
    def _pages(self) -> JudgedPages:
        with self._opening:
            if self._opened is None:
                from .judged import JudgedPages

                self._opened = JudgedPages(
                    base=self.base,
                    screen=self._screen,
                    cache=self._cache,
                    fetcher=self._fetcher(),
                    now=self._now,
                    offline=self._offline,
                )
            return self._opened

    def _respond(self, request: Request) -> Answer:
        """Answer what is meant for us; everything else is not there."""
        if self._address is None or request.headers.get("host") != self._address.authority:
            return STRANGER
        token, *rest = request.target.partition("?")[0][1:].split("/")
        from hmac import compare_digest

        if not compare_digest(token, self._address.token):
            return STRANGER
        upstream = self._upstreams.get(rest[0]) if rest else None
        match rest[1:]:
            case ["simple", project] | ["simple", project, ""] if upstream and upstream.kind == "simple":
                known = len(project) <= 200 and PROJECT.fullmatch(project)
                return self._answer_page(upstream, NormalizedName(project), request) if known else NOT_FOUND
            case ["flat"] | ["flat", ""] if upstream and upstream.kind == "flat":
                return self._answer_page(upstream, None, request)
            case ["denied", project, reason, filename] if upstream:
                return self._answer_denied(upstream, *map(unquote, (project, reason, filename)))
            case _:
                return NOT_FOUND

    def _answer_denied(self, upstream: Upstream, project: str, reason: str, filename: str) -> Answer:
        name = NormalizedName(project) if PROJECT.fullmatch(project) else None
        filename = filename.removesuffix(".metadata")
        with self._lock:
            self._denied[upstream.key, filename] = AskedDenied(
                upstream=upstream, project=name, filename=filename, reason=reason
            )
        return _plain(403, reason)

    def _answer_page(self, upstream: Upstream, project: NormalizedName | None, request: Request) -> Answer:
        try:
            answer = self._pages.answer(upstream, project, request)
        except PageError as error:
            answer = _plain(error.status, str(error), error.challenge)
        except GuardError as error:
            answer = self._unjudged(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page does not go out unjudged; it is told
            answer = self._unjudged(UnjudgedError(f"the page could not be judged: {error!r}"))
        with self._lock:
            before = self._asked.get((upstream.key, project))
            self._asked[upstream.key, project] = Asked(
                upstream=upstream,
                project=project,
                status=answer.status,
                reason=answer.reason,
                times=1 + (before.times if before is not None else 0),
            )
        return answer

    def _unjudged(self, error: GuardError) -> Answer:
        with self._lock:
            self._problems.append(error)
        return _plain(UNJUDGED, str(error))


def _plain(status: int, reason: str, challenge: str | None = None) -> Answer:
    """Return a refusal that says why in its reason phrase, which is what installers show."""
    line = printable(reason)
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    more = (("WWW-Authenticate", challenge),) if challenge else ()
    return Answer(status=status, reason=line, body=line.encode() + b"\n", headers=(*headers, *more))
