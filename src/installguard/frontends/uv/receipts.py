"""uv's receipts of tools: the indexes that a tool came from, which shall be the user's and never guard's.

While uv runs, receipts name guard's indexes: those it writes anew, and those it reads to upgrade a tool. A journal
tells the next guard what to put right if this one is killed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...dataclass import dataclass, field
from ...errors import UnjudgedError
from .addresses import Addresses, recorded
from .places import hold
from .staging import TEMPORARY, replace_file
from .toml_texts import TomlError, index_texts, read_toml

RECEIPT = "uv-receipt.toml"
_JOURNALS = "uv-receipts"
_WAIT = 300.0
"""Seconds for which uv itself waits for another uv that is at work on the tools."""
_OF_UV = frozenset({".lock", ".gitignore"})
"""What uv makes in the directory of tools before it knows whether there will be one."""


def tool_directory(environ: Mapping[str, str], cwd: Path, *, platform: str = sys.platform) -> Path:
    """Return the directory in which uv keeps tools, as `uv tool dir` tells it."""
    if environ.get("UV_TOOL_DIR"):
        return Path(os.path.normpath(cwd / environ["UV_TOOL_DIR"]))
    home = Path(environ.get("USERPROFILE" if platform == "win32" else "HOME") or Path.home())
    if platform == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "uv" / "data" / "tools"
    legacy = home / "Library" / "Application Support" / "uv"
    if platform == "darwin" and legacy.is_dir():
        return legacy / "tools"
    data = Path(environ.get("XDG_DATA_HOME") or "")
    return (data if data.is_absolute() else home / ".local" / "share") / "uv" / "tools"


# ---------------------------------------------------------------- around a run


@dataclass(slots=True, kw_only=True)
class Receipts:
    """The receipts in a directory of tools, in one guard's hands."""

    directory: Path
    existed: bool
    journal: Journal
    repair: Repair | None = None

    def indexes(self, tools: Collection[str] = ()) -> tuple[str, ...]:
        """Return the texts by which the receipts of these tools (none: of all) name indexes, each once.

        Raises `UnjudgedError` for a receipt that cannot be read.
        """
        found: dict[str, None] = {}
        for path, data in receipts_in(self.directory):
            if not tools or path.parent.name in tools:
                found.update(dict.fromkeys(_indexes(path, data)))
        return tuple(found)

    def name_ours(self, replace: Mapping[str, str], *, added: Sequence[str] = (), upgrade: bool = False) -> None:
        """Let the receipts name guard's indexes until the end, if uv is to *upgrade* by them.

        *replace* tells for each text of the user's the one that names guard's; *added* are addresses of guard's that
        stand for no index which the user has named, and which no receipt keeps. Raises `UnjudgedError`.
        """
        addresses = Addresses(ours=replace)
        before = dict(receipts_in(self.directory)) if upgrade else {}
        given = {path: addresses.put_into(data, RECEIPT) for path, data in before.items()}
        changed = {path: data for path, data in before.items() if given[path] != data}
        self.repair = Repair(addresses=addresses, added=tuple(added), before=changed)
        self.journal.write({"directory": str(self.directory), **self.repair.as_json()})
        for path in changed:
            replace_file(path, changed[path], given[path], _SUFFIX)

    def settle(self) -> None:
        """Let every receipt name the user's indexes again; raises `UnjudgedError`."""
        if self.repair is not None:
            self.repair.apply(self.directory)
            self.repair = None
        self.journal.write(None)

    def withdraw(self) -> None:
        """Remove the directory again where uv made it, and put no tool in it."""
        with suppress(OSError):
            if self.existed or _uv_is_at_work(self.directory):
                return
            if {path.name for path in self.directory.iterdir()} <= _OF_UV:
                for name in _OF_UV:
                    (self.directory / name).unlink(missing_ok=True)
                self.directory.rmdir()


_SUFFIX = "installguard-receipt"


@contextmanager
def open_receipts(directory: Path, state: Path, *, wait: float = _WAIT) -> Iterator[Receipts]:
    """Take the receipts of a directory of tools in hand, one guard at a time; at the end they are settled.

    What a killed guard left is put right first. *state* is where guard keeps journals. Raises `UnjudgedError`.
    """
    deadline = time.monotonic() + wait
    with open_journal(_journal_of(directory, state), wait=wait) as journal:
        while not _work_off(journal) and time.monotonic() < deadline:
            time.sleep(0.1)
        receipts = Receipts(directory=directory, existed=directory.is_dir(), journal=journal)
        try:
            yield receipts
        finally:
            receipts.settle()


def repair_leftovers(state: Path) -> None:
    """Put right what killed guards left in receipts; journals of those that are at work are left alone."""
    with suppress(FileNotFoundError):
        for path in sorted((state / _JOURNALS).iterdir()):
            with suppress(UnjudgedError), open_journal(path, wait=0) as journal:
                _work_off(journal)


def _work_off(journal: Journal) -> bool:
    """Put right what a killed guard left, unless the uv that it started is still at work; raises `UnjudgedError`."""
    left = journal.read()
    if left is None:
        return True
    directory, repair = left
    if _uv_is_at_work(directory):
        return False
    repair.apply(directory)
    for path, _ in receipts_in(directory):
        path.with_name(f".{RECEIPT}.{_SUFFIX}{TEMPORARY}").unlink(missing_ok=True)
    journal.write(None)
    return True


def _uv_is_at_work(directory: Path) -> bool:
    """Say whether a uv holds the lock of its tools."""
    try:
        handle = os.open(directory / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not hold(handle)
    finally:
        os.close(handle)


def receipts_in(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the receipts that there are; raises `UnjudgedError`."""
    try:
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            with suppress(FileNotFoundError, NotADirectoryError):
                yield path / RECEIPT, (path / RECEIPT).read_bytes()
    except OSError as error:
        raise UnjudgedError(f"cannot be read: {error.strerror or error}", where=str(error.filename)) from error


def _indexes(path: Path, data: bytes) -> tuple[str, ...]:
    try:
        tool = read_toml(data).get("tool")
    except TomlError as error:
        raise UnjudgedError(f"cannot be read: {error}", where=str(path), now="install the tool again") from error
    options = tool.get("options") if isinstance(tool, dict) else None
    return index_texts(options, pyproject=False) if isinstance(options, dict) else ()


# ---------------------------------------------------------------- the journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A file that one guard at a time holds, and that tells what it has not yet put right."""

    handle: int

    def read(self) -> tuple[Path, Repair] | None:
        """Return where what is to be put right; `None` for nothing."""
        os.lseek(self.handle, 0, os.SEEK_SET)
        parts = []
        while part := os.read(self.handle, 1 << 20):
            parts.append(part)
        try:
            content = json.loads(b"".join(parts))
            return Path(content["directory"]), Repair.from_json(content)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # it was cut short: then nothing had been changed yet

    def write(self, content: Mapping[str, Any] | None) -> None:
        """Keep what there will be to be put right."""
        os.ftruncate(self.handle, 0)
        os.lseek(self.handle, 0, os.SEEK_SET)
        if content is not None:
            with os.fdopen(os.dup(self.handle), "wb") as file:
                file.write(json.dumps(content).encode())
            os.fsync(self.handle)


def _journal_of(directory: Path, state: Path) -> Path:
    name = sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:16]
    return state / _JOURNALS / f"{name}.json"


@contextmanager
def open_journal(path: Path, *, wait: float) -> Iterator[Journal]:
    """Hold a journal; raises `UnjudgedError` where another guard holds it for more than *wait* seconds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UnjudgedError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    try:
        deadline = time.monotonic() + wait
        while not hold(handle):
            if time.monotonic() >= deadline:
                raise UnjudgedError("another guard is at work on uv's tools", where=str(path), now="try again later")
            time.sleep(0.02)
        yield Journal(handle=handle)
    finally:
        os.close(handle)


# ---------------------------------------------------------------- putting right


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What makes receipts name the user's indexes."""

    addresses: Addresses
    added: tuple[str, ...]
    before: Mapping[Path, bytes] = field(default_factory=dict)
    """Receipts in which guard's indexes were put, as they were."""

    def as_json(self) -> dict[str, Any]:
        """Return it as a journal keeps it."""
        before = {str(path): data.decode("latin-1") for path, data in self.before.items()}
        return {"ours": dict(self.addresses.ours), "added": list(self.added), "before": before}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Repair:
        """Return what a journal keeps."""
        before = {Path(path): text.encode("latin-1") for path, text in content["before"].items()}
        return cls(addresses=Addresses(ours=content["ours"]), added=tuple(content["added"]), before=before)

    def apply(self, directory: Path) -> None:
        """Put every receipt right; raises `UnjudgedError` at the end for those where that did not work."""
        failed: list[str] = []
        for path, data in receipts_in(directory):
            if not (self.addresses.named_in(data) or self._holds_added(data)):
                continue
            right = self.of(path, data)
            if self.addresses.named_in(right) or self._holds_added(right):
                failed.append(str(path))
            else:
                replace_file(path, data, right, _SUFFIX)
        if failed:
            raise UnjudgedError("names guard's own index", where=", ".join(failed), now="install the tool again")

    def _holds_added(self, data: bytes) -> bool:
        return any(address.encode() in data for address in self.added)

    def of(self, path: Path, data: bytes) -> bytes:
        """Return a receipt as uv would have written it without guard; one that uv did not write, as it was."""
        before = self.before.get(path, b"")
        if before and self.addresses.put_into(before, RECEIPT) == data:
            return before
        text = data.decode()
        for address in self.added:
            kept = sum(
                before.count(f'"{each}"'.encode()) for each, ours in self.addresses.ours.items() if ours == address
            )
            text = _without_index(text, address, kept)
        return self._named(text).encode()

    def _named(self, text: str) -> str:
        """Return the receipt with the user's texts, as uv records them."""
        for theirs, ours in self.addresses.ours.items():
            if recorded(theirs) != theirs and "@" in theirs.partition("://")[2].partition("/")[0]:
                entry = rf'(\{{[^{{}}]*url = "{re.escape(ours)}"[^{{}}]*authenticate = )"auto"'
                text = re.sub(entry, r'\1"always"', text)  # as uv notes of an index that came with credentials
        return self.addresses.taken_from(text.encode(), RECEIPT, b"").decode()


def _without_index(text: str, address: str, kept: int) -> str:
    """Return a receipt's text with the first *kept* mentions of an index only, without options where none is left."""
    entry = rf'\{{[^{{}}]*url = "{re.escape(address)}"[^{{}}]*\}}'
    for match in reversed(list(re.finditer(entry, text))[kept:]):
        text = _without_item(text, match.start(), match.end())
    text = re.sub(r"^index = \[\s*\]\n", "", text, flags=re.MULTILINE)
    if not kept:
        text = re.sub(rf'^index-url = "{re.escape(address)}"\n', "", text, flags=re.MULTILINE)
    return re.sub(r"\n\[tool\.options\]\n*\Z", "", text)


def _without_item(text: str, start: int, end: int) -> str:
    """Return the text without an item of an array, and one comma beside it."""
    head, tail = text[:start], text[end:]
    after = re.match(r"\s*,", tail)
    if after and tail[after.end() :].startswith("\n"):
        return head.rstrip() + tail[after.end() :]  # each on a line of its own
    if after:
        return head + tail[after.end() :].lstrip()
    return (head.rstrip()[:-1] if head.rstrip().endswith(",") else head) + tail
