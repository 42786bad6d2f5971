"""`guard doctor` over real environments: healthy ones, and ones in which guard could not keep its word."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from uv import find_uv_bin

from .conftest import malware_record, write_feed
from .environments import Environment, Ran

NOW = datetime.now(timezone.utc)


@pytest.fixture
def place(environment: Environment, tmp_path: Path) -> Environment:
    """An environment whose temporary files are seen."""
    (tmp_path / "tmp").mkdir()
    environment.extra["TMPDIR"] = str(tmp_path / "tmp")
    return environment


def lines(ran: Ran, word: str) -> list[str]:
    """Return what was said under a word, `ok`, `warn` or `fail`."""
    assert "Traceback" not in ran.text
    assert ran.err == ""
    assert {line.split()[0] for line in ran.out.splitlines()} <= {"ok", "warn", "fail"}
    return [" ".join(line.split()[1:]) for line in ran.out.splitlines() if line.split()[0] == word]


def import_feed(environment: Environment, directory: Path, modified: datetime) -> None:
    record = {**malware_record("MAL-2099-1", "evil", ["1.0"]), "modified": f"{modified:%Y-%m-%dT%H:%M:%SZ}"}
    assert environment.guard("feed", "import", write_feed(directory / "feed.zip", [record])).code == 0


def test_a_healthy_environment_is_called_so_line_by_line(place: Environment, tmp_path: Path) -> None:
    import_feed(place, tmp_path, datetime.now(timezone.utc))
    before = place.files()

    uv = Path(find_uv_bin())
    ran = place.guard("doctor", PATH=str(uv.parent))

    assert ran.code == 0, ran.text
    said = lines(ran, "ok")
    assert [line.split()[0] for line in said] == ["guard", "target", "pip", "uv", "policy", "feed", *["self-test"] * 3]
    assert str(uv) in said[3]
    assert "guarded as 'guard uv …'" in said.pop(3)
    assert str(place.python) in said[1]
    assert "it lists what guard reads (1 distributions)" in said[2] or "pip 2" in said[2]
    assert "osv, 1 records, 0 min old" in said[4]
    assert [line for line in said if "none of it ran, nothing was written" in line] == said[5:7]
    assert lines(ran, "fail") == []
    assert place.files() == before
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_target_without_pip_is_healthy_too(place: Environment) -> None:
    for path in place.site_packages.glob("pip*"):
        shutil.rmtree(path)

    ran = place.guard("doctor")

    assert ran.code == 0, ran.text
    assert any("the target has none; guard's own serves it" in line for line in lines(ran, "ok"))
    assert any("the built-in baseline serves: run 'guard feed update'" in line for line in lines(ran, "warn"))


def test_a_pip_without_a_seam_fails_the_self_test(place: Environment) -> None:
    prepare = place.site_packages / "pip" / "_internal" / "operations" / "prepare.py"
    text = prepare.read_text(encoding="utf-8")
    name = "prepare_linked_requirements_more"
    assert name in text
    prepare.write_text(text.replace(name, "prepare_many"), encoding="utf-8")

    ran = place.guard("doctor")

    failed = lines(ran, "fail")
    assert ran.code == 12, ran.text
    assert len(failed) == 3
    assert all(line.startswith("self-test") and name in line for line in failed)


@pytest.mark.last_pip
def test_a_pip_that_does_not_work_is_named(place: Environment) -> None:
    (place.site_packages / "pip" / "__init__.py").write_text("raise SystemError('broken')\n", encoding="utf-8")

    ran = place.guard("doctor")

    assert ran.code == 12, ran.text
    assert any("fails when asked what is installed" in line for line in lines(ran, "fail"))


@pytest.mark.last_pip
def test_a_file_that_poses_as_pip_in_the_current_directory_is_not_run(place: Environment, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("pip", "json", "installguard", "pip_api"):
        (trap / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n", encoding="utf-8")

    guard = Path(sys.executable).with_name("guard")
    if not guard.exists():
        pytest.skip("the guard command is not installed beside this interpreter")
    ran = place.run([guard, "--python", place.python, "doctor"], cwd=trap)

    assert not marker.exists()
    assert ran.code == 0, ran.text


@pytest.mark.last_pip
def test_an_old_feed_is_a_warning_and_a_failure_where_the_policy_denies_it(place: Environment, tmp_path: Path) -> None:
    import_feed(place, tmp_path, NOW - timedelta(days=40))
    policy = tmp_path / "policy.toml"
    policy.write_text('[tool.installguard.feed]\nstale = "deny"\n', encoding="utf-8")

    warned = place.guard("doctor")
    failed = place.guard("--policy", policy, "doctor")

    assert (warned.code, failed.code) == (0, 12), warned.text + failed.text
    assert any("40 days old: run 'guard feed update'" in line for line in lines(warned, "warn"))
    assert any("40 days old: run 'guard feed update'" in line for line in lines(failed, "fail"))


@pytest.mark.last_pip
def test_an_invalid_policy_fails_with_every_mistake(place: Environment, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[tool.installguard]\npreset = "lax"\nfial-on = "warn"\n', encoding="utf-8")

    ran = place.guard("--policy", policy, "doctor")

    failed = lines(ran, "fail")
    assert ran.code == 12, ran.text
    assert [line.split()[0] for line in failed] == ["policy", "policy", "self-test"]
    assert "not run" in failed[2]


@pytest.mark.last_pip
def test_a_policy_that_lets_malware_in_is_found_out(place: Environment, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    pyproject = project / "pyproject.toml"
    pyproject.write_text('[tool.installguard.malicious]\nlevel = "warn"\n', encoding="utf-8")

    ran = place.guard("doctor", cwd=project)

    assert ran.code == 12, ran.text
    assert any("you are not guarded here" in line for line in lines(ran, "fail"))


@pytest.mark.last_pip
def test_a_policy_that_lets_nothing_in_is_no_failure_of_guard(place: Environment, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[tool.installguard.packages]\nallow = ["acme-*"]\n', encoding="utf-8")

    ran = place.guard("--policy", policy, "doctor")

    assert ran.code == 0, ran.text
    assert any("not let in by your policy" in line and "not-allowed" in line for line in lines(ran, "warn"))


@pytest.mark.last_pip
@pytest.mark.parametrize("python", ["/bin/true", "/bin/false", "/bin/sh"])
def test_an_interpreter_that_is_none_is_named(place: Environment, python: str) -> None:
    ran = place.guard("--python", python, "doctor")

    assert ran.code == 12, ran.text
    assert [line.split()[0] for line in lines(ran, "fail")] == ["target", "self-test"]
    assert "cannot be asked for its directories: it" in lines(ran, "fail")[0]
    assert len(lines(ran, "fail")[0]) < 200


@pytest.mark.last_pip
def test_settings_of_pip_and_proxies_do_not_mislead_the_self_test(place: Environment) -> None:
    place.extra |= {
        "PIP_NO_BINARY": ":all:",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_TARGET": "/nonexistent",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "INSTALLGUARD_FORMAT": "json",
        "INSTALLGUARD_QUIET": "1",
        "FORCE_COLOR": "1",
    }

    ran = place.guard("doctor")

    assert ran.code == 0, ran.text
    assert len([line for line in lines(ran, "ok") if line.startswith("self-test")]) == 3
