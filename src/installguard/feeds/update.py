"""`guard feed update`: what is new of each configured source.

Exports are listed by `modified_id.csv`: one conditional request tells that nothing is new, few changes are fetched
record by record, many as the whole zip. No package name leaves the machine: what is asked for follows from the feed.
"""

from __future__ import annotations

import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TypeAlias

from ..dataclass import dataclass, replace
from ..errors import FeedError, GuardError
from ..model import SourceInfo
from ..policy import SourcePolicy
from .fetching import Connection, Limits, StatusError, TransientError, Validators, connect
from .imports import Loading, archive_records, check_name, load_export, load_list, load_records, parse_raw
from .listing import Difference, Listing, ListingError, compare, parse_listing
from .locking import BusyError
from .records import fetch_records
from .signing import LARGEST, SUFFIX, verify
from .sources import DEFAULT_SOURCES, Bounds, beside, chosen_sources, export_url, is_remote, is_zip, redacted
from .state import SourceState, State, StateError, read_state
from .store import Unreadable, open_generation
from .writing import Change, change_source, note_source, refuse_rollback

Progress: TypeAlias = Callable[[str, int, "int | None"], None]
"""Told the source's name, the bytes that are here, and how many there will be, if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """The source was fetched, whole or what was new of it, and is in the snapshot."""

    source: SourceInfo
    unreadable: tuple[Unreadable, ...]
    changed: int | None = None
    """How many records came or went one by one; `None` where it was fetched whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The source's origin confirmed that ours is the newest."""

    source: SourceInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The source could not be fetched; what the snapshot had of it stays."""

    name: str
    error: GuardError


UpdateResult: TypeAlias = Updated | Unchanged | Failed


def update(
    directory: Path,
    sources: Sequence[SourcePolicy],
    *,
    now: datetime,
    keys: Sequence[str] = (),
    accept_rollback: bool = False,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[UpdateResult, ...]:
    """Bring each source (the default ones where there are none) in the snapshot in *directory* up to date.

    One source's failure is its result and keeps no other from being updated. Where there are *keys* (Ed25519, base64),
    every feed must be signed by one of them, but those that come from the origin of a default source. An export that is
    older than the snapshot, or has lost more than a fifth of it, is refused unless *accept_rollback*. *clock* gives
    seconds, for the bounds.
    """
    loading = Loading(directory=directory, now=now, bounds=bounds or Bounds(), accept_rollback=accept_rollback)
    limits = Limits(bounds=loading.bounds, clock=clock)
    return tuple(
        update_source(_Task(source=source, loading=loading, limits=limits, keys=tuple(keys), progress=progress))
        for source in chosen_sources(tuple(sources))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One source that is to be brought up to date."""

    source: SourcePolicy
    loading: Loading
    limits: Limits
    keys: tuple[str, ...]
    progress: Progress | None

    @property
    def bounds(self) -> Bounds:
        return self.loading.bounds

    @property
    def directory(self) -> Path:
        return self.loading.directory

    def tell(self, done: int, total: int | None) -> None:
        """Show progress."""
        if self.progress is not None:
            self.progress(self.source.name, done, total)

    def must_be_signed(self, place: str) -> bool:
        """Whether a signature is asked for: there are keys, and the place is no origin that signs nothing."""
        return bool(self.keys) and place not in {source.url for source in DEFAULT_SOURCES}

    def fresh(self, place: str | None, taken_at: datetime | None) -> SourceState:
        """The source with nothing in it yet."""
        source = self.source
        return SourceState(
            name=source.name,
            url=_shown(source.url),
            malicious=source.malicious,
            kind=source.kind,
            records=0,
            unreadable=0,
            taken_at=taken_at,
            place=None if place is None else _shown(place),
        )


def _shown(place: str) -> str:
    return redacted(place) if is_remote(place) else place


def update_source(task: _Task) -> UpdateResult:
    """Try every place of the source, and where the trouble may pass, all of them once more."""
    bounds, places = task.bounds, (task.source.url, *task.source.mirrors)
    errors: list[GuardError] = []
    try:
        check_name(task.source.name)
        for attempt in range(bounds.rounds):
            if attempt:
                time.sleep(random.uniform(0.5, 1.0) * bounds.pause)  # noqa: S311  so that many guards do not come at once
            trying: list[GuardError] = []
            for place in places:
                try:
                    return _update_from(task, place)
                except BusyError:
                    raise
                except GuardError as error:
                    trying.append(error)
            errors += trying
            if not any(isinstance(error, TransientError) for error in trying):
                break
    except GuardError as error:
        errors = [error]
    told = _told(errors)
    if not isinstance(told, BusyError):  # then the other guard's outcome is noted
        _note_failure(task, told)
    return Failed(name=task.source.name, error=told)


def _told(errors: Sequence[GuardError]) -> GuardError:
    """One error that tells what went wrong at each place, each thing once."""
    said = tuple(dict.fromkeys(map(str, errors)))
    return errors[0] if len(said) == 1 else FeedError("; ".join(said))


def _update_from(task: _Task, place: str) -> Updated | Unchanged:
    if not is_remote(place):
        return _read(task, place)
    with connect(place, task.limits) as connection:
        known = _known(task, place)
        if task.source.kind != "osv":
            return _fetch_list(task, place, connection, known)
        if is_zip(place) or task.must_be_signed(place):
            return _fetch_whole(task, place, connection, known)
        return _fetch_changes(task, place, connection, known)


def _read(task: _Task, place: str) -> Updated:
    """Read a place that is a path of this machine: being read is being confirmed."""
    keys = task.keys if task.must_be_signed(place) else ()
    result = load_export(Path(place), task.fresh(place, task.loading.now), replace(task.loading, keys=keys))
    return Updated(source=result.source, unreadable=result.unreadable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What we hold of the source, usable, and of the same nature."""

    source: SourceState
    state: State
    here: bool
    """Whether it came from this very place, and verified as it must be: then requests can be conditional."""

    @property
    def whole(self) -> Validators | None:
        """By which the zip or list can be asked for."""
        return Validators(etag=self.source.etag, last_modified=self.source.last_modified) if self.here else None

    @property
    def listing(self) -> Validators | None:
        """By which the listing can be asked for."""
        source = self.source
        return Validators(etag=source.listing_etag, last_modified=source.listing_last_modified) if self.here else None


def _known(task: _Task, place: str) -> _Known | None:
    source = task.source
    with suppress(StateError, FileNotFoundError):
        state = read_state(task.directory)
        known = state.source(source.name)
        nature = (_shown(source.url), source.malicious, source.kind)
        if known is None or known.taken_at is None or (known.url, known.malicious, known.kind) != nature:
            return None
        if state.generation is None:
            return None
        open_generation(task.directory, state.generation).close()
        verified = known.signed in task.keys if task.must_be_signed(place) else True
        return _Known(source=known, state=state, here=known.place == _shown(place) and verified)
    return None


# ---------------------------------------------------------------- lists and whole exports


def _fetch_list(task: _Task, place: str, connection: Connection, known: _Known | None) -> Updated | Unchanged:
    with _download(task.directory) as file:
        answer = connection.fetch(
            place, file, most=task.bounds.listing, known=known.whole if known else None, tell=task.tell
        )
        if answer is None:
            return _confirm(task)
        signed = _signer(task, place, place, connection, file)
        file.seek(0)
        source = replace(_with(task.fresh(place, task.loading.now), answer), signed=signed)
        result = load_list(file.read(), source, task.loading, where=redacted(place))
        return Updated(source=result.source, unreadable=result.unreadable)


def _fetch_whole(task: _Task, place: str, connection: Connection, known: _Known | None) -> Updated | Unchanged:
    """Fetch the zip, unless the server says that it is the one we have."""
    url = export_url(place)
    with _download(task.directory) as file:
        answer = connection.fetch(
            url, file, most=task.bounds.archive, known=known.whole if known else None, tell=task.tell
        )
        if answer is None:
            return _confirm(task)
        _expect_zip(file, redacted(url))
        signed = _signer(task, place, url, connection, file)
        source = replace(_with(task.fresh(place, task.loading.now), answer), signed=signed)
        records = archive_records(file, where=redacted(url), bounds=task.bounds)
        result = load_records(records, source, task.loading)
        return Updated(source=result.source, unreadable=result.unreadable)


def _with(source: SourceState, answer: Validators) -> SourceState:
    return replace(source, etag=answer.etag, last_modified=answer.last_modified)


def _expect_zip(file: IO[bytes], where: str) -> None:
    file.seek(0)
    if (head := file.read(2)) != b"PK":
        raise FeedError(f"is no zip (it begins with {head!a})", where=where, now="is the URL an OSV export?")


def _signer(task: _Task, place: str, url: str, connection: Connection, file: IO[bytes]) -> str | None:
    """The key that signed the file, `None` where none has to; raises `FeedError`."""
    if not task.must_be_signed(place):
        return None
    signature: bytes | None
    try:
        buffer = io.BytesIO()
        connection.fetch(url + SUFFIX, buffer, most=LARGEST)
        signature = buffer.getvalue()
    except StatusError:
        signature = None
    file.flush()
    return verify(file, signature, task.keys, where=redacted(url))


# ---------------------------------------------------------------- record by record


def _fetch_changes(task: _Task, place: str, connection: Connection, known: _Known | None) -> Updated | Unchanged:
    """Ask for the listing first; where there is none, or too much changed, fetch the zip."""
    buffer = io.BytesIO()
    try:
        answer = connection.fetch(
            beside(place, "modified_id.csv"), buffer, most=task.bounds.listing, known=known.listing if known else None
        )
        if answer is None:
            return _confirm(task)
        listing = parse_listing(buffer.getvalue())
    except (StatusError, ListingError):
        return _fetch_whole(task, place, connection, known)
    if known is not None and known.source.place is not None:
        with suppress(_CannotError):
            return _apply(task, place, connection, listing, answer)
    whole = _fetch_whole(task, place, connection, known)
    with suppress(_CannotError):
        settled = _apply(task, place, connection, listing, answer)  # what the zip lacked of its own listing
        return replace(whole, source=settled.source)
    return whole


class _CannotError(Exception):
    """Why single records do not do."""


def _apply(
    task: _Task, place: str, connection: Connection, listing: Listing, answer: Validators
) -> Updated | Unchanged:
    """Bring what we hold in line with the listing; raises `_CannotError` where the zip is better."""
    try:
        state = read_state(task.directory)
        difference = compare(task.directory, state, task.source.name, listing)
    except StateError as error:
        raise _CannotError from error
    held = state.source(task.source.name)
    if held is None or not difference.is_small(listing, task.bounds):
        raise _CannotError
    if not task.loading.accept_rollback:
        refuse_rollback(held, len(listing.modified), listing.newest)
    if not difference:
        return _confirm(task, lambda source: _agreed(source, place, answer))
    changes = _changes(task, place, connection, listing, difference)
    newest = listing.newest if listing.newest <= task.loading.now else held.newest
    held = replace(held, taken_at=task.loading.now, newest=newest, etag=None, last_modified=None)
    source = _agreed(held, place, answer)
    written = change_source(task.directory, source, changes, now=task.loading.now, bounds=task.bounds)
    unreadable = tuple(change.parsed for change in changes if isinstance(change.parsed, Unreadable))
    return Updated(source=written.info, unreadable=unreadable, changed=len(difference))


def _agreed(source: SourceState, place: str, answer: Validators) -> SourceState:
    """The source, now in line with the listing of that place."""
    return replace(source, place=_shown(place), listing_etag=answer.etag, listing_last_modified=answer.last_modified)


def _changes(
    task: _Task, place: str, connection: Connection, listing: Listing, difference: Difference
) -> tuple[Change, ...]:
    source = task.fresh(place, None)
    urls = {each: beside(place, f"{each}.json") for each in difference.changed}
    try:
        fetched = fetch_records(connection, urls, task.bounds)
    except StatusError as error:
        raise _CannotError from error  # it went while we looked
    changes = [Change(id=each, modified="", parsed=None) for each in difference.deleted]
    for each in difference.changed:
        parsed = parse_raw(fetched[each], source)
        if not isinstance(parsed, Unreadable) and parsed and parsed[0].id != each:
            parsed = Unreadable(source=source.name, name=f"{each}.json", reason=f"is the record {parsed[0].id!a}")
        changes.append(Change(id=each, modified=listing.modified[each], parsed=parsed))
    return tuple(changes)


# ---------------------------------------------------------------- what is noted of a source


def _confirm(task: _Task, agreed: Callable[[SourceState], SourceState] = lambda source: source) -> Unchanged:
    """Write down that the origin has nothing newer."""
    where, confirmed = f"feed {task.source.name}", list[SourceState]()

    def change(state: SourceState | None) -> SourceState:
        if state is None or state.taken_at is None:
            raise FeedError("the snapshot of it was removed meanwhile", where=where, now="try again")
        confirmed.append(agreed(replace(state, taken_at=task.loading.now, last_error=None, tried_at=None)))
        return confirmed[0]

    note_source(task.directory, task.source.name, change, task.bounds)
    if not confirmed:
        raise FeedError("the snapshot of it was damaged meanwhile", where=where, now="try again")
    return Unchanged(source=confirmed[0].info)


def _note_failure(task: _Task, error: GuardError) -> None:
    """Write the failure down for `guard feed status`; where that fails as well, the result still tells."""
    nothing, now = task.fresh(None, None), task.loading.now

    def change(known: SourceState | None) -> SourceState:
        return replace(known or nothing, last_error=str(error), tried_at=now)

    with suppress(GuardError):
        note_source(task.directory, task.source.name, change, replace(task.bounds, lock=min(1.0, task.bounds.lock)))


def note_attempt(directory: Path, source: SourcePolicy, *, now: datetime, bounds: Bounds) -> None:
    """Write down that the source is being tried, so that one who is killed while doing so is not followed at once."""
    loading = Loading(directory=directory, now=now, bounds=bounds)
    limits = Limits(bounds=bounds, clock=time.monotonic)
    nothing = _Task(source=source, loading=loading, limits=limits, keys=(), progress=None).fresh(None, None)

    def change(known: SourceState | None) -> SourceState:
        return replace(known or nothing, tried_at=now)

    with suppress(GuardError):
        note_source(directory, source.name, change, replace(bounds, lock=min(0.1, bounds.lock)))


@contextmanager
def _download(directory: Path) -> Iterator[IO[bytes]]:
    """A file beside the snapshot that has no name, so that nothing of it is left whatever happens to us."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=directory, prefix="download-")  # noqa: SIM115  closed below
    except OSError as error:
        raise FeedError(f"cannot be written: {error.strerror or error}", where=str(directory)) from error
    with file:
        yield file
