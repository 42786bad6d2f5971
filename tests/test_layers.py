"""Who may import whom, and that nothing heavy is imported before it is used (DESIGN: layout)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "installguard"
MODULES = sorted(SOURCE.rglob("*.py"))

PURE = ("dataclass", "errors", "names", "model", "osv", "policy", "checks", "reporters")
EDGE = ("config", "feeds", "frontends", "hook", "licensing")
TOP = ("cli", "verbs", "doctor", "__main__")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "": (),
    "dataclass": (),
    "names": (),
    "errors": (),
    "private": (),
    "trust": (),
    "model": ("dataclass", "errors", "names", "policy"),
    "osv": ("dataclass", "errors", "names", "model"),
    "policy": ("dataclass", "errors", "names", "model"),
    "checks": ("dataclass", "errors", "names", "model", "osv", "policy"),
    "reporters": ("", "dataclass", "errors", "names", "model", "osv", "policy"),
    **dict.fromkeys(EDGE, PURE),
    "feeds": (*PURE, "trust"),
    "index": ("dataclass", "errors", "names", "model", "private", "trust"),
    # the hook is a file that the front-end starts, and whose channel it serves
    "frontends": (*PURE, "hook", "private"),
    "judge": (*PURE, "licensing"),
    "session": (*PURE, *EDGE, "index", "judge"),
    "fronting": (*PURE, "index"),
    "screening": ("", *PURE, "index", "judge"),
    "uv_scene": (*PURE, *EDGE, "index", "judge", "session", "fronting", "screening"),
    "unchanged": ("", "frontends", "private"),
    "uv_ground": (*PURE, *EDGE, "session", "unchanged", "uv_scene"),
    "uv_session": (*PURE, *EDGE, "index", "judge", "session", "screening", "unchanged", "uv_scene", "uv_ground"),
}
"""Parts of the package that a part may import, itself apart; what is not here may import all. `""` is the package."""

HEAVY = {
    "dataclasses",
    "packaging.utils",
    "packaging.specifiers",
    "httpx",
    "pip_api",
    "sqlite3",
    "cvss",
    "platformdirs",
    "tomllib",
    "tomli",
    "rich",
    "pip",
    "importlib.metadata",
    "license_expression",
    "cryptography",
}
STANDARD_LIBRARY = {*sys.stdlib_module_names, "tomllib"}
"""Of the newest Python: `tomllib` came with 3.11."""
HOOK = "hook/pip_hook.py"
LAYERED = [module for module in MODULES if module.relative_to(SOURCE).as_posix() != HOOK]


def part_of(module: Path) -> str:
    """Return the part of the package that *module* belongs to: its first directory, or its own name."""
    first = module.relative_to(SOURCE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(module: Path, *, at_top: bool = False) -> Iterator[str]:
    """Yield the absolute names that *module* imports, those under `if TYPE_CHECKING` left out."""
    package = ("installguard", *module.relative_to(SOURCE).parts[:-1])
    for node in statements(ast.parse(module.read_text(encoding="utf-8")), at_top=at_top):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def statements(tree: ast.AST, *, at_top: bool) -> Iterator[ast.AST]:
    """Yield every node that runs, or only those that run at import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (each for part in node.orelse for each in (part, *statements(part, at_top=at_top)))
            continue
        yield node
        if not (at_top and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            yield from statements(node, at_top=at_top)


def imported_parts(module: Path) -> set[str]:
    """Return the parts of the package that *module* imports, its own left out."""
    parts = set()
    for name in imports(module):
        first, _, rest = name.partition(".")
        if first == "installguard":
            part = rest.split(".")[0]
            parts.add(part if part in known_parts() else "")
    return parts - {part_of(module)}


def known_parts() -> set[str]:
    return {part_of(module) for module in MODULES}


def outside(module: Path, *, at_top: bool = False) -> set[str]:
    """Return what *module* imports from outside of the package and the standard library."""
    names = {name.partition(".")[0] for name in imports(module, at_top=at_top)}
    return names - STANDARD_LIBRARY - {"installguard"}


def name_of(module: Path) -> str:
    return module.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("module", LAYERED, ids=name_of)
def test_a_module_imports_only_the_layers_below_it(module: Path) -> None:
    allowed = MAY_IMPORT.get(part_of(module))
    if allowed is None:
        assert part_of(module) in TOP, "a new part of the package: give it its place in MAY_IMPORT"
        return
    assert imported_parts(module) <= set(allowed)


@pytest.mark.parametrize("module", [each for each in LAYERED if part_of(each) in PURE], ids=name_of)
def test_the_pure_layers_import_the_standard_library_and_packaging_only(module: Path) -> None:
    assert outside(module) <= {"packaging"}


@pytest.mark.parametrize("module", LAYERED, ids=name_of)
def test_nothing_heavy_is_imported_before_it_is_used(module: Path) -> None:
    names = set(imports(module, at_top=True))
    assert not {heavy for heavy in HEAVY for name in names if f"{name}.".startswith(f"{heavy}.")}


def test_what_is_fetched_over_http_is_fetched_by_one_module_of_a_part() -> None:
    fetching = {name_of(module) for module in LAYERED if "httpx" in outside(module)}
    assert fetching == {"feeds/fetching.py", "index/fetching.py"}


@pytest.mark.parametrize("module", [each for each in MODULES if name_of(each) == HOOK], ids=name_of)
def test_the_hook_stands_alone_on_the_standard_library_and_the_pip_it_runs_in(module: Path) -> None:
    assert outside(module) <= {"pip"}
    assert not {name for name in imports(module) if name.partition(".")[0] == "installguard"}


@pytest.mark.parametrize("module", [each for each in LAYERED if part_of(each) in PURE], ids=name_of)
def test_the_pure_layers_touch_neither_files_nor_clock_nor_environment(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    forbidden = {"open", "print", "input", "datetime.now", "date.today", "time.time", "os.getenv"}
    assert not called & forbidden
    assert not {"os", "subprocess", "socket", "io", "sys"} & {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", [each for each in LAYERED if part_of(each) != "cli"], ids=name_of)
def test_only_the_command_line_reads_the_environment(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    written = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
    }
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in written]
    assert not {"os.environ", "os.environb", "os.getenv"} & {ast.unparse(node) for node in read}


def test_the_rules_notice_what_they_forbid() -> None:
    text = "import httpx\ndef f():\n    import sqlite3\nif TYPE_CHECKING:\n    import cvss\n"
    tree = ast.parse(text)
    top = {ast.unparse(node) for node in statements(tree, at_top=True) if isinstance(node, ast.Import)}
    anywhere = {ast.unparse(node) for node in statements(tree, at_top=False) if isinstance(node, ast.Import)}
    assert top == {"import httpx"}
    assert anywhere == {"import httpx", "import sqlite3"}
