"""Pages of indexes, honest and hostile: what is read of them, and that nothing else is written again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from installguard.errors import UsageError
from installguard.index import json_files, json_pages
from installguard.index.documents import read_document
from installguard.index.entries import Source, read_moment
from installguard.index.filenames import read_filename
from installguard.index.html_tags import start_tags
from installguard.index.pages import Entry, Page, PageError, alike, named
from installguard.index.upstream import (
    Upstream,
    credentials_in,
    local_path,
    origin,
    parse_upstream,
    without_credentials,
)
from installguard.model import parse_version

if TYPE_CHECKING:
    from installguard.index.documents import Document

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
THING = canonicalize_name("thing")
WHEEL = "thing-1.0-py3-none-any.whl"
UPSTREAM = Upstream(url="https://user:pw@index.example.org/simple/")
SOURCE = Source(upstream=UPSTREAM, project=THING, url="https://index.example.org/simple/thing/", index=UPSTREAM.address)
LOCAL = Source(
    upstream=Upstream(url="file:///opt/simple"),
    project=THING,
    url="file:///opt/simple/thing/index.html",
    index="file:///opt/simple",
)
FLAT = Source(
    upstream=Upstream(url="https://h.example.org/", kind="flat"),
    project=None,
    url="https://h.example.org/",
    index="https://h.example.org/",
)


def as_json(*files: object, more: Mapping[str, object]) -> bytes:
    return json.dumps({"files": files, **more}).encode()


def read_json(*files: object, source: Source = SOURCE, more: Mapping[str, object] = MappingProxyType({})) -> Document:
    return read_document(as_json(*files, more=more), JSON, source)


def read_html(text: str, source: Source = SOURCE) -> Document:
    return read_document(text.encode(), HTML, source)


def href(entry: Entry) -> str:
    return entry.href


def names(page: Page) -> list[str]:
    return [entry.artifact.filename for entry in page.entries]


def test_all_that_json_says_of_a_file_is_read() -> None:
    page = read_json(
        {
            "filename": WHEEL,
            "url": f"https://x:y@files.example.org/{WHEEL}?sig=1",
            "hashes": {"sha256": "ab", "md5": "cd", "odd": 1},
            "upload-time": "2026-01-02T03:04:05.1234567Z",
            "yanked": "broken",
        }
    ).page
    (entry,) = page.entries
    artifact = entry.artifact
    assert (entry.project, entry.version, entry.problem) == ("thing", "1.0", None)
    assert artifact.url == f"https://files.example.org/{WHEEL}?sig=1"
    assert entry.href == f"https://x:y@files.example.org/{WHEEL}?sig=1"
    assert artifact.hashes == (("md5", "cd"), ("sha256", "ab"))
    assert artifact.uploaded_at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)
    assert (artifact.yanked, artifact.kind, artifact.index) == ("broken", "wheel", "https://index.example.org/simple/")


def test_all_that_html_says_of_a_file_is_read_and_written_again() -> None:
    document = read_html(
        '<!DOCTYPE html><html><head><title>x</title><meta name="pypi:repository-version" content="1.3">'
        '<meta name="pypi:project-status" content="archived">'
        '<meta name="pypi:project-status-reason" content="no &lt;time&gt;"></head><body>'
        f'<a href="../../files/{WHEEL}#sha256={"a" * 64}" data-requires-python="&gt;=3.8" data-yanked="" '
        f'data-core-metadata="sha256={"b" * 64}" rel="internal" onclick="x">anything</a></body></html>'
    )
    (entry,) = document.page.entries
    assert entry.href == f"https://index.example.org/files/{WHEEL}#sha256={'a' * 64}"
    assert (entry.artifact.hashes, entry.artifact.yanked) == ((("sha256", "a" * 64),), "")
    assert (document.page.status, document.page.status_reason) == ("archived", "no <time>")
    written = document.write(href).decode()
    assert read_html(written).page == document.page
    line = (
        f'<a href="{entry.href}" data-requires-python="&gt;=3.8" data-yanked="" '
        f'data-core-metadata="sha256={"b" * 64}">{WHEEL}</a>'
    )
    assert line in written
    assert "onclick" not in written
    assert '<meta name="pypi:repository-version" content="1.3">' in written


def test_a_base_moves_relative_urls_and_the_first_one_counts() -> None:
    document = read_html(f'<base href="/f/"><base href="https://evil.example.org/"><a href="{WHEEL}">x</a>')
    assert [entry.href for entry in document.page.entries] == [f"https://index.example.org/f/{WHEEL}"]


@pytest.mark.parametrize(
    ("filename", "project", "expected"),
    [
        ("thing-1.0-py3-none-any.whl", "thing", ("wheel", "thing", "1.0")),
        ("Thing-1.0-1-py3-none-any.WHL", "thing", ("wheel", "thing", "1.0")),
        ("my_thing-1.0_1-py3-none-any.whl", "my-thing", ("wheel", "my-thing", "1.0-1")),
        ("thing.whl", "thing", ("wheel", "thing", None)),
        ("my-thing-1.0.tar.gz", "my-thing", ("sdist", "my-thing", "1.0")),
        ("my-thing-1.0.tar.gz", "my", ("sdist", "my", "thing-1.0")),
        ("my.thing-2-1.0.zip", "my-thing-2", ("sdist", "my-thing-2", "1.0")),
        ("thing-1.0-rc1.TAR.BZ2", "thing", ("sdist", "thing", "1.0-rc1")),
        ("other-1.0.tgz", "thing", ("sdist", "other", "1.0")),
        ("my-thing-1.0.tar.xz", None, ("sdist", "my-thing", "1.0")),
        ("nodash.zip", None, ("sdist", "nodash", None)),
        ("evil-2-1.0.tar.gz", None, ("sdist", "evil-2", "1.0")),
        ("-1.0.tar.gz", None, ("sdist", "-1-0", None)),
        ("thing-1.0.tar.zst", "thing", ("sdist", "thing", "1.0")),
        ("thing-1.0.exe", "thing", None),
        ("thing-1.0-py3.egg", "thing", None),
        ("thing-1.0.tar.gz.asc", "thing", None),
        ("", "thing", None),
    ],
)
def test_a_file_name_says_kind_project_and_version(
    filename: str, project: str | None, expected: tuple[str, str, str] | None
) -> None:
    assert read_filename(filename, canonicalize_name(project) if project else None) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"files"',
        b"{}",
        b'{"files": null}',
        b'{"files": {"a": 1}}',
        b'{"files": [], "x": NaN}',
        b'{"files": [], "x": 1' + b"0" * 100_000 + b"}",
        b'{"files": ' + b"[" * 200_000,
        b"\xff\xfe\x00",
        b'{"files": [' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]}",
    ],
)
def test_what_is_no_json_page_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(PageError) as caught:
        read_document(body, JSON, SOURCE)
    assert caught.value.status == 502
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "file",
    [
        None,
        1,
        [],
        {},
        {"filename": WHEEL},
        {"url": WHEEL},
        {"filename": 1, "url": WHEEL},
        {"filename": WHEEL, "url": None},
        {"filename": "", "url": WHEEL},
        {"filename": "../thing-1.0.zip", "url": "x"},
        {"filename": "a\\thing-1.0.zip", "url": "x"},
        {"filename": "thing-1.0\r\n.zip", "url": "x"},
        {"filename": "thing-1.0\udcff.zip", "url": "x"},
        {"filename": "thing-" + "1" * 1000 + ".zip", "url": "x"},
        {"filename": "thing-1.0.zip", "url": "https://[::1/thing-1.0.zip"},
        {"filename": "thing-1.0.zip", "url": "\ud800"},
        {"filename": "thing-1.0.zip", "url": "x" * 10_000},
        {"filename": "other-1.0.zip", "url": "other-1.0.zip"},
        {"filename": "other-1.0-py3-none-any.whl", "url": "other-1.0-py3-none-any.whl"},
        {"filename": "thing-1.0.exe", "url": "thing-1.0.exe"},
    ],
)
def test_an_entry_that_no_installer_could_use_is_left_out(file: object) -> None:
    document = read_json(file, {"filename": WHEEL, "url": WHEEL})
    assert names(document.page) == [WHEEL]
    assert len(json.loads(document.write(href))["files"]) == 1


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"javascript:alert(1)//{WHEEL}", "its URL is of another kind than the index: javascript"),
        (f"data:text/html,{WHEEL}", "its URL is of another kind than the index: data"),
        (f"file:///etc/{WHEEL}", "its URL is of another kind than the index: file"),
        (f"FILE:///etc/{WHEEL}", "its URL is of another kind than the index: file"),
        ("https://h.example.org/thing-6.6.6-py3-none-any.whl", "its URL names another file"),
        ("https://h.example.org/thing-6.6.6.tar.gz/", "its URL names another file"),
        ("https://h.example.org/x%2Fthing-6.6.6.tar.gz", "its URL names another file"),
        (f"https://h.example.org/{WHEEL}/evil-1.tar.gz", "its URL names another file"),
        (f"https://h.example.org/download/123?name={WHEEL}", None),
        ("https://h.example.org/download/123", None),
        (f"http://h.example.org/{WHEEL}", None),
        (f"//h.example.org/{WHEEL}", None),
        (f"https://h.example.org/{WHEEL}/", None),
    ],
)
def test_a_url_of_another_kind_or_of_another_file_is_denied(url: str, problem: str | None) -> None:
    (entry,) = read_json({"filename": WHEEL, "url": url}).page.entries
    assert entry.problem == problem


def test_a_file_url_is_good_where_the_index_itself_is_local() -> None:
    (entry,) = read_json({"filename": WHEEL, "url": f"../{WHEEL}"}, source=LOCAL).page.entries
    assert (entry.href, entry.problem) == (f"file:///opt/simple/{WHEEL}", None)


def test_a_url_is_written_in_one_spelling_that_every_client_reads_alike() -> None:
    (entry,) = read_json(
        {"filename": "thing-1.0+a b.zip", "url": 'https://h.example.org/a\\b"<é/thing-1.0%2Ba b.zip'}
    ).page.entries
    assert entry.href == "https://h.example.org/a%5Cb%22%3C%C3%A9/thing-1.0%2Ba%20b.zip"
    assert entry.problem is None


def test_the_same_name_twice_is_two_entries() -> None:
    document = read_json({"filename": WHEEL, "url": f"a/{WHEEL}"}, {"filename": WHEEL, "url": f"b/{WHEEL}"})
    assert names(document.page) == [WHEEL, WHEEL]
    assert [file["url"] for file in json.loads(document.write(lambda entry: "denied"))["files"]] == ["denied"] * 2


def test_a_key_that_comes_twice_is_written_once_as_it_was_judged() -> None:
    one, two = (f'"filename": "thing-{number}.zip", "url": "thing-{number}.zip"' for number in (1, 2))
    body = f'{{"files": [{{{one}, {two}}}]}}'.encode()
    document = read_document(body, JSON, SOURCE)
    written = document.write(href)
    assert names(document.page) == ["thing-2.zip"]
    assert b"thing-1.zip" not in written


PLAIN = '{ "files" : [{"filename": "thing-1.zip", "url": "https://h.example.org/thing-1.zip", "yanked": false}] }'


def test_a_page_that_can_be_read_in_one_way_only_is_passed_on_byte_for_byte() -> None:
    assert read_document(PLAIN.encode(), JSON, SOURCE).write(href) == PLAIN.encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("}] }", '}, {"filename": "thing-6.exe", "url": "https://h.example.org/thing-6.exe"}]}'),
        ("}] }", '}, {"filename": "thing-6-py3.9.egg", "url": "../f/thing-6-py3.9.egg"}]}'),
        ('"yanked": false', '"yanked": "gr\\u00fc\\u00dfe \\"x\\""'),
        ('"yanked": false', '"y": [{"url": 1}, {"url": 2}], "z": {"url": {"url": 3}}'),
    ],
    ids=["exe", "egg", "escapes", "nested"],
)
def test_what_no_installer_takes_and_what_is_escaped_is_passed_on_too(old: str, new: str) -> None:
    body = PLAIN.replace(old, new, 1).encode()
    document = read_document(body, JSON, SOURCE)
    assert document.write(href) == body
    assert names(document.page) == ["thing-1.zip"]
    moved = json.loads(document.write(lambda entry: "denied"))["files"]
    assert [(file["filename"], file["url"]) for file in moved] == [("thing-1.zip", "denied")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_a_page_in_another_encoding_is_written_in_the_usual_one(encoding: str) -> None:
    document = read_document(PLAIN.encode(encoding), JSON, SOURCE)
    assert json.loads(document.write(href).decode("utf-8")) == json.loads(PLAIN)
    assert not document.searchable


def test_a_page_less_a_file_is_not_passed_on_as_it_came() -> None:
    body = as_json(
        *({"filename": f"thing-{n}.zip", "url": f"https://h.example.org/thing-{n}.zip"} for n in (1, 2)), more={}
    )
    document = read_document(body, JSON, SOURCE)
    for hidden, shown in ((1, b"thing-2.zip"), (2, b"thing-1.zip")):
        gone = f"thing-{hidden}.zip"
        written = document.write(lambda entry, gone=gone: None if entry.artifact.filename == gone else entry.href)  # type: ignore[misc]
        assert (shown in written, gone.encode() in written) == (True, False)
    assert document.write(href) == body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"filename":', '"filename": "thing-6.zip", "filename":'),
        ('"filename":', '"file\\u006eame": "thing-6.zip", "filename":'),
        ('"url":', '"url": "https://h.example.org/thing-6.zip", "url":'),
        ('"url":', '"url"\n:\t"https://h.example.org/thing-6.zip", "url":'),
        ('"yanked": false', '"upload-time": "2030-01-01T00:00:00Z", "upload-time": null'),
        ('"yanked": false', '"hashes": {}, "hashes": {"sha256": "00"}'),
        ('{ "files" :', '{"files": [{"filename": "thing-6.zip", "url": "x"}], "files":'),
        ("}] }", '}, {"filename": "thing-6.exe", "url": "x"}]}'),
        ('{ "files" :', '{ "project-status": {}, "project-status": {}, "files" :'),
        ('{ "files" :', '{ "project-status": {"status": "quarantined", "status": "active"}, "files" :'),
        ("https://h.example.org/thing-1.zip", "thing-1.zip"),
        ("}] }", '}, {"filename": "thing-5.exe", "url": "https://h.example.org/thing-6.zip"}]}'),
        ("}] }", '}, {"filename": "thing-5.exe", "url": "https://h.example.org/thing-6.zip?/thing-5.exe"}]}'),
        ("}] }", '}, {"filename": "thing-5.exe", "url": "https://h.example.org/thing-6.zip#/thing-5.exe"}]}'),
        ("}] }", '}, {"filename": "thing-6.exe", "url": "https://h.example.org/thing%2D6.exe"}]}'),
        ("}] }", '}, {"filename": "thing-6.zip.asc", "url": "https://h.example.org/thing-6.zip.asc"}]}'),
        ("}] }", '}, {"filename": "other-6.zip", "url": "https://h.example.org/other-6.zip", "x": "thing-6"}]}'),
        ('"yanked": false', '"yanked": {"a": "thing-6", "a": 0}'),
        ("{ ", "\ufeff{ "),
    ],
)
def test_a_page_that_could_be_read_in_two_ways_is_written_as_it_was_judged(old: str, new: str) -> None:
    body = PLAIN.replace(old, new, 1).encode()
    document = read_document(body, JSON, SOURCE)
    written = document.write(href)
    assert body != written
    assert b"thing-6" not in written
    assert names(document.page) == ["thing-1.zip"]
    assert [file["url"] for file in json.loads(written)["files"]] == [document.page.entries[0].href]
    assert len(re.findall(rb'"(?:filename|url|hashes|upload-time)"', written)) == len(
        json.loads(written)["files"][0]
    ) - (b"yanked" in written)


@pytest.mark.parametrize("status", ["active", "archived", "deprecated", "quarantined"])
def test_the_status_of_the_project_is_read(status: str) -> None:
    page = read_json(more={"project-status": {"status": status, "reason": "because"}}).page
    assert (page.status, page.status_reason) == (status, "because")


@pytest.mark.parametrize(
    "status", [None, 1, "active", [], {"status": 1}, {"status": "odd", "reason": "x"}, {"status": []}]
)
def test_a_status_that_is_not_known_is_none(status: object) -> None:
    page = read_json(more={"project-status": status}).page
    assert (page.status, page.status_reason) == (None, "")


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_at_either_end_of_time_can_be_reckoned_with(moment: str) -> None:
    (entry,) = read_json({"filename": WHEEL, "url": WHEEL, "upload-time": moment}).page.entries
    found = entry.artifact.uploaded_at
    assert found is not None
    assert found.astimezone(timezone.utc).year in (1000, 9000)


@pytest.mark.parametrize("moment", ["", "yesterday", 5, None, "2026-13-01T00:00:00Z", "9" * 5000])
def test_a_time_that_cannot_be_read_is_none(moment: object) -> None:
    (entry,) = read_json({"filename": WHEEL, "url": WHEEL, "upload-time": moment}).page.entries
    assert entry.artifact.uploaded_at is None


@pytest.mark.parametrize(
    ("yanked", "read"), [(False, None), (None, None), ("", ""), (True, ""), ("why", "why"), (0, None), ([1], "")]
)
def test_yanked_is_read_generously(yanked: object, read: str | None) -> None:
    (entry,) = read_json({"filename": WHEEL, "url": WHEEL, "yanked": yanked}).page.entries
    assert entry.artifact.yanked == read


def test_html_that_could_be_read_in_two_ways_is_written_in_one() -> None:
    text = (
        f'<a href="{WHEEL}" href="thing-6-py3-none-any.whl" data-x\'"><b="1" data-ok="1">'
        f'<!-- <a href="thing-7.zip"> --><script><a href="thing-8.zip"></script>'
        f'<A HREF=thing-9.zip>thing-1.zip</A><a>no</a><a href="thing-5.zip'
    )
    document = read_html(text)
    written = document.write(href).decode()
    assert names(document.page) == [WHEEL, "thing-9.zip"]
    assert "thing-6" not in written
    assert "thing-8" not in written
    assert "data-x" not in written
    assert ">thing-9.zip</a>" in written
    assert "thing-1.zip" not in written


@pytest.mark.parametrize(
    "text",
    [
        "<A HREF = \"x\" data-a='b>c' data-b>y</a >",
        "<a href=x/y?z&amp;w>",
        "<p>1 < 2<a\nhref='&#x41;&lt;&quot;'/><br/>",
        "<!DOCTYPE html><!-- <a href=no> --><?xml <a href=no2 ?><a href=yes>",
        "<style><a href=no></style><script>'</scrip'<a href=no></script\n><a href=yes>",
        "<!----><a href=yes></ a href=no><a href=",
        "<abbr href=x><a><a href><base href='/b/' >",
    ],
)
def test_tags_are_found_as_the_standard_library_finds_them(text: str) -> None:
    assert [
        attributes["href"] for tag, attributes in start_tags(text) if tag == "a" and "href" in attributes
    ] == Anchors(text).hrefs


@pytest.mark.parametrize(
    "unit", ["<a ", '<a href="', "<!--", "<", "</a", "<script>", "<title>", "&", "<a a=\"'", "<?", "<!"]
)
def test_a_page_made_to_be_slow_is_read_in_time(unit: str) -> None:
    started = time.process_time()
    read_html(unit * 100_000)
    assert time.process_time() - started < 5  # of a parser that goes back, minutes


def test_a_flat_page_has_the_files_of_all_projects() -> None:
    page = read_html(f'<a href="{WHEEL}">x</a><a href="my-other-2.0.tar.gz">y</a><a href="up/">z</a>', FLAT).page
    assert [(entry.project, entry.version) for entry in page.entries] == [("thing", "1.0"), ("my-other", "2.0")]
    assert page.project is None


class Anchors(HTMLParser):
    """The links of a page, as any reader sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value or "" for name, value in attrs if tag == "a" and name == "href"]


ODD = st.text(st.sampled_from("/\\:?#%2eEwhl.targz-_thing10 \t\n\"'<>@[]&;\u202e\udc80é+"), max_size=30)
NAMES = st.sampled_from([WHEEL, "thing-1.0.tar.gz", "thing-6.6.6.zip", "evil-1.zip", "x"]) | ODD
URLS = st.builds(
    lambda head, name, tail: f"{head}{name}{tail}",
    st.sampled_from(["", "https://h.example.org/", "//", "/a/"]) | ODD,
    NAMES,
    ODD | st.just(""),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=5,
)
FILES = st.fixed_dictionaries(
    {"filename": NAMES, "url": URLS}, optional={"hashes": VALUES, "yanked": VALUES, "upload-time": VALUES, "x": VALUES}
)


@given(
    files=st.lists(FILES | VALUES, max_size=4),
    more=st.dictionaries(st.sampled_from(["meta", "name", "project-status"]), VALUES),
)
@settings(max_examples=300, deadline=None)
def test_every_file_on_a_json_page_that_is_written_has_been_judged_under_its_name(
    files: list[object], more: dict[str, Any]
) -> None:
    document = read_json(*files, more=more)
    written = [
        file
        for file in json.loads(document.write(href))["files"]
        if not (file["filename"].endswith(json_files.USELESS) and file["url"].endswith(f"/{file['filename']}"))
    ]
    assert [file["filename"] for file in written] == names(document.page)
    for file, entry in zip(written, document.page.entries, strict=True):
        assert file["url"] == entry.href
        assert entry.href.isascii()
        assert entry.href.isprintable()
        last = unquote(urlsplit(entry.href).path.rstrip("/").rpartition("/")[2])
        assert entry.problem or last == file["filename"] or read_filename(last, THING) is None


@given(hrefs=st.lists(URLS, max_size=4), noise=ODD)
@settings(max_examples=300, deadline=None)
def test_every_link_on_an_html_page_that_is_written_has_been_judged_under_its_name(
    hrefs: list[str], noise: str
) -> None:
    document = read_html("".join(f'{noise}<a href="{each}">x</a>' for each in hrefs).encode(errors="replace").decode())
    written = document.write(href).decode()
    assert Anchors(written).hrefs == [entry.href for entry in document.page.entries]
    again = read_html(written).page
    assert again.entries == document.page.entries
    denied = Anchors(document.write(lambda entry: "https://loopback.example.org/no").decode()).hrefs
    assert set(denied) <= {"https://loopback.example.org/no"}


@given(text=ODD)
def test_a_url_without_credentials_has_none(text: str) -> None:
    url = without_credentials(f"https://{text}")
    assert "@" not in url[8:].replace("?", "/").replace("#", "/").partition("/")[0]


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://h.example.org/x@y", None),
        ("https://bob@h.example.org/", ("bob", "")),
        ("https://bob:p%40w@h.example.org/", ("bob", "p@w")),
        ("https://:token@h.example.org/", ("", "token")),
    ],
)
def test_credentials_are_read_from_the_url(url: str, read: tuple[str, str] | None) -> None:
    assert credentials_in(url) == read


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://a:b@H.example.org./x") == origin("https://h.example.org:443/y")
    assert origin("https://h.example.org/") != origin("http://h.example.org:443/")
    assert origin("https://h.example.org/") != origin("https://h.example.org:444/")


@pytest.mark.parametrize(
    "text", ["ftp://h.example.org/", "https://", "https:///x", "http://[/", "http://h:0/", "git+https://h.example.org/"]
)
def test_what_cannot_be_asked_is_no_index(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="is no index that can be asked"):
        parse_upstream(text, base=tmp_path)


def test_a_path_is_an_index_on_this_machine(tmp_path: Path) -> None:
    upstream = parse_upstream("my wheels", "flat", base=tmp_path)
    assert upstream.local
    assert local_path(upstream.url) == tmp_path / "my wheels"
    with pytest.raises(ValueError, match="with a host"):
        local_path("file://elsewhere/x")


STEMS = st.sampled_from(["thing", "Thing", "THING", "th-ing", "thing-x", "thing_x", "other", "", "a"])
VERSIONS = st.sampled_from(["1.0", "1_0", "1.0-2", "", "1.0rc1", "v1", "1"])
ENDINGS = st.sampled_from([
    "-py3-none-any.whl", ".whl", ".WHL", "-.whl", ".tar.gz", ".zip", ".tar.bz2", ".egg", ".exe", "", ".tar", ".rpm",
])  # fmt: skip
PLAIN_NAMES = st.builds(
    lambda stem, dash, version, ending: f"{stem}{dash}{version}{ending}",
    STEMS,
    st.sampled_from(["-", "", "--"]),
    VERSIONS,
    ENDINGS,
)
MOMENTS = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00.5Z", "yesterday", None, 5, "2026-01-03"])


def plain_file(name: str, place: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"filename": name, "url": f"{place}{name}", **more}


def plainly(files: list[Any], source: Source) -> json_files.Files | None:
    plain = json_files.PlainFiles(source)
    for each in files:
        plain.add([each])
    return plain.all()


PLAIN_FILES = st.lists(
    st.builds(
        plain_file,
        PLAIN_NAMES,
        st.sampled_from(
            [
                "https://h.example.org/f/",
                "http://127.0.0.1:1/x/y/",
                "../../f/",
                "/f/",
                "//h.example.org/",
                "a/../",
                "",
                "./",
            ]
        ),
        st.fixed_dictionaries(
            {}, optional={"yanked": st.sampled_from([True, False, "", "why", None, 0]), "upload-time": MOMENTS}
        ),
    ),
    max_size=6,
)


@given(files=PLAIN_FILES)
@settings(max_examples=500, deadline=None)
def test_a_page_that_needs_no_looking_at_is_read_as_if_it_were_looked_at(files: list[dict[str, Any]]) -> None:
    quick, slow = plainly(files, SOURCE), json_files.read_each(files, SOURCE)
    if quick is None:
        return
    assert (quick.files, tuple(quick.entries), quick.hrefs) == (slow.files, slow.entries, slow.hrefs)
    assert quick.absolute == (quick.hrefs == [file["url"] for file in quick.files])
    assert quick.regular == all(map(json_files.is_regular, slow.entries))
    assert named(quick.entries) == named(slow.entries)
    moment = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    for after in (None, moment):
        assert alike(quick.entries, after) == alike(slow.entries, after)


@pytest.mark.parametrize(
    ("file", "plain"),
    [
        ({"filename": WHEEL, "url": f"../../files/{WHEEL}"}, True),
        ({"filename": WHEEL, "url": f"/a/../../b/./{WHEEL}#sha256=00"}, True),
        ({"filename": WHEEL, "url": f"//other.example.org/{WHEEL}"}, True),
        ({"filename": WHEEL, "url": f"?x/{WHEEL}"}, True),
        ({"filename": WHEEL, "url": f"#/{WHEEL}"}, True),
        ({"filename": WHEEL, "url": "https://h.example.org/thing-2.0-py3-none-any.whl"}, False),
        ({"filename": WHEEL, "url": f"https://h.example.org/x{WHEEL}"}, False),
        ({"filename": WHEEL, "url": f"ftp://h.example.org/{WHEEL}"}, False),
        ({"filename": WHEEL, "url": f"https://h.example.org/a b/{WHEEL}"}, True),
        ({"filename": WHEEL, "url": f"https://h.example.org/f#/{WHEEL}"}, True),
        ({"filename": WHEEL, "url": f"https://h.example.org/{WHEEL}?x"}, True),
        ({"filename": WHEEL, "url": f"https://user@h.example.org/{WHEEL}"}, True),
        ({"filename": "thing-1+.zip", "url": "https://h.example.org/thing-1%2B.zip"}, True),
        ({"filename": f"f/{WHEEL}", "url": f"https://h.example.org/f/{WHEEL}"}, True),
        ({"filename": 5, "url": "https://h.example.org/5"}, True),
        ({"filename": "", "url": "https://h.example.org/"}, True),
        ("text", True),
        (None, True),
    ],
    ids=str,
)
def test_whatever_is_not_as_it_is_written_is_looked_at(file: object, plain: bool) -> None:
    files = [{"filename": WHEEL, "url": f"https://h.example.org/{WHEEL}"}, file]
    quick, slow = plainly(files, SOURCE), json_files.read_each(files, SOURCE)
    assert (quick is not None) is plain
    assert quick is None or (quick.files, quick.hrefs) == (slow.files, slow.hrefs)
    assert quick is None or tuple(quick.entries) == slow.entries
    assert plainly(files[:1], FLAT) is None


@given(
    st.lists(
        st.sampled_from([
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.25+05:30",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "0999-12-31T23:30:00-01:00",
            "8999-12-31T23:59:59-12:00",
            "2026-01-03",
            "2026-02-30T00:00:00Z",
            None,
        ]),
        max_size=3,
    )
)  # fmt: skip
def test_all_times_of_a_page_are_read_as_each_of_them_is(texts: list[str | None]) -> None:
    moments = json_files._moments([{"upload-time": text} if text else {} for text in texts])
    assert list(moments) == [read_moment(text) for text in texts]
    assert all(moment is None or moment.tzinfo is not None for moment in moments)


def test_only_what_may_have_moved_is_asked_for_its_place() -> None:
    files = [{"filename": f"thing-{n}.zip", "url": f"https://h.example.org/thing-{n}.zip"} for n in (1, 2, 3)]
    document = read_json(*files)
    asked: list[str] = []

    def place(entry: Entry) -> str:
        asked.append(entry.artifact.filename)
        return "https://loopback.example.org/no"

    written = json.loads(document.write(place, {"thing-2.zip"}))
    assert asked == ["thing-2.zip"]
    assert [file["url"] for file in written["files"]] == [
        files[0]["url"], "https://loopback.example.org/no", files[2]["url"]
    ]  # fmt: skip


def test_large_pages_are_read_without_making_their_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(json_files, "make_entry", lambda *_, **__: made.append(1))
    wheels = [f"thing-{n}-py3-none-any.whl" for n in range(1000)]
    files = [{"filename": each, "url": f"https://h.example.org/{each}"} for each in wheels]
    page = read_json(*files).page
    assert len(alike(page.entries, None)) == 1000
    assert not made


# ---------------------------------------------------------------- searched, not read


@given(files=PLAIN_FILES, version=VERSIONS.filter(bool), more=st.fixed_dictionaries({}, optional={"meta": VALUES}))
@settings(max_examples=500, deadline=None)
def test_what_is_found_of_a_release_in_a_page_is_what_reading_it_gives(
    files: list[dict[str, Any]], version: str, more: dict[str, Any]
) -> None:
    body = as_json(*files, more=more)
    document = read_document(body, JSON, SOURCE)
    if not document.searchable:
        return
    release = parse_version(version)
    wanted = [each for each in document.page.entries if each.version and parse_version(each.version) == release]
    found = json_pages.entries_of(body, version, SOURCE)
    assert found is None or list(found) == wanted
    if any(each.version == version for each in wanted):
        assert found is not None


AROUND = {"core-metadata": {"sha256": "0" * 64}, "hashes": {"sha256": "1" * 64}, "x": {"y": [{"z": "{-1.5-"}]}}


def test_a_release_is_found_among_thousands_whatever_stands_around_its_name() -> None:
    names_ = [f"thing-1.{n}{ending}" for n in range(1000) for ending in ("-py3-none-any.whl", ".tar.gz")]
    files = [{**AROUND, "filename": each, "url": f"https://h.example.org/{each}", "é": "ü"} for each in names_]
    body = json.dumps({"files": files}, ensure_ascii=False).encode()
    document = read_document(body, JSON, SOURCE)
    assert document.searchable
    found = json_pages.entries_of(body, "1.7", SOURCE)
    assert found is not None
    assert [entry.artifact.filename for entry in found] == ["thing-1.7-py3-none-any.whl", "thing-1.7.tar.gz"]
    assert found == tuple(entry for entry in document.page.entries if entry.version == "1.7")
    assert json_pages.entries_of(body, "1.1000", SOURCE) is None


def file_of(name: str, **more: object) -> dict[str, object]:
    return {**more, "filename": name, "url": f"https://h.example.org/{name}"}


@pytest.mark.parametrize(
    "more",
    [
        {"project-status": {"status": "archived"}},
        {"files": [file_of(WHEEL, note="\\")]},
        {"note": file_of("thing-1.0.tar.gz")},
        {"note": [{"x": file_of("thing-3.0.tar.gz")}]},
        {"files": [file_of(WHEEL, note=file_of("thing-2.0.tar.gz")), file_of("thing-1.0.tar.gz")]},
        {"files": [file_of(WHEEL), file_of("thing-1.0.tar.gz.asc")]},
        {"files": [file_of(WHEEL), {**file_of("thing-1.0.egg"), "url": "https://h.example.org/thing-2.0.zip"}]},
        {"files": [{"filename": WHEEL, "url": "https://h.example.org/thing-2.0-py3-none-any.whl"}]},
        {"files": [file_of(WHEEL), file_of("thing-1.0.0.tar.gz")]},
        {"files": [file_of(WHEEL, yanked=True), file_of(WHEEL)]},
        {"files": [file_of(WHEEL), file_of("thing-1.0_1-py3-none-any.whl")]},
        {"files": [file_of(WHEEL), file_of("thing-1.0.TAR.GZ")]},
        {"files": [file_of(WHEEL), file_of("thing-2.0.whl")]},
        {"files": [file_of(WHEEL), file_of("thing.zip")]},
    ],
    ids=str,
)
def test_a_page_that_could_hide_a_file_from_a_search_is_not_searched(more: dict[str, object]) -> None:
    plain = {"files": [file_of(WHEEL), file_of("thing-1.0.tar.gz"), file_of("thing-1.0.zip")]}
    assert read_document(json.dumps(plain).encode(), JSON, SOURCE).searchable
    assert not read_document(json.dumps({**plain, **more}).encode(), JSON, SOURCE).searchable
    assert not read_html(f'<a href="https://h.example.org/{WHEEL}">x</a>').searchable


@pytest.mark.parametrize(
    "file",
    [
        file_of(WHEEL, note="{" * 9),
        file_of(WHEEL, note="y" * 5_000),
        file_of(WHEEL, note={"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": "-1.0-"}}}}}}}}}),
    ],
    ids=["braces", "long", "deep"],
)
def test_a_file_that_is_not_easily_found_makes_the_page_be_read(file: dict[str, object]) -> None:
    body = json.dumps({"files": [file, file_of("thing-1.0-py2-none-any.whl")]}).encode()
    assert read_document(body, JSON, SOURCE).searchable
    assert json_pages.entries_of(body, "1.0", SOURCE) is None


@pytest.mark.parametrize("note", ["{" * 8 + "-1-" * 5_000, "-1-" * 80_000], ids=["braces", "plain"])
def test_a_page_that_is_made_to_be_searched_in_vain_is_given_up_at_once(
    note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"meta": {"note": note}, "files": [file_of("thing-1-py3-none-any.whl")]}).encode()
    look, places = json_pages._object_around, []

    def counted(body: bytes, at: int) -> tuple[dict[str, Any] | None, int]:
        places.append(at)
        return look(body, at)

    monkeypatch.setattr(json_pages, "_object_around", counted)
    assert json_pages.entries_of(body, "1", SOURCE) is None
    assert len(places) == 1


def test_a_relative_url_that_is_too_long_is_left_out_as_ever() -> None:
    files = [{"filename": WHEEL, "url": "a/" * 4_100 + WHEEL}, file_of("thing-2.0-py3-none-any.whl")]
    assert names(read_json(*files).page) == ["thing-2.0-py3-none-any.whl"]
