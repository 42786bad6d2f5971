"""Everything that pip can be pointed at, made once: an index, wheels, sources, requirement files, a git checkout."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

from .loopback import Index
from .packages import make_sdist, make_wheel, source_files, write_tree

ENTRY_POINTS = "[console_scripts]\nfancy = fancy:main\n"
FANCY = (
    "Provides-Extra: fast\nRequires-Dist: swift; extra == 'fast'\n"
    "Requires-Dist: no-such-project; python_version < '3'\n"
)
CONSTRAINTS = "nice<2\n"
LARGE = 1_500_000
"""Bytes that no compression shortens: enough for a progress bar."""


def fill_index(index: Index) -> None:
    """Put the releases into an index."""
    files = index.files
    make_wheel(files, "nice", "1.0")
    make_wheel(files, "nice", "2.0", files={"nice/__init__.py": "VERSION = '2.0'\n", "nice/more.py": ""})
    make_wheel(files, "outer", requires=["nice"])
    make_wheel(files, "swift")
    make_wheel(files, "fancy", extra=FANCY, files=fancy_files())
    make_wheel(files, "beta", "1.0")
    make_wheel(files, "beta", "2.0b1")
    make_wheel(files, "older", requires=["nice<2"])
    make_wheel(files, "newer", requires=["nice>=2"])
    make_wheel(files, "large", files={"large.txt": random.Random(1).randbytes(LARGE // 2).hex()})
    make_wheel(files, "helper", files={"helper.py": "HELP = True\n"})
    make_wheel(files, "pip", "99.0", files={"pip/__init__.py": "", "pip/__main__.py": "print('the new pip')\n"})
    make_wheel(files, "twofold", "1.0")
    make_sdist(files, "twofold", "1.0", source_files("twofold"))
    make_sdist(files, "source", "1.0", source_files("source", payload="import helper", build_requires=["helper"]))
    make_sdist(files, "dynamic", "1.0", source_files("dynamic", dynamic_requires=["helper"]))
    make_sdist(files, "broken", "1.0", source_files("broken", payload="raise SystemExit('no such luck')"))
    index.yanked[make_wheel(files, "pulled", "1.0").name] = "it was a mistake"


def fancy_files() -> dict[str, str]:
    """Return the members of a wheel that has one of everything."""
    return {
        "fancy/__init__.py": "def main():\n    print('fancy')\n",
        "fancy/data.bin": "\x00\x01",
        "fancy-1.0.data/data/share/fancy.txt": "shared\n",
        "fancy-1.0.data/scripts/fancy-script": "#!python\nprint('script')\n",
        "fancy-1.0.data/headers/fancy.h": "/* header */\n",
        "fancy-1.0.data/purelib/fancy_pure.py": "PURE = True\n",
        "fancy-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
        "fancy-1.0.dist-info/LICENSE": "free\n",
    }


def write_world(directory: Path, index: Index) -> Path:
    """Write the directory in which the command lines are run."""
    links = directory / "links"
    make_wheel(links, "lonely", requires=["nice"])
    make_wheel(links, "nice", "1.5")
    make_sdist(directory, "packed", "1.0", source_files("packed", requires=["nice"]))
    write_tree(directory / "tree", source_files("local", requires=["nice"]))
    checkout(directory / "checkout")
    nice = sha256(index.files / "nice-1.0-py3-none-any.whl")
    large = sha256(index.files / "large-1.0-py3-none-any.whl")
    write_tree(
        directory,
        {
            "requirements.txt": "# what we need\nouter\n-r nested.txt\n-c constraints.txt\n",
            "nested.txt": f"--extra-index-url {index.url}\nswift==1.0 ; python_version >= '3'\n",
            "constraints.txt": CONSTRAINTS,
            "hashed.txt": f"nice==1.0 --hash=sha256:{nice}\n",
            "wrong.txt": f"nice==1.0 --hash=sha256:{large}\n",
            "wrong-second.txt": f"nice==1.0 --hash=sha256:{nice}\nswift==1.0 --hash=sha256:{large}\n",
            "pip.conf": "[global]\nno-deps = true\n[install]\nno-compile = true\n",
            "pylock.toml": pylock(index, nice),
            "pyproject.toml": '[dependency-groups]\ndev = ["outer", {include-group = "more"}]\nmore = ["swift"]\n',
        },
    )
    return directory


def checkout(directory: Path) -> None:
    """Make a git repository of a source tree."""
    write_tree(directory, source_files("versioned"))
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *command], cwd=directory, check=True)


def pylock(index: Index, digest: str) -> str:
    """Return a PEP 751 lock file of one wheel."""
    name = "nice-1.0-py3-none-any.whl"
    url = f"{index.url.removesuffix('simple/')}files/{name}"
    wheel = f'{{name = "{name}", url = "{url}", hashes = {{sha256 = "{digest}"}}}}'
    head = 'lock-version = "1.0"\ncreated-by = "test"\n'
    return f'{head}[[packages]]\nname = "nice"\nversion = "1.0"\nwheels = [{wheel}]\n'


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
