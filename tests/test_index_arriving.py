"""A page that is parsed while it arrives says what it says when it is parsed as a whole, or is parsed as a whole."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from installguard.index import arriving
from installguard.index.arriving import Arriving
from installguard.index.documents import read_document
from installguard.index.entries import Source
from installguard.index.pages import Entry, PageError
from installguard.index.room import Room
from installguard.index.upstream import Upstream

JSON = "application/vnd.pypi.simple.v1+json"
UPSTREAM = Upstream(url="https://index.example.org/simple/")
URL = "https://index.example.org/simple/thing/"
SOURCE = Source(upstream=UPSTREAM, project=canonicalize_name("thing"), url=URL, index=UPSTREAM.address)

STRINGS = st.sampled_from([
    "", "files", "}, {", "},{", "]", '"files": [', '], "files": [', "\\", "é", "\udc00", "thing-1.0.zip", "{", "}", ",",
])  # fmt: skip
KEYS = st.sampled_from(["files", "filename", "url", "meta", "x", "upload-time", "yanked", "versions"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([
    "thing-1.0-py3-none-any.whl", "thing-1.0.tar.gz", "thing-2.0.tar.gz", "thing-2.0.zip", "thing-1.egg", "other-1.zip",
])  # fmt: skip
FILES = st.builds(
    lambda name, place, more: {"filename": name, "url": f"{place}{name}", **more},
    NAMES,
    st.sampled_from(["https://files.example.org/f/", "../f/", "", "ftp://files.example.org/"]),
    st.dictionaries(st.sampled_from(["hashes", "yanked", "upload-time", "x"]), VALUES, max_size=3),
)
DAMAGE = st.sampled_from([
    None, ("[", "[["), ("}", "}}"), (",", ",,"), ('"filename"', '"filename": 1, "filename"'), (":", ": :"), ("]", ""),
    ("{", ""), ('"files"', '"files": [], "files"'), ("1", "NaN"), ('"x"', '"files"'), ("]", "] "), ("},", "}\n,"),
])  # fmt: skip


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "CHUNK", 16)


def arrived(body: bytes, cuts: list[int], room: int = 1 << 20) -> tuple[Arriving, Any, bytes | None]:
    with Arriving(SOURCE, Room(room)) as page:
        for start, end in pairwise(sorted({0, *(cut % (len(body) + 1) for cut in cuts), len(body)})):
            page(body[start:end])
        return page, page.content(), page.body()


def place(entry: Entry) -> str:
    return entry.href.replace("thing-1", "https://loopback.example.org/thing-1")


def told(body: bytes, parsed: Any) -> object:
    try:
        document = read_document(body, JSON, SOURCE, parsed)
    except PageError as error:
        return str(error)
    page = document.page
    entries = (tuple(page.entries), page.status, page.status_reason)
    return entries, document.searchable, document.write(lambda entry: entry.href), document.write(place)


@given(
    files=st.lists(FILES | VALUES, max_size=8),
    before=st.dictionaries(KEYS, VALUES, max_size=2),
    after=st.dictionaries(KEYS, VALUES, max_size=2),
    layout=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    plain=st.booleans(),
    damage=DAMAGE,
    at=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 5_000), max_size=12),
)
@settings(max_examples=1_500, deadline=None)
def test_a_page_says_the_same_however_it_arrives(
    files: list[Any],
    before: dict[str, Any],
    after: dict[str, Any],
    layout: tuple[str, str],
    plain: bool,
    damage: tuple[str, str] | None,
    at: int,
    cuts: list[int],
) -> None:
    content = {**before, "files": files, **after}
    text = json.dumps(content, ensure_ascii=plain, separators=layout)
    if damage is not None:
        pieces = text.split(damage[0])
        at = at % len(pieces)
        text = damage[0].join(pieces[:at]) + (damage[1] if at else "") + damage[0].join(pieces[at:])
    body = text.encode("utf-8", "surrogatepass")
    _, parsed, kept = arrived(body, cuts)
    assert kept in (None, body)
    assert told(body, parsed) == told(body, None)


def page_of(number: int) -> bytes:
    files = [
        {"filename": f"thing-{n}.tar.gz", "url": f"https://h.example.org/thing-{n}.tar.gz", "hashes": {"sha256": "00"}}
        for n in range(number)
    ]
    return json.dumps({"meta": {"api-version": "1.4"}, "files": files, "name": "thing"}).encode()


def test_a_large_page_is_parsed_before_its_end() -> None:
    body = page_of(100)
    with Arriving(SOURCE, Room(1 << 20)) as page:
        page(body[:-100])
        assert len(page._files) >= 97
        page(body[-100:])
        parsed = page.content()
        assert parsed is not None
        assert parsed.content == json.loads(body)
        assert list(parsed.content) == ["meta", "files", "name"]
        assert page.body() == body


def test_what_is_parsed_takes_no_more_room_than_there_is_and_gives_it_back() -> None:
    body = page_of(100)
    room = Room(len(body) // 2)
    with Arriving(SOURCE, room) as page:
        for at in range(0, len(body), 100):
            page(body[at : at + 100])
        assert (page.content(), page.body()) == (None, None)
    with room.taken(len(body) // 2):
        assert not room.take(1)
    with Arriving(SOURCE, room) as page:
        page(body[: len(body) // 3])
        assert not room.take(len(body) // 2)
    assert room.take(len(body) // 2)


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><a href='thing-1.zip'>" + b"x" * 100,
        b'\xef\xbb\xbf{"files": [{}, {}, {}, {}, {}, {}]}',
        '{"files": [{}, {}, {}, {}, {}, {}]}'.encode("utf-16"),
        b'{"files": [{"x": "\xff"}, {}, {}, {}, {}]}',
        b'{"meta": {"files": [{"x": 1}, {"x": 2}, {"x": 3}]}, "files": []}',
        b'{"files": [{"x": 1}, {"x": 2}, {"x": 3}], "files": [{"x": 4}, {"x": 5}]}',
        b'{"files": ' + b"[" * 200_000,
        b'{"files": [' + b'{"a":' * 100_000 + b"1}",
        b'{"files": [{"x": "' + b"y" * 1_000,
        b'{"files": [{}, {}, {}, {}, {}, {}, {}, ]}',
        b'{"files": [{}, {}, {}, {}, {}, {}, {}',
        b'{"files": [{}, {}, {}, {}, {}, {}, {}]}]}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_plainly_a_page_is_left_to_be_parsed_as_a_whole(body: bytes) -> None:
    for size in (1, 7, len(body)):
        if len(body) // size < 10_000:
            _, parsed, kept = arrived(body, list(range(0, len(body), size)))
            assert parsed is None
            assert kept in (None, body)


def test_what_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "LARGEST_FILE", 500)
    with Arriving(SOURCE, Room(1 << 20)) as page:
        page(b'{"files": [{"x": "')
        for _ in range(100):
            page(b"y" * 16)
        assert page._pending == ""
        assert page.body() is None
