"""What each kind of lock file is read as."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from installguard.errors import UsageError
from installguard.frontends.locks import Lock, parse_lock, read_lock
from installguard.model import Artifact, DirectUrl, Distribution, LocalTree, VcsCheckout

from .lock_samples import (
    FILES,
    INDEX,
    PDM,
    PIPFILE,
    POETRY,
    POETRY_1,
    PRIVATE,
    PYLOCK,
    REVISION,
    SAMPLES,
    UV,
    digest,
    uv_file,
    uv_files,
    uv_package,
)


def read(name: str, text: str) -> Lock:
    return parse_lock(text.encode(), Path(name), name)


def by_name(lock: Lock) -> dict[str, Distribution]:
    return {each.name or "": each for each in lock.distributions}


def refused(name: str, text: str | bytes) -> str:
    with pytest.raises(UsageError) as error:
        parse_lock(text if isinstance(text, bytes) else text.encode(), Path(name), name)
    assert "\n" not in str(error.value)
    return str(error.value)


def artifact(distribution: Distribution) -> Artifact:
    assert isinstance(distribution.origin, Artifact)
    return distribution.origin


# ---------------------------------------------------------------- every format


@pytest.mark.parametrize("name", SAMPLES)
def test_the_malicious_release_is_found_with_its_parent_and_its_lock(name: str) -> None:
    evil = by_name(read(name, SAMPLES[name]))["evil"]
    assert str(evil.release) == "evil 1.0"
    assert evil.required_by == (() if name == "Pipfile.lock" else ("nice",))
    assert (evil.role, evil.pinned, evil.hashed, evil.lock) == ("install", True, True, name)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_project_itself_is_not_judged(name: str) -> None:
    assert "shop" not in by_name(read(name, SAMPLES[name]))


@pytest.mark.parametrize("name", SAMPLES)
def test_trees_and_checkouts_are_what_they_are_and_are_built(name: str) -> None:
    found = by_name(read(name, SAMPLES[name]))
    assert found["fromgit"].origin == VcsCheckout(url=f"git+https://git.example.org/fromgit@{REVISION}")
    assert found["other"].origin == LocalTree(path="../other", editable=True)
    assert found["fromgit"].builds
    assert found["other"].builds


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("uv.lock", "uv"), ("sub/uv.lock", "uv"), ("pylock.toml", "pylock"), ("pylock.dev.toml", "pylock"),
        ("poetry.lock", "poetry"), ("pdm.lock", "pdm"), ("Pipfile.lock", "pipfile"),
    ],
)  # fmt: skip
def test_the_format_is_told_by_the_name(tmp_path: Path, name: str, format: str) -> None:
    sample = next(text for known, text in SAMPLES.items() if read(known, text).format == format)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(sample, encoding="utf-8")
    lock = read_lock(file)
    assert (lock.format, lock.path) == (format, file)


@pytest.mark.parametrize("known", SAMPLES)
def test_a_file_of_another_name_is_told_by_what_is_in_it(known: str) -> None:
    own = read(known, SAMPLES[known])
    other = read("script.py.lock", SAMPLES[known])
    assert other.format == own.format
    assert [each.release for each in other.distributions] == [each.release for each in own.distributions]


@pytest.mark.parametrize("text", ["", "a = 1\n", "flask==3.0\n", "{}", "[1]", "# nothing\n", '[project]\nname = "a"\n'])
def test_what_is_no_lock_file_is_refused_with_what_is_understood(text: str) -> None:
    assert refused("some.toml", text).startswith("some.toml: is no")
    assert "understood are uv.lock, pylock.toml" in refused("some.toml", text)


def test_windows_line_ends_make_no_difference() -> None:
    for name, text in SAMPLES.items():
        assert read(name, text.replace("\n", "\r\n")).distributions == read(name, text).distributions


@pytest.mark.parametrize("name", ["pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock"])
def test_the_directory_of_the_lock_is_the_project_itself(name: str) -> None:
    assert "other" not in by_name(read(name, SAMPLES[name].replace('"../other"', '"."')))


# ---------------------------------------------------------------- uv.lock


def test_uv_says_for_whom_a_release_is_locked() -> None:
    scopes = {str(each.release): each.scope for each in read("uv.lock", UV).distributions}
    assert scopes == {
        "both 1.0": None,
        "evil 1.0": None,
        "forked 1.9": "only where python_full_version < '3.12'",
        "forked 2.0": "only where python_full_version >= '3.12'",
        "fromgit 0.3": None,
        "internal 1.0": None,
        "nice 1.0": None,
        "other 0.3": "only for group dev",
        "source 1.0": "only for extra x",
        "speed 3.0": None,
        "tool 1.0": "only for group dev",
        "toolpart 1.0": "only for group dev",
        "winonly 1.0": "only where sys_platform == 'win32'",
        "winpart 1.0": "only where sys_platform == 'win32'",
    }


def test_uv_tells_what_the_project_asks_for_itself() -> None:
    requested = [each.name for each in read("uv.lock", UV).distributions if each.requested]
    assert requested == [
        "both", "forked", "forked", "fromgit", "internal", "nice", "other", "source", "tool", "winonly",
    ]  # fmt: skip
    assert by_name(read("uv.lock", UV))["speed"].required_by == ("nice",)


def test_uv_tells_index_file_hash_and_upload() -> None:
    evil = artifact(by_name(read("uv.lock", UV))["evil"])
    name = "evil-1.0-py3-none-any.whl"
    assert evil == Artifact(
        filename=name,
        url=f"{FILES}/{name}",
        hashes=(("sha256", digest(name)),),
        kind="wheel",
        index=INDEX,
        uploaded_at=datetime(2024, 2, 6, 0, 26, 44, 495000, timezone.utc),
    )
    assert artifact(by_name(read("uv.lock", UV))["internal"]).index == PRIVATE


def test_uv_entries_are_exposed_as_written() -> None:
    package = next(each for each in read("uv.lock", UV).packages if each.name == "nice")
    assert (package.place, package.written, len(package.files)) == ("package[6]", "1.0", 2)
    assert [each.name for each in package.dependencies] == ["both", "evil"]
    assert [each.name for each in package.by_extra["fast"]] == ["speed"]
    assert (package.files[0].url, package.files[0].size) == (f"{FILES}/nice-1.0.tar.gz", 1024)


def test_only_a_source_means_a_build() -> None:
    found = by_name(read("uv.lock", UV))
    assert [name for name, each in found.items() if each.builds] == ["fromgit", "other", "source"]
    assert artifact(found["source"]).kind == "sdist"


@pytest.mark.parametrize(
    ("uploads", "told"),
    [
        (("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), datetime(2024, 1, 2, tzinfo=timezone.utc)),
        (("2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"), datetime(2024, 1, 2, tzinfo=timezone.utc)),
        (("2024-01-02T02:00:00+03:00", "2024-01-01T00:00:00.5Z"), datetime(2024, 1, 1, 23, tzinfo=timezone.utc)),
        (("2024-01-01T00:00:00Z", None), None),
        ((None, None), None),
    ],
)
def test_a_release_is_as_young_as_its_youngest_file_and_of_unknown_age_where_one_is(
    uploads: tuple[str, str | None], told: datetime | None
) -> None:
    files = [
        uv_file(f"a-1.0-{tag}.whl", each) for tag, each in zip(("py3-none-any", "py2-none-any"), uploads, strict=True)
    ]
    lock = read("uv.lock", "version = 1\n" + uv_package("a", "1.0", f"wheels = [{', '.join(files)}]"))
    assert artifact(lock.distributions[0]).uploaded_at == told


def test_a_release_counts_as_hashed_only_where_every_file_has_a_hash() -> None:
    unhashed = f'{{ url = "{FILES}/a-1.0-py3-none-any.whl" }}'
    lines = f"wheels = [\n    {unhashed},\n    {uv_file('a-1.0-py2-none-any.whl')},\n]"
    assert not read("uv.lock", "version = 1\n" + uv_package("a", "1.0", lines)).distributions[0].hashed
    assert not read("uv.lock", "version = 1\n" + uv_package("a", "1.0")).distributions[0].hashed


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ('{ path = "../dist/a-1.0-py3-none-any.whl" }', ("../dist/a-1.0-py3-none-any.whl", "wheel")),
        ('{ url = "https://files.example.org/a-1.0.zip" }', ("https://files.example.org/a-1.0.zip", "sdist")),
        ('{ url = "https://u:p@files.example.org/a.tar.gz#x" }', ("https://files.example.org/a.tar.gz#x", "sdist")),
    ],
)
def test_uv_files_named_by_url_or_path_are_direct(source: str, origin: tuple[str, str]) -> None:
    text = f'version = 1\n[[package]]\nname = "a"\nversion = "1.0"\nsource = {source}\n'
    found = read("uv.lock", text).distributions[0]
    assert isinstance(found.origin, DirectUrl)
    assert (found.origin.url, found.origin.kind) == origin
    assert found.builds is (origin[1] == "sdist")


def test_credentials_stay_in_the_lock() -> None:
    text = f"version = 1\n{uv_package('a', '1.0', *uv_files('a-1.0'), index='https://user:secret@index.example.org/simple')}"
    text = text.replace("https://files.", "https://user:secret@files.")
    text += '[[package]]\nname = "g"\nsource = { git = "https://user:secret@git.example.org/g?rev=1#ab" }\n'
    assert "secret" not in repr(read("uv.lock", text).distributions)


@pytest.mark.parametrize(
    ("source", "members", "judged"),
    [
        ('virtual = "."', [], False),
        ('editable = "."', [], False),
        ('editable = "packages/a"', ["a"], False),
        ('virtual = "packages/a"', ["a"], False),
        ('editable = "packages/a"', ["b"], True),
        ('editable = "../a"', ["a"], True),
        ('directory = "/opt/a"', ["a"], True),
        (f'registry = "{INDEX}"', ["a"], True),
        ('git = "https://git.example.org/a#ab"', ["a"], True),
    ],
)
def test_members_of_the_workspace_are_not_judged_and_nothing_passes_for_one(
    source: str, members: Sequence[str], judged: bool
) -> None:
    text = f'version = 1\n[manifest]\nmembers = {list(members)!r}\n[[package]]\nname = "a"\nversion = "1"\n'
    assert bool(read("uv.lock", f"{text}source = {{ {source} }}\n").distributions) is judged


def test_a_lock_of_a_script_tells_what_the_script_asks_for() -> None:
    text = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n\n[manifest]\nrequirements = [{ name = "nice" }]\n\n'
        + uv_package("evil", "1.0", *uv_files("evil-1.0"))
        + uv_package("nice", "1.0", 'dependencies = [{ name = "evil" }]', *uv_files("nice-1.0"))
    )
    found = by_name(read("script.py.lock", text))
    assert (found["nice"].requested, found["evil"].requested) == (True, False)


def test_a_uv_lock_cut_at_a_package_is_noticed() -> None:
    entries = UV.split("[[package]]")
    for end in range(2, len(entries)):
        text = "[[package]]".join(entries[:end])
        try:
            assert "cut short" in read("uv.lock", text).notes[0]
        except UsageError as error:
            assert "which is not in it (it was cut short" in str(error)


# ---------------------------------------------------------------- pylock.toml


def test_pylock_tells_index_marker_parents_and_archives() -> None:
    found = by_name(read("pylock.toml", PYLOCK))
    assert artifact(found["evil"]).index == INDEX
    assert artifact(found["evil"]).uploaded_at == datetime(2024, 2, 6, 0, 26, 44, tzinfo=timezone.utc)
    assert found["source"].scope == "only where 'x' in extras"
    assert isinstance(found["archived"].origin, DirectUrl)
    assert (found["archived"].builds, found["source"].builds, found["nice"].builds) == (True, True, False)
    assert (found["other"].release, found["other"].pinned) == (None, False)


def test_pylock_files_may_be_named_apart_from_where_they_are() -> None:
    wheel = f'{{ name = "a-1.0-py3-none-any.whl", path = "wheels/x", hashes = {{ sha256 = "{digest("a")}" }} }}'
    text = f'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "A"\nversion = "1.0"\nwheels = [{wheel}]\n'
    origin = artifact(read("pylock.toml", text).distributions[0])
    assert (origin.filename, origin.url, origin.index) == ("a-1.0-py3-none-any.whl", "wheels/x", None)


# ---------------------------------------------------------------- poetry.lock


def test_poetry_tells_groups_extras_markers_and_private_indexes() -> None:
    found = by_name(read("poetry.lock", POETRY))
    assert found["source"].scope == 'only for extra x, where extra == "x"'
    assert found["tool"].scope == (
        'only for groups dev, test, where sys_platform == "win32" or python_version < "3.12"'
    )
    assert found["evil"].scope is None
    assert (artifact(found["internal"]).index, artifact(found["evil"]).index) == (PRIVATE, None)
    assert (artifact(found["evil"]).filename, artifact(found["evil"]).url) == ("evil-1.0-py3-none-any.whl", "")


def test_poetry_1_lists_files_apart_and_knows_categories() -> None:
    lock = read("poetry.lock", POETRY_1)
    assert [(str(each.release), each.builds, each.scope) for each in lock.distributions] == [
        ("evil 1.0", True, None),
        ("forked 1.9", False, None),
        ("forked 2.0", True, None),
        ("nice 1.0", False, "only for group dev"),
    ]
    assert all(each.hashed for each in lock.distributions)


def test_the_first_poetry_locks_hold_hashes_only() -> None:
    text = (
        '[[package]]\nname = "evil"\nversion = "1.0"\ncategory = "main"\n'
        f'[metadata]\ncontent-hash = "x"\n[metadata.hashes]\nevil = ["{digest("evil")}"]\n'
    )
    evil = read("poetry.lock", text).distributions[0]
    assert (evil.hashed, artifact(evil).filename) == (True, "")


# ---------------------------------------------------------------- pdm.lock


def test_pdm_tells_groups_and_markers_and_a_release_with_extras_is_judged_once() -> None:
    lock = read("pdm.lock", PDM)
    assert [(each.name, each.scope) for each in lock.distributions] == [
        ("evil", None),
        ("fromgit", None),
        ("nice", None),
        ("other", None),
        ("speed", 'only for group dev, where sys_platform == "win32"'),
    ]
    speed = by_name(lock)["speed"]
    assert (artifact(speed).url, speed.builds, speed.required_by) == (f"{FILES}/speed-3.0.tar.gz", True, ("nice",))


def test_older_pdm_locks_list_files_apart() -> None:
    name = "evil-1.0-py3-none-any.whl"
    text = (
        '[[package]]\nname = "evil"\nversion = "1.0"\n\n[metadata]\nlock_version = "4.1"\n\n[metadata.files]\n'
        f'"evil 1.0" = [\n    {{url = "{FILES}/{name}", hash = "sha256:{digest(name)}"}},\n]\n'
    )
    evil = read("pdm.lock", text).distributions[0]
    assert (artifact(evil).filename, evil.hashed) == (name, True)


# ---------------------------------------------------------------- Pipfile.lock


def test_pipfile_tells_categories_markers_and_the_named_index_only() -> None:
    lock = read("Pipfile.lock", PIPFILE)
    found = by_name(lock)
    assert found["tool"].scope == "only for group dev"
    assert found["evil"].scope == "only where python_version >= '3.9'"
    assert {name: artifact(found[name]).index for name in ("evil", "internal", "unsaid")} == {
        "evil": INDEX,
        "internal": PRIVATE,
        "unsaid": None,
    }
    assert lock.notes == (
        "Pipfile.lock: it names no files: whether an entry is built, and how old it is, cannot be told from it",
    )


def test_what_pipfile_locks_without_a_version_is_known_to_be_unknown() -> None:
    winonly = by_name(read("Pipfile.lock", PIPFILE))["winonly"]
    assert (winonly.release, winonly.pinned, winonly.hashed, winonly.label) == (None, False, False, "winonly")


def test_the_only_index_of_a_pipfile_is_that_of_all() -> None:
    text = PIPFILE.replace(f',\n            {{"name": "private", "url": "{PRIVATE}", "verify_ssl": true}}', "")
    text = text.replace('"index": "private", ', "")
    assert artifact(by_name(read("Pipfile.lock", text))["unsaid"]).index == INDEX
