"""What the loopback index keeps on disk, and where it listens."""

from __future__ import annotations

import os
import socket
from hashlib import sha256
from pathlib import Path

import pytest

from installguard.index.addresses import Address
from installguard.index.entries import read_moment
from installguard.index.keeping import SMALL, Kept, Shelf
from installguard.index.pages import PageError


def keep(shelf: Shelf, project: str, body: bytes, *, age: float = 0.0) -> Kept:
    """Put a page on the shelf whose files were last changed *age* seconds ago."""
    with shelf.writing("key", most=1 << 20, where="here") as writing:
        writing.write(body)
        kept = Kept(
            url="https://index.example.org/",
            content_type="text/html",
            digest=writing.digest,
            size=writing.size,
            fetched_at=5.0,
            fresh_for=10.0,
            etag=None,
            last_modified=None,
        )
        writing.close()
        shelf.put("key", project, kept, writing.path or writing.body, before=shelf.look("key", project))
    for each in (shelf.directory / "key").glob(f"page-{project}.*"):
        stat = each.stat()
        os.utime(each, (stat.st_atime - age, stat.st_mtime - age))
    return kept


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(directory=tmp_path)


def test_what_is_kept_is_found_again_and_a_new_body_takes_the_place_of_the_old(shelf: Shelf) -> None:
    first = keep(shelf, "thing", b"one")
    assert (shelf.look("key", "thing"), shelf.body("key", "thing", first)) == (first, b"one")
    second = keep(shelf, "thing", b"two")
    assert (shelf.look("key", "thing"), shelf.body("key", "thing", second)) == (second, b"two")
    assert shelf.body("key", "thing", first) is None
    assert len(list((shelf.directory / "key").iterdir())) == 2
    shelf.drop("key", "thing")
    assert shelf.look("key", "thing") is None
    assert list((shelf.directory / "key").iterdir()) == []


def test_a_page_is_fresh_for_as_long_as_its_index_said_and_not_before_its_own_time(shelf: Shelf) -> None:
    kept = keep(shelf, "thing", b"one")
    assert [kept.fresh(now) for now in (4.9, 5.0, 14.9, 15.0)] == [False, True, True, False]


def test_a_body_that_is_given_up_leaves_nothing(shelf: Shelf) -> None:
    with pytest.raises(PageError, match="larger than"), shelf.writing("key", most=1, where="here") as writing:
        writing.write(b"two")
    assert not shelf.directory.exists() or list(shelf.directory.rglob("*")) == []
    with pytest.raises(PageError, match="larger than"), shelf.writing("key", most=SMALL + 1, where="here") as writing:
        writing.write(b"x" * (SMALL + 1))
        assert len(list((shelf.directory / "key").iterdir())) == 1
        writing.write(b"x")
    assert list((shelf.directory / "key").iterdir()) == []


@pytest.mark.parametrize("sizes", [[SMALL], [SMALL + 1], [1] * 3 + [SMALL, 5, 7], [SMALL // 2] * 5, []])
def test_a_body_is_the_same_in_memory_and_on_disk(shelf: Shelf, sizes: list[int]) -> None:
    blocks = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    seen: list[bytes] = []
    with shelf.writing("key", most=1 << 30, where="here", seen=seen.append) as writing:
        for each in blocks:
            writing.write(each)
        writing.close()
        assert (writing.path is None) == (sum(sizes) <= SMALL)
        assert (writing.body if writing.path is None else writing.path.read_bytes()) == b"".join(blocks)
        assert (writing.size, writing.digest) == (sum(sizes), sha256(b"".join(blocks)).hexdigest())
    assert seen == blocks
    assert [path for path in shelf.directory.rglob("*") if path.is_file()] == []


def test_the_shelf_is_bounded_and_the_oldest_pages_go_first(shelf: Shelf) -> None:
    for number in range(5):
        keep(shelf, f"thing{number}", bytes([number]) * 10_000, age=1_000.0 * (5 - number))
    shelf.prune(25_000)
    assert [shelf.look("key", f"thing{number}") is not None for number in range(5)] == [False, False, False, True, True]
    shelf.prune(25_000)
    assert shelf.look("key", "thing3") is not None
    shelf.prune(0)
    assert list((shelf.directory / "key").iterdir()) == []


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with listener:
        port = listener.getsockname()[1]
        assert Address(listener=listener, token="x").authority == f"[::1]:{port}"


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.100000+00:00"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456+00:00"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05+02:00"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00"),
    ],
)
def test_a_time_is_read_alike_by_every_python(text: str, iso: str) -> None:
    moment = read_moment(text)
    assert moment is not None
    assert moment.isoformat() == iso
