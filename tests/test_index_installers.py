"""The real uv, and the real pip, in front of the loopback index."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from installguard.errors import FeedError
from installguard.index.json_files import USELESS
from installguard.index.loopback import LoopbackIndex
from installguard.index.pages import Denied, Hidden
from installguard.index.upstream import Upstream, parse_upstream

from .environments import Environment, Ran, tree
from .index_site import Front, Reply, Site, get, serve_site
from .loopback import Index, serve
from .packages import make_sdist, make_wheel, source_files, touch

REASON = "malicious: MAL-2099-1"


def find_uv() -> str:
    """Return the uv that the tests' own environment holds."""
    beside = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    assert found, "uv is a development dependency: install the dependency group 'test'"
    return found


@dataclass
class Place:
    """An environment that uv installs into, and a home of its own for its cache and configuration."""

    environment: Environment

    def uv(self, *argv: str | Path, **variables: str) -> Ran:
        """Run uv; it never asks an index that is not named."""
        home = self.environment.home
        own = {"UV_CACHE_DIR": str(home / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        self.environment.extra.update(own, VIRTUAL_ENV=str(self.environment.prefix))
        return self.environment.run([find_uv(), *argv], cwd=home, **variables)

    def install(self, index: str, *what: str, **variables: str) -> Ran:
        """Run `uv pip install` from an index."""
        return self.uv("pip", "install", "--default-index", index, *what, **variables)

    def renew(self) -> None:
        """Empty the environment; the cache stays."""
        done = self.uv("venv", "--quiet", "--clear", "--python", sys.executable, self.environment.prefix)
        assert done.code == 0, done.text

    def installed(self) -> set[str]:
        """The distributions that are installed."""
        return {path.name.removesuffix(".dist-info") for path in self.environment.site_packages.glob("*.dist-info")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def make_place(directory: Path) -> Place:
    home = directory / "home"
    home.mkdir(parents=True)
    made = Place(Environment(prefix=directory / "env", home=home))
    made.renew()
    return made


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(home=tmp_path / "guard")


@pytest.fixture(params=["json", "html"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """An index with a project, its dependency, and an evil one; a test may add to it."""
    files = tmp_path / "index"
    make_wheel(files, "nice", requires=["needed"])
    make_wheel(files, "needed", "1.0")
    make_wheel(files, "needed", "2.0")
    make_wheel(files, "evil")
    with serve(Index(files=files, json=request.param == "json")) as served:
        yield served


@contextmanager
def opened(front: Front, index: Index) -> Iterator[tuple[LoopbackIndex, str]]:
    """Stand in front of an index; yields the address that takes the place of its own, too."""
    upstream = Upstream(url=index.url)
    with front.open(upstream) as loopback:
        yield loopback, loopback.address_of(upstream)


def deny(front: Front, filename: str) -> None:
    """From now on, deny a file."""
    front.screen.decisions[filename] = Denied(reason=REASON)
    front.screen.version += 1


def test_a_clean_install_by_uv_is_what_it_is_without_us(
    place: Place, front: Front, index: Index, tmp_path: Path
) -> None:
    bare = make_place(tmp_path / "bare")
    assert bare.install(index.url, "nice").code == 0
    with opened(front, index) as (loopback, url):
        done = place.install(url, "nice")
        asked = {(each.project, each.status) for each in loopback.asked}
    assert done.code == 0, done.text
    assert asked == {("nice", 200), ("needed", 200)}
    ours, theirs = place.environment.site_packages, bare.environment.site_packages
    assert tree(ours) == tree(theirs)


@pytest.mark.parametrize("what", ["evil", "evil==1.0", "wants"])
def test_uv_stops_at_a_denied_file_and_shows_the_reason(place: Place, front: Front, index: Index, what: str) -> None:
    make_wheel(index.files, "wants", requires=["evil"])
    deny(front, "evil-1.0-py3-none-any.whl")
    with opened(front, index) as (loopback, url):
        done = place.install(url, what)
        denied = {(each.project, each.filename, each.reason) for each in loopback.denied}
    assert done.code != 0
    assert f"403 {REASON}" in done.err
    assert denied == {("evil", "evil-1.0-py3-none-any.whl", REASON)}
    assert place.installed() == set()


@pytest.mark.parametrize("static", [True, False])
def test_no_code_of_a_denied_sdist_or_build_requirement_runs(
    place: Place, front: Front, index: Index, tmp_path: Path, static: bool
) -> None:
    marker = tmp_path / "ran"
    payload = touch(marker)
    make_sdist(index.files, "bad", "1.0", source_files("bad", payload=payload, static=static))
    make_sdist(index.files, "tool", "1.0", source_files("tool", payload=payload))
    needs = source_files("needs", build_requires=["tool"], static=static)
    make_sdist(index.files, "needs", "1.0", needs)
    deny(front, "bad-1.0.tar.gz")
    deny(front, "tool-1.0.tar.gz")
    with opened(front, index) as (_, url):
        for what in ("bad", "needs"):
            done = place.install(url, what)
            assert (done.code != 0, REASON in done.err) == (True, True), done.text
    assert not marker.exists()
    assert place.installed() == set()


def test_what_uv_has_in_its_cache_is_denied_as_well(place: Place, front: Front, index: Index) -> None:
    index.caching = "max-age=600"
    make_sdist(index.files, "built", "1.0", source_files("built"))
    with opened(front, index) as (_, url):
        assert place.install(url, "evil", "built", "nice").code == 0
        place.renew()
        index.requests.clear()
        assert place.install(url, "evil", "built", "nice").code == 0
        assert [path for path in index.requests if path.startswith("/files/")] == []  # all of it was in the cache
        deny(front, "evil-1.0-py3-none-any.whl")
        deny(front, "built-1.0.tar.gz")
        for what in ("evil", "built"):
            place.renew()
            done = place.install(url, what)
            assert (done.code != 0, REASON in done.err) == (True, True), done.text
            assert place.installed() == set()
        assert place.install(url, "nice").code == 0


def test_uv_takes_an_older_release_where_the_newer_one_is_hidden(place: Place, front: Front, index: Index) -> None:
    front.screen.decisions["needed-2.0-py3-none-any.whl"] = Hidden()
    with opened(front, index) as (_, url):
        assert place.install(url, "nice").code == 0
    assert place.installed() == {"nice-1.0", "needed-1.0"}


def test_uv_keeps_our_pages_and_the_next_guard_need_not_judge_them_again(
    place: Place, front: Front, index: Index
) -> None:
    for _ in range(2):
        with opened(front, index) as (loopback, url):
            assert place.install(url, "nice").code == 0
            asked = {(each.project, each.status) for each in loopback.asked}
        place.renew()
    assert asked == {("nice", 304), ("needed", 304)}
    assert len(front.screen.pages) == 2


def test_uv_does_not_try_for_long_where_a_page_cannot_be_judged(place: Place, front: Front, index: Index) -> None:
    front.screen.error = FeedError("the snapshot is gone", now="run 'guard feed update'")
    with opened(front, index) as (loopback, url):
        started = time.monotonic()
        done = place.install(index.url, "--index", url, "nice")
        seconds = time.monotonic() - started
        problems = [str(each) for each in loopback.problems]
    assert (done.code != 0, "the snapshot is gone (run 'guard feed update')" in done.err) == (True, True), done.text
    assert set(problems) == {"the snapshot is gone (run 'guard feed update')"}
    assert seconds < 5


def test_a_project_that_one_index_does_not_have_comes_from_the_next(place: Place, front: Front, index: Index) -> None:
    with serve_site(Site()) as empty:
        first, second = Upstream(url=empty.url), Upstream(url=index.url)
        with front.open(first, second) as loopback:
            done = place.install(loopback.address_of(second), "--index", loopback.address_of(first), "nice")
            asked = {(each.upstream.key, each.project, each.status) for each in loopback.asked}
    assert done.code == 0, done.text
    assert {(first.key, "nice", 404), (second.key, "nice", 200)} <= asked


def test_uv_is_told_that_an_index_wants_credentials(place: Place, front: Front) -> None:
    with serve_site(Site()) as site:
        site.replies["/simple/nice/"] = Reply(status=401, headers={"WWW-Authenticate": "Basic"})
        upstream = Upstream(url=site.url)
        with front.open(upstream) as loopback:
            done = place.install(loopback.address_of(upstream), "nice")
    assert (done.code != 0, "401" in done.err) == (True, True), done.text


def test_find_links_of_a_local_directory_are_judged_too(
    place: Place, front: Front, index: Index, tmp_path: Path
) -> None:
    upstream = parse_upstream(str(index.files), "flat", base=tmp_path)
    deny(front, "evil-1.0-py3-none-any.whl")
    with front.open(upstream) as loopback:
        links = ("pip", "install", "--no-index", "--find-links", loopback.address_of(upstream))
        clean = place.uv(*links, "nice")
        denied = place.uv(*links, "evil")
    assert clean.code == 0, clean.text
    assert place.installed() == {"nice-1.0", "needed-2.0"}
    assert (denied.code != 0, REASON in denied.err) == (True, True), denied.text


def test_a_denied_lock_writes_nothing(place: Place, front: Front, index: Index, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    text = '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["evil"]\n'
    (project / "pyproject.toml").write_text(text)
    deny(front, "evil-1.0-py3-none-any.whl")
    with opened(front, index) as (_, url):
        done = place.uv("lock", "--python", sys.executable, "--project", project, UV_DEFAULT_INDEX=url)
    assert (done.code != 0, REASON in done.err) == (True, True), done.text
    assert [path.name for path in project.iterdir()] == ["pyproject.toml"]


def test_files_behind_a_login_are_fetched_where_uv_knows_the_login_of_an_index_that_it_never_asks(
    place: Place, front: Front
) -> None:
    with serve_site(Site()) as site:
        site.replies["/simple/nice/"] = Reply(b"{}", status=404)
        upstream = Upstream(url=site.url.replace("://", "://bob:secret@"))
        make_wheel(place.environment.home / "files", "thing")
        wheel = place.environment.home / "files" / "thing-1.0-py3-none-any.whl"
        site.put("thing", {"filename": wheel.name, "url": f"/files/{wheel.name}", "hashes": {}})
        site.replies[f"/files/{wheel.name}"] = Reply(wheel.read_bytes())
        config = place.environment.home / "uv.toml"
        config.write_text(f'[[index]]\nname = "own"\nurl = "{site.url}"\nexplicit = true\n')
        login = {"UV_INDEX_OWN_USERNAME": "bob", "UV_INDEX_OWN_PASSWORD": "secret"}
        with front.open(upstream) as loopback:
            done = place.install(loopback.address_of(upstream), "thing", UV_CONFIG_FILE=str(config), **login)
    assert done.code == 0, done.text
    assert {path for path, headers, _ in site.requests if "authorization" not in headers} == set()
    assert {path for path in site.paths if path.startswith("/simple/")} == {"/simple/thing/"}
    kept = [path for path in place.environment.home.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize("index", ["json"], indirect=True)
def test_the_real_pip_is_served_and_shows_the_reason_too(
    place: Place, front: Front, index: Index, tmp_path: Path
) -> None:
    deny(front, "evil-1.0-py3-none-any.whl")
    target = tmp_path / "target"
    with opened(front, index) as (_, url):
        place.environment.index_url = url
        pip = [sys.executable, "-m", "pip", "install", "--target", str(target)]
        clean = place.environment.run([*pip, "nice"])
        denied = place.environment.run([*pip, "evil"])
    assert clean.code == 0, clean.text
    assert (target / "needed").is_dir()
    assert (denied.code, REASON in denied.err, (target / "evil").exists()) == (1, True, False), denied.text


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_no_installer_takes_a_file_that_may_stay_on_a_page_unjudged(
    place: Place, front: Front, tmp_path: Path, installer: str
) -> None:
    made = make_wheel(tmp_path / "files", "thing")
    with serve_site(Site()) as site:
        names = [f"thing-{number}.0-py3-none-any{ending}" for number, ending in enumerate(USELESS, 1)]
        names += [f"thing-{number}.0{ending}" for number, ending in enumerate(USELESS, 1)]
        site.put("thing", *({"filename": name, "url": f"{site.root}/f/{name}", "hashes": {}} for name in names))
        for name in names:
            site.replies[f"/f/{name}"] = Reply(made.read_bytes())
        upstream = Upstream(url=site.url)
        with front.open(upstream) as loopback:
            url = loopback.address_of(upstream)
            page = get(f"{url}thing/")
            if installer == "uv":
                done = place.install(url, "thing")
            else:
                place.environment.index_url = url
                target = ["--target", str(tmp_path / "target")]
                done = place.environment.run([sys.executable, "-m", "pip", "install", *target, "thing"])
    assert [file["filename"] for file in json.loads(page.body)["files"]] == names
    assert done.code == 1, done.text
    assert {path for path in site.paths if not path.startswith("/simple/")} == set()
    assert place.installed() == set()
    assert not (tmp_path / "target" / "thing").exists()
