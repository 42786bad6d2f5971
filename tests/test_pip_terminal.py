"""On a terminal: pip's colours, progress bars and prompts come through guard as they are."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from .environments import Environment
from .loopback import Index
from .packages import make_wheel
from .terminal import run_on_terminal
from .world import checkout, fill_index

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals on this system"),
    pytest.mark.last_pip,
]
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]+m")


class Typed:
    """Runs command lines on a terminal, bare and guarded."""

    def __init__(self, environment: Environment, **variables: str) -> None:
        self.environment = environment
        self.environ = {**environment.environ(), **variables}

    def pip(self, *argv: str, asks: bytes = b"", answer: bytes = b"") -> tuple[int, str]:
        """Run bare pip."""
        command: list[str | Path] = [self.environment.python, "-m", "pip", *argv]
        return run_on_terminal(command, self.environ, self.environment.home, asks=asks, answer=answer)

    def guard(self, *argv: str, asks: bytes = b"", answer: bytes = b"") -> tuple[int, str]:
        """Run pip under guard."""
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "installguard",
            "--python",
            self.environment.python,
            "pip",
            *argv,
        ]
        return run_on_terminal(command, self.environ, self.environment.home, asks=asks, answer=answer)


LARGE = ("install", "--force-reinstall", "--no-cache-dir", "--progress-bar", "on", "large")


def before_guard(text: str) -> str:
    """Return what was printed before guard's own lines, which stand at the end."""
    return re.split(r"(?m)^(?:\x1b\[[0-9;]*m)*(?:warning\[|guard: )", text)[0]


def test_colours_and_progress_bars_are_those_of_bare_pip(environment: Environment, index: Index) -> None:
    fill_index(index)
    typed = Typed(environment)

    bare, guarded = typed.pip(*LARGE), typed.guard(*LARGE)

    assert bare[0] == guarded[0] == 0, guarded[1]
    assert "━━━" in before_guard(guarded[1])
    assert COLOUR.search(before_guard(guarded[1]))
    assert set(SEQUENCE.findall(before_guard(guarded[1]))) == set(SEQUENCE.findall(bare[1]))
    assert "judged, none denied" in guarded[1]


def test_pips_red_errors_are_red_and_nothing_is_added(environment: Environment) -> None:
    typed = Typed(environment)

    bare, guarded = typed.pip("install", "no-such-project"), typed.guard("install", "no-such-project")

    assert guarded == bare
    assert COLOUR.search(bare[1])


@pytest.mark.parametrize("argv", [LARGE, ("install", "no-such-project")], ids=["success", "failure"])
def test_no_color_holds_for_pip_and_guard_alike(environment: Environment, index: Index, argv: tuple[str, ...]) -> None:
    fill_index(index)
    typed = Typed(environment, NO_COLOR="1")

    bare, guarded = typed.pip(*argv), typed.guard(*argv)

    assert guarded[0] == bare[0]
    assert set(COLOUR.findall(guarded[1])) == set(COLOUR.findall(bare[1]))


@pytest.mark.parametrize(("answer", "kept"), [(b"y\n", False), (b"n\n", True), (b"\n", False)])
def test_a_prompt_of_pips_is_answered_by_the_user(
    environment: Environment, index: Index, answer: bytes, kept: bool
) -> None:
    make_wheel(index.files, "nice")
    typed = Typed(environment)
    printed = []
    for run in (typed.pip, typed.guard):
        assert environment.pip("install", "nice").code == 0
        printed.append(run("uninstall", "nice", asks=b"Proceed (Y/n)?", answer=answer))
        assert (environment.site_packages / "nice").exists() == kept

    assert printed[0] == printed[1]
    assert printed[1][0] == 0


def test_a_prompt_amid_an_install_is_answered_by_the_user(environment: Environment, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        checkout(directory)
    (second / "second.txt").touch()
    where = ("install", "--src", str(tmp_path / "src"), "--editable")
    assert environment.pip(*where, f"git+file://{first}#egg=versioned").code == 0
    typed = Typed(environment)

    code, printed = typed.guard(*where, f"git+file://{second}#egg=versioned", asks=b"(b)ackup", answer=b"b\n")

    assert code == 0, printed
    assert "What to do?" in printed
    assert (tmp_path / "src" / "versioned.bak").is_dir()
