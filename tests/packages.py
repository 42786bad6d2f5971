"""Makes real wheels, sdists and source trees whose payload, if it ever runs, only touches a marker file."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

BACKEND = '''
"""A PEP 517 and PEP 660 backend of one file, so that builds need nothing from any index."""
import base64, hashlib, io, os, pathlib, tarfile, zipfile
{payload}
NAME, VERSION, REQUIRES, DYNAMIC, FILES = {name!r}, {version!r}, {requires!r}, {dynamic!r}, {files!r}

def _metadata():
    lines = ["Metadata-Version: 2.1", "Name: " + NAME, "Version: " + VERSION]
    return "\\n".join(lines + ["Requires-Dist: " + each for each in REQUIRES]) + "\\n"

def get_requires_for_build_wheel(config_settings=None):
    return DYNAMIC

get_requires_for_build_editable = get_requires_for_build_wheel

def _info():
    return NAME.replace("-", "_") + "-" + VERSION + ".dist-info"

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = pathlib.Path(directory, _info())
    info.mkdir()
    (info / "METADATA").write_text(_metadata())
    return info.name

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel

def build_wheel(directory, config_settings=None, metadata_directory=None):
    filename = NAME.replace("-", "_") + "-" + VERSION + "-py3-none-any.whl"
    members = dict(FILES)
    members[_info() + "/METADATA"] = _metadata()
    members[_info() + "/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = ""
    for name, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += name + ",sha256=" + digest + "," + str(len(text.encode())) + "\\n"
    members[_info() + "/RECORD"] = record + _info() + "/RECORD,,\\n"
    with zipfile.ZipFile(pathlib.Path(directory, filename), "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return filename

build_editable = build_wheel
'''


def touch(marker: Path) -> str:
    """Return a line of Python that proves that it ran, and does nothing else."""
    return f"import pathlib; pathlib.Path({str(marker)!r}).touch()"


def module_name(name: str) -> str:
    """Return the import name of a test project."""
    return name.replace("-", "_")


def make_wheel(
    directory: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    inner_name: str | None = None,
    inner_version: str | None = None,
    extra: str = "",
) -> Path:
    """Write a wheel whose METADATA says *inner_name* and *inner_version*, its file name *name* and *version*."""
    stem = f"{module_name(name)}-{version}"
    info = f"{stem}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {inner_name or name}", f"Version: {inner_version or version}"]
    members = dict(files if files is not None else {f"{module_name(name)}/__init__.py": f"VERSION = {version!r}\n"})
    members[f"{info}/METADATA"] = "\n".join(lines + [f"Requires-Dist: {each}" for each in requires]) + "\n" + extra
    members[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(record_line(member, text) for member, text in members.items())
    members[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), text)
    return path


def record_line(member: str, text: str) -> str:
    """Return a line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{member},sha256={digest},{len(text.encode())}\n"


def source_files(
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    build_requires: Sequence[str] = (),
    dynamic_requires: Sequence[str] = (),
    payload: str = "",
    wheel_files: Mapping[str, str] | None = None,
    static: bool = False,
) -> dict[str, str]:
    """Return the files of a source tree that a backend of its own builds; *payload* runs whenever that is imported."""
    files = wheel_files if wheel_files is not None else {f"{module_name(name)}/__init__.py": f"VERSION = {version!r}\n"}
    backend = BACKEND.format(
        payload=payload,
        name=name,
        version=version,
        requires=list(requires),
        dynamic=list(dynamic_requires),
        files=dict(files),
    )
    project = f"[project]\nname = {name!r}\nversion = {version!r}\n" if static else ""
    pyproject = (
        f"{project}[build-system]\nrequires = {list(build_requires)!r}\n"
        'build-backend = "tiny_backend"\nbackend-path = ["."]\n'
    )
    return {"pyproject.toml": pyproject.replace("'", '"'), "tiny_backend.py": backend}


def setup_py_files(name: str, version: str = "1.0", *, payload: str = "") -> dict[str, str]:
    """Return the files of a source tree of the old kind."""
    return {"setup.py": f"{payload}\nfrom setuptools import setup\nsetup(name={name!r}, version={version!r})\n"}


def write_tree(directory: Path, files: Mapping[str, str]) -> Path:
    """Write a source tree, and return its directory."""
    for member, text in files.items():
        path = directory / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def make_sdist(
    directory: Path, name: str, version: str, files: Mapping[str, str], *, pkg_info: str | None = None
) -> Path:
    """Write a source distribution; *pkg_info* replaces its PKG-INFO, `""` leaves it out."""
    stem = f"{module_name(name)}-{version}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{stem}.tar.gz"
    members = dict(files)
    if pkg_info is None:
        pkg_info = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if pkg_info:
        members["PKG-INFO"] = pkg_info
    with tarfile.open(path, "w:gz") as archive:
        for member, text in members.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{stem}/{member}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path
