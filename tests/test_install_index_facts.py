"""What indexes and wheels say beside names and versions, judged over real installs: status, place, licence, fame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import malware_record, write_feed
from .environments import Environment
from .loopback import Index, serve
from .packages import make_wheel


@pytest.fixture
def project(environment: Environment, index: Index, tmp_path: Path) -> Path:
    """A directory for a policy, and an index that serves JSON."""
    directory = tmp_path / "project"
    directory.mkdir()
    index.json = True
    return directory


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Index]:
    """Another index on loopback."""
    files = tmp_path / "second"
    files.mkdir()
    with serve(Index(files=files, json=True)) as served:
        yield served


def policy(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.installguard]\n{text}", encoding="utf-8")


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "html"])
@pytest.mark.parametrize(
    ("status", "code", "level"),
    [("quarantined", 10, "error"), ("archived", 0, "warning"), ("deprecated", 0, "warning"), ("active", 0, None)],
)
def test_the_status_of_a_project_is_ruled_by_the_policy(
    environment: Environment, index: Index, project: Path, status: str, code: int, level: str | None, as_json: bool
) -> None:
    index.json = as_json
    make_wheel(index.files, "old-thing")
    index.statuses["old-thing"] = (status, "moved elsewhere")

    ran = environment.guard("install", "old-thing", cwd=project)

    assert ran.code == code, ran.text
    assert (f"{level}[project-status]: old-thing 1.0" in ran.err) == (level is not None), ran.text


def test_a_name_that_two_indexes_offer_is_told_and_a_pin_settles_it(
    environment: Environment, index: Index, second: Index, project: Path
) -> None:
    make_wheel(index.files, "inner")
    make_wheel(second.files, "inner")
    arguments = ("install", "--dry-run", "--extra-index-url", second.url, "inner")

    unpinned = environment.guard(*arguments, cwd=project)
    policy(project, f'packages.index = {{ "inner" = "{index.url}" }}\n')
    pinned = environment.guard(*arguments, cwd=project)

    assert "warning[ambiguous-index]: inner 1.0" in unpinned.err, unpinned.text
    assert "ambiguous-index" not in pinned.err, pinned.text


def test_a_project_from_another_index_than_its_own_is_denied(
    environment: Environment, index: Index, second: Index, project: Path
) -> None:
    make_wheel(index.files, "inner", "1.0")
    make_wheel(second.files, "inner", "9.0")
    policy(project, f'packages.index = {{ "inn*" = "{index.url}" }}\n')
    before = environment.files()

    ran = environment.guard("install", "--extra-index-url", second.url, "inner", cwd=project)
    own = environment.guard("install", "inner", cwd=project)

    assert ran.code == 10, ran.text
    assert "error[wrong-index]: inner 9.0" in ran.err
    assert own.code == 0, own.text
    assert environment.files() != before


def test_malware_of_the_name_of_a_project_of_a_private_index_only_warns(
    environment: Environment, index: Index, project: Path, tmp_path: Path
) -> None:
    make_wheel(index.files, "acme-core")
    environment.guard("feed", "import", write_feed(tmp_path / "f.zip", [malware_record("MAL-1", "acme-core", ["1.0"])]))

    unpinned = environment.guard("install", "acme-core", cwd=project)
    policy(project, f'packages.index = {{ "acme-*" = "{index.url}" }}\n')
    pinned = environment.guard("install", "acme-core", cwd=project)

    assert unpinned.code == 10, unpinned.text
    assert pinned.code == 0, pinned.text
    assert "warning[malicious]: acme-core 1.0" in pinned.err


def test_a_slip_of_a_popular_name_is_told_when_it_is_newly_asked_for(
    environment: Environment, index: Index, project: Path
) -> None:
    make_wheel(index.files, "reqeusts")
    make_wheel(index.files, "outer", requires=["reqeusts"])

    asked = environment.guard("install", "--dry-run", "reqeusts", cwd=project)
    needed = environment.guard("install", "--dry-run", "outer", cwd=project)

    assert "warning[similar-name]: reqeusts" in asked.err, asked.text
    assert "similar-name" not in needed.err, needed.text


def test_a_vulnerability_that_is_known_to_be_exploited_is_denied(
    environment: Environment, index: Index, project: Path, tmp_path: Path
) -> None:
    make_wheel(index.files, "leaky")
    record = {
        **malware_record("PYSEC-2099-7", "leaky", []),
        "summary": "leaky leaks",
        "aliases": ["CVE-2099-0007"],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "leaky"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
            }
        ],
    }
    environment.guard("feed", "import", write_feed(tmp_path / "f.zip", [record]))
    before = environment.guard("install", "--dry-run", "leaky", cwd=project)
    catalogue = tmp_path / "kev.json"
    catalogue.write_text(json.dumps({"vulnerabilities": [{"cveID": "CVE-2099-0007"}]}), encoding="utf-8")
    imported = environment.guard("feed", "import", catalogue, "--source", "kev", "--kind", "exploited")
    after = environment.guard("install", "leaky", cwd=project)

    assert before.code == 0, before.text
    assert "warning[vulnerable]" in before.err
    assert imported.code == 0, imported.text
    assert after.code == 10, after.text
    assert "exploited" in after.err


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ("License-Expression: AGPL-3.0-only\n", 10),
        ("License-Expression: MIT OR AGPL-3.0-only\n", 0),
        ("Classifier: License :: OSI Approved :: MIT License\n", 0),
    ],
)
def test_licences_are_judged_before_a_wheel_is_installed(
    environment: Environment, index: Index, project: Path, metadata: str, code: int
) -> None:
    pytest.importorskip("license_expression")
    make_wheel(index.files, "licensed", extra=metadata)
    policy(project, 'licenses.deny = ["AGPL-3.0-only"]\n')
    before = environment.files()

    ran = environment.guard("install", "licensed", cwd=project)

    assert ran.code == code, ran.text
    assert ("error[license]: licensed 1.0" in ran.err) == (code == 10)
    assert (environment.files() == before) == (code == 10)
