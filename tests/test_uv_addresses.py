"""Guard's addresses come into uv's files and out of them again, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installguard.frontends.uv.addresses import Addresses, AmbiguousError, recorded, script_metadata
from installguard.frontends.uv.toml_texts import TomlError, index_texts, read_toml, with_index_tables

from .uv_world import World, open_world, write

R, S, X = "https://index.example.org/simple", "https://index.example.org/simple/", "https://other.example.org/simple"
G, T, H = (f"http://127.0.0.1:20999/secret/{key}" for key in ("aaaa/simple", "aaaa/simple/", "bbbb/simple"))
OURS = Addresses(ours={R: G, S: T, X: H})

STRINGS = {
    "plain": (f'url = "{R}"', f'url = "{G}"'),
    "with a slash": (f"url = '{S}'", f"url = '{T}'"),
    "in an array": (f'[tool.uv]\nx = ["{X}", "{R}",] # "{R}', f'[tool.uv]\nx = ["{H}", "{G}",] # "{R}'),
    "longer": (f'url = "{R}2"', f'url = "{R}2"'),
    "in a comment": (f"# '{R}'\n", f"# '{R}'\n"),
    "in another string": (f"x = '''\"{R}\"'''", f"x = '''\"{R}\"'''"),
    "over lines": (f'url = """{R}"""', f'url = """{G}"""'),
    "behind an escaped quote": (f'a = "\\"" # "\nurl = "{R}"', f'a = "\\"" # "\nurl = "{G}"'),
    "behind an apostrophe": (f"a = \"'\"\nurl = '{R}'", f"a = \"'\"\nurl = '{G}'"),
    "escaped": ('url = "https:\\u002f/index.example.org/simple"', f'url = "{G}"'),
}


@pytest.mark.parametrize(("theirs", "ours"), STRINGS.values(), ids=STRINGS.keys())
def test_only_whole_strings_are_replaced(theirs: str, ours: str) -> None:
    put = OURS.put_into(theirs.encode(), "pyproject.toml").decode()
    assert put == ours
    back = OURS.taken_from(put.encode(), "pyproject.toml", theirs.encode()).decode()
    assert back == theirs.replace("\\u002f", "/")


texts = st.sampled_from([R, S, X, "https://example.org", f"{R}/x", "it's", 'a "quoted" one', "\\", "#", "ünïcode", ""])
values = st.recursive(
    texts | st.integers() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "a", "b c"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def written(value: object, *, new: bool) -> str:
    """Write a value as TOML, in the *new* way (1.1) where that makes a difference."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f"'{value}'" if "'" not in value else f'"{escaped}"'
    if isinstance(value, list):
        return f"[{', '.join(written(each, new=new) for each in value)}]"
    if isinstance(value, dict):
        items = [f'"{key}" = {written(each, new=new)}' for key, each in value.items()]
        return (
            "{\n " + "".join(f'{item}, # it\'s "new" }}\n' for item in items) + "}"
            if new
            else f"{{{', '.join(items)}}}"
        )
    return str(value)


def replaced(value: object) -> object:
    """Return the value with guard's addresses."""
    if isinstance(value, list):
        return [replaced(each) for each in value]
    if isinstance(value, dict):
        return {key: replaced(each) for key, each in value.items()}
    return OURS.ours.get(value, value) if isinstance(value, str) else value


@given(document=st.dictionaries(st.sampled_from(["x", "index", "url"]), values), new=st.booleans())
def test_what_is_put_in_says_so_and_comes_out_as_it_was(document: dict[str, object], new: bool) -> None:
    text = "".join(f"{key} = {written(value, new=new)} # '{R}'\r\n" for key, value in document.items()).encode()
    assert read_toml(text) == document
    put = OURS.put_into(text, "pyproject.toml")
    assert read_toml(put) == replaced(document)
    assert OURS.named_in(put) == (put != text)
    assert OURS.taken_from(put, "pyproject.toml", text) == text


@given(data=st.binary(max_size=200) | st.text(alphabet="\"'\\#[]{}=,\n \tabx.", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_and_come_out_as_they_were(data: bytes) -> None:
    for name in ("pyproject.toml", "uv.lock", "x.py"):
        assert OURS.taken_from(OURS.put_into(data, name), name, data) == data
    with suppress(TomlError):
        read_toml(data)


def test_a_deep_nest_is_refused() -> None:
    with pytest.raises(TomlError):
        read_toml(b"x = " + b"[" * 100_000)


NEW = {
    "a = {\n  b = 1, # one\n  c = [\n 2,\n {d = 3,},\n],\n}\n": {"a": {"b": 1, "c": [2, {"d": 3}]}},
    '\ufeffa = "\\x41\\e"': {"a": "A\x1b"},
    'a = { b = "}\\"{", }': {"a": {"b": '}"{'}},
}


@pytest.mark.parametrize(("text", "document"), NEW.items())
def test_toml_is_read_as_uv_reads_it(text: str, document: dict[str, object]) -> None:
    assert read_toml(text.encode()) == document


def test_two_indexes_share_no_address() -> None:
    with pytest.raises(ValueError, match="share"):
        Addresses(ours={R: G, X: G})
    with pytest.raises(ValueError, match="share"):
        Addresses(ours={R: X, X: G})
    secret = R.replace("://", "://me:secret@")
    shared = Addresses(ours={R: G, secret: G})
    with pytest.raises(AmbiguousError):
        shared.taken_from(f'"{G}"'.encode(), "pyproject.toml", f'"{R}" "{secret}"'.encode())
    assert shared.taken_from(f'"{G}"'.encode(), "pyproject.toml", f'"{secret}"'.encode()) == f'"{secret}"'.encode()
    assert shared.taken_from(f'"{G}"'.encode(), "uv.lock", f'"{secret}"'.encode()) == f'"{R}"'.encode()


METADATA = {
    "# /// script\n# a = 1\n#\n# b = 2\n# ///\nx\n": b"a = 1\n\nb = 2\n",
    "#!/x\r\n# /// script\r\n# a = 1\r\n# ///": b"a = 1\n",
    "# /// other\n# a = 1\n# ///\n": None,
    "# /// script\n# a = 1\nx\n# ///\n": None,
}


@pytest.mark.parametrize(("script", "metadata"), METADATA.items())
def test_metadata_of_a_script_is_found(script: str, metadata: bytes | None) -> None:
    assert script_metadata(script.encode()) == metadata


# ---------------------------------------------------------------- settings


SETTINGS = [
    "",
    "# c",
    'index = [{ url = "https://a.example.org" }]\n',
    'index = [\n  { url = "x" }, # ]\n]\n[pip]\nx = 1\n',
]
SETTINGS += ['[[index]]\nurl = "x"\n', 'index = []\nfind-links = ["a]"]', '["index"]\n']


@pytest.mark.parametrize("text", SETTINGS)
def test_indexes_are_added_to_settings(text: str) -> None:
    before = read_toml(text.encode())
    added = [{"name": "installguard-1", "url": H, "explicit": True}, {"url": G, "default": True}]
    if isinstance(before.get("index"), dict):
        with pytest.raises(TomlError):
            with_index_tables(text, G, (H,))
        return
    assert read_toml(with_index_tables(text, G, (H,)).encode()) == {
        **before,
        "index": [*before.get("index", []), *added],
    }
    assert index_texts(read_toml(with_index_tables(text, G, ()).encode()), pyproject=False)[-1] != H


# ---------------------------------------------------------------- the real uv


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


URLS = [
    "https://Index.Example.org/simple",
    "https://me:secret@index.example.org/simple/",
    "https://me@index.example.org:443/Simple",
    "http://index.example.org:80",
    "http://index.example.org:8080/a/../simple/./",
    "https://index.example.org/a/b/..",
    "https://index.example.org//simple/%7Ex?a=B/../c#d",
    "  https://index.example.org/simple ",
]


@pytest.mark.parametrize("url", URLS)
def test_uv_records_an_index_as_guard_expects(world: World, tmp_path: Path, url: str) -> None:
    write(tmp_path, {"pyproject.toml": '[project]\nname = "p"\nversion = "1"\ndependencies = []\n'})
    done = world.uv(tmp_path, "add", "--frozen", "--default-index", url, "nice")
    assert done.code == 0, done.text
    assert index_texts(read_toml((tmp_path / "pyproject.toml").read_bytes()), pyproject=True) == (recorded(url),)
