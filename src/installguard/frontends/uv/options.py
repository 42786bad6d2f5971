"""The options of uv's verbs: how each is spelled, and which of them take a value.

As the programs from 0.7.22 to 0.13.9 tell them in their help and shell completion, hidden and deprecated ones included.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ...dataclass import dataclass

Verb = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of uv."""

    name: str
    """Its long spelling, under which guard knows it."""
    takes_value: bool


_GLOBAL = (
    "-q,--quiet -v,--verbose -h,--help -n,--no-cache,--no-cache-dir --cache-dir= --config-file= --no-config "
    "--directory= --project= --offline --no-offline --color= --no-color --no-progress --isolated --show-settings "
    "--allow-insecure-host,--trusted-host= --native-tls --no-native-tls --system-certs --no-system-certs "
    "--managed-python --no-managed-python --python-preference= --python-fetch= --allow-python-downloads "
    "--no-python-downloads --preview --no-preview --preview-features,--preview-feature= --no-installer-metadata"
)
"""Options that may stand anywhere: spellings of one option joined by commas, `=` behind those that take a value."""

_ROWS = (
    (
        "*",
        "--index= --default-index= -i,--index-url= --extra-index-url= -f,--find-links= --no-index "
        "--index-strategy= --keyring-provider= --exclude-newer= --exclude-newer-package= --link-mode=",
    ),
    (
        "*, -venv",
        "-C,--config-setting,--config-settings= --no-build-isolation --build-isolation --no-sources "
        "--no-sources-package= --require-build-hashes --no-require-build-hashes --no-build --build",
    ),
    ("*, -audit", "-p,--python="),
    ("*, -tool upgrade, -venv", "--config-settings-package="),
    (
        "*, -pip sync, -venv",
        "-U,--upgrade --no-upgrade -P,--upgrade-package= --upgrade-group= --resolution= --prerelease= "
        "--prerelease-package= --pre --fork-strategy= --no-build-isolation-package=",
    ),
    ("*, -tree, -audit, -tool upgrade", "--refresh --no-refresh --refresh-package="),
    (
        "*, -pip install, -pip sync, -pip compile, -venv",
        "--no-build-package= --no-binary --binary --no-binary-package=",
    ),
    (
        "pip install, pip sync, pip compile, sync, run, tree, audit, tool run, tool install, tool upgrade",
        "--python-platform=",
    ),
    (
        "pip install, pip sync, add, remove, version, sync, run, tool run, tool install, tool upgrade",
        "--reinstall,--force-reinstall --no-reinstall --reinstall-package= --compile-bytecode,--compile "
        "--no-compile-bytecode,--no-compile",
    ),
    (
        "lock, add, remove, version, sync, run, tree, export, audit, workspace metadata",
        "--locked --no-locked --frozen --no-frozen",
    ),
    ("pip install, pip sync, pip compile, add, remove, sync, run, tree, export", "--group="),
    ("lock, add, remove, sync, tree, export, audit, workspace metadata", "--script="),
    ("add, remove, version, sync, run, tree, export, build", "--package="),
    ("pip install, pip sync, pip compile, add, sync, run, export", "--extra="),
    ("pip install, pip sync, pip compile, add, tool run, tool install", "-c,--constraints,--constraint="),
    ("pip install, pip sync, pip compile, sync, run, export", "--all-extras --no-all-extras"),
    (
        "pip install, pip sync, pip compile, tool run, tool install, build",
        "-b,--build-constraints,--build-constraint=",
    ),
    ("pip install, pip sync, lock, version, sync, workspace metadata", "--dry-run"),
    ("add, remove, version, sync, run, workspace metadata", "--active"),
    ("add, remove, sync, run, tree, export", "--dev"),
    ("pip install, pip sync, pip compile, tree, audit", "--python-version="),
    ("pip install, pip sync, pip compile, tool run, tool install", "--torch-backend="),
    ("pip install, pip sync, version, sync, audit", "--output-format="),
    ("pip install, add, sync, run, export", "--no-editable --no-editable-package="),
    ("add, remove, version, sync, run", "--no-active"),
    ("sync, run, tree, export, audit", "--no-dev --only-dev --no-group= --no-default-groups --only-group="),
    ("pip install, pip sync, pip compile, venv", "--system --no-system"),
    ("pip install, pip sync, lock, sync", "--check"),
    ("pip install, pip compile, tool run, tool install", "--overrides,--override="),
    ("pip install, sync, run, workspace metadata", "--exact"),
    ("add, remove, version, run", "--no-sync"),
    ("add, sync, run, export", "--editable"),
    ("sync, run, tree, export", "--all-groups"),
    ("sync, run, export, audit", "--no-extra="),
    ("pip install, pip sync, pip compile", "--no-binary= --only-binary= --cert="),
    ("pip install, pip sync, build", "--require-hashes --no-require-hashes --verify-hashes --no-verify-hashes"),
    ("pip install, pip compile, tool install", "--excludes,--exclude="),
    ("pip install, sync, run", "--inexact,--no-exact"),
    ("pip compile, tree, export", "--format="),
    ("add, tool run, tool install", "--lfs"),
    ("sync, run, export", "--all-packages"),
    ("run, tool run, tool install", "-w,--with= --with-editable= --with-requirements="),
    (
        "pip install, pip sync",
        "--break-system-packages --no-break-system-packages -t,--target= --prefix= --strict --no-strict --user",
    ),
    ("pip install, pip compile", "--no-deps --deps"),
    ("pip install, add", "-r,--requirements,--requirement="),
    ("pip sync, pip compile", "--client-cert= --config= --pip-args="),
    ("pip compile, tree", "--universal"),
    (
        "pip compile, export",
        "-o,--output-file= --no-annotate --annotate --no-header --header --emit-index-url --no-emit-index-url "
        "--emit-find-links --no-emit-find-links",
    ),
    ("add, remove", "--optional="),
    (
        "add, sync",
        "--no-install-project --only-install-project --no-install-workspace --only-install-workspace "
        "--no-install-local --only-install-local --no-install-package= --only-install-package=",
    ),
    ("run, tool run", "--env-file= --no-env-file --show-resolution"),
    ("run, venv", "--no-project"),
    ("tree, export", "--prune="),
    ("tool run, tool install", "--from="),
    ("tool install, venv", "--force"),
    ("pip install", "-e,--editable= --disable-pip-version-check"),
    ("pip sync", "--allow-empty-requirements --no-allow-empty-requirements -a,--ask --python-executable="),
    (
        "pip compile",
        "--no-strip-extras --strip-extras --no-strip-markers --strip-markers --annotation-style= "
        "--custom-compile-command= --generate-hashes --no-generate-hashes --no-universal "
        "--no-emit-package,--unsafe-package= --emit-build-options --no-emit-build-options "
        "--emit-marker-expression --no-emit-marker-expression --emit-index-annotation --no-emit-index-annotation "
        "--allow-unsafe --no-allow-unsafe --reuse-hashes --no-reuse-hashes --resolver= --max-rounds= "
        "--emit-trusted-host --no-emit-trusted-host --emit-options --no-emit-options",
    ),
    ("lock", "--check-exists"),
    ("add", "-m,--marker= --raw,--raw-sources --bounds= --rev= --tag= --branch= --workspace --no-workspace"),
    ("version", "--bump= --short"),
    ("sync", "--no-check"),
    ("run", "-m,--module -s,--script --gui-script --max-recursion-depth="),
    ("tree", "-d,--depth= --no-dedupe --invert,--reverse --outdated --show-sizes"),
    (
        "export",
        "--hashes --no-hashes --batch= --no-emit-project,--no-install-project "
        "--only-emit-project,--only-install-project --no-emit-workspace,--no-install-workspace "
        "--only-emit-workspace,--only-install-workspace --no-emit-local,--no-install-local "
        "--only-emit-local,--only-install-local --no-emit-package,--no-install-package= "
        "--only-emit-package,--only-install-package=",
    ),
    ("audit", "--ignore= --ignore-until-fixed= --service-format= --service-url="),
    ("workspace metadata", "--output-version= --sync"),
    ("tool run", "--generate-shell-completion="),
    ("tool install", "-e,--editable --with-executables-from="),
    ("tool upgrade", "--all --config-settings-package,--config-setting-package="),
    (
        "venv",
        "--seed -c,--clear --no-clear --allow-existing --prompt= --system-site-packages --relocatable "
        "--no-relocatable --no-seed --no-pip --no-setuptools --no-wheel",
    ),
    (
        "build",
        "--skip-dependency-check --all-packages,--all -o,--out-dir= --sdist --wheel --list --build-logs "
        "--no-build-logs --force-pep517 --clear --create-gitignore --no-create-gitignore",
    ),
)
"""Verbs (`*`: each of them, but those behind a `-`), and the options that they have beside the global ones."""

_VERSION = "-V,--version"
_TELL_VERSION: tuple[Verb, ...] = ((), ("tool", "run"))
"""Where `--version` asks for uv's own: in front of a verb, and in `uvx`."""


@cache
def options_of(verb: Verb) -> Mapping[str, Option]:
    """Return the options of *verb*, by each of their spellings; `()` is what stands in front of a verb."""
    named = " ".join(verb)
    texts = [_GLOBAL, *(text for verbs, text in _ROWS if _holds(verbs, named))]
    return _parse_options(" ".join(texts + [_VERSION] * (verb in _TELL_VERSION)))


def _holds(verbs: str, verb: str) -> bool:
    each = verbs.split(", ")
    return verb in each or (each[0] == "*" and verb != "" and f"-{verb}" not in each)


def _parse_options(text: str) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for word in text.split():
        spellings = word.rstrip("=").split(",")
        name = next(each for each in spellings if each.startswith("--"))
        option = Option(name=name, takes_value=word.endswith("="))
        found |= dict.fromkeys(spellings, option)
    return found
