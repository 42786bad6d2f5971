"""Fixtures shared by the tests that meet a real pip: environments, a loopback index, a small feed."""

from __future__ import annotations

import json
import signal
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from .environments import Environment, copy_environment, make_template
from .loopback import Index, serve

settings.register_profile("many", max_examples=2_000, deadline=None)
settings.register_profile("fuzz", max_examples=100_000, deadline=None)

OLDEST, NEWEST = "22.2", "newest"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pips", default=f"{OLDEST},{NEWEST}", help="pip releases to test against, comma separated")
    parser.addoption("--pythons", default=sys.executable, help="interpreters to install into, comma separated")
    parser.addoption("--deep", action="store_true", help="run every row of the long tables, not only some")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "last_pip: run with the last of --pips only")
    config.addinivalue_line("markers", "every(n): without --deep only every n-th row of the table is run")
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background was told to ignore it


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "template" in metafunc.fixturenames:
        pips = metafunc.config.getoption("--pips").split(",")
        if metafunc.definition.get_closest_marker("last_pip"):
            pips = pips[-1:]
        pythons = metafunc.config.getoption("--pythons").split(",")
        chosen = [(python, pip) for python in pythons for pip in pips]
        names = [f"pip{pip}" + (f"-{Path(python).parts[-3]}" if len(pythons) > 1 else "") for python, pip in chosen]
        metafunc.parametrize("template", chosen, ids=names, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--deep") or any("::" in argument for argument in config.args):
        return
    rows: Counter[str] = Counter()
    left: list[pytest.Item] = []
    for item in items:
        mark, table = item.get_closest_marker("every"), item.nodeid.partition("[")[0]
        if mark is not None and rows[table] % mark.args[0]:
            left.append(item)
        rows[table] += 1
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


@pytest.fixture(scope="session")
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the pip release under test, to be copied."""
    python, pip = request.param
    return make_template(tmp_path_factory.mktemp("template") / "env", python, pip)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty package index on loopback."""
    files = tmp_path / "index"
    files.mkdir()
    with serve(Index(files=files)) as served:
        yield served


@pytest.fixture
def environment(tmp_path: Path, template: Path, index: Index) -> Environment:
    """A fresh virtual environment that installs from the loopback index, under a feed that knows `evil` 1.0."""
    home = tmp_path / "home"
    home.mkdir()
    copy_environment(template, tmp_path / "env")
    made = Environment(prefix=tmp_path / "env", home=home, index_url=index.url)
    made.extra["INSTALLGUARD_CACHE_DIR"] = str(tmp_path / "guard-cache")
    return made


MALWARE = [("MAL-2099-1", "evil", ["1.0"]), ("MAL-2099-2", "evil-build", ["1.0"])]


def write_feed(path: Path, records: list[dict[str, object]]) -> Path:
    """Write an OSV export as a zip file."""
    with zipfile.ZipFile(path, "w") as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record))
    return path


def malware_record(identifier: str, project: str, versions: list[str]) -> dict[str, object]:
    """Return an OSV record of malware."""
    return {
        "schema_version": "1.6.0",
        "id": identifier,
        "modified": "2026-11-20T00:00:00Z",
        "published": "2026-11-19T00:00:00Z",
        "summary": f"Malicious code in {project}",
        "affected": [{"package": {"ecosystem": "PyPI", "name": project}, "versions": versions}],
    }


@pytest.fixture
def feed(tmp_path: Path, environment: Environment) -> Path:
    """A snapshot in which `evil` 1.0 and `evil-build` 1.0 are malware; returns the export it was imported from."""
    path = write_feed(tmp_path / "feed.zip", [malware_record(*each) for each in MALWARE])
    done = environment.guard("feed", "import", path, "--source", "osv")
    assert done.code == 0, done.text
    return path
