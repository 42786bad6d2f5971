"""The words of the project as types: releases, artifacts, advisories, findings (DESIGN: words and types).

Everything here is a frozen value in its final type; nothing does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta, timezone
from enum import Enum, IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from .dataclass import dataclass, field
from .names import NormalizedName, canonicalize_name, canonicalize_version

if TYPE_CHECKING:
    from packaging.version import Version

    from .policy import Policy, Ruling

# ---------------------------------------------------------------- releases


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyVersion:
    """A version that PEP 440 cannot read: kept as written, compared by equality only."""

    raw: str

    def __str__(self) -> str:
        return self.raw


AnyVersion: TypeAlias = "Version | LegacyVersion"


def parse_version(raw: str) -> AnyVersion:
    """Return *raw* as a PEP 440 version, or as a `LegacyVersion` where PEP 440 cannot read it."""
    return _parsed(raw)


FIRST, LAST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1000, 9000))


def bounded(moment: datetime) -> datetime:
    """Return a time that somebody states, aware, so that other zones and lengths of time can be reckoned with it."""
    return FIRST if moment.year < FIRST.year else LAST if moment.year >= LAST.year else moment


@lru_cache(maxsize=65536)  # advisories name the same few versions again and again
def _parsed(raw: str) -> AnyVersion:
    from packaging.version import Version

    try:
        return Version(raw)
    except ValueError:  # InvalidVersion, and numbers of more digits than the interpreter converts
        return LegacyVersion(raw=raw.strip())


def version_key(version: AnyVersion) -> str:
    """Return the text under which equal versions meet (`1.0` and `1.0.0` do; legacy ones only if equal)."""
    match version:
        case LegacyVersion(raw=raw):
            return raw
        case _:
            return canonicalize_version(version)


def version_key_of(raw: str) -> str:
    """Return the same of a version as it is written; what is numbers only, as most are, need not be taken apart."""
    if _NUMBERS.fullmatch(raw) is None:
        return version_key(parse_version(raw))
    while raw.endswith(".0"):
        raw = raw[:-2]
    return raw


_NUMBERS = re.compile(r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8}))*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of one project."""

    name: NormalizedName
    version: AnyVersion

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def pin(self) -> str:
        """The requirement that admits this release only."""
        operator = "===" if isinstance(self.version, LegacyVersion) else "=="
        return f"{self.name}{operator}{self.version}"


def parse_release(name: str, version: str) -> Release:
    """Return the release named so, its name normalised by PEP 503."""
    return Release(name=canonicalize_name(name), version=parse_version(version))


# ---------------------------------------------------------------- where a distribution comes from

Hashes: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of algorithm and hexadecimal digest, sorted by algorithm."""

ArtifactKind: TypeAlias = Literal["wheel", "sdist"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file offered by an index or a find-links location."""

    filename: str
    url: str
    """Without credentials; empty where a lock file does not tell it."""
    hashes: Hashes = ()
    kind: ArtifactKind
    index: str | None = None
    """The index page's or find-links location's URL, without credentials; `None` where it is not known."""
    uploaded_at: datetime | None = None
    yanked: str | None = None
    """The reason given for the yank (it may be empty); `None` when the file is not yanked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUrl:
    """A file named by URL or local path instead of coming from an index."""

    url: str
    filename: str
    kind: ArtifactKind
    hashes: Hashes = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VcsCheckout:
    """A source tree checked out from version control."""

    url: str
    """With its scheme (`git+https://…@revision`), without credentials."""
    editable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTree:
    """A directory of source on this machine."""

    path: str
    editable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution that an environment holds already."""

    location: str
    direct_url: str | None = None
    """What `direct_url.json` says it was installed from, if it does."""
    private: bool = False
    """Whether it came from a local tree or a VCS, so that public names say little about it."""


Origin: TypeAlias = Artifact | DirectUrl | VcsCheckout | LocalTree | Installed

Role: TypeAlias = Literal["install", "build", "installed"]


ProjectStatus: TypeAlias = Literal["active", "archived", "deprecated", "quarantined"]
"""What an index says of a whole project (PEP 792)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelContents:
    """What a wheel's own directory and METADATA say, read without unpacking it."""

    release: Release | None
    """Name and version of METADATA; `None` where it has none that can be read."""
    problem: str | None = None
    """Why the file could not be read as a wheel."""
    startup: tuple[str, ...] = ()
    """Members that run code when an interpreter starts."""
    built: bool = False
    """Whether the wheel was built on this machine from the source that was judged."""
    license: str | None = None
    """The SPDX expression of METADATA (`License-Expression`), else its licence classifiers joined by ` AND `."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What an installer would place, build or rely on."""

    name: NormalizedName | None
    """The project as far as it is known; equal to `release.name` where there is a release."""
    release: Release | None
    origin: Origin
    role: Role = "install"
    requested: bool = False
    """Whether the user asked for it by name, path or URL."""
    required_by: tuple[NormalizedName, ...] = ()
    """Direct parents within the same resolution, sorted; the project being built for build requirements."""
    requirement: str | None = None
    """The requirement that brought it, as written."""
    builds: bool = False
    """Whether using it runs its build: a source tree, an sdist, or a wheel just built from one."""
    pinned: bool = False
    """Whether it was asked for by exact version or by hash."""
    hashed: bool = False
    """Whether what asked for it names its hash too: a hash-pinned requirement, an entry of a lock file."""
    upgrades: bool = False
    """Whether another release of the project is installed already, and would be replaced."""
    contents: WheelContents | None = None
    """`None` where no wheel was seen (a source, a dry run)."""
    status: ProjectStatus | None = None
    """What the index says of the project; `None` where it says nothing."""
    status_reason: str = ""
    indexes: tuple[str, ...] = ()
    """Every configured index on which the installer itself found the project, without credentials."""
    fixes: tuple[str, ...] = ()
    """Ids of advisories that affect the release otherwise chosen and not this one; they excuse its being young."""
    available: tuple[AnyVersion, ...] = ()
    """Versions of the project that its index offers, where the installer told; only fixes are looked for among them."""
    lock: str | None = None
    """The lock file whose entry it is; several where they say the same of it."""
    scope: str | None = None
    """For whom that lock file holds it, in words; `None` for everybody, and where it is of no lock file."""

    @property
    def label(self) -> str:
        """The shortest text by which a person recognises it."""
        if self.release is not None:
            return str(self.release)
        match self.origin:
            case Artifact(filename=filename) | DirectUrl(filename=filename):
                return filename or self.name or ""
            case VcsCheckout(url=url):
                return url
            case LocalTree(path=path) | Installed(location=path):
                return path

    @property
    def private(self) -> bool:
        """Whether feeds, which speak of the public index, can say little about it."""
        match self.origin:
            case VcsCheckout() | LocalTree():
                return True
            case Installed(private=private):
                return private
            case _:
                return False


# ---------------------------------------------------------------- advisories


class Severity(IntEnum):
    """Qualitative severity, by the CVSS rating scale (none 0, low <4, medium <7, high <9, critical)."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The severity as the policy writes it."""
        return self.name.lower()


AdvisoryKind: TypeAlias = Literal["vulnerability", "malicious"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of an OSV range; `version` is as written."""

    kind: Literal["introduced", "fixed", "last_affected", "limit"]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Affects:
    """The releases that one record, or several merged ones, name within one project."""

    versions: AbstractSet[str] = frozenset()
    """Listed versions, each by `version_key`; a set that cannot be changed."""
    ranges: tuple[tuple[Event, ...], ...] = ()
    """Events of each ECOSYSTEM or SEMVER range, as written (not yet sorted)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One advisory as it concerns one project (OSV schema 1.x)."""

    id: str
    aliases: tuple[str, ...] = ()
    kind: AdvisoryKind
    project: NormalizedName
    affected: Affects
    severity: Severity | None = None
    """`None` where the record has no CVSS vector that can be read."""
    score: float | None = None
    """CVSS base score, 0.0 to 10.0."""
    fixed: tuple[str, ...] = ()
    """Versions that end an affected range, ascending."""
    summary: str = ""
    published: datetime | None = None
    modified: datetime | None = None
    withdrawn: datetime | None = None
    url: str | None = None
    feed: str
    exploited: bool = False
    """Whether one of its ids is known to be exploited: findings say so by the evidence, no record of itself."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The id and every alias."""
        return (self.id, *self.aliases)


SourceKind: TypeAlias = Literal["osv", "exploited", "popular"]
"""What a feed source holds: OSV records, CVE ids known to be exploited, or projects by downloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """One feed source as the snapshot holds it."""

    name: str
    records: int
    unreadable: int
    taken_at: datetime | None
    """When its origin last confirmed it, UTC; `None` for the built-in baseline."""
    url: str | None = None
    malicious: bool = False
    last_error: str | None = None
    kind: SourceKind = "osv"
    max_age: timedelta | None = None
    """Its own limit of age, where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInfo:
    """Which advisories were judged by."""

    sources: tuple[SourceInfo, ...]
    taken_at: datetime | None
    """The oldest source's time; `None` where only the built-in baseline is there."""
    digest: str
    """`sha256:…` over all records."""
    records: int
    unreadable: int
    missing: tuple[str, ...] = ()
    """Sources that the policy names and of which there is no snapshot."""
    problem: str | None = None
    """Why a snapshot that is there could not be used (damaged, another schema)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseAnswer:
    """What `licensing` says of one licence expression, by the policy's list."""

    denied: tuple[str, ...] = ()
    """The licences in it that are denied and that no alternative of it avoids, sorted."""
    problem: str | None = None
    """Why it cannot be told: no SPDX expression, or a licence that SPDX does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the pure core may know."""

    distributions: tuple[Distribution, ...]
    advisories: tuple[Advisory, ...]
    """Those of every project named in `distributions`; others do no harm."""
    snapshot: SnapshotInfo
    now: datetime
    exploited: frozenset[str] = frozenset()
    """Upper-case CVE ids that are known to be exploited."""
    popular: Mapping[NormalizedName, int] = field(default_factory=dict)
    """Popular projects and their rank, 1 being the most downloaded; empty where nothing newly asked for is judged."""
    public_indexes: tuple[str, ...] = ()
    """The indexes that the feeds speak of: the installer's own default, as it names it; empty where not asked."""
    licenses: Mapping[str, LicenseAnswer] = field(default_factory=dict)
    """By the expression, as `WheelContents.license` has it; empty where the policy denies none."""


# ---------------------------------------------------------------- findings


class Code(str, Enum):
    """The closed set of finding codes; each has a section in docs/findings.md."""

    MALICIOUS = "malicious"
    MALICIOUS_PROJECT = "malicious-project"
    VULNERABLE = "vulnerable"
    YANKED = "yanked"
    TOO_YOUNG = "too-young"
    AGE_UNKNOWN = "age-unknown"
    PROJECT_STATUS = "project-status"
    DENIED_PACKAGE = "denied-package"
    NOT_ALLOWED = "not-allowed"
    WRONG_INDEX = "wrong-index"
    AMBIGUOUS_INDEX = "ambiguous-index"
    SIMILAR_NAME = "similar-name"
    DIRECT_ORIGIN = "direct-origin"
    NEEDS_BUILD = "needs-build"
    ARTIFACT_MISMATCH = "artifact-mismatch"
    STARTUP_CODE = "startup-code"
    LICENSE = "license"
    UNKNOWN_RELEASE = "unknown-release"
    INDETERMINATE = "indeterminate"
    FEED_MISSING = "feed-missing"
    FEED_STALE = "feed-stale"
    FEED_UNREADABLE = "feed-unreadable"
    WAIVER_EXPIRED = "waiver-expired"
    WAIVER_UNUSED = "waiver-unused"
    UNJUDGED = "unjudged"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fact about one distribution, or about the snapshot or the policy where `subject` is `None`."""

    code: Code
    subject: Distribution | None
    detail: str
    """What was found, as a clause that can follow the release's name."""
    advisory: Advisory | None = None
    fix: str | None = None
    """The nearest requirement that would pass (`litellm==1.82.6`), where one is known."""
    unknown: bool = False
    """Whether it says that something cannot be told, where its code stands for both (`license`)."""
    namesake: bool = False
    """Whether it is about a private release that only shares its name with what a feed, of public ones, speaks of."""


Check: TypeAlias = Callable[[Evidence, "Policy"], Iterable[Finding]]


class Level(IntEnum):
    """What a finding leads to."""

    ALLOW = 0
    WARN = 1
    DENY = 2

    @property
    def word(self) -> str:
        """The level as the policy writes it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All rulings over all evidence."""

    evidence: Evidence
    rulings: tuple[Ruling, ...]

    @property
    def level(self) -> Level:
        """The highest level among the rulings."""
        return max((ruling.level for ruling in self.rulings), default=Level.ALLOW)

    @property
    def judged(self) -> int:
        """How many distributions of every role were judged."""
        return len(self.evidence.distributions)


Reporter: TypeAlias = Callable[[Verdict], str]


# ---------------------------------------------------------------- the run around a verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The interpreter and environment that are being installed into."""

    python: str
    """Path of the interpreter."""
    version: str
    """Such as `3.12.1`."""
    environment: str
    """Its `sys.prefix`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRelease:
    """A release that the cooldown kept from the installer's resolver."""

    name: NormalizedName
    chosen: AnyVersion | None
    """What is used instead; `None` where nothing was."""
    version: AnyVersion
    uploaded_at: datetime
    eligible_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a report says beside the verdict; nothing here changes a ruling."""

    command: tuple[str, ...]
    target: Target | None = None
    policy_files: tuple[str, ...] = ()
    preset: str = "default"
    policy_digest: str = ""
    installer: str | None = None
    """`pip` or `uv`."""
    installer_version: str | None = None
    exit_code: int | None = None
    """The installer's own, when it ran to its end."""
    stopped: bool = False
    """Whether the installer was stopped before it wrote anything."""
    problem: str | None = None
    """Why nothing could be judged; the verdict is then `unjudged`."""
    seconds_total: float = 0.0
    seconds_guard: float = 0.0
    """Seconds that guard itself spent on policy, snapshot and judging."""
    notes: tuple[str, ...] = ()
    """Limits of this verdict, such as wheels that a dry run never saw."""
    held: tuple[HeldRelease, ...] = ()
    """The newest release of each project that was held back for its age."""
