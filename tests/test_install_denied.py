"""Releases that the feed names as malware, by every way into an environment: denied, not run, nothing written."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from .environments import Environment, copy_environment, tree, version_of
from .loopback import Index
from .packages import make_sdist, make_wheel, setup_py_files, source_files, touch, write_tree

pytestmark = pytest.mark.usefixtures("feed")


@dataclass
class Scene:
    """Where an attack takes place."""

    environment: Environment
    index: Index
    directory: Path
    marker: Path

    @property
    def payload(self) -> str:
        """A line of Python that leaves a mark."""
        return touch(self.marker)


@pytest.fixture
def scene(environment: Environment, index: Index, tmp_path: Path) -> Scene:
    return Scene(environment=environment, index=index, directory=tmp_path, marker=tmp_path / "it-ran")


def evil_wheel(scene: Scene, directory: Path | None = None) -> Path:
    files = {"evil.py": scene.payload, "evil.pth": f"{scene.payload}\n"}
    return make_wheel(directory or scene.index.files, "evil", "1.0", files=files)


def evil_source(scene: Scene, **more: str) -> dict[str, str]:
    return {**source_files("evil", "1.0", payload=scene.payload), **more}


def build_requirement(scene: Scene) -> Path:
    files = {"evil_build.py": scene.payload, "evil_build.pth": f"{scene.payload}\n"}
    return make_wheel(scene.index.files, "evil-build", "1.0", files=files)


def plain_wheel(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return ["evil"]


def depth_two(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    make_wheel(scene.index.files, "middle", requires=["evil>=0.5"])
    make_wheel(scene.index.files, "outer", requires=["middle"])
    return ["outer"]


def sdist_setup_py(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil", "1.0", setup_py_files("evil", payload=scene.payload))
    return ["evil"]


def sdist_pep517(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil", "1.0", evil_source(scene))
    return ["evil"]


def sdist_static_metadata(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil", "1.0", source_files("evil", payload=scene.payload, static=True))
    return ["evil==1.0"]


def static_build_requirement(scene: Scene) -> Sequence[str]:
    build_requirement(scene)
    make_sdist(scene.index.files, "nice", "1.0", source_files("nice", build_requires=["evil-build"]))
    return ["nice"]


def dynamic_build_requirement(scene: Scene) -> Sequence[str]:
    build_requirement(scene)
    make_sdist(scene.index.files, "nice", "1.0", source_files("nice", dynamic_requires=["evil-build"]))
    return ["nice"]


def nested_build_requirement(scene: Scene) -> Sequence[str]:
    build_requirement(scene)
    make_sdist(scene.index.files, "helper", "1.0", source_files("helper", build_requires=["evil-build"]))
    make_sdist(scene.index.files, "nice", "1.0", source_files("nice", build_requires=["helper"]))
    return ["nice"]


def build_requirement_as_source(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil-build", "1.0", source_files("evil-build", payload=scene.payload))
    make_sdist(scene.index.files, "nice", "1.0", source_files("nice", build_requires=["evil-build"]))
    return ["nice"]


def build_requirement_of_a_local_tree(scene: Scene) -> Sequence[str]:
    build_requirement(scene)
    path = write_tree(scene.directory / "tree", source_files("nice", build_requires=["evil-build"]))
    return [str(path)]


def build_requirement_of_an_editable(scene: Scene) -> Sequence[str]:
    build_requirement(scene)
    path = write_tree(scene.directory / "tree", source_files("nice", dynamic_requires=["evil-build"]))
    return ["--editable", str(path)]


def dependency_of_a_local_tree(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return [str(write_tree(scene.directory / "tree", source_files("nice", requires=["evil"])))]


def dependency_of_a_vcs_checkout(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    path = write_tree(scene.directory / "checkout", source_files("nice", requires=["evil"]))
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *identity, *command], cwd=path, check=True)
    return [f"git+file://{path.as_posix()}#egg=nice"]


def find_links(scene: Scene) -> Sequence[str]:
    evil_wheel(scene, scene.directory / "links")
    return ["--no-index", "--find-links", str(scene.directory / "links"), "evil"]


def local_wheel(scene: Scene) -> Sequence[str]:
    return [str(evil_wheel(scene, scene.directory))]


def local_sdist(scene: Scene) -> Sequence[str]:
    return [str(make_sdist(scene.directory, "evil", "1.0", evil_source(scene)))]


def direct_url(scene: Scene) -> Sequence[str]:
    return [f"evil @ {scene.index.url.replace('simple/', 'files/')}{evil_wheel(scene).name}"]


def direct_url_of_a_source(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil", "1.0", evil_source(scene))
    return [f"{scene.index.url.replace('simple/', 'files/')}evil-1.0.tar.gz"]


def direct_url_under_another_name(scene: Scene) -> Sequence[str]:
    path = make_sdist(scene.directory, "evil", "1.0", evil_source(scene))
    (scene.index.files / "latest.tar.gz").write_bytes(path.read_bytes())
    return [f"{scene.index.url.replace('simple/', 'files/')}latest.tar.gz"]


def both_of_one_archive(scene: Scene, *names: str) -> Sequence[str]:
    files = {f"{name}/{member}": text for name in names for member, text in source_files(name).items()}
    path = make_sdist(scene.directory, "both", "1.0", files, pkg_info="")
    (scene.index.files / "both.tar.gz").write_bytes(path.read_bytes())
    url = f"{scene.index.url.replace('simple/', 'files/')}both.tar.gz"
    return [f"{name} @ {url}#subdirectory={name}" for name in names]


def before_another_of_the_same_archive(scene: Scene) -> Sequence[str]:
    return both_of_one_archive(scene, "evil", "apple")


def behind_another_of_the_same_archive(scene: Scene) -> Sequence[str]:
    return both_of_one_archive(scene, "apple", "evil")


def changing_source() -> dict[str, str]:
    files = source_files("evil", "0.9")
    files["tiny_backend.py"] += (
        "\nbuild = build_wheel\ndef build_wheel(*args, **more):\n"
        "    global VERSION\n    VERSION = '1.0'\n    return build(*args, **more)\n"
    )
    return files


def source_that_builds_another_version(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil", "0.9", changing_source())
    return ["evil"]


def direct_url_under_the_name_of_another(scene: Scene) -> Sequence[str]:
    path = make_sdist(scene.directory, "evil", "1.0", evil_source(scene))
    (scene.index.files / "latest.tar.gz").write_bytes(path.read_bytes())
    return [f"good @ {scene.index.url.replace('simple/', 'files/')}latest.tar.gz"]


def transitive_url(scene: Scene) -> Sequence[str]:
    url = f"{scene.index.url.replace('simple/', 'files/')}{evil_wheel(scene).name}"
    make_wheel(scene.index.files, "outer", requires=[f"evil @ {url}"])
    return ["--find-links", str(scene.index.files), "outer"]


def requirement_file(scene: Scene) -> Sequence[str]:
    links = scene.directory / "links"
    evil_wheel(scene, links)
    (scene.directory / "requirements.txt").write_text(f"--find-links {links.as_posix()}\nevil\n", encoding="utf-8")
    return ["-r", str(scene.directory / "requirements.txt")]


def constraint(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    make_wheel(scene.index.files, "evil", "2.0")
    (scene.directory / "constraints.txt").write_text("evil<2\n", encoding="utf-8")
    return ["-c", str(scene.directory / "constraints.txt"), "evil"]


def legacy_resolver(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    make_wheel(scene.index.files, "outer", requires=["evil"])
    return ["--use-deprecated=legacy-resolver", "outer"]


def legacy_resolver_source(scene: Scene) -> Sequence[str]:
    make_sdist(scene.index.files, "evil", "1.0", evil_source(scene))
    return ["--use-deprecated=legacy-resolver", "evil"]


def no_dependencies(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return ["--no-deps", "evil"]


def other_spelling(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return ["EVIL==1.0.0"]


def into_a_target(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return ["--target", str(scene.environment.prefix / "target"), "evil"]


def into_a_prefix(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return ["--prefix", str(scene.environment.prefix / "prefix"), "evil"]


def value_like_a_flag(scene: Scene) -> Sequence[str]:
    evil_wheel(scene)
    return ["--log", "--dry-run", "evil"]


ATTACKS: list[Callable[[Scene], Sequence[str]]] = [
    plain_wheel,
    depth_two,
    sdist_setup_py,
    sdist_pep517,
    sdist_static_metadata,
    static_build_requirement,
    dynamic_build_requirement,
    nested_build_requirement,
    build_requirement_as_source,
    build_requirement_of_a_local_tree,
    build_requirement_of_an_editable,
    dependency_of_a_local_tree,
    dependency_of_a_vcs_checkout,
    find_links,
    local_wheel,
    local_sdist,
    direct_url,
    direct_url_of_a_source,
    direct_url_under_another_name,
    before_another_of_the_same_archive,
    behind_another_of_the_same_archive,
    transitive_url,
    requirement_file,
    constraint,
    legacy_resolver,
    legacy_resolver_source,
    no_dependencies,
    other_spelling,
    into_a_target,
    into_a_prefix,
    value_like_a_flag,
]


@pytest.mark.every(2)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__.replace("_", "-"))
def test_malware_is_denied_unrun_and_changes_nothing(scene: Scene, attack: Callable[[Scene], Sequence[str]]) -> None:
    arguments = attack(scene)
    before = scene.environment.files()
    report = scene.directory / "report.json"

    ran = scene.environment.guard("--report", report, "install", *arguments)

    assert ran.code == 10, ran.text
    assert not scene.marker.exists(), ran.text
    assert scene.environment.files() == before
    assert "error[malicious]" in ran.err
    assert "nothing was installed" in ran.err
    assert "Traceback" not in ran.text
    verdict = json.loads(report.read_text(encoding="utf-8"))
    assert verdict["verdict"] == "deny"
    denied = [ruling for ruling in verdict["rulings"] if ruling["level"] == "deny"]
    assert {ruling["name"] for ruling in denied} <= {"evil", "evil-build"}


@pytest.mark.parametrize("attack", [direct_url_under_the_name_of_another, source_that_builds_another_version])
def test_an_archive_that_turns_out_to_hold_another_release_is_denied(
    scene: Scene, attack: Callable[[Scene], Sequence[str]]
) -> None:
    arguments = attack(scene)
    before = scene.environment.files()

    ran = scene.environment.guard("install", *arguments)

    assert ran.code == 10, ran.text
    assert not scene.marker.exists(), ran.text
    assert scene.environment.files() == before
    assert "error[artifact-mismatch]" in ran.err


def test_a_tree_is_judged_as_the_version_that_its_wheel_came_to_have(scene: Scene) -> None:
    tree = write_tree(scene.directory / "tree", changing_source())

    ran = scene.environment.guard("install", tree)

    assert ran.code == 0, ran.text
    assert "evil 1.0 has the same name and version as known malware" in " ".join(ran.err.split())


@pytest.mark.every(2)
@pytest.mark.parametrize(
    "features",
    [["--use-feature=inprocess-build-deps"], ["--use-feature=venv-isolation"], ["--use-feature=fast-deps"]],
    ids=lambda features: str(features[0]).rpartition("=")[2],
)
@pytest.mark.parametrize("attack", [static_build_requirement, dynamic_build_requirement, nested_build_requirement])
def test_build_requirements_are_judged_however_pip_resolves_them(
    scene: Scene, attack: Callable[[Scene], Sequence[str]], features: list[str]
) -> None:
    if unknown_feature(scene.environment, features):
        pytest.skip(f"this pip has no {features[0]}")
    arguments = attack(scene)
    before = scene.environment.files()

    ran = scene.environment.guard("install", *features, *arguments)

    assert ran.code == 10, ran.text
    assert not scene.marker.exists(), ran.text
    assert scene.environment.files() == before


def unknown_feature(environment: Environment, features: list[str]) -> bool:
    ran = environment.pip("install", *features, "--dry-run", "--no-index", "no-such-project")
    return "invalid choice" in ran.err


def test_a_wheel_that_pip_once_built_and_cached_is_denied(scene: Scene, feed: Path) -> None:
    make_sdist(scene.index.files, "evil", "1.0", source_files("evil", "1.0"))
    cached = scene.environment.pip("wheel", "-w", scene.directory / "wheels", "evil")
    assert cached.code == 0, cached.text
    before = scene.environment.files()

    ran = scene.environment.guard("install", "evil")

    assert ran.code == 10, ran.text
    assert "Using cached" in ran.out or "cached" in ran.out
    assert scene.environment.files() == before


@pytest.mark.parametrize("verb", ["download", "wheel", "lock"])
def test_other_verbs_that_fetch_are_judged_too(scene: Scene, verb: str) -> None:
    make_sdist(scene.index.files, "evil", "1.0", evil_source(scene))
    target = scene.directory / "out"
    target.mkdir()
    where = {"download": ["-d", str(target)], "wheel": ["-w", str(target)], "lock": ["-o", str(target / "pylock.toml")]}
    if scene.environment.pip(verb, "--help").code:
        pytest.skip(f"this pip has no {verb}")

    ran = scene.environment.guard("pip", verb, *where[verb], "evil")

    assert ran.code == 10, ran.text
    assert not scene.marker.exists()
    assert tree(target) == {}
    assert "nothing was written" in ran.err


def test_pip_with_its_own_python_option_is_guarded_in_the_other_environment(scene: Scene, template: Path) -> None:
    if scene.environment.pip("--python", scene.environment.python, "--version").code:
        pytest.skip("this pip has no --python")
    copy_environment(template, scene.directory / "other")
    other = Environment(prefix=scene.directory / "other", home=scene.environment.home)
    evil_wheel(scene)
    before = other.files(), scene.environment.files()

    ran = scene.environment.guard("pip", "--python", other.python, "install", "evil")

    assert ran.code == 10, ran.text
    assert (other.files(), scene.environment.files()) == before


def test_a_target_without_pip_is_served_by_guards_own(scene: Scene) -> None:
    supported = SpecifierSet(metadata("pip")["Requires-Python"])
    if version_of(str(scene.environment.python)) not in supported:
        pytest.skip(f"guard's own pip takes Python {supported}")
    for path in scene.environment.site_packages.glob("pip*"):
        shutil.rmtree(path)
    evil_wheel(scene)
    make_wheel(scene.index.files, "nice")
    make_sdist(scene.index.files, "src", "1.0", source_files("src", build_requires=["nice"]))

    denied = scene.environment.guard("install", "evil")
    allowed = scene.environment.guard("install", "nice", "src")

    assert denied.code == 10, denied.text
    assert allowed.code == 0, allowed.text
    assert (scene.environment.site_packages / "nice" / "__init__.py").is_file()
    assert (scene.environment.site_packages / "src" / "__init__.py").is_file()


def test_a_candidate_that_the_resolver_drops_raises_no_alarm(scene: Scene) -> None:
    evil_wheel(scene)
    make_wheel(scene.index.files, "evil", "0.9")
    make_wheel(scene.index.files, "zzz", requires=["evil<1"])

    ran = scene.environment.guard("install", "evil", "zzz")

    assert ran.code == 0, ran.text
    assert "[malicious]" not in ran.err


def test_a_malicious_release_that_is_installed_already_and_relied_upon_is_denied(scene: Scene) -> None:
    make_wheel(scene.index.files, "evil", "1.0")
    assert scene.environment.pip("install", "evil").code == 0
    make_wheel(scene.index.files, "outer", requires=["evil"])
    before = scene.environment.files()

    ran = scene.environment.guard("install", "outer")

    assert ran.code == 10, ran.text
    assert scene.environment.files() == before


def test_all_denials_of_the_final_set_are_told_together(scene: Scene) -> None:
    evil_wheel(scene)
    build_requirement(scene)

    ran = scene.environment.guard("install", "evil", "evil-build")

    assert ran.code == 10
    assert ran.err.count("error[malicious]") == 2


def test_a_local_tree_of_the_same_name_as_malware_is_only_warned_about(scene: Scene) -> None:
    path = write_tree(scene.directory / "tree", source_files("evil", static=True))

    ran = scene.environment.guard("install", path)

    assert ran.code == 0, ran.text
    assert "warning[malicious]" in ran.err


def test_the_fix_is_the_nearest_release_that_the_index_offers_and_the_feed_passes(scene: Scene) -> None:
    evil_wheel(scene)
    for version in ("0.7", "0.9", "0.95rc1", "2.0"):
        make_wheel(scene.index.files, "evil", version)
    make_wheel(scene.index.files, "outer", requires=["evil<2"])

    ran = scene.environment.guard("install", "outer")

    assert ran.code == 10, ran.text
    assert "fix          guard install outer evil==0.9" in ran.err
    assert "required by  outer 1.0 → evil<2" in ran.err


def test_requirements_that_an_old_style_setup_py_fetches_for_itself_are_judged(scene: Scene) -> None:
    import ensurepip

    bundled = sorted(Path(ensurepip.__file__).parent.glob("_bundled/setuptools-*.whl"))
    if not bundled:
        pytest.skip("this Python bundles no setuptools, which old-style builds take")
    if not (scene.environment.site_packages / "pip/_internal/operations/build/metadata_legacy.py").is_file():
        pytest.skip("this pip runs no setup.py without PEP 517")
    if 'find_spec("wheel")' in (scene.environment.site_packages / "pip/_internal/pyproject.py").read_text():
        pytest.skip("this pip runs no setup.py without PEP 517 where there is no wheel")
    assert scene.environment.pip("install", bundled[0]).code == 0
    build_requirement(scene)
    setup = "from setuptools import setup\nsetup(name='nice', version='1.0', setup_requires=['evil-build'])\n"
    make_sdist(scene.index.files, "nice", "1.0", {"setup.py": setup})
    before = scene.environment.files()

    ran = scene.environment.guard("install", "nice")

    assert ran.code == 10, ran.text
    assert not scene.marker.exists(), ran.text
    assert scene.environment.files() == before
    assert "built for    nice" in ran.err


def test_a_wheel_that_forges_a_record_of_where_it_came_from_is_denied(scene: Scene) -> None:
    record = json.dumps({"url": "file:///somewhere", "dir_info": {}})
    files = {"nice.py": "", "nice-1.0.dist-info/direct_url.json": record}
    make_wheel(scene.index.files, "nice", files=files)
    before = scene.environment.files()

    ran = scene.environment.guard("install", "nice")

    assert ran.code == 10, ran.text
    assert "error[artifact-mismatch]: nice 1.0" in ran.err
    assert "direct_url.json" in ran.err
    assert scene.environment.files() == before
