"""`guard install` over `pip install`, same argv, 40 or more ordinary distributions, wall time, interleaved pairs.

The distributions are downloaded once by pip from its configured index; every run then installs them from that directory
into a fresh copy of an environment. Budget: 1.03 times and 80 ms over pip.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = "Scripts" if os.name == "nt" else "bin"


def seconds(*argv: str | Path, environ: dict[str, str]) -> float:
    """Return the wall time of a process that has to succeed."""
    started = time.perf_counter()
    subprocess.run([str(word) for word in argv], check=True, capture_output=True, env=environ)
    return time.perf_counter() - started


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--application", default="jupyterlab", help="what to install (jupyterlab)")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--feeds", type=Path, help="directory of feeds to import first, as shared/feeds is laid out")
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="guard-bench-") as name:
        measure(Path(name), options.application, options.pairs, options.feeds)


def measure(directory: Path, application: str, pairs: int, feeds: Path | None) -> None:
    """Download, install by turns, print the medians."""
    wheels, template = directory / "wheels", directory / "template"
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "download", "-q", "-d", str(wheels), application], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(template)], check=True)
    subprocess.run(
        [str(template / BIN / "python"), "-m", "pip", "install", "-q", "-U", "pip"], check=True, capture_output=True
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"INSTALLGUARD_CACHE_DIR": str(directory / "cache"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    guard = [sys.executable, "-m", "installguard"]
    for source, flag in (("osv", ()), ("malicious", ("--malicious",))) if feeds else ():
        export = feeds / source / "PyPI" / "all.zip"
        subprocess.run(
            [*guard, "feed", "import", export, "--source", source, *flag], check=True, env=environ, capture_output=True
        )
    argv = ["install", "--no-index", "--find-links", str(wheels), application]
    ratios, overs, bares = [], [], []
    for number in range(pairs + 1):
        timed = {}
        for kind in ("guard", "pip") if number % 2 else ("pip", "guard"):
            python = fresh(template, directory / f"{kind}-{number}")
            command = [*guard, "--python", python, *argv] if kind == "guard" else [python, "-m", "pip", *argv]
            timed[kind] = seconds(*command, environ=environ)
            shutil.rmtree(directory / f"{kind}-{number}")
        if number:  # the first pair warms the caches of the file system
            ratios.append(timed["guard"] / timed["pip"])
            overs.append((timed["guard"] - timed["pip"]) * 1000)
            bares.append(timed["pip"])
    print(
        f"guard install over pip install, {application}, {len(list(wheels.iterdir()))} distributions: "
        f"{statistics.median(ratios):.3f} times, {statistics.median(overs):+.0f} ms "
        f"(pip alone {statistics.median(bares):.2f} s; {pairs} interleaved pairs, medians; "
        f"ratios {min(ratios):.3f} to {max(ratios):.3f}; budget 1.03 times and 80 ms)"
    )


def fresh(template: Path, prefix: Path) -> Path:
    """Return the interpreter of a new copy of the template."""
    shutil.copytree(template, prefix, symlinks=True)
    return prefix / BIN / "python"


if __name__ == "__main__":
    main()
