"""Any `[tool.installguard]` table that is valid, for laws that hold of all of them."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import strategies as st

from installguard.config.waiving import UNWAIVABLE
from installguard.model import Code

TODAY = date(2026, 11, 21)
PUBLIC_KEYS = tuple(f"{letter * 42}A=" for letter in "ABCD")

LEVELS = st.sampled_from(["allow", "warn", "deny"])
SEVERITIES = st.sampled_from(["none", "low", "medium", "high", "critical"])
DURATIONS = st.from_regex(r"[0-9]{1,3}[smhd]|0", fullmatch=True)
MATCHES = st.lists(st.sampled_from(["acme-*", "uwsgi==2.*", "A_b>=1,<2", "x===odd", "?", "*"]), max_size=4)
TEXTS = st.text(min_size=1).filter(str.strip)
DENIALS = st.lists(
    st.fixed_dictionaries({"match": st.just("pycrypto")}, optional={"reason": TEXTS, "use": TEXTS}), max_size=3
)
PINS = st.dictionaries(
    st.sampled_from(["acme-*", "Acme_core", "*", "x", "a?b"]),
    st.sampled_from(["https://example.org/simple", "http://localhost:3141/root/", "file:///srv/simple"]),
    max_size=3,
)
WAIVABLE = st.lists(st.sampled_from([code.value for code in Code if code not in UNWAIVABLE]), max_size=4)
WAIVERS = st.lists(
    st.fixed_dictionaries(
        {
            "finding": st.sampled_from(["vulnerable", "needs-build", "project-status", "GHSA-1-2-3", "DLA 3/x"]),
            "release": st.sampled_from(["a", "A_b<2,>1", "a==1.0", "a===odd"]),
            "reason": st.text(min_size=10).filter(lambda text: len(text.strip()) >= 10),
            "expires": st.dates(max_value=TODAY + timedelta(days=180)),
        },
        optional={"owner": TEXTS},
    ),
    max_size=3,
)
SOURCES = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,5}[A-Za-z0-9])?", fullmatch=True),
    st.fixed_dictionaries(
        {"url": st.sampled_from(["https://example.org/osv", "feeds", 'we"ird\\', "é"])},
        optional={
            "malicious": st.booleans(),
            "kind": st.sampled_from(["osv", "exploited", "popular"]),
            "mirrors": st.lists(st.sampled_from(["https://example.org/2", "m"]), max_size=2),
            "priority": st.integers(-1000, 1000),
            "max-age": DURATIONS,
        },
    ),
    max_size=3,
)


def table(**keys: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A table that has some of these keys."""
    return st.fixed_dictionaries({}, optional={key.replace("_", "-"): values for key, values in keys.items()})


TABLES = table(
    preset=st.sampled_from(["relaxed", "default", "strict"]),
    fail_on=st.sampled_from(["warn", "deny"]),
    waivable=WAIVABLE,
    feed=table(
        refresh=DURATIONS,
        wait=DURATIONS,
        max_age=DURATIONS,
        stale=LEVELS,
        missing=LEVELS,
        keys=st.lists(st.sampled_from(PUBLIC_KEYS), max_size=3, unique=True),
        sources=SOURCES,
    ),
    malicious=table(level=st.sampled_from(["warn", "deny"]), other_versions=LEVELS),
    vulnerabilities=table(
        deny=SEVERITIES, warn=SEVERITIES, unknown_severity=SEVERITIES, exploited=LEVELS, no_fix=LEVELS
    ),
    release=table(
        min_age=DURATIONS,
        min_age_exclude=MATCHES,
        min_age_unknown=LEVELS,
        yanked=LEVELS,
        status=table(quarantined=LEVELS, archived=LEVELS, deprecated=LEVELS),
    ),
    packages=table(
        allow=MATCHES,
        deny=DENIALS,
        index=PINS,
        ambiguous_index=LEVELS,
        similar_name=LEVELS,
        direct=LEVELS,
    ),
    builds=table(level=LEVELS, allow=MATCHES, startup_code=LEVELS),
    licenses=table(
        deny=st.lists(st.sampled_from(["AGPL-3.0-only", "MIT OR (X AND Y)", "GPL-2.0-only WITH Z"]), max_size=2),
        unknown=LEVELS,
    ),
    waivers=WAIVERS,
)
