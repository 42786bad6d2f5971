"""Ed25519 signatures beside feeds: `FILE.sig` over the bytes of `FILE`, by the `cryptography` library (an extra)."""

from __future__ import annotations

import base64
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ..errors import FeedError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX: Final = ".sig"
LARGEST: Final = 1_000
"""Bytes of a signature file: 64, or 88 in base64."""
_DER: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 public key in DER (RFC 8410)."""
_INSTALL: Final = "pip install 'installguard[signing]'"


def verify(file: IO[bytes], signature: bytes | None, keys: Sequence[str], *, where: str) -> str:
    """Return the key of *keys* that signed the file; raises `FeedError` where none did, or nothing can be verified."""
    if signature is None:
        raise FeedError("is not signed", where=where, now=f"feed.keys asks for {SUFFIX[1:]} beside it")
    try:
        from cryptography.exceptions import InvalidSignature
    except ImportError as error:
        raise FeedError("signatures cannot be verified", where=where, now=_INSTALL) from error

    raw = _raw_signature(signature, where)
    with _bytes(file) as mapped, memoryview(mapped) as data:
        for key in keys:
            public = public_key(key)
            try:
                public.verify(raw, data)
            except InvalidSignature:
                continue
            return key
    raise FeedError("is signed by none of feed.keys", where=where, now="the snapshot stays as it was")


def sign(path: Path, key: Path) -> Path:
    """Write the signature of *path* beside it, by the private key (PEM) in *key*, and return where that is."""
    private = _private_key(key)
    with path.open("rb") as file, _bytes(file) as data:
        signature = private.sign(bytes(data))
    target = path.with_name(path.name + SUFFIX)
    try:
        target.write_bytes(base64.b64encode(signature) + b"\n")
    except OSError as error:
        raise FeedError(f"cannot be written: {error.strerror or error}", where=str(target)) from error
    return target


def public_key(text: str) -> Ed25519PublicKey:
    """The public key that *text* is: base64 of its 32 bytes, or of its DER as in a PEM file; raises `FeedError`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise FeedError("is not base64", where=f"feed.keys: {text[:60]!a}") from error
    raw = raw.removeprefix(_DER) if len(raw) == 44 else raw
    if len(raw) != 32:
        raise FeedError("is no Ed25519 public key", where=f"feed.keys: {text[:60]!a}", now="write base64 of 32 bytes")
    return Ed25519PublicKey.from_public_bytes(raw)


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise FeedError("nothing can be signed", where=str(path), now=_INSTALL) from error

    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except (ValueError, TypeError) as error:  # no PEM, or a passphrase
        raise UsageError("is no private key in PEM without a passphrase", where=str(path)) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError("is no Ed25519 key", where=str(path), now="openssl genpkey -algorithm ed25519")
    return private


def _raw_signature(signature: bytes, where: str) -> bytes:
    if len(signature) == 64:
        return signature
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 64:
        raise FeedError("has a signature that is none", where=where, now="the snapshot stays as it was")
    return raw


def _bytes(file: IO[bytes]) -> mmap.mmap:
    """The file as bytes that are not in memory."""
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise FeedError(f"cannot be read: {error}", where=str(getattr(file, "name", "file"))) from error
