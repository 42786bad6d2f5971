"""`guard waive` and `guard policy init`: what is written, and that all else stays byte for byte."""

from __future__ import annotations

import stat
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.config.files import PolicyFiles, find_policy_files, replace_file
from installguard.config.reading import load_policy
from installguard.config.waiving import parse_expires
from installguard.config.writing import init_policy, write_waiver
from installguard.errors import ExitCode, PolicyError, UsageError
from installguard.policy import Policy, Waiver

TODAY = date(2026, 11, 21)
TABLE = (
    '[[tool.installguard.waivers]]\nfinding = "CVE-2026-1"\nrelease = "a<2"\nreason = "not reached by us"\n'
    "expires = 2026-12-31\n"
)


def write(path: Path, **changes: Any) -> Waiver:
    given = {"finding": "CVE-2026-1", "release": "a<2", "reason": "not reached by us", "expires": date(2026, 12, 31)}
    return write_waiver(path, today=TODAY, **{**given, **changes})


def policy_of(path: Path) -> Policy:
    files = find_policy_files(path.parent, explicit=path, user_config_dir=None, site_config_dir=None)
    return load_policy(files, today=TODAY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pyproject.toml"


# ---------------------------------------------------------------- waive


def test_a_missing_file_is_begun_with_the_waiver(path: Path) -> None:
    waiver = write(path)
    assert path.read_text() == TABLE
    assert policy_of(path).waivers == (waiver,)
    assert waiver.where == "tool.installguard.waivers[0]"


@pytest.mark.parametrize(
    ("before", "gap"),
    [
        ("", ""),
        ("# only a comment", "\n\n"),
        ('[project]\nname = "x"  # é\n', "\n"),
        ('[project]\nname = "x"', "\n\n"),
        ('[tool.installguard]\n\tfail-on="warn" # keep\n\n\n[tool.other]\nx = [nan, 1.50, 1e3]\n', "\n"),
        ('tool.installguard.fail-on = "warn"\n', "\n"),
        ('[tool]\ninstallguard.fail-on = "warn"\n', "\n"),
        (
            '[[tool.installguard.waivers]]\nfinding="X-1"\nrelease="b"\nreason="0123456789"\nexpires="2026-12-01"\n[a]\n',
            "\n",
        ),
        ('[project]\r\nname = "x"\r\n', "\r\n"),
        ('[project]\r\nname = "x"', "\r\n\r\n"),
    ],
)
def test_a_waiver_is_appended_and_all_else_stays_byte_for_byte(path: Path, before: str, gap: str) -> None:
    path.write_bytes(before.encode())
    known = len(policy_of(path).waivers) if "installguard" in before else 0
    waiver = write(path)
    table = TABLE.replace("\n", "\r\n") if "\r\n" in gap else TABLE
    assert path.read_bytes() == (before + gap + table).encode()
    assert policy_of(path).waivers[known] == waiver
    assert waiver.where == f"tool.installguard.waivers[{known}]"


INLINE = '{ finding = "CVE-2026-1", release = "a<2", reason = "not reached by us", expires = 2026-12-31 }'
OTHER = '{ finding = "X-1", release = "b", reason = "a ] and } # in it", expires = 2026-12-01 }'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[tool.installguard]\nwaivers = []\n", f"[tool.installguard]\nwaivers = [{INLINE}]\n"),
        ("tool.installguard.waivers = [ ]\n", f"tool.installguard.waivers = [{INLINE} ]\n"),
        (f"[tool.installguard]\nwaivers = [{OTHER}]", f"[tool.installguard]\nwaivers = [{OTHER}, {INLINE}]"),
        (
            f"[tool.installguard]\nwaivers = [ {OTHER}, ] # ]\n",
            f"[tool.installguard]\nwaivers = [ {OTHER}, {INLINE} ] # ]\n",
        ),
        (
            f"[tool.installguard]\nwaivers = [\n  {OTHER},  # why ]\n]\nfail-on = 'warn'\n",
            f"[tool.installguard]\nwaivers = [\n  {OTHER},  # why ]\n  {INLINE}\n]\nfail-on = 'warn'\n",
        ),
        (
            f"[tool.installguard]\r\nwaivers = [\r\n\t{OTHER} # why\r\n]\r\n",
            f"[tool.installguard]\r\nwaivers = [\r\n\t{OTHER} # why\r\n\t, {INLINE}\r\n]\r\n",
        ),
        (
            "[tool]\ninstallguard = { fail-on = 'warn' }\n",
            f"[tool]\ninstallguard = {{ fail-on = 'warn', waivers = [{INLINE}] }}\n",
        ),
        ("[tool]\ninstallguard = {}\nx = {}\n", f"[tool]\ninstallguard = {{waivers = [{INLINE}]}}\nx = {{}}\n"),
        ("tool = { x = 1 }\n", f"tool = {{ x = 1, installguard = {{ waivers = [{INLINE}] }} }}\n"),
        (
            f"tool = {{ installguard = {{ waivers = [{OTHER}] }} }}\n",
            f"tool = {{ installguard = {{ waivers = [{OTHER}, {INLINE}] }} }}\n",
        ),
    ],
)
def test_where_waivers_are_written_inline_the_array_grows(path: Path, before: str, after: str) -> None:
    path.write_bytes(before.encode())
    waiver = write(path)
    assert path.read_bytes() == after.encode()
    assert policy_of(path).waivers[-1] == waiver


@pytest.mark.parametrize("before", ["tool = 3\n", "[[tool]]\nx = 1\n"])
def test_where_no_waiver_can_be_put_the_file_stays(path: Path, before: str) -> None:
    path.write_text(before)
    with pytest.raises(PolicyError, match=r"its 'waivers' cannot be appended to \(write them as"):
        write(path)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"finding": "nonsense"}, "finding: 'nonsense' is neither a finding code nor an advisory id"),
        ({"finding": "feed-stale"}, "finding: 'feed-stale' cannot be waived"),
        ({"finding": "MAL-2026-1"}, "release: 'MAL-2026-1' is malware: waivable for one exact release only"),
        ({"release": "a b"}, "release: 'a b' is not a project name"),
        ({"release": "a==x y"}, "is not a version specifier"),
        ({"reason": "short"}, "reason: 'short' is too short"),
        ({"owner": " "}, "owner: is empty"),
        ({"reason": "not valid \udcff text"}, "reason: is not valid text"),
        ({"expires": TODAY}, "expires: 2026-11-21 must be after today and at most 180 days ahead (by 2027-05-20)"),
        ({"expires": date(2020, 1, 1)}, "expires: 2020-01-01 must be after today"),
        ({"expires": date(2027, 5, 21)}, "expires: 2027-05-21 must be after today and at most 180 days ahead"),
    ],
)
def test_a_wrong_waiver_writes_nothing(path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        write(path, **changes)
    assert problem in str(caught.value)
    assert caught.value.exit_code == ExitCode.POLICY
    assert list(path.parent.iterdir()) == []


def test_all_that_is_wrong_with_a_waiver_is_told_at_once(path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        write(path, finding="nonsense", release="*", reason="short")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["finding", "release", "reason"]


@pytest.mark.parametrize(("finding", "release"), [("cve-2026-1", "A < 2"), ("CVE-2026-1", "a<2")])
def test_the_same_waiver_twice_is_refused_and_names_the_first(path: Path, finding: str, release: str) -> None:
    write(path, finding="X-1")
    write(path)
    before = path.read_bytes()
    with pytest.raises(PolicyError) as caught:
        write(path, finding=finding, release=release, reason="another reason")
    assert str(caught.value) == (
        f"{path}: tool.installguard.waivers[1]: waives CVE-2026-1 for a<2 already, until 2026-12-31 (edit it there)"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("before", ["[tool.installguard]\nx = 1\n", "[tool.installguard\n", "\ufeffx = 1\n"])
def test_a_file_that_is_wrong_already_is_not_written(path: Path, before: str) -> None:
    path.write_text(before, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        write(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_text(encoding="utf-8") == before


def test_a_link_is_written_through_and_the_mode_stays(tmp_path: Path) -> None:
    target = tmp_path / "real.toml"
    target.write_text("[project]\n")
    target.chmod(0o640)
    link = tmp_path / "pyproject.toml"
    link.symlink_to("real.toml")
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "[project]\n\n" + TABLE
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pyproject.toml", "real.toml"]


def test_a_read_only_file_stays(path: Path) -> None:
    path.write_text("[project]\n")
    path.chmod(0o444)
    with pytest.raises(UsageError) as caught:
        write(path)
    assert str(caught.value) == f"{path}: is read-only (nothing was written)"
    assert path.read_text() == "[project]\n"


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written: .* \(nothing was written\)"):
        write(tmp_path / "missing" / "policy.toml")


def test_a_document_nested_too_deeply_to_compare_is_refused_in_one_line(path: Path) -> None:
    path.write_text(".".join("x" * 3000) + " = 1\n")
    before = path.read_bytes()
    try:
        write(path)
    except (PolicyError, UsageError) as error:  # how deep is too deep is the interpreter's matter
        assert len(str(error).splitlines()) == 1
        assert path.read_bytes() == before
    else:
        assert path.read_bytes() == before + b"\n" + TABLE.encode()


def test_a_file_that_changed_meanwhile_is_not_overwritten(path: Path) -> None:
    path.write_text("theirs\n")
    with pytest.raises(UsageError, match="was changed meanwhile"):
        replace_file(path, b"before\n", b"after\n")
    with pytest.raises(UsageError, match="was changed meanwhile"):
        replace_file(path, None, b"after\n")
    assert path.read_text() == "theirs\n"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_new_file_has_the_mode_that_any_new_file_has(path: Path) -> None:
    (path.parent / "plain").write_text("")
    write(path)
    assert path.stat().st_mode == (path.parent / "plain").stat().st_mode


@settings(max_examples=150, deadline=None)
@given(
    reason=st.text(min_size=10).filter(lambda text: len(text.strip()) >= 10),
    owner=st.none() | st.text(min_size=1).filter(str.strip),
    inline=st.booleans(),
)
def test_any_text_of_a_waiver_reads_back(reason: str, owner: str | None, inline: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pyproject.toml"
        path.write_text("[tool.installguard]\nwaivers = []\n" if inline else "")
        waiver = write(path, reason=reason, owner=owner)
        assert (waiver.reason, waiver.owner) == (reason, owner)
        assert policy_of(path).waivers == (waiver,)
        assert path.read_text(encoding="utf-8").replace("\n", "").isprintable()


# ---------------------------------------------------------------- expires


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1d", date(2026, 11, 22)),
        ("30d", date(2026, 12, 21)),
        ("180d", TODAY + timedelta(days=180)),
        ("2026-12-31", date(2026, 12, 31)),
    ],
)
def test_an_end_is_a_date_or_a_number_of_days(text: str, day: date) -> None:
    assert parse_expires(text, TODAY) == day


@pytest.mark.parametrize(
    "text",
    ["0d", "181d", "9999d", "2026-11-21", "2027-05-21", "2026-02-30", "20261231", "30", "d", "", "1w", "-1d", "٣d"],
)
def test_any_other_end_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"^expires: "):
        parse_expires(text, TODAY)


# ---------------------------------------------------------------- init


@pytest.mark.parametrize("before", [None, "", "[project]\nname = 'x'", "[tool.other]\nx = nan\n", "x = 1\r\n"])
def test_init_appends_a_table_that_says_the_defaults(path: Path, before: str | None) -> None:
    if before is not None:
        path.write_bytes(before.encode())
    appended = init_policy(path)
    assert path.read_bytes() == ((before or "") + appended).encode()
    assert policy_of(path).digest == load_policy(PolicyFiles(), today=TODAY).digest
    if before and "\r\n" in before:
        assert "\n" not in path.read_bytes().decode().replace("\r\n", "")


def test_every_line_that_init_comments_out_can_be_uncommented(path: Path) -> None:
    init_policy(path)
    lines = [line.removeprefix("# ") for line in path.read_text().splitlines() if " = " in line or "[tool" in line]
    path.write_text("\n".join(lines) + "\n")
    policy = policy_of(path)
    assert policy.digest == load_policy(PolicyFiles(), today=TODAY).digest
    keys = {key for key in policy.origins if "." in key or key in ("preset", "fail-on")}
    assert {policy.origins[key] for key in keys} == {str(path)}


@pytest.mark.parametrize(
    "before",
    [
        "[tool.installguard]\n",
        TABLE,
        "tool.installguard.preset = 'strict'\n",
        "[tool]\ninstallguard = {}\n",
        "tool = {}\n",
    ],
)
def test_init_leaves_a_file_that_has_a_table_or_no_room_for_one(path: Path, before: str) -> None:
    path.write_text(before)
    with pytest.raises(UsageError) as caught:
        init_policy(path)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_text() == before


def test_a_waiver_can_follow_what_init_wrote(path: Path) -> None:
    init_policy(path)
    before = path.read_text()
    write(path)
    assert path.read_text() == before + "\n" + TABLE


def test_init_of_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises((UsageError, PolicyError)) as caught:
        init_policy(tmp_path / ("x" * 300))
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
