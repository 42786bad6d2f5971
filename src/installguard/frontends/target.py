"""Finds the interpreter that is meant, and tells of its environment without running what is installed there."""

from __future__ import annotations

import os
import shutil
import sys

from installguard.errors import UnjudgedError, UsageError

TYPE_CHECKING = False  # pip waits until this is imported
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from installguard.model import Target


def find_interpreter(named: str | None, environ: Mapping[str, str]) -> str:
    """Return the path of the target interpreter; raise `UsageError` where there is none.

    The order: *named* (a path, an environment's directory or a command), `VIRTUAL_ENV`, `CONDA_PREFIX`, guard's own
    virtual environment where pip is beside it, the first `python3` on `PATH`.
    """
    if named is not None:
        return _named(named, environ)
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(variable):
            return _of_environment(environ[variable], f"{variable}={environ[variable]}")
    if sys.prefix != sys.base_prefix and _pip_is_beside_us():
        return sys.executable
    return _on_path(environ)


def _pip_is_beside_us() -> bool:
    from importlib.util import find_spec

    return find_spec("pip") is not None


def _named(named: str, environ: Mapping[str, str]) -> str:
    if os.path.isdir(named):
        return _of_environment(named, named)
    if os.path.isfile(named):
        return os.path.abspath(named)
    found = shutil.which(named, path=environ.get("PATH"))
    if found is None:
        raise UsageError("no such interpreter", where=f"--python {named}", now="give a path, or a command on PATH")
    return found


def _of_environment(prefix: str, where: str) -> str:
    windows, posix = (("Scripts", "python.exe"), ("python.exe",)), (("bin", "python"), ("bin", "python3"))
    for place in windows if os.name == "nt" else posix:
        candidate = os.path.join(os.path.abspath(prefix), *place)
        if os.path.isfile(candidate):
            return candidate
    raise UsageError("there is no Python interpreter in this environment", where=where, now="name one with --python")


def _on_path(environ: Mapping[str, str]) -> str:
    for command in ("python3", "python"):
        found = shutil.which(command, path=environ.get("PATH"))
        if found is not None:
            return found
    raise UsageError("no python3 on PATH", now="name an interpreter with --python")


def site_directories(python: str) -> tuple[Target, tuple[Path, ...]]:
    """Return the interpreter's environment and the directories in which it finds installed distributions.

    Runs `python -I` once: isolated, without site's start-up code, so that nothing installed there runs.
    """
    import json
    import subprocess
    from pathlib import Path

    from installguard.model import Target

    try:
        done = subprocess.run([python, "-I", "-S", "-c", ASK], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        what = f"cannot be asked for its directories: {silence_of(error)}"
        raise UnjudgedError(what, where=python, now="name a Python 3.8 or newer with --python") from error
    paths = tuple(Path(path) for path in answer["paths"])
    return Target(python=python, version=answer["version"], environment=answer["prefix"]), paths


def silence_of(error: Exception) -> str:
    """Return why an interpreter did not answer, without the question."""
    import subprocess

    match error:
        case subprocess.CalledProcessError(returncode=code):
            return f"it ended with {code}"
        case subprocess.TimeoutExpired(timeout=seconds):
            return f"it said nothing for {seconds:g} s"
        case OSError(strerror=str(reason)):
            return reason
        case _:
            return "its answer makes no sense"


ASK = """
import json, os, site, sys, sysconfig
prefix, shared = sys.prefix, sys.prefix == sys.base_prefix
if shared:  # without site, a virtual environment has not been recognised yet
    here = os.path.dirname(os.path.abspath(sys.executable))
    for place in (here, os.path.dirname(here)):
        config = os.path.join(place, "pyvenv.cfg")
        if os.path.isfile(config):
            with open(config, encoding="utf-8") as file:
                lines = [line.replace(" ", "").strip().lower() for line in file]
            prefix, shared = os.path.dirname(here), "include-system-site-packages=true" in lines
where = {"base": prefix, "platbase": prefix}
paths = [sysconfig.get_path(name, vars=where) for name in ("purelib", "platlib")]
if shared:
    paths += site.getsitepackages([sys.base_prefix]) + [site.getusersitepackages()]
unique = [path for path in dict.fromkeys(map(os.path.abspath, paths)) if os.path.isdir(path)]
print(json.dumps({"prefix": prefix, "version": "%d.%d.%d" % sys.version_info[:3], "paths": unique}))
"""
