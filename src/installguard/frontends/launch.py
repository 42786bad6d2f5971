"""Starts the target interpreter on the hook, and imports nothing else: pip itself takes long enough to import."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from installguard.errors import UnjudgedError
from installguard.hook import pip_hook
from installguard.hook.channel import ChannelServer

TYPE_CHECKING = False  # importing `typing` for the real one would cost pip's start some milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence


class Launch:
    """A pip that was started under the hook; its questions wait on `server` until somebody answers them.

    A context manager that leaves neither process nor file behind.
    """

    def __init__(self, python: str, argv: Sequence[str], *, stdout: int | None = None) -> None:
        self.python = python
        """The path of the target interpreter."""
        self._argv = tuple(argv)
        self._stdout = stdout
        self.directory = make_private_directory()
        """Where launchers are written; only this user can read it."""
        try:
            self.server = ChannelServer()
            self.process = self._start(pip_root=None)
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.server.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start_again(self, *, pip_root: str) -> None:
        """Start the interpreter anew, with the pip that lies below *pip_root* instead of its own."""
        self.process = self._start(pip_root=pip_root)

    def _start(self, *, pip_root: str | None) -> subprocess.Popen[bytes]:
        launcher = self._write_launcher(pip_root)
        try:
            return subprocess.Popen(  # noqa: S603 - the user's own interpreter
                [self.python, launcher, *self._argv],
                stdout=self._stdout,
                close_fds=False,  # ours are not inherited anyway, and a shell's `-r <(command)` names one of its own
            )
        except OSError as error:
            raise UnjudgedError(
                f"cannot be started: {error.strerror or error}",
                where=self.python,
                now="name an interpreter with --python",
            ) from error

    def _write_launcher(self, pip_root: str | None) -> str:
        host, port = self.server.address
        context = {
            "host": host,
            "port": port,
            "token": self.server.token,
            "role": "install",
            "parent": None,
            "pip_root": pip_root,
        }
        launcher = os.path.join(self.directory, "guarded_pip.py")
        try:
            with open(launcher, "w", encoding="utf-8") as file:
                file.write(pip_hook.launcher_text(os.path.abspath(pip_hook.__file__), context))
        except OSError as error:
            raise no_room(error) from error
        return launcher


def make_private_directory() -> str:
    """Return a new directory that only this user can read."""
    try:
        return tempfile.mkdtemp(prefix="installguard-")
    except OSError as error:
        raise no_room(error) from error


def no_room(error: OSError) -> UnjudgedError:
    """Return what to say where nothing can be written to the directory for temporary files."""
    return UnjudgedError(
        f"no temporary file can be written: {error.strerror or error}", now="free some space or set TMPDIR"
    )
