"""`guard --version` over a bare `python -c pass`: paired, median of the differences. Budget: 40 ms."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

PAIRS = 30
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As where guard was installed by pip, which compiles it."""


def seconds(*argv: str) -> float:
    """Return the wall time of a process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *argv], check=True, capture_output=True, env=ENVIRON)
    return time.perf_counter() - started


def main() -> None:
    """Print the figure."""
    seconds("-m", "installguard", "--version")
    pairs = [(seconds("-m", "installguard", "--version"), seconds("-c", "pass")) for _ in range(PAIRS)]
    over = statistics.median(guard - bare for guard, bare in pairs) * 1000
    bare = statistics.median(bare for _, bare in pairs) * 1000
    print(f"guard --version over python -c pass: {over:.0f} ms (bare {bare:.0f} ms, {PAIRS} pairs; budget 40 ms)")


if __name__ == "__main__":
    main()
