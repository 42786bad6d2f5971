"""By which certificates servers are verified: the system's, of which no more are read than are needed."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..dataclass import dataclass
from ..trust import default_context

if TYPE_CHECKING:
    import ssl

HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""The names by which OpenSSL finds a certificate in a directory when it needs it (`openssl rehash`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """By what servers are verified."""

    context: ssl.SSLContext
    complete: bool
    """Whether it has all certificates that there are; else those without which most servers are verified."""


class Later:
    """Trust that is found in a thread of its own, at once."""

    def __init__(self, find: Callable[[], Trust]) -> None:
        self._find = find
        self._found: Trust | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="guard-certificates", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._find()
        except Exception as error:  # noqa: BLE001 - whatever it is, who asks for the result gets it
            self._error = error

    def wait(self) -> None:
        """Wait until it is found: a process must not end while OpenSSL is at work in a thread of it."""
        self._thread.join()

    def result(self) -> Trust:
        """Return what was found; raises what finding it raised."""
        self.wait()
        if self._found is None:
            raise self._error or RuntimeError("no certificates")
        return self._found


def default_trust() -> Trust:
    """Return what Python verifies by where nothing else is asked for, first without the certificates in one large file.

    Reading that takes up to 50 ms, more than all else in a connection, while a directory of the same certificates is
    looked into by name.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    if paths.cafile and paths.capath and _is_hashed(paths.capath):
        return Trust(context=ssl.create_default_context(capath=paths.capath), complete=False)
    return complete_trust()


def complete_trust() -> Trust:
    """Return the same with all certificates."""
    return Trust(context=default_context(), complete=True)


def unverified_context() -> ssl.SSLContext:
    """Verifies nothing, as the user told the installer for a host."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_distrust(error: BaseException | None) -> bool:
    """Tell whether a connection failed because a certificate is not believed, for whatever reason."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_hashed(directory: str) -> bool:
    with suppress(OSError), os.scandir(directory) as entries:
        return any(HASHED.fullmatch(each.name) for each in entries)
    return False
