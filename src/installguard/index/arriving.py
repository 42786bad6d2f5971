"""Parses a page in JSON while it arrives: that of a large one takes as long as its transport."""

from __future__ import annotations

import os
import re
from codecs import getincrementaldecoder
from types import TracebackType
from typing import Any

from .entries import Source
from .json_files import PlainFiles
from .json_pages import Parsed, Parser
from .room import Room

CHUNK = 1 << 17
"""Characters from which on parsing is worth while; pages that are smaller are parsed when they are there."""
LARGEST_FILE = 4 * CHUNK
FILES = re.compile(r'"files"\s*:\s*\[')


class Arriving:
    """A page of which the files are parsed some at a time, as they arrive; a context manager.

    However the list of files is cut at commas, what is valid JSON in each part is the list as a whole: JSON is read in
    one way only. Where a part is not valid, or nothing is to be gained, the page is parsed as a whole in the end.
    """

    def __init__(self, source: Source, room: Room) -> None:
        """*source* is where the page is asked for; what is parsed takes *room*, as long as there is some."""
        self._room = room
        self._taken = 0
        self._decoder = getincrementaldecoder("utf-8")()
        self._parser = Parser()
        self._head = ""
        """What comes before the list of files, once that is known."""
        self._pending = ""
        self._files: list[Any] = []
        self._blocks: list[bytes] = []
        self._plain = PlainFiles(source)
        self._hopeless = False

    def __enter__(self) -> Arriving:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._forget()

    def __call__(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._hopeless:
            return
        self._blocks.append(data)
        try:
            self._pending += self._decoder.decode(data)
            self._hopeless = len(self._pending) >= CHUNK and not self._parse()
        except (ValueError, RecursionError):
            self._hopeless = True
        if self._hopeless:
            self._forget()

    def body(self) -> bytes | None:
        """Return the page as it came; `None` where that is to be found on the shelf."""
        return b"".join(self._blocks) or None

    def content(self) -> Parsed | None:
        """Return what parsing the whole page gives, now that all of it is there; `None` where that is to be done."""
        if not self._files:
            return None
        marker = os.urandom(16).hex()
        try:
            self._pending += self._decoder.decode(b"", final=True)
            rest, end = self._parser.parse_first(f"[{self._pending}")
            content = self._parser.parse(f'{self._head}"{marker}"{self._pending[end - 1 :]}')
        except (ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or content.get("files") != marker:
            return None
        self._plain.add(rest)
        files = [*self._files, *rest]
        return Parsed(content={**content, "files": files}, twice=self._parser.twice, files=self._plain)

    def _forget(self) -> None:
        self._files, self._blocks, self._pending = [], [], ""
        self._room.give_back(self._taken)
        self._taken = 0

    def _parse(self) -> bool:
        """Parse all files that are there as a whole; tell whether there is any use in going on."""
        if not self._head:
            found = FILES.search(self._pending) if self._pending.startswith("{") else None
            if found is None:
                return False
            self._head, self._pending = self._pending[: found.end() - 1], self._pending[found.end() :]
        end = max(self._pending.rfind("},{"), self._pending.rfind("}, {")) + 1
        if not end:
            return len(self._pending) < LARGEST_FILE
        if not self._room.take(end):
            return False
        self._taken += end
        files = self._parser.parse(f"[{self._pending[:end]}]")
        self._files += files
        self._plain.add(files)
        self._pending = self._pending[end + 1 :]
        return True
