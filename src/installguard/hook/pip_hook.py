"""Asks guard before pip builds, unpacks or installs anything; runs inside pip's own process.

The target interpreter runs this file by way of a launcher that guard writes (see `launcher_text`). It imports the
target's own pip, wraps the seams through which every release has to pass, and hands over to pip's own main. It knows
no policy and no feed: it describes what pip is about to use and goes on only when guard says so.

Standard library only, Python 3.8 or newer. What is not needed to start is imported where it is used, since guard
imports this file too, for its end of the channel, before it starts pip.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import re
import socket
import struct
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

    Item = Dict[str, Any]

PROTOCOL = 1
UNJUDGED = 12
"""Exit code: no verdict could be reached."""
MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes; a longer message is taken for a broken channel."""

# pip's verbs that neither resolve, build, download nor install. Anything else, known or not, is guarded.
HARMLESS = frozenset(
    (
        *("cache", "check", "completion", "config", "debug", "freeze", "hash", "help"),
        *("index", "inspect", "list", "search", "show", "uninstall"),
    )
)

# ------------------------------------------------------------------ the launcher


LAUNCHER = """\
import sys
if sys.version_info < (3, 8):
    if {child!r}:  # else guard tells
        sys.stderr.write("guard: error: %s is too old, guard needs Python 3.8\\n" % sys.executable)
    sys.exit(12)
import os
_here = os.path.dirname(os.path.abspath(__file__))
if sys.path and os.path.abspath(sys.path[0]) == _here:
    del sys.path[0]
from importlib.util import module_from_spec, spec_from_file_location
_spec = spec_from_file_location("_installguard_pip_hook", {hook!r})
_hook = module_from_spec(_spec)
_spec.loader.exec_module(_hook)
_hook.main({context!r}, _here)
"""


# Stands in for `pip` in the setup.py processes of pips that still run those without PEP 517 (before 23.1): setuptools
# fetches `setup_requires` with `python -m pip wheel`. Whoever merely imports pip gets the real one.
STAND_IN = """\
import os, sys
_here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _here]
del sys.modules["pip"]
if sys.argv[:1] == ["-m"]:
    import runpy
    runpy.run_path(os.path.join(_here, "guarded_pip.py"), run_name="__main__")
    sys.exit()
import pip
"""


def launcher_text(hook: str, context: Item) -> str:
    """Return the script that starts the hook at path *hook* with *context* (address, token, role, pip_root, parent)."""
    child = bool(context.get("child"))
    return LAUNCHER.format(hook=hook, child=child, context=json.dumps(context, sort_keys=True))


# ------------------------------------------------------------------ the channel


class ChannelLostError(Exception):
    """The guard process does not answer."""


class Channel:
    """Framed JSON over a loopback connection, both ends of which prove that they know the token."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, message: Item) -> None:
        """Send one message; raise `ChannelLostError` where the other end is gone."""
        body = json.dumps(message).encode("utf-8")
        try:
            self._socket.sendall(struct.pack(">I", len(body)) + body)
        except OSError as error:
            raise ChannelLostError(str(error)) from error

    def receive(self) -> Item:
        """Return the next message; raise `ChannelLostError` where there is none or it is no JSON object."""
        (length,) = struct.unpack(">I", self._read(4))
        if length > MAX_MESSAGE:
            raise ChannelLostError("oversized message")
        try:
            message = json.loads(self._read(length).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ChannelLostError("unreadable message") from error
        if not isinstance(message, dict):
            raise ChannelLostError("unreadable message")
        return message

    def wait_for_ever(self) -> None:
        """Wait for messages as long as it takes, from now on."""
        self._socket.settimeout(None)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self, length: int) -> bytes:
        chunks = []
        while length:
            try:
                chunk = self._socket.recv(min(length, 1 << 20))
            except OSError as error:
                raise ChannelLostError(str(error)) from error
            if not chunk:
                raise ChannelLostError("closed by the other end")
            chunks.append(chunk)
            length -= len(chunk)
        return b"".join(chunks)


def proof(token: str, side: str, nonce: str) -> str:
    """Return what shows that *side* (`guard` or `hook`) knows the token, for a nonce of the other side."""
    import hashlib
    import hmac

    return hmac.new(token.encode(), (side + ":" + nonce).encode(), hashlib.sha256).hexdigest()


def same(said: str, expected: str) -> bool:
    """Tell whether two proofs are equal, in a time that does not tell where they differ."""
    import hmac

    return hmac.compare_digest(said.encode("utf-8", "replace"), expected.encode())


def connect(context: Item) -> Channel:
    """Connect to where *context* says that guard listens; raise `ChannelLostError` where nobody does."""
    try:
        connection = socket.create_connection((context["host"], context["port"]), timeout=10)
        connection.settimeout(30)
    except OSError as error:
        raise ChannelLostError(str(error)) from error
    return Channel(connection)


def shake_hands(channel: Channel, token: str) -> None:
    """Let guard prove that it knows the token, and only then prove it too; raise `ChannelLostError` where it cannot."""
    nonce = os.urandom(16).hex()
    channel.send({"protocol": PROTOCOL, "nonce": nonce})
    answer = channel.receive()
    if not same(str(answer.get("proof")), proof(token, "guard", nonce)):
        raise ChannelLostError("something else answers at guard's address")
    channel.send({"proof": proof(token, "hook", str(answer.get("nonce")))})
    channel.wait_for_ever()


# ------------------------------------------------------------------ stopping


class Stopped(BaseException):
    """Guard said no. Not an `Exception`, so that no part of pip takes it for one candidate's trouble."""


class UnknownSeamError(Exception):
    """This pip is not built as any pip that we know; `args` name what is missing."""


# ------------------------------------------------------------------ describing what pip holds


def redact(url: str) -> str:
    """Return *url* without credentials and fragment."""
    if "://" not in url:
        return url
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def canonical(name: str) -> str:
    """Return *name* normalised by PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def split_wheel(filename: str) -> Tuple[Optional[str], Optional[str]]:
    """Return name and version as a wheel's file name gives them."""
    parts = filename.split("-")
    return (parts[0], parts[1]) if len(parts) >= 5 else (None, None)


def split_sdist(filename: str, project: Optional[str]) -> Tuple[Optional[str], Optional[str]]:
    """Return name and version as a source archive's file name gives them, *project* being its name if known."""
    stem = re.sub(r"(\.tar(\.\w+)?|\.tgz|\.tbz|\.txz|\.tlz|\.zip)$", "", filename, flags=re.IGNORECASE)
    if stem == filename:
        return project, None
    if project is not None:
        for at in (i for i, letter in enumerate(stem) if letter == "-"):
            if canonical(stem[:at]) == canonical(project):
                return project, stem[at + 1 :] or None
        return project, None
    name, dash, version = stem.rpartition("-")
    return (name, version) if dash and name and version[:1].isdigit() else (None, None)


def link_hashes(link: Any) -> Dict[str, str]:
    """Return the hashes that the index or the URL's fragment gave for a link."""
    known = getattr(link, "_hashes", None)
    if known:
        return {str(name): str(value) for name, value in known.items()}
    return {link.hash_name: link.hash} if link.hash_name and link.hash else {}


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


UPLOADS: Dict[Tuple[str, str], str] = {}
"""Upload times that older pips do not keep, by page and file name."""


def uploaded_at(link: Any) -> Optional[str]:
    """Return when a file was uploaded, in ISO format, as far as its index told."""
    known = getattr(link, "upload_time", None)
    if known is not None:
        return str(known.isoformat())
    return UPLOADS.get((str(getattr(link.comes_from, "url", link.comes_from)), link.filename))


def describe_link(link: Any) -> Item:
    """Return what a pip link says: URL, file name, hashes, yank, upload time, and the page it stands on."""
    page = getattr(link.comes_from, "url", link.comes_from)
    return {
        "url": redact(link.url),
        "filename": link.filename,
        "hashes": link_hashes(link),
        "index": redact(str(page)) if page else None,
        "yanked": link.yanked_reason,
        "uploaded_at": uploaded_at(link),
    }


def describe(req: Any, source: Any = None) -> Item:
    """Return what is known of an `InstallRequirement` whose origin is the pip link *source* (default: its own)."""
    link = source or req.link
    project = req.req.name if req.req else None
    item = describe_link(link)
    if link.is_wheel:
        kind, (name, version) = "wheel", split_wheel(item["filename"])
    elif link.is_vcs:
        kind, (name, version) = "vcs", (project, None)
        item["url"] = vcs_url(link.url)
    elif link.is_existing_dir():
        kind, (name, version) = "tree", (project, None)
        item["url"] = link.file_path
    else:
        kind, (name, version) = "sdist", split_sdist(item["filename"], project)
    item.update(
        {
            "kind": kind,
            "name": name or project,
            "version": version,
            "direct": req.original_link is not None,
            "editable": bool(req.editable),
            "requested": bool(req.user_supplied),
            "requirement": str(req.req) if req.req else None,
            "pinned": bool(req.hash_options) or bool(req.req and req.is_pinned),
            "hashed": bool(req.hash_options),
            "builds": kind != "wheel",
            "required_by": parents(req),
        }
    )
    return item


def vcs_url(url: str) -> str:
    """Return a VCS URL without credentials and fragment; the `git@` of ssh stays, being no secret."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    netloc = user.partition(":")[0] + at + host if parts.scheme.endswith("ssh") else host
    return parts.scheme + "://" + netloc + parts.path + ("?" + parts.query if parts.query else "")


def parents(req: Any) -> List[str]:
    """Return the project that asked for a requirement, as pip notes it (at most one)."""
    parent = req.comes_from
    if parent is None or isinstance(parent, str) or not getattr(parent, "name", None):
        return []
    return [canonical(parent.name)]


def describe_installed(dist: Any) -> Item:
    """Return what is known of a distribution that the environment holds already."""
    direct = dist.direct_url
    return {
        "kind": "installed",
        "role": "installed",
        "name": str(dist.canonical_name),
        "version": str(dist.version),
        "url": str(dist.location or dist.info_location or ""),
        "direct_url": redact(direct.url) if direct else None,
        "private": bool(direct) and not hasattr(direct.info, "hashes") and not hasattr(direct.info, "hash"),
        "requested": False,
        "required_by": [],
        "requirement": None,
    }


# ------------------------------------------------------------------ looking into wheels and trees


CUSTOMIZE = r"\A(site|user)customize(\..*)?\Z"


TELLING = (b".pth", b".start", b"customize", b"direct_url.json")
"""One of these is in the directory of every wheel that has to be looked at more closely."""


def look_into_wheel(path: str) -> List[str]:
    """Return the members of a wheel that run code at interpreter start.

    Raises `ValueError` where it is no zip file, or brings what only an installer may write (PEP 610): by a record of
    another origin of its own, it would pass for a private project ever after.
    """
    directory = central_directory(path)
    if directory is not None and not any(word in directory for word in TELLING):
        return []
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            forged = [name for name in names if re.search(r"\.dist-info/(\./|/)*direct_url\.json\Z", name)]
            if forged:
                raise ValueError("it brings a %s, which only an installer may write" % forged[0])
            return sorted(name for name in names if runs_at_start(archive, name))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise ValueError(str(error)) from error


def central_directory(path: str) -> Optional[bytes]:
    """Return a zip file's central directory as `zipfile` would find it, or None where only `zipfile` can tell."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 22 - 65535))
        tail = file.read()
        end = len(tail) - 22
        if end < 0:
            return None
        if tail[end : end + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
            end = tail.rfind(b"PK\x05\x06")
            if end < 0 or len(tail) - end < 22:
                return None
        length, offset = struct.unpack("<II", tail[end + 12 : end + 20])
        start = size - len(tail) + end - length
        if offset == 0xFFFFFFFF or length == 0xFFFFFFFF or start < 0:
            return None
        if tail[max(0, end - 20) : end][:4] == b"PK\x06\x07":
            return None
        file.seek(start)
        return file.read(length)


def runs_at_start(archive: Any, name: str) -> bool:
    """Tell whether a member lands where an interpreter runs it at start: `.pth` with code, sitecustomize, .start."""
    parts, last = startup_parts(name)
    if last.endswith(".start"):
        return True
    if last.endswith(".pth"):
        return pth_has_code(archive, name)
    return any(re.match(CUSTOMIZE, part) for part in parts)


def startup_parts(name: str) -> Tuple[List[str], str]:
    """Return the parts of a member's path that may stand in a site directory, and the last of them if it is a file.

    A path that is not plain (`a/../b`), or below the `data` scheme, may lead to any directory: there, all parts do.
    """
    parts = name.split("/")
    scheme = parts[1] if parts[0].endswith(".data") and len(parts) > 1 else None
    if parts[-1] == "":
        return [], ""
    if scheme == "data" or any(part in ("", ".", "..") for part in parts):
        return parts, parts[-1]
    if scheme is not None:
        parts = parts[2:] if scheme in ("purelib", "platlib") else []
    return parts[:1], parts[0] if len(parts) == 1 else ""


def pth_has_code(archive: Any, name: str) -> bool:
    """Tell whether a `.pth` member has a line that `site` would execute; unreadable or huge ones count as code."""
    import zipfile
    import zlib

    try:
        with archive.open(name) as member:
            text = member.read((1 << 20) + 1)
    except (OSError, RuntimeError, ValueError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error):
        return True
    if len(text) > 1 << 20:
        return True
    lines = re.split(rb"[\r\n\v\f\x1c-\x1e\x85]|\xe2\x80[\xa8\xa9]", text.replace(b"\xef\xbb\xbf", b""))
    return any(line.startswith((b"import ", b"import\t")) for line in lines)


def static_release(tree: str) -> Tuple[Optional[str], Optional[str]]:
    """Return name and version as an unpacked source tree states them without running anything of it."""
    for read in (read_pkg_info, read_pyproject, read_setup_cfg):
        name, version = read(tree)
        if name or version:
            return name, version
    return None, None


def read_text(path: str) -> str:
    """Return a text file of at most 1 MiB, or nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def read_pkg_info(tree: str) -> Tuple[Optional[str], Optional[str]]:
    """Return Name and Version of PKG-INFO, the metadata file of a source distribution."""
    head = re.split(r"\r?\n\r?\n", read_text(os.path.join(tree, "PKG-INFO")), maxsplit=1)[0]
    return header(head, "Name"), header(head, "Version")


def header(head: str, key: str) -> Optional[str]:
    """Return the first value of an e-mail style header."""
    found = re.search(r"^" + key + r":[ \t]*(.*?)[ \t]*$", head, flags=re.MULTILINE | re.IGNORECASE)
    return found.group(1) or None if found else None


def read_pyproject(tree: str) -> Tuple[Optional[str], Optional[str]]:
    """Return name and static version of pyproject.toml's `[project]` table."""
    text = read_text(os.path.join(tree, "pyproject.toml"))
    if "[project]" not in text and "project" not in text:
        return None, None
    try:
        project = toml_loads()(text).get("project")
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(project, dict):
        return None, None
    return tuple(v if isinstance(v, str) else None for v in (project.get("name"), project.get("version")))  # type: ignore[return-value]


def toml_loads() -> Callable[[str], Dict[str, Any]]:
    """Return a TOML parser: the standard library's, or the one that pip carries."""
    try:
        import tomllib
    except ImportError:
        from pip._vendor import tomli as tomllib  # type: ignore[no-redef, unused-ignore]
    loads: Callable[[str], Dict[str, Any]] = tomllib.loads
    return loads


def read_setup_cfg(tree: str) -> Tuple[Optional[str], Optional[str]]:
    """Return name and literal version of setup.cfg's `[metadata]` section."""
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(read_text(os.path.join(tree, "setup.cfg")))
    except configparser.Error:
        return None, None
    name = parser.get("metadata", "name", fallback=None)
    version = parser.get("metadata", "version", fallback=None)
    return name or None, version if version and re.match(r"v?\d", version) else None


# ------------------------------------------------------------------ asking


class Asker:
    """Puts pip's steps to guard and remembers what was answered."""

    def __init__(self, channel: Channel, context: Item, directory: str, introduction: Introduction) -> None:
        self.channel = channel
        self.context = context
        self.introduction = introduction
        self.directory = directory
        self.sources: Dict[str, Item] = {}
        """What was asked before it was built, by key."""
        self.final: Dict[int, Dict[str, Item]] = {}
        """The final sets that were asked, by depth of nested builds, then by project."""
        self.building: List[str] = []
        """The projects being built at this moment, outermost first."""
        self.children = 0
        self.resolutions = 0
        self.command: Optional[str] = None
        self.stand_in: Optional[str] = None
        """The directory that stands in for pip in old-style builds, where this pip has them."""
        self.rules: Optional[Item] = None
        """From which upload time on a file is young, and whether licences matter."""
        self.statuses: Dict[str, Tuple[str, str]] = {}
        """What indexes say of whole projects (PEP 792): status and reason, by project."""
        self.pages: Set[str] = set()
        """The index pages that were read."""
        self.exact: Set[str] = set()
        """The projects of which the user asked for one version."""
        self.ages: Dict[Tuple[str, ...], Set[str]] = {}
        """What guard said of young releases, by project and versions."""
        self.starved: Dict[str, List[Item]] = {}
        """The young releases of projects of which nothing older would do."""
        self.finder: Any = None
        """pip's `PackageFinder`, as soon as one is at work."""

    def ask(self, stage: str, items: List[Item], **more: Any) -> Item:
        """Describe *items* to guard; return its answer where it says go, else raise `Stopped`."""
        role = "build" if self.context["role"] == "build" or self.building else "install"
        parent = self.building[-1] if self.building else self.context.get("parent")
        for item in items:
            item.setdefault("role", role)
            if item["role"] == "build" and item["requested"]:
                item["requested"], item["required_by"] = False, [parent] if parent else []
        try:
            self.channel.send(dict(more, ask=stage, role=role, items=items))
            answer = self.channel.receive()
        except ChannelLostError as error:
            sys.stderr.write("guard: the guard process is gone (%s); stopped, nothing was installed\n" % error)
            raise Stopped from error
        if answer.get("go") is not True:
            self.tell_versions(answer.get("want") or [])
            raise Stopped
        return answer

    def allowed_young(self, project: str, young: List[Any], older: Set[str]) -> Set[str]:
        """Return the versions among *young* candidates that guard lets the resolver see all the same."""
        newest = {str(candidate.version): candidate for candidate in young}
        asked = (project, *sorted(newest), "", *sorted(older))
        if asked not in self.ages:
            items = [describe_candidate(candidate, project) for candidate in newest.values()]
            self.ages[asked] = set(self.ask("age", items, older=sorted(older)).get("allow") or [])
        return self.ages[asked]

    def told_of_starved(self) -> bool:
        """Tell of projects of which only young releases would do, where pip gave up; return whether guard stops it."""
        items = [item for items in self.starved.values() for item in items]
        try:
            if items:
                self.ask("starved", items)
        except Stopped:
            return True
        return False

    def told_of_misunderstanding(self, error: Exception) -> bool:
        """Tell guard of an error made by our own reading of pip's objects; return whether it was one."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        ours = trace is not None and trace.tb_frame.f_code.co_filename == __file__
        if not ours or not isinstance(error, (AttributeError, TypeError, LookupError)):
            return False
        self.channel.send({"refuse": "%s: %s" % (type(error).__name__, error)})
        return True

    def learn_rules(self) -> Item:
        """Return what guard wants to know beyond names and files; asked once, as late as possible."""
        if self.rules is None:
            self.rules = dict(self.ask("rules", [], public=default_indexes()).get("rules") or {})
        return self.rules

    def tell_versions(self, projects: List[str]) -> None:
        """Tell which other versions of denied projects the index offers, so that guard can name one that passes."""
        if projects and self.finder is not None:
            known = {project: offered(self.finder, project) for project in projects}
            with suppress(ChannelLostError):
                self.channel.send({"ask": "versions", "role": None, "items": [], "versions": known})
                self.channel.receive()

    def source(self, req: Any) -> None:
        """Ask before a source is fetched, unpacked or built, or a wheel once built from it is used."""
        item = describe(req)
        self.sources[key(item)] = item
        self.ask("source", [item])

    def tree(self, req: Any) -> None:
        """Ask again once a tree lies on disk, where it says more or other than was known before."""
        item = describe(req)
        asked = self.sources.get(key(item))
        name, version = static_release(req.unpacked_source_directory)
        known = asked or item
        says_more = (version and version != known["version"]) or (
            name and canonical(name) != canonical(known["name"] or "")
        )
        if asked is None or says_more:
            item["static"] = {"name": name, "version": version}
            self.sources[key(item)] = item
            self.ask("source", [item])

    def final_item(self, req: Any) -> Optional[Item]:
        """Return what was asked of a requirement as part of the final set now being worked on."""
        return self.final.get(len(self.building), {}).get(canonical(req.name)) if req.name else None

    def add_index_facts(self, item: Item, resolver: Any) -> None:
        """Add to *item* what the indexes say of its project: a status, and which of several indexes have it."""
        project = canonical(item["name"] or "")
        item["upgrades"] = item["kind"] != "installed" and replaces(resolver, project)
        if project in self.statuses:
            item["status"] = list(self.statuses[project])
        finder = self.finder or getattr(resolver, "finder", None)
        if item["kind"] in ("wheel", "sdist") and not item["direct"] and finder is not None:
            item["indexes"] = indexes_with(finder, project)

    def still_wanted(self) -> None:
        """Ask whether to go on, where a child of ours may have been stopped meanwhile."""
        if self.children:
            self.ask("ping", [])


def indexes_with(finder: Any, project: str) -> List[str]:
    """Return the configured indexes on which the finder found a project, where there are several."""
    if len(finder.index_urls) < 2:
        return []
    pages = {getattr(each.link.comes_from, "url", each.link.comes_from) for each in finder.find_all_candidates(project)}
    urls = [url.rstrip("/") + "/" for url in finder.index_urls]
    return sorted({redact(url) for url in urls if any(str(page).startswith(url) for page in pages if page)})


def default_indexes() -> List[str]:
    """Return the index that pip itself takes where none is configured: the one that feeds speak of."""
    try:
        from pip._internal.models.index import PyPI

        return [str(PyPI.simple_url)]
    except (ImportError, AttributeError):
        return []


def replaces(resolver: Any, project: str) -> bool:
    """Tell whether another release of a project is installed already, as far as the resolver looked."""
    factory = getattr(resolver, "factory", None)
    return project in (getattr(factory, "_installed_dists", None) or {})


def offered(finder: Any, project: str) -> List[str]:
    """Return the versions of a project that pip's finder has found and would take, the yanked ones left out."""
    try:
        found = finder.find_all_candidates(project)
        return sorted({str(candidate.version) for candidate in found if not candidate.link.is_yanked})
    except Exception:  # noqa: BLE001 - this only helps to name a fix: the denial stands whatever happens here
        return []


def key(item: Item) -> str:
    """Return what tells one artifact from another within a run."""
    return "{} {}".format(item["kind"], item["url"])


# ------------------------------------------------------------------ the seams


def function(owner: Any, name: str, parameters: Tuple[str, ...]) -> Callable[..., Any]:
    """Return a function of pip's after checking that its leading parameters are those we know."""
    import inspect

    found = getattr(owner, name, None)
    place = getattr(owner, "__name__", str(owner)) + "." + name
    if not callable(found):
        raise UnknownSeamError(place)
    names = tuple(inspect.signature(found).parameters)
    if names[: len(parameters)] != parameters:
        raise UnknownSeamError("%s(%s)" % (place, ", ".join(names)))
    result: Callable[..., Any] = found
    return result


def wrap(
    owner: Any, name: str, parameters: Tuple[str, ...], make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Replace a function of pip's by what *make* makes of it, wherever pip has it under that name."""
    original = function(owner, name, parameters)
    wrapper = functools.wraps(original)(make(original))
    setattr(owner, name, wrapper)
    for module in pip_modules():
        if getattr(module, name, None) is original:
            setattr(module, name, wrapper)


def pip_modules() -> Iterator[Any]:
    """Yield the modules of pip that are loaded."""
    return (module for name, module in list(sys.modules.items()) if name.startswith("pip._internal") and module)


def guard_children(asker: Asker) -> None:
    """Let every pip that this pip starts, for a build environment or another interpreter, run under the hook too."""
    import pip._internal.build_env as build_env
    import pip._internal.utils.misc as misc

    for owner in (misc, build_env):
        for name in ("get_runnable_pip", "_get_runnable_pip"):
            if callable(getattr(owner, name, None)):
                wrap(owner, name, (), lambda original: functools.partial(runnable_hook, asker))
                return
    raise UnknownSeamError("get_runnable_pip")


def runnable_hook(asker: Asker) -> str:
    """Return the path of a launcher that runs this very pip, guarded."""
    asker.children += 1
    return write_launcher(asker, os.path.join(asker.directory, "child-%d-%d.py" % (os.getpid(), asker.children)))


def write_launcher(asker: Asker, path: str) -> str:
    """Write a launcher of this very pip, for what is being built at this moment, and return its path."""
    import pip

    context = dict(asker.context, child=True)
    context["pip_root"] = os.path.dirname(os.path.dirname(os.path.abspath(pip.__file__)))
    if asker.command is not None:
        context["role"] = "build"
        context["parent"] = asker.building[-1] if asker.building else context.get("parent")
    with open(path, "w", encoding="utf-8") as file:
        file.write(launcher_text(os.path.abspath(__file__), context))
    return path


def guard_setup_py(asker: Asker) -> None:
    """Let a `python -m pip` that an old-style setup.py runs be guarded too, where this pip still has such builds."""
    from importlib.util import find_spec

    if find_spec("pip._internal.operations.build.metadata_legacy") is None:
        return
    asker.stand_in = os.path.join(asker.directory, "stand-in-%d" % os.getpid())
    os.makedirs(os.path.join(asker.stand_in, "pip"))
    with open(os.path.join(asker.stand_in, "pip", "__init__.py"), "w", encoding="utf-8") as file:
        file.write(STAND_IN)
    paths = [asker.stand_in, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def guard_commands(asker: Asker) -> None:
    """Install the other seams when, and only when, pip is about to run a verb that may build or install."""
    import pip._internal.commands as commands

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def create_command(name: str, **kwargs: Any) -> Any:
            command = original(name, **kwargs)
            keep_what_is_loaded()
            gc.enable()
            if name not in HARMLESS and asker.command is None:
                asker.command = name
                asker.introduction.finish()
                try:
                    install_seams(asker)
                    guard_setup_py(asker)
                    guard_run(asker, type(command))
                except (ImportError, AttributeError) as error:
                    raise UnknownSeamError(str(error)) from error
            return command

        return create_command

    wrap(commands, "create_command", ("name",), make)


def keep_what_is_loaded() -> None:
    """Spare the garbage collector what lives until the end: modules hold no garbage, but take long to search."""
    gc.freeze()


def guard_run(asker: Asker, command: Any) -> None:
    """Let a stop end the command as a failure of pip's own, with pip's own cleanup."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Any, options: Any, args: Any) -> Any:
            try:
                status = original(self, options, args)
                if status == 0 and not asker.resolutions:
                    asker.ask("unseen", [])
            except Stopped:
                return 1
            except Exception as error:
                if asker.told_of_starved() or asker.told_of_misunderstanding(error):
                    return 1
                raise
            return status

        return run

    wrap(command, "run", ("self", "options", "args"), make)


def install_seams(asker: Asker) -> None:
    """Wrap the preparer, the resolvers and the installation step."""
    import pip._internal.index.collector as collector
    import pip._internal.index.package_finder as package_finder
    import pip._internal.operations.prepare as prepare
    import pip._internal.req as req_package
    import pip._internal.resolution.legacy.resolver as legacy
    import pip._internal.resolution.resolvelib.resolver as resolvelib

    preparer = prepare.RequirementPreparer
    function(preparer, "_prepare_linked_requirement", ("self", "req", "parallel_builds"))
    function(preparer, "prepare_installed_requirement", ("self", "req", "skip_reason"))
    wrap(preparer, "prepare_linked_requirement", ("self", "req"), functools.partial(ask_before_source, asker))
    wrap(preparer, "prepare_editable_requirement", ("self", "req"), functools.partial(ask_before_editable, asker))
    wrap(preparer, "prepare_linked_requirements_more", ("self", "reqs"), functools.partial(ask_with_contents, asker))
    wrap(prepare, "_get_prepared_distribution", ("req",), functools.partial(ask_before_build, asker))
    for resolver in (resolvelib.Resolver, legacy.Resolver):
        parameters = ("self", "root_reqs", "check_supported_wheels")
        wrap(resolver, "resolve", parameters, functools.partial(ask_for_final_set, asker))
    wrap(req_package, "install_given_reqs", ("requirements",), functools.partial(ask_before_install, asker))
    wrap(collector, "parse_links", ("page",), functools.partial(read_pages, asker))
    evaluator = package_finder.CandidateEvaluator
    wrap(evaluator, "get_applicable_candidates", ("self", "candidates"), functools.partial(hold_back, asker))


def read_pages(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def parse_links(page: Any) -> Any:
        links = list(original(page))
        if links and page.url not in asker.pages:
            asker.pages.add(page.url)
            read_page(asker, page, knows_times=hasattr(links[0], "upload_time"))
        return links

    return parse_links


def read_page(asker: Asker, page: Any, *, knows_times: bool) -> None:
    """Note what an index page says and this pip does not read: upload times, the status of the project."""
    content = page.content
    if b"project-status" in content:
        project, status, reason = project_status(page)
        if project and status:
            asker.statuses[canonical(project)] = (status, reason)
    if b"upload-time" in content and not (knows_times and content.lstrip()[:1] == b"{"):
        for filename, moment in upload_times(page):
            UPLOADS[(page.url, filename)] = moment


def page_data(page: Any) -> Item:
    """Return a JSON page's object, or nothing where it is none."""
    try:
        data = json.loads(page.content)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def project_status(page: Any) -> Tuple[str, str, str]:
    """Return project, status and reason as a page gives them by PEP 792."""
    if page.content.lstrip()[:1] == b"{":
        data = page_data(page)
        status = data.get("project-status")
        if isinstance(status, dict):
            return str(data.get("name") or ""), str(status.get("status") or ""), str(status.get("reason") or "")
        return "", "", ""
    text = page.content.decode(page.encoding or "utf-8", "replace")
    found = {}
    for tag in re.findall(r"<meta\b[^>]*>", text[: 1 << 16], flags=re.IGNORECASE):
        named = attributes(tag)
        found[named.get("name", "")] = named.get("content", "")
    project = page.url.rstrip("/").rpartition("/")[2]
    return project, found.get("pypi:project-status", ""), found.get("pypi:project-status-reason", "")


def upload_times(page: Any) -> Iterator[Tuple[str, str]]:
    """Yield file name and upload time of each file of a page that gives one."""
    from urllib.parse import unquote, urlsplit

    if page.content.lstrip()[:1] == b"{":
        for file in page_data(page).get("files") or ():
            if isinstance(file, dict) and isinstance(file.get("upload-time"), str):
                yield str(file.get("filename")), file["upload-time"]
        return
    text = page.content.decode(page.encoding or "utf-8", "replace")
    for tag in re.findall(r"<a\b[^>]*>", text, flags=re.IGNORECASE):
        named = attributes(tag)
        moment = named.get("data-upload-time") or named.get("upload-time")
        if moment and named.get("href"):
            yield unquote(urlsplit(named["href"]).path.rpartition("/")[2]), moment


def attributes(tag: str) -> Dict[str, str]:
    """Return the attributes of an HTML tag."""
    import html

    pairs = re.findall(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", tag)
    return {name.lower(): html.unescape(double or single) for name, double, single in pairs}


def moment(text: Optional[str]) -> Optional[float]:
    """Return an ISO time as seconds since the epoch, UTC where it names no zone; `None` for what is none."""
    from datetime import datetime, timezone

    found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?\Z", text or "")
    if found is None:
        return None
    zone = (found.group(3) or "Z").replace("Z", "+0000").replace(":", "")
    try:
        parsed = datetime.strptime(found.group(1) + found.group(2) + zone, "%Y-%m-%d%H:%M:%S%z")
    except ValueError:
        return None
    try:
        return parsed.astimezone(timezone.utc).timestamp()
    except OverflowError:  # at either end of time a zone does not matter
        return parsed.replace(tzinfo=timezone.utc).timestamp()


def hold_back(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def get_applicable_candidates(self: Any, candidates: Any) -> Any:
        found = original(self, candidates)
        limit = asker.learn_rules().get("young_after")
        project = canonical(self._project_name)
        if limit is None or self._hashes or project in asker.exact:
            return found
        young = [candidate for candidate in found if (moment(uploaded_at(candidate.link)) or 0) > limit]
        if not young:
            return found
        older = {str(candidate.version) for candidate in found if candidate not in young}
        kept = asker.allowed_young(project, young, older)
        rest = [candidate for candidate in found if candidate not in young or str(candidate.version) in kept]
        if not rest:
            asker.starved[project] = [describe_candidate(young[-1], project)]
        return rest

    return get_applicable_candidates


def describe_candidate(candidate: Any, project: str) -> Item:
    """Return what is known of a release that the resolver has not asked for yet."""
    item = describe_link(candidate.link)
    item.update(
        {
            "kind": "wheel" if candidate.link.is_wheel else "sdist",
            "name": project,
            "version": str(candidate.version),
            "direct": False,
            "editable": False,
            "requested": False,
            "requirement": None,
            "pinned": False,
            "hashed": False,
            "builds": not candidate.link.is_wheel,
            "required_by": [],
        }
    )
    return item


def exact_pins(root_reqs: Any) -> Iterator[str]:
    """Yield the projects of which the user asked for one version, on the command line, in a file or by constraint."""
    for req in root_reqs:
        if req.req and req.is_pinned:
            yield canonical(req.req.name)


def ask_before_source(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def prepare_linked_requirement(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        asker.still_wanted()
        asker.finder = getattr(self, "finder", None)
        if not req.link.is_wheel:
            asker.source(req)
        return original(self, req, *args, **kwargs)

    return prepare_linked_requirement


def ask_before_editable(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def prepare_editable_requirement(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        asker.still_wanted()
        asker.source(req)
        return original(self, req, *args, **kwargs)

    return prepare_editable_requirement


def ask_before_build(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def _get_prepared_distribution(req: Any, *args: Any, **kwargs: Any) -> Any:
        if req.is_wheel:
            dist = original(req, *args, **kwargs)
            req._installguard_metadata = metadata_of(asker, dist)
            return dist
        asker.tree(req)
        asker.building.append(canonical(req.name) if req.name else describe(req)["filename"])
        if asker.stand_in is not None:
            asker.children += 1
            write_launcher(asker, os.path.join(asker.stand_in, "guarded_pip.py"))
        try:
            return original(req, *args, **kwargs)
        finally:
            asker.building.pop()

    return _get_prepared_distribution


def metadata_of(asker: Asker, dist: Any) -> Item:
    """Return what guard wants to know of a wheel's METADATA, which pip parses once and keeps."""
    told: Item = {"name": str(dist.metadata["Name"]), "version": str(dist.metadata["Version"])}
    if asker.learn_rules().get("licenses"):
        told["license"] = license_of(dist)
    return told


def license_of(dist: Any) -> Optional[str]:
    """Return the SPDX expression of a distribution's metadata, else its licence classifiers joined by ` AND `."""
    expression = dist.metadata.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = dist.metadata.get_all("Classifier") or []
    return " AND ".join(str(each) for each in classifiers if str(each).startswith("License ::")) or None


def ask_for_final_set(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(self: Any, root_reqs: Any, *args: Any, **kwargs: Any) -> Any:
        asker.learn_rules()
        asker.exact.update(exact_pins(root_reqs))
        result = original(self, root_reqs, *args, **kwargs)
        items = list(final_set(asker, self, result))
        asker.final[len(asker.building)] = {canonical(item["name"]): item for item in items}
        asker.ask("final", items)
        asker.resolutions += 1
        return result

    return resolve


def ask_with_contents(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def prepare_linked_requirements_more(self: Any, reqs: Any, *args: Any, **kwargs: Any) -> Any:
        reqs = list(reqs)
        result = original(self, reqs, *args, **kwargs)
        seen = [item for req in reqs for item in with_contents(asker, req)]
        if seen:
            asker.ask("contents", seen)
        return result

    return prepare_linked_requirements_more


def ask_before_install(asker: Asker, original: Callable[..., Any]) -> Callable[..., Any]:
    def install_given_reqs(requirements: Any, *args: Any, **kwargs: Any) -> Any:
        requirements = list(requirements)
        asker.ask("install", [item for req in requirements for item in to_install(asker, req)])
        return original(requirements, *args, **kwargs)

    return install_given_reqs


# ------------------------------------------------------------------ what a resolution came to


def final_set(asker: Asker, resolver: Any, requirement_set: Any) -> Iterator[Item]:
    """Yield every distribution of a finished resolution: what will be installed, and what it relies on."""
    result = getattr(resolver, "_result", None)
    if result is None:
        for item in legacy_set(requirement_set):
            asker.add_index_facts(item, resolver)
            yield item
        return
    asked = dict(requirement_set.requirements)
    for identifier, candidate in result.mapping.items():
        if candidate.name != candidate.project_name:
            continue
        req = candidate.get_install_requirement()
        if req is None and not getattr(candidate, "is_installed", False):
            continue  # the interpreter itself, as Requires-Python names it
        if req is None or (req.link is None):
            item = describe_installed(candidate.dist)
        else:
            item = describe(asked.get(candidate.name, req), candidate.source_link)
            item["name"], item["version"] = str(candidate.project_name), str(candidate.version)
            add_contents(item, asked.get(candidate.name, req))
        item["required_by"], item["requested"] = graph_parents(result.graph, identifier, candidate.project_name)
        item["requirement"] = requirement_text(result, identifier)
        asker.add_index_facts(item, resolver)
        yield item


def graph_parents(graph: Any, identifier: str, project: str) -> Tuple[List[str], bool]:
    """Return the projects that require *project* (extras count as it), and whether the user did."""
    found = set()
    requested = False
    for node in [n for n in graph if n is not None and n.partition("[")[0] == project] or [identifier]:
        for parent in graph.iter_parents(node):
            if parent is None:
                requested = True
            elif parent.partition("[")[0] != project:
                found.add(canonical(parent.partition("[")[0]))
    return sorted(found), requested


def requirement_text(result: Any, identifier: str) -> Optional[str]:
    """Return a requirement that brought a candidate, as its parent wrote it."""
    criteria = getattr(result, "criteria", None) or {}
    criterion = criteria.get(identifier)
    for information in getattr(criterion, "information", ()) or ():
        return str(information.requirement)
    return None


def legacy_set(requirement_set: Any) -> Iterator[Item]:
    """Yield the distributions that the legacy resolver came to."""
    for req in requirement_set.all_requirements:
        if req.link is None or (req.satisfied_by is not None and not req.should_reinstall):
            if req.satisfied_by is not None:
                item = describe_installed(req.satisfied_by)
                item["requested"], item["required_by"] = bool(req.user_supplied), parents(req)
                yield item
            continue
        item = describe(req)
        dist = req.get_dist()
        item["name"], item["version"] = str(dist.canonical_name), str(dist.version)
        add_contents(item, req)
        yield item


EMPTY_CONTENTS: Item = {"startup": [], "problem": None, "built": False}


def add_contents(item: Item, req: Any) -> None:
    """Add to *item* what the wheel file on disk says, where there is one already."""
    path = req.local_file_path
    if not req.is_wheel or not path or not os.path.isfile(path):
        return
    contents = dict(EMPTY_CONTENTS, built=item["kind"] != "wheel", **getattr(req, "_installguard_metadata", {}))
    try:
        contents["startup"] = look_into_wheel(path)
    except (ValueError, OSError) as error:
        contents["problem"] = str(error)
    item["contents"] = contents
    if req.link.is_file and item["kind"] == "wheel":
        item["local_sha256"] = file_sha256(path)
        item["hashes"].setdefault("sha256", item["local_sha256"])
    elif not item["hashes"] and item["kind"] == "wheel":
        item["hashes"] = {"sha256": file_sha256(path)}


def with_contents(asker: Asker, req: Any) -> Iterator[Item]:
    """Yield the item of a final set again, now that its wheel lies on disk."""
    item = asker.final_item(req)
    if item is not None and "contents" not in item:
        add_contents(item, req)
        if "contents" in item:
            yield item


def to_install(asker: Asker, req: Any) -> Iterator[Item]:
    """Yield what guard has not seen yet of a requirement about to be installed: a wheel just built, a changed file."""
    item = asker.final_item(req)
    if item is None:
        item = describe(req)
        add_contents(item, req)
        yield item
    elif item.get("local_sha256") and item["local_sha256"] != file_sha256(req.local_file_path):
        item["contents"] = dict(EMPTY_CONTENTS, problem="the file changed after it was judged")
        yield item
    elif "contents" not in item and req.is_wheel:
        add_built(asker, item, req)
        yield item


def add_built(asker: Asker, item: Item, req: Any) -> None:
    """Add to *item* what the wheel just built of it says: a tree may have moved on to another version meanwhile."""
    from pip._internal.metadata import FilesystemWheel, get_wheel_distribution

    name: Any = canonical(req.name)
    told = metadata_of(asker, get_wheel_distribution(FilesystemWheel(req.local_file_path), name))
    req._installguard_metadata = told
    if item["kind"] in ("tree", "vcs") and canonical(told["name"]) == canonical(item["name"]):
        item["version"] = told["version"]
    add_contents(item, req)


# ------------------------------------------------------------------ main


def redirect_pip(root: str) -> None:
    """Make `import pip` find the pip below *root*, whatever the interpreter has itself."""
    from importlib.machinery import PathFinder

    class Finder:
        @staticmethod
        def find_spec(fullname: str, path: Any = None, target: Any = None) -> Any:
            return PathFinder.find_spec(fullname, [root], target) if fullname == "pip" else None

    sys.meta_path.insert(0, Finder)
    runner = read_text(os.path.join(root, "pip", "__pip-runner__.py"))
    found = re.search(r"^PYTHON_REQUIRES = \((\d+), (\d+)\)", runner, flags=re.MULTILINE)
    if found and sys.version_info[:2] < tuple(map(int, found.groups())):
        raise SystemExit(
            "This version of pip does not support python %d.%d (requires >=%s.%s)."
            % (sys.version_info[0], sys.version_info[1], found.group(1), found.group(2))
        )


def eager_imports() -> None:
    """Load what the hook may need later: newer pips forbid imports once they install."""
    import configparser  # noqa: F401
    import hashlib  # noqa: F401
    import html  # noqa: F401
    import inspect  # noqa: F401
    import urllib.parse  # noqa: F401
    import zipfile  # noqa: F401
    import zlib  # noqa: F401

    toml_loads()
    moment("2020-01-01T00:00:00Z")  # which loads what `strptime` wants


def greet(channel: Channel, context: Item, version: Optional[str]) -> bool:
    """Tell guard who asks, once each end has proved itself; return whether it wants this pip to run."""
    hello = {
        "hello": PROTOCOL,
        "pid": os.getpid(),
        "python": sys.executable,
        "version": "%d.%d.%d" % sys.version_info[:3],
        "prefix": sys.prefix,
        "role": context["role"],
        "pip": version,
    }
    shake_hands(channel, context["token"])
    channel.send(hello)
    return channel.receive().get("go") is True


class Introduction:
    """Greets guard while pip is being imported: guard itself has to load what it answers with."""

    def __init__(self, channel: Channel, context: Item, version: str) -> None:
        import threading

        self._lost: Optional[ChannelLostError] = None
        self._welcome = False
        self._thread = threading.Thread(target=self._greet, args=(channel, context, version), name="installguard")
        self._thread.daemon = True
        self._thread.start()

    def _greet(self, channel: Channel, context: Item, version: str) -> None:
        try:
            self._welcome = greet(channel, context, version)
        except ChannelLostError as error:
            self._lost = error
            channel.close()

    def finish(self) -> None:
        """Wait for guard's answer; raise `ChannelLostError` where there is none, `Stopped` where it says no."""
        self._thread.join()
        if self._lost is not None:
            raise self._lost
        if not self._welcome:
            raise Stopped


def main(context_text: str, directory: str) -> None:
    """Run pip with `sys.argv` as typed, guarded; never returns."""
    context = json.loads(context_text)
    try:
        sys.exit(run(context, directory))
    except KeyboardInterrupt:
        sys.exit(130)
    except ChannelLostError as error:
        sys.stderr.write("guard: the guard process cannot be reached (%s); nothing was installed\n" % error)
        sys.exit(UNJUDGED)


def run(context: Item, directory: str) -> int:
    """Connect, wrap, hand over to pip."""
    gc.disable()  # until pip is loaded
    channel = connect(context)
    if context.get("pip_root"):
        redirect_pip(context["pip_root"])
    try:
        import pip
    except ImportError:
        greet(channel, context, None)
        return UNJUDGED
    introduction = Introduction(channel, context, str(pip.__version__))
    try:
        prepare_pip(Asker(channel, context, directory, introduction))
        hand_over()
    except UnknownSeamError as error:
        introduction.finish()
        channel.send({"refuse": str(error)})
        return UNJUDGED
    except Stopped:
        return UNJUDGED
    finally:
        with suppress(Stopped):
            introduction.finish()
        keep_what_is_loaded()
    return 0


def prepare_pip(asker: Asker) -> None:
    """Wrap what can be wrapped before pip knows its verb; raise `UnknownSeamError` where that is not there."""
    try:
        eager_imports()
        guard_children(asker)
        guard_commands(asker)
    except (ImportError, AttributeError) as error:
        raise UnknownSeamError(str(error)) from error


def hand_over() -> None:
    """Run pip's own main as `python -m pip` does."""
    sys.path.insert(0, "")  # which pip's __main__ removes, as it does under `-m`
    import runpy

    runpy.run_module("pip", run_name="__main__", alter_sys=True)
