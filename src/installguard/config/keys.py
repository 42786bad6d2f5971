"""The keys of the policy: their kinds, and what each preset sets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..dataclass import dataclass
from ..model import Level, Severity
from ..policy import Preset
from .kinds import (
    ALLOWED,
    CODES,
    DENIED,
    EXEMPT,
    FAIL_ON,
    KEYS_TRUSTED,
    LEVEL,
    LICENSES,
    MALICIOUS_LEVEL,
    MAX_AGE,
    MIN_AGE,
    PINS,
    PRESET,
    REFRESH,
    SEVERITY,
    THRESHOLD,
    WAIT,
    Kind,
)

ALLOW, WARN, DENY = Level.ALLOW, Level.WARN, Level.DENY


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key below `[tool.installguard]`."""

    path: str
    """Such as `feed.max-age`."""
    kind: Kind
    presets: Mapping[Preset, Any]
    """Its value where nobody writes it, by preset."""
    hint: str
    """What it does, in a few words."""

    @property
    def field(self) -> str:
        """Where `Policy` holds it."""
        return self.path.replace("release.status.", "release.").replace("-", "_")

    @property
    def section(self) -> str:
        """The table it is in; empty for `[tool.installguard]` itself."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key within its table."""
        return self.path.rpartition(".")[2]


def key(path: str, kind: Kind, relaxed: Any, default: Any, strict: Any, hint: str) -> Key:
    """Return a key with its value in each preset."""
    return Key(path=path, kind=kind, presets={"relaxed": relaxed, "default": default, "strict": strict}, hint=hint)


DAY, TWO_HOURS, THREE_SECONDS = timedelta(hours=24), timedelta(hours=2), timedelta(seconds=3)
LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH

KEYS: tuple[Key, ...] = (
    key("preset", PRESET, "relaxed", "default", "strict", '"relaxed" | "default" | "strict": the defaults of the rest'),
    key("fail-on", FAIL_ON, DENY, DENY, DENY, '"warn": warnings stop an install too (exit 11)'),
    key("waivable", CODES, (), (), (), "codes that a child of this policy may waive"),
    key(
        "feed.refresh", REFRESH, TWO_HOURS, TWO_HOURS, TWO_HOURS, 'older: an install refreshes it alongside; "0": never'
    ),
    key("feed.wait", WAIT, THREE_SECONDS, THREE_SECONDS, THREE_SECONDS, "at most this long for that refresh"),
    key("feed.max-age", MAX_AGE, DAY, DAY, DAY, "an older snapshot is stale"),
    key("feed.stale", LEVEL, WARN, WARN, DENY, "what a stale snapshot leads to"),
    key("feed.missing", LEVEL, WARN, WARN, DENY, "no snapshot, only the built-in baseline"),
    key("feed.keys", KEYS_TRUSTED, (), (), (), "Ed25519 public keys, one of which must have signed a feed"),
    key("malicious.level", MALICIOUS_LEVEL, DENY, DENY, DENY, '"allow" is refused; waivable for one exact release'),
    key("malicious.other-versions", LEVEL, ALLOW, WARN, DENY, "a release of a malicious project that no record lists"),
    key("vulnerabilities.deny", THRESHOLD, None, None, HIGH, "none | low | medium | high | critical: from there, deny"),
    key("vulnerabilities.warn", THRESHOLD, HIGH, LOW, LOW, "from there, warn"),
    key("vulnerabilities.unknown-severity", SEVERITY, LOW, MEDIUM, HIGH, "what a record without CVSS counts as"),
    key("vulnerabilities.exploited", LEVEL, WARN, DENY, DENY, "a vulnerability known to be exploited"),
    key("vulnerabilities.no-fix", LEVEL, WARN, WARN, DENY, "most that a finding without a fixed release can reach"),
    key("release.min-age", MIN_AGE, 0 * DAY, 3 * DAY, 7 * DAY, "younger releases are held back"),
    key("release.min-age-exclude", EXEMPT, (), (), (), '["acme-*", "django==5.2.8"]: these may be younger'),
    key("release.min-age-unknown", LEVEL, ALLOW, ALLOW, DENY, "the index does not tell when it was uploaded"),
    key("release.yanked", LEVEL, WARN, WARN, DENY, "its author withdrew the release from the index"),
    key("release.status.quarantined", LEVEL, DENY, DENY, DENY, "the index quarantined the project (PEP 792)"),
    key("release.status.archived", LEVEL, ALLOW, WARN, WARN, "the project says that it is archived"),
    key("release.status.deprecated", LEVEL, ALLOW, WARN, WARN, "the project says that it is deprecated"),
    key("packages.allow", ALLOWED, (), (), (), "empty: any; else nothing but these globs passes"),
    key("packages.deny", DENIED, (), (), (), '[{ match = "pycrypto", reason = "unmaintained", use = "pycryptodome" }]'),
    key("packages.index", PINS, (), (), (), '{ "acme-*" = "https://…/simple" }: may come from there only'),
    key("packages.ambiguous-index", LEVEL, ALLOW, WARN, DENY, "one project on two configured indexes, unpinned"),
    key("packages.similar-name", LEVEL, ALLOW, WARN, DENY, "one edit from a popular project, itself not popular"),
    key("packages.direct", LEVEL, ALLOW, WARN, DENY, "asked for by URL, VCS or local path"),
    key("builds.level", LEVEL, ALLOW, WARN, DENY, "building a source distribution runs its code"),
    key("builds.allow", EXEMPT, (), (), (), '["uwsgi==2.*"]: these may be built'),
    key("builds.startup-code", LEVEL, WARN, WARN, DENY, "a wheel that runs code when an interpreter starts"),
    key("licenses.deny", LICENSES, (), (), (), '["AGPL-3.0-only"]: SPDX expressions'),
    key("licenses.unknown", LEVEL, ALLOW, ALLOW, WARN, "a licence that cannot be told"),
)

BY_PATH: Mapping[str, Key] = {each.path: each for each in KEYS}

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(each.section for each in KEYS if each.section))


def preset_values(preset: Preset) -> dict[str, Any]:
    """Return what a preset sets, by path."""
    return {each.path: each.presets[preset] for each in KEYS}
