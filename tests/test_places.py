"""Where guard keeps its own: as `platformdirs` says, also where it is not asked."""

from __future__ import annotations

import sys
from pathlib import Path

import platformdirs
import pytest

from installguard.cli import PLACES, place, plain_place

ENVIRONS = [
    {"HOME": "/home/anna"},
    {"HOME": "/"},
    {"HOME": ""},
    {"HOME": "anna"},
    {"HOME": "~"},
    {"HOME": "/home/anna/"},
    {"HOME": "/home/an na"},
    {"HOME": "/home/anna", **{variable: "" for variable, _ in PLACES.values()}},
    {"HOME": "/home/anna", **{variable: "/other/place" for variable, _ in PLACES.values()}},
    {"HOME": "/home/anna", **{variable: "relative/place" for variable, _ in PLACES.values()}},
    {"HOME": "/home/anna", **{variable: "~/place" for variable, _ in PLACES.values()}},
    {"HOME": "/home/anna", **{variable: "/one:/two" for variable, _ in PLACES.values()}},
    {"HOME": "/home/anna", **{variable: ":/two" for variable, _ in PLACES.values()}},
    {"HOME": "/home/anna", **{variable: "/a//b/../c/" for variable, _ in PLACES.values()}},
    {**{variable: "/other/place" for variable, _ in PLACES.values()}},
]


@pytest.mark.parametrize("kind", sorted(PLACES))
@pytest.mark.parametrize("environ", ENVIRONS, ids=str)
def test_a_place_is_where_platformdirs_says(
    kind: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", *(variable for variable, _ in PLACES.values())):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = getattr(platformdirs, kind)("installguard", appauthor=False)
    assert place(kind) == (found if found.is_absolute() else None)


@pytest.mark.skipif(sys.platform != "linux", reason="platformdirs is asked on every other system")
@pytest.mark.parametrize("kind", sorted(PLACES))
def test_where_nothing_is_out_of_the_ordinary_platformdirs_is_not_asked(kind: str) -> None:
    assert plain_place(kind, {"HOME": "/home/anna"}) is not None
    assert plain_place(kind, {"HOME": "/home/anna", PLACES[kind][0]: "/one:/two"}) is None
