"""A digest over many records that a change of a few brings up to date without reading the others.

Each record has a weight, a hash of 2,048 bits over its source, its id and what it says; a source's total is the sum of
its weights. So equal records give equal totals in whatever order they came (Bellare and Micciancio's AdHash).
"""

from __future__ import annotations

from hashlib import shake_256
from typing import Final

_BYTES: Final = 256


def weight(source: str, record_id: str, record_hash: bytes) -> int:
    """The weight of one record."""
    text = f"{source}\0{record_id}\0".encode()
    return int.from_bytes(shake_256(text + record_hash).digest(_BYTES), "big")


def written(total: int) -> str:
    """The total, hexadecimal, within its bits."""
    return f"{total % (1 << 8 * _BYTES):x}"
