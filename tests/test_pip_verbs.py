"""Verbs of pip's that neither resolve, build nor install: under guard as without it, and nothing is judged."""

from __future__ import annotations

import pytest

from .environments import Environment
from .loopback import Index
from .packages import make_wheel

VERBS = (
    ("--version",),
    ("--help",),
    ("help",),
    ("help", "install"),
    ("install", "--help"),
    ("list",),
    ("list", "--format", "json"),
    ("freeze",),
    ("show", "outer"),
    ("show", "no-such-project"),
    ("check",),
    ("config", "list"),
    ("cache", "dir"),
    ("completion", "--bash"),
    ("inspect",),
    ("nonsense",),
    ("--no-such-option",),
    ("instal",),
    (),
)


@pytest.fixture
def furnished(environment: Environment, index: Index) -> Environment:
    """An environment that holds two releases, one of which misses what it requires."""
    make_wheel(index.files, "nice")
    make_wheel(index.files, "outer", requires=["nice", "swift"])
    assert environment.pip("install", "--no-deps", "nice", "outer").code == 0
    return environment


@pytest.mark.last_pip
def test_verbs_that_install_nothing_are_as_without_guard_and_nothing_is_judged(furnished: Environment) -> None:
    before = furnished.files()
    for verb in VERBS:
        bare, guarded = furnished.pip(*verb), furnished.guard("pip", *verb)

        assert (guarded.code, guarded.out, guarded.err) == (bare.code, bare.out, bare.err), (verb, guarded.text)
    assert furnished.files() == before


def test_uninstalling_is_as_without_guard(furnished: Environment) -> None:
    bare = furnished.pip("uninstall", "-y", "nice")
    assert furnished.pip("install", "nice").code == 0
    guarded = furnished.guard("pip", "uninstall", "-y", "nice")

    assert (guarded.code, guarded.out, guarded.err) == (bare.code, bare.out, bare.err)
    assert "Successfully uninstalled nice-1.0" in guarded.out
    assert not (furnished.site_packages / "nice").exists()


def test_a_verb_behind_pips_global_options_is_the_same_verb(furnished: Environment) -> None:
    bare, guarded = furnished.pip("--no-input", "-q", "list"), furnished.guard("pip", "--no-input", "-q", "list")

    assert (guarded.code, guarded.out, guarded.err) == (bare.code, bare.out, bare.err)
