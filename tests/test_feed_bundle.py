"""The air gap: one file that carries a snapshot, and signatures."""

from __future__ import annotations

import base64
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from installguard.errors import FeedError, GuardError, UsageError
from installguard.feeds.bundle import MANIFEST, export_snapshot, import_snapshot, is_snapshot
from installguard.feeds.imports import import_export
from installguard.feeds.sources import Bounds
from installguard.feeds.store import open_snapshot, status, unreadable_records
from installguard.feeds.update import Failed, Unchanged, Updated, update
from installguard.policy import SourcePolicy

from .feed_samples import NOW, record, shared_feeds, write_export
from .feed_server import Export, serve_export

KEV = b'{"dateReleased": "2026-11-20T10:00:00Z", "vulnerabilities": [{"cveID": "CVE-2021-44228"}, {"cveID": 7}]}'
POPULAR = b'{"rows": [{"project": "boto3"}, {"project": "requests"}]}'
SOURCES = (SourcePolicy(name="osv", url="https://example.org"),)
NAMES = [canonicalize_name(name) for name in ("nice", "evil", "odd")]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A snapshot of four sources, one of them with changes, one with an unreadable record."""
    directory = tmp_path / "cache"
    odd = record("ODD-1 x/\u2028é", "odd", versions=["1.0", "legacy!"], events=[{"introduced": "0"}, {"fixed": "2"}])
    exports: list[tuple[str, list[dict[str, Any]]]] = [
        ("osv", [record("PYSEC-2026-1", versions=["1.0"], aliases=["CVE-1"], summary="line"), odd, {"id": 7}]),
        ("malicious", [record("X-1", "evil", versions=["6"])]),
    ]
    for name, records in exports:
        path = write_export(tmp_path / f"{name}.zip", *records)
        import_export(path, directory=directory, name=name, malicious=name == "malicious", now=NOW)
    for name, kind, data in (("kev", "exploited", KEV), ("popular", "popular", POPULAR)):
        (tmp_path / f"{name}.json").write_bytes(data)
        kinds: Any = kind
        path = tmp_path / f"{name}.json"
        import_export(path, directory=directory, name=name, malicious=False, kind=kinds, now=NOW)
    return directory


@pytest.fixture
def bundle(tmp_path: Path, cache: Path) -> Path:
    export_snapshot(cache, tmp_path / "bundle.zip")
    return tmp_path / "bundle.zip"


def carry(path: Path, directory: Path, **options: Any) -> None:
    import_snapshot(path, directory=directory, now=NOW, **options)


def seen(directory: Path) -> tuple[object, ...]:
    with open_snapshot(directory, SOURCES) as snapshot:
        return (snapshot.lookup(NAMES), snapshot.exploited(), snapshot.popular(), snapshot.unreadable(), snapshot.info)


def test_another_machine_sees_what_this_one_sees(tmp_path: Path, cache: Path, bundle: Path) -> None:
    assert is_snapshot(bundle)
    carry(bundle, tmp_path / "there")
    assert seen(tmp_path / "there") == seen(cache)
    assert len(unreadable_records(tmp_path / "there")) == 2


def test_a_snapshot_exports_the_same_bytes_here_and_there(tmp_path: Path, bundle: Path) -> None:
    carry(bundle, tmp_path / "there")
    export_snapshot(tmp_path / "there", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_sources_that_the_file_does_not_carry_stay(tmp_path: Path, bundle: Path) -> None:
    path = write_export(tmp_path / "own.zip", record("OWN-1", "own", versions=["1"]))
    import_export(path, directory=tmp_path / "there", name="own", malicious=False, now=NOW)
    carry(bundle, tmp_path / "there")
    assert {source.name for source in status(tmp_path / "there", SOURCES).sources} >= {"own", "osv", "malicious", "kev"}


def test_a_snapshot_that_is_older_is_refused_unless_that_is_accepted(tmp_path: Path, cache: Path, bundle: Path) -> None:
    newer = record("PYSEC-2026-1", versions=["1.0"], modified="2026-11-02T00:00:00Z")
    import_export(write_export(tmp_path / "osv.zip", newer), directory=cache, name="osv", malicious=False, now=NOW)
    before = seen(cache)
    with pytest.raises(FeedError, match="older than the snapshot"):
        carry(bundle, cache)
    assert seen(cache) == before
    carry(bundle, cache, accept_rollback=True)
    assert len(unreadable_records(cache)) == 2


def test_an_osv_export_is_no_exported_snapshot(tmp_path: Path) -> None:
    assert not is_snapshot(write_export(tmp_path / "x.zip", record(versions=["1"])))
    assert not is_snapshot(tmp_path / "nowhere.zip")
    assert not is_snapshot(tmp_path)


def test_without_a_snapshot_there_is_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no snapshot to export"):
        export_snapshot(tmp_path / "nowhere", tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FeedError, match="cannot be written"):
        export_snapshot(cache, tmp_path / "nowhere" / "bundle.zip")


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def edited(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], object]:
    def change(members: dict[str, bytes]) -> None:
        before = b"".join(members.values())
        members.update({name: data.replace(old, new) for name, data in members.items()})
        assert b"".join(members.values()) != before

    return change


@pytest.mark.parametrize(
    "change",
    [
        edited(b"PYSEC-2026-1", b"PYSEC-2026-2"),
        edited(b'false,\\"1\\",', b"false,[1],"),
        edited(b"CVE-2021-44228", b"CVE-2021-44229"),
        edited(b"boto3", b"boto4"),
        edited(b"boto3", b"Boto3"),
        edited(b"[[", b"[" * 100_000),
        edited(b'"schema": 2', b'"schema": 1'),
        edited(b'"osv"', b'"baseline"'),
        edited(b'"popular"', b'"osv"'),
        edited(b'"records": ', b'"entries": '),
        edited(b"sha256:", b"sha257:"),
        lambda members: members.update({MANIFEST: b"{"}),
        lambda members: members.update({"0.lines": b""}),
        lambda members: members.update({"0.lines": b"\xff\n"}),
        lambda members: members.update({"0.lines": b"[[7, 7]]\n"}),
        lambda members: members.update({"0.lines": members["0.lines"] * 2}),
        lambda members: members.update({"0.lines": b" " * 5_000_000}),
        lambda members: members.pop("1.lines"),
    ],
)
def test_a_file_that_was_changed_is_refused_whole(
    tmp_path: Path, bundle: Path, change: Callable[[dict[str, bytes]], object]
) -> None:
    there = tmp_path / "there"
    import_export(tmp_path / "malicious.zip", directory=there, name="malicious", malicious=True, now=NOW)
    before = seen(there)
    with pytest.raises(GuardError) as told:
        carry(rewritten(bundle, change), there, bounds=Bounds(record=100_000))
    assert "\n" not in str(told.value)
    assert seen(there) == before


def test_a_truncated_file_is_refused(tmp_path: Path, bundle: Path) -> None:
    os.truncate(bundle, bundle.stat().st_size // 2)
    with pytest.raises(FeedError, match="cannot be read"):
        carry(bundle, tmp_path / "there")
    with pytest.raises(UsageError):
        carry(tmp_path / "nowhere.zip", tmp_path / "there")


def test_the_real_feeds_cross_the_gap(tmp_path: Path) -> None:
    feeds = shared_feeds()
    for name in ("osv", "malicious"):
        path = feeds / name / "PyPI" / "all.zip"
        import_export(path, directory=tmp_path / "here", name=name, malicious=name == "malicious", now=NOW)
    export_snapshot(tmp_path / "here", tmp_path / "bundle.zip")
    carry(tmp_path / "bundle.zip", tmp_path / "there")
    assert status(tmp_path / "there", ()).digest == status(tmp_path / "here", ()).digest


# ---------------------------------------------------------------- signatures


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str, str]:
    """A private key's file, its public key, and another public key."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519", reason="needs the signing extra")
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    publics = [base64.b64encode(each.public_key().public_bytes_raw()).decode() for each in (private, other)]
    return path, publics[0], publics[1]


def test_a_signed_file_is_taken_where_its_key_is_known(
    tmp_path: Path, cache: Path, keys: tuple[Path, str, str]
) -> None:
    private, public, other = keys
    export_snapshot(cache, tmp_path / "bundle.zip", key=private)
    carry(tmp_path / "bundle.zip", tmp_path / "there", keys=(other, public))
    assert seen(tmp_path / "there") == seen(cache)
    with pytest.raises(FeedError, match=r"is signed by none of feed\.keys"):
        carry(tmp_path / "bundle.zip", tmp_path / "elsewhere", keys=(other,))


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (None, "is not signed"),
        (b"", "has a signature that is none"),
        (b"x" * 64, "is signed by none"),
        (b"A" * 2000, "has a signature that is none"),
    ],
)
def test_a_wrong_or_missing_signature_is_a_refusal(
    tmp_path: Path, bundle: Path, keys: tuple[Path, str, str], signature: bytes | None, message: str
) -> None:
    if signature is not None:
        bundle.with_name("bundle.zip.sig").write_bytes(signature)
    with pytest.raises(FeedError, match=message):
        carry(bundle, tmp_path / "there", keys=(keys[1],))
    with pytest.raises(FeedError, match="is not signed"):
        export = tmp_path / "osv.zip"
        import_export(export, directory=tmp_path / "there", name="osv", malicious=False, now=NOW, keys=(keys[1],))
    assert not (tmp_path / "there").exists()


def test_a_signed_file_that_was_changed_is_refused(tmp_path: Path, cache: Path, keys: tuple[Path, str, str]) -> None:
    path = tmp_path / "bundle.zip"
    export_snapshot(cache, path, key=keys[0])
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FeedError, match="is signed by none"):
        carry(path, tmp_path / "there", keys=(keys[1],))


def test_a_directory_of_records_cannot_be_signed(tmp_path: Path, keys: tuple[Path, str, str]) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(record(versions=["1"])))
    with pytest.raises(FeedError, match="nobody can sign"):
        import_export(folder, directory=tmp_path / "there", name="osv", malicious=False, now=NOW, keys=(keys[1],))


@pytest.mark.parametrize("text", [b"", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_told(tmp_path: Path, cache: Path, keys: tuple[Path, str, str], text: bytes) -> None:
    keys[0].write_bytes(text)
    with pytest.raises(UsageError, match="is no private key in PEM"):
        export_snapshot(cache, tmp_path / "bundle.zip", key=keys[0])
    with pytest.raises(UsageError, match="cannot be read"):
        export_snapshot(cache, tmp_path / "bundle.zip", key=tmp_path / "nowhere")


def sign_file(data: bytes, private: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(private.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key.sign(data)


def test_a_mirror_must_sign_its_zip_where_keys_are_known(tmp_path: Path, keys: tuple[Path, str, str]) -> None:
    private, public, other = keys
    with serve_export(Export()) as export:
        export.put(record("PYSEC-2026-1", versions=["1.0"]))
        sources = [SourcePolicy(name="osv", url=export.url)]

        def run(*known: str) -> Any:
            (result,) = update(tmp_path / "cache", sources, now=NOW, keys=known, bounds=Bounds(rounds=1))
            return result

        assert isinstance(run(), Updated)
        assert isinstance(result := run(public), Failed)
        assert "is not signed" in str(result.error)
        export.files["/PyPI/all.zip.sig"] = sign_file(export.zipped(), private)
        assert isinstance(run(public), Updated)
        export.asked()
        assert isinstance(run(public), Unchanged)
        assert export.asked() == ["all.zip"]
        assert "is signed by none" in str(run(other).error)
        export.put(record("PYSEC-2026-2", versions=["1.0"], modified="2026-11-02T00:00:00Z"))
        assert "is signed by none" in str(run(public).error)
        assert status(tmp_path / "cache", sources).records == 1
