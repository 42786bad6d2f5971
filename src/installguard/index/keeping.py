"""Keeps pages of upstream indexes on disk, so that a page that is still fresh costs no request."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..dataclass import asdict, dataclass, replace
from ..private import create_private, write_private
from .pages import PageError

SCHEMA = 1
SMALL = 1 << 18
"""Bytes up to which a body need not be written at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What the index says by which the next request can be conditional."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is known of a page that is kept."""

    url: str
    """Where it was in the end, without credentials."""
    content_type: str
    digest: str
    """SHA-256 of the body."""
    size: int
    fetched_at: float
    """When the index last said that this is the page, in seconds since the epoch."""
    fresh_for: float
    """Seconds from then on for which the index need not be asked."""
    etag: str | None
    last_modified: str | None
    lasting: bool = True
    """Whether it may be kept for longer than this run (`no-store`)."""
    searchable: bool = False
    """Whether it was read before, and a file can be found in it by its name, without reading all of it."""
    newest: float | None = None
    """Of such a page, the latest time of upload in seconds since the epoch; `None` where it says none."""

    @property
    def validators(self) -> Validators:
        """The headers of a conditional request."""
        return Validators(etag=self.etag, last_modified=self.last_modified)

    def fresh(self, now: float) -> bool:
        """Whether it can be used without asking."""
        return 0 <= now - self.fetched_at < self.fresh_for


class Writing:
    """A body that arrives, at most *most* bytes of it: in memory while it is small, then on disk."""

    def __init__(self, folder: Path, most: int, where: str, seen: Callable[[bytes], None] = lambda data: None) -> None:
        """*folder* is where a large one is written to; *seen* is given each block too."""
        self._folder = folder
        self._seen = seen
        self._hash = hashlib.sha256()
        self._most = most
        self._where = where
        self._blocks: list[bytes] = []
        self._file: BinaryIO | None = None
        self.path: Path | None = None
        """The file that it is in; `None` while it is in memory."""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add *data*; raises `PageError` for too much of it, and `OSError`."""
        self.size += len(data)
        if self.size > self._most:
            raise PageError(
                f"the index's page is larger than {self._most / (1 << 20):g} MiB", status=502, where=self._where
            )
        self._hash.update(data)
        self._blocks.append(data)
        if self.size > SMALL:
            if self._file is None:
                handle, name = create_private(self._folder)
                self._file, self.path = os.fdopen(handle, "wb"), Path(name)
            self._file.writelines(self._blocks)
            self._blocks.clear()
        self._seen(data)

    @property
    def body(self) -> bytes:
        """What is in memory: all of it where it is in no file."""
        return b"".join(self._blocks)

    def close(self) -> None:
        """Be done with it, so that its file can be moved."""
        if self._file is not None:
            self._file.close()

    @property
    def digest(self) -> str:
        """SHA-256 of what was written."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A directory of pages: what is known of each in one small file, its body beside it under its digest."""

    directory: Path

    def changed_since(self, key: str, moment: float) -> bool:
        """Tell whether anything of an index was put on the shelf after a time, in seconds since the epoch."""
        try:
            return (self.directory / key).stat().st_mtime >= moment
        except OSError:
            return False

    def look(self, key: str, project: str | None) -> Kept | None:
        """Return what is known of a page, or `None` where nothing is that makes sense."""
        try:
            facts = json.loads(self._facts(key, project).read_bytes())
            kept = Kept(**facts) if facts.pop("schema") == SCHEMA else None
            whole = kept and _sound(kept) and self._body(key, project, kept.digest).stat().st_size == kept.size
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return kept if whole else None

    def body(self, key: str, project: str | None, kept: Kept, *, verify: bool = True) -> bytes | None:
        """Return the page's body, or `None` where it is gone, or damaged as far as that is looked at (*verify*)."""
        try:
            body = self._body(key, project, kept.digest).read_bytes()
        except OSError:
            return None
        return body if not verify or hashlib.sha256(body).hexdigest() == kept.digest else None

    @contextmanager
    def writing(
        self, key: str, *, most: int, where: str, seen: Callable[[bytes], None] = lambda data: None
    ) -> Iterator[Writing]:
        """Open a new body; unless it is put on the shelf, it is gone afterwards."""
        body = Writing(self.directory / key, most, where, seen)
        try:
            yield body
        finally:
            body.close()
            if body.path is not None:
                with suppress(OSError):
                    body.path.unlink()

    def put(self, key: str, project: str | None, kept: Kept, body: bytes | Path | None, *, before: Kept | None) -> None:
        """Keep what is now known of a page, with the new *body* if there is one; *before* is what was known."""
        if isinstance(body, Path):
            body.replace(self._body(key, project, kept.digest))
        elif body is not None:
            write_private(self._body(key, project, kept.digest), body)
        write_private(self._facts(key, project), json.dumps({"schema": SCHEMA, **asdict(kept)}).encode())
        if before is not None and before.digest != kept.digest:
            self._forget(self._body(key, project, before.digest))

    def drop(self, key: str, project: str | None) -> None:
        """Forget a page."""
        kept = self.look(key, project)
        self._forget(self._facts(key, project), *([self._body(key, project, kept.digest)] if kept else []))

    def prune(self, most: int) -> None:
        """Drop what was not asked about for the longest time until there are at most *most* bytes."""
        with suppress(OSError):
            files = [
                (stat.st_mtime, stat.st_size, path) for path in self.directory.glob("*/*") if (stat := path.stat())
            ]
            surplus = sum(size for _, size, _ in files) - most
            for _, size, path in sorted(files):
                if surplus <= 0:
                    return
                self._forget(path)
                surplus -= size

    def _facts(self, key: str, project: str | None) -> Path:
        return self.directory / key / f"page-{project or ''}.json"

    def _body(self, key: str, project: str | None, digest: str) -> Path:
        return self.directory / key / f"page-{project or ''}.{digest[:20]}"

    @staticmethod
    def _forget(*paths: Path) -> None:
        for path in paths:
            with suppress(OSError):  # somebody else was quicker, or is reading it (Windows)
                path.unlink()


def confirmed(kept: Kept, *, fetched_at: float, fresh_for: float | None) -> Kept:
    """Return what is known of a page after the index has said that it is the newest still."""
    return replace(kept, fetched_at=fetched_at, fresh_for=kept.fresh_for if fresh_for is None else fresh_for)


def _sound(kept: Kept) -> bool:
    texts = (kept.url, kept.content_type, kept.digest, kept.etag or "", kept.last_modified or "")
    numbers = (kept.size, kept.fetched_at, kept.fresh_for, kept.newest or 0)
    typed = all(isinstance(each, str) for each in texts) and all(isinstance(each, (int, float)) for each in numbers)
    return typed and re.fullmatch("[0-9a-f]{64}", kept.digest) is not None
