"""The base score of a CVSS vector of any version, by the `cvss` library."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=8192)
def rate_vector(vector: str) -> float | None:
    """The base score, 0.0 to 10.0, of a CVSS v2, v3 or v4 vector; `None` where it cannot be read."""
    from cvss import CVSS2, CVSS3, CVSS4
    from cvss.exceptions import CVSSError

    if len(vector) > 1000:
        return None
    scale = CVSS4 if vector.startswith("CVSS:4") else CVSS3 if vector.startswith("CVSS:3") else CVSS2
    try:
        return float(scale(vector).base_score)
    except CVSSError:
        return None
