"""The cases of the golden files, and the command that writes them anew: `python -m tests.regenerate_golden`.

Run it after a change to a report that is meant, and read the difference before committing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from installguard import __version__
from installguard.checks import run_checks
from installguard.model import (
    Advisory,
    Distribution,
    Evidence,
    HeldRelease,
    Installed,
    Level,
    LocalTree,
    Run,
    Severity,
    SnapshotInfo,
    Target,
    VcsCheckout,
    Verdict,
    WheelContents,
    parse_release,
)
from installguard.policy import Policy, VulnerabilityPolicy, rule
from installguard.reporters.json import json_report
from installguard.reporters.text import text_report

from .sample_values import NOW, TAKEN, advisory, artifact, distribution, evidence, malware, snapshot, waiver

GOLDEN = Path(__file__).parent / "golden"

RUN = Run(
    command=("install", "dspy"),
    target=Target(python="/venv/bin/python", version="3.12.1", environment="/venv"),
    policy_files=("/project/pyproject.toml",),
    policy_digest="sha256:" + "cd" * 32,
    installer="pip",
    installer_version="26.3",
    exit_code=0,
    seconds_total=1.2345,
    seconds_guard=0.0312,
)
STOPPED = replace(RUN, exit_code=None, stopped=True)
CHECK = Run(command=("check", "litellm==1.82.8"), seconds_guard=0.004)
STRICT = Policy(preset="strict", vulnerabilities=VulnerabilityPolicy(deny=Severity.HIGH, no_fix=Level.DENY))

DSPY = distribution("dspy", "3.1.0", requested=True, requirement="dspy")
LITELLM = distribution("litellm", "1.82.8", required_by=["dspy"], requirement="litellm>=1.60")
JINJA = distribution("jinja2", "3.1.2", required_by=["litellm"], requirement="jinja2>=3")
UWSGI = distribution("uwsgi", "2.0", builds=True, origin=artifact("uwsgi", "2.0", sdist=True), required_by=["dspy"])
SETUPTOOLS = distribution("setuptools", "60.0", role="build", required_by=["uwsgi"], requirement="setuptools>=40")
SALT = distribution("salt", "3000.1", requested=True, requirement="salt<3001")
YOUNG = distribution(
    "dspy", "3.2.0", requested=True, requirement="dspy==3.2.0", origin=artifact("dspy", "3.2.0", uploaded_at=TAKEN)
)
EXCUSED = distribution(
    "jinja2", "3.1.6", fixes=["GHSA-0001"], required_by=["dspy"],
    origin=artifact("jinja2", "3.1.6", uploaded_at=TAKEN),
)  # fmt: skip
HELD = replace(
    RUN,
    held=(
        HeldRelease(
            name=canonicalize_name("dspy"), chosen=Version("3.1.0"), version=Version("3.2.0"),
            uploaded_at=TAKEN, eligible_at=TAKEN + timedelta(days=3),
        ),
        HeldRelease(
            name=canonicalize_name("new"), chosen=None, version=Version("0.1"),
            uploaded_at=TAKEN, eligible_at=TAKEN + timedelta(days=3),
        ),
    ),
)  # fmt: skip
LENIENT = Policy(vulnerabilities=VulnerabilityPolicy(exploited=Level.WARN))
KNOWN: Sequence[Advisory] = (
    malware("litellm", "1.82.7", "1.82.8"),
    advisory("litellm", id="GHSA-old", introduced="0", fixed=["1.82.6"], severity=Severity.LOW),
    *(
        advisory(
            "jinja2",
            id=f"GHSA-{number:04}",
            aliases=[f"CVE-2026-{number:04}"],
            introduced="0",
            fixed=["3.1.6"],
            severity=Severity.HIGH if number % 2 else Severity.MEDIUM,
            score=7.5 if number % 2 else None,
            summary="sandbox breakout",
        )
        for number in range(7)
    ),
    advisory("setuptools", id="PYSEC-2025-49", introduced="0", fixed=["78.1.1"]),
    advisory(
        "salt", id="PYSEC-2020-102", aliases=["CVE-2020-11651"], introduced="0", fixed=["3000.2"],
        severity=Severity.CRITICAL, score=9.8,
    ),
)  # fmt: skip
ALL = evidence(DSPY, LITELLM, JINJA, UWSGI, SETUPTOOLS, advisories=KNOWN)
HOSTILE = distribution(
    "evil",
    "1.0",
    origin=replace(
        artifact("evil", "1.0", yanked="gone\n\x1b[2Jerror: all clear\u202e"), url="https://u:p@example.org/e"
    ),
    requested=True,
)


def judged(given: Evidence, policy: Policy = Policy()) -> Verdict:  # noqa: B008  # a frozen value
    return rule(given, run_checks(given, policy), policy)


def of(*distributions: Distribution, info: SnapshotInfo | None = None, policy: Policy = Policy()) -> Verdict:  # noqa: B008
    return judged(evidence(*distributions, advisories=KNOWN, info=info), policy)


CLEAN = of(DSPY)
EVERYTHING = judged(ALL)
MALWARE = of(DSPY, LITELLM)
HOSTILE_VERDICT = judged(
    evidence(HOSTILE, advisories=[replace(malware("evil", "1.0"), summary="\x07", aliases=("A\r\nB", "\udc80"))])
)
UNKNOWN = of(
    Distribution(
        name=None, release=None, origin=LocalTree(path="/src/tool", editable=True), requested=True, builds=True
    ),
    distribution("odd", None, origin=VcsCheckout(url="git+https://user:secret@example.org/odd"), required_by=["dspy"]),
    distribution("broken", None, role="installed", origin=Installed(location="/venv/site-packages/broken-1.dist-info")),
    replace(DSPY, contents=WheelContents(release=parse_release("other", "1.0"), startup=("dspy.pth",))),
)
WAIVED = judged(
    ALL,
    replace(
        STRICT,
        waivers=(
            waiver("MAL-2026-2144", "litellm", "==1.82.8"),
            waiver("vulnerable", "jinja2", "<3.1.6"),
            waiver("PYSEC-2025-49", "setuptools", expires=NOW.date() - timedelta(days=1)),
            waiver("yanked", "uwsgi", "==2.0", where="tool.installguard.waivers[3]"),
        ),
    ),
)
BASELINE = snapshot(taken_at=None, sources=[], missing=["osv"])

CASES: Mapping[str, Callable[[], str]] = {
    "clean.txt": lambda: text_report(RUN)(CLEAN),
    "clean-again.txt": lambda: text_report(RUN, again=True)(CLEAN),
    "clean-quiet.txt": lambda: text_report(RUN, quiet=True)(EVERYTHING.__class__(evidence=ALL, rulings=())),
    "check-clean.txt": lambda: text_report(CHECK)(CLEAN),
    "malware.txt": lambda: text_report(STOPPED)(MALWARE),
    "malware-narrow.txt": lambda: text_report(STOPPED, width=60)(MALWARE),
    "malware-colour.txt": lambda: text_report(STOPPED, colour=True)(MALWARE),
    "malware-check.txt": lambda: text_report(CHECK)(MALWARE),
    "malware-download.txt": lambda: text_report(replace(STOPPED, command=("download", "dspy")))(MALWARE),
    "everything.txt": lambda: text_report(STOPPED, width=120)(EVERYTHING),
    "everything-verbose.txt": lambda: text_report(STOPPED, verbose=1)(EVERYTHING),
    "everything-quiet.txt": lambda: text_report(STOPPED, quiet=True)(EVERYTHING),
    "everything-strict.txt": lambda: text_report(STOPPED, width=100)(judged(ALL, STRICT)),
    "unknown.txt": lambda: text_report(STOPPED)(UNKNOWN),
    "hostile.txt": lambda: text_report(STOPPED)(HOSTILE_VERDICT),
    "waived-verbose.txt": lambda: text_report(RUN, verbose=1)(WAIVED),
    "baseline-only.txt": lambda: text_report(RUN)(of(DSPY, info=BASELINE)),
    "stale.txt": lambda: text_report(RUN)(of(DSPY, info=snapshot(taken_at=TAKEN - timedelta(days=9)))),
    "warnings-stop.txt": lambda: text_report(STOPPED, quiet=True)(of(UWSGI)),
    "unjudged.txt": lambda: text_report(replace(STOPPED, problem="the target interpreter did not start"))(of()),
    "held.txt": lambda: text_report(HELD)(of(DSPY, EXCUSED)),
    "held.json": lambda: json_report(HELD)(of(DSPY, EXCUSED)),
    "too-young.txt": lambda: text_report(STOPPED)(of(YOUNG)),
    "notes.txt": lambda: text_report(replace(RUN, notes=("pip never opened 3 of the wheels",)))(CLEAN),
    "exploited.txt": lambda: text_report(STOPPED)(of(DSPY, SALT)),
    "exploited-warned.txt": lambda: text_report(RUN)(of(DSPY, SALT, policy=LENIENT)),
    "exploited.json": lambda: json_report(STOPPED)(of(DSPY, SALT)),
    "clean.json": lambda: json_report(RUN)(CLEAN),
    "malware.json": lambda: json_report(STOPPED)(MALWARE),
    "unknown.json": lambda: json_report(STOPPED)(UNKNOWN),
    "hostile.json": lambda: json_report(STOPPED)(HOSTILE_VERDICT),
    "waived.json": lambda: json_report(RUN)(WAIVED),
    "unjudged.json": lambda: json_report(replace(CHECK, problem="the channel was lost"))(of(info=BASELINE)),
}


def rendered(name: str) -> bytes:
    """Return the report of one case as its golden file holds it: guard's own version is left out."""
    text = CASES[name]().replace(f'"guard": "{__version__}"', '"guard": "VERSION"')
    return text.encode("utf-8")


def write_golden() -> None:
    """Write every golden file anew, and remove those without a case."""
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.iterdir():
        if path.name not in CASES:
            path.unlink()
    for name in CASES:
        (GOLDEN / name).write_bytes(rendered(name))


if __name__ == "__main__":
    write_golden()
