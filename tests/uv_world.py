"""The real uv, two indexes on loopback, and guard's own in front of them."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from installguard.index.upstream import Upstream

from .environments import Ran, run
from .index_site import Front
from .loopback import Index, serve
from .packages import make_sdist, make_wheel, source_files

UV = Path(sysconfig.get_path("scripts")) / ("uv.exe" if os.name == "nt" else "uv")


class Absolute(Index):
    """An index whose pages name files absolutely: they are the same through another index."""

    def entry(self, path: Path) -> dict[str, object]:
        entry = super().entry(path)
        entry["url"] = f"http://127.0.0.1:{self.port}{entry['url']}"
        return entry


@dataclass(frozen=True)
class World:
    """Two indexes, guard's in front of them, and a cache for uv."""

    home: Path
    main: Index
    other: Index
    ours: Mapping[str, str]
    """Guard's addresses by the texts of the user's."""

    def text(self, template: str) -> str:
        """Fill in the indexes: `{R}` and `{X}`, with a slash at their ends `{R/}` and `{X/}`."""
        plain = {"{R}": self.main.url[:-1], "{X}": self.other.url[:-1], "{R/}": self.main.url, "{X/}": self.other.url}
        for name, url in plain.items():
            template = template.replace(name, url)
        return template

    def uv(self, cwd: Path, *argv: str, **variables: str) -> Ran:
        """Run uv, which asks no index but those that it is told of."""
        environ = {
            "PATH": os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.defpath]),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CONFIG_DIRS": str(self.home / "site"),
            "UV_CACHE_DIR": str(self.home / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            **variables,
        }
        return run([UV, *map(self.text, argv)], environ, cwd)


@contextmanager
def open_world(base: Path) -> Iterator[World]:
    """Serve the indexes, and guard's in front of them."""
    main, other = base / "main", base / "other"
    make_wheel(main, "nice", "1.0", requires=["needed"])
    make_wheel(main, "nice", "2.0", requires=["needed"])
    make_wheel(main, "needed")
    make_sdist(main, "source", "1.0", source_files("source", requires=["needed"]))
    make_wheel(other, "special")
    make_wheel(other, "nice", "9.0")
    for directory, tool in ((main, "tool"), (other, "utensil")):
        for version in ("1.0", "2.0"):
            points = {f"{tool}-{version}.dist-info/entry_points.txt": f"[console_scripts]\n{tool} = {tool}:main\n"}
            make_wheel(directory, tool, version, files={f"{tool}.py": "def main(): pass\n", **points})
    with serve(Absolute(files=main, json=True)) as first, serve(Absolute(files=other, json=True)) as second:
        upstreams = [Upstream(url=each.url) for each in (first, second)]
        with Front(home=base / "guard").open(*upstreams) as loopback:
            ours = {}
            for upstream in upstreams:
                ours[upstream.url] = loopback.address_of(upstream)
                ours[upstream.url[:-1]] = loopback.address_of(upstream)[:-1]
            home = base / "home"
            write(home / "site" / "uv", {"uv.toml": f'[[index]]\nurl = "{first.url[:-1]}"\ndefault = true\n'})
            yield World(home=home, main=first, other=second, ours=ours)


def write(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files, newlines as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory, environments left out, and where links lead."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if ".venv" not in name and "__pycache__" not in name and (path.is_file() or path.is_symlink()):
            found[name] = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
    return found
