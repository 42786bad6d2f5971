"""Where the loopback index listens: at the same few addresses for the same user, so that installers' caches hold."""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import suppress
from pathlib import Path

from ..dataclass import asdict, dataclass
from ..private import write_private

SLOTS = 4
"""Guards that run at once with an address each that lasts; further ones get one for themselves."""
PORTS = range(20_000, 32_000)
"""Below those that systems hand out for outgoing connections."""
BACKLOG = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A port, and the secret that stands first in every path."""

    port: int
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A listening socket, and the secret that stands first in every path."""

    listener: socket.socket
    token: str

    @property
    def authority(self) -> str:
        """Host and port, as a URL and the `Host` header have them."""
        host, port = self.listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def take_address(state: Path) -> Address:
    """Listen at the first of the user's addresses that is free, else at any."""
    for slot in _slots(state):
        with suppress(OSError):
            return Address(listener=_listen(slot.port), token=slot.token)
    return Address(listener=_listen(0), token=_token())


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on a loopback address, IPv4 where there is one; raises `OSError`."""
    try:
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with probe:
            probe.bind(("127.0.0.1", 0))
    except OSError:
        return socket.create_server(("::1", port), family=socket.AF_INET6, backlog=BACKLOG)
    return socket.create_server(("127.0.0.1", port), backlog=BACKLOG)


def _slots(state: Path) -> tuple[Slot, ...]:
    """Return the user's addresses; made anew where there are none that can be read, or that others could read."""
    file = state / "index.json"
    try:
        if os.name != "nt" and file.stat().st_mode & 0o077:
            raise PermissionError("others can read the tokens")
        return _parse(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        slots = tuple(Slot(port=port, token=_token()) for port in _ports())
        with suppress(OSError):  # a state that cannot be kept costs a cold cache, not the run
            _write(file, slots)
        return slots


def _parse(content: object) -> tuple[Slot, ...]:
    """Return the addresses; raises `ValueError`, `TypeError` or `KeyError`."""
    if not isinstance(content, dict) or not isinstance(content["slots"], list) or not content["slots"]:
        raise TypeError("no list of slots")
    slots = tuple(Slot(port=each["port"], token=each["token"]) for each in content["slots"][:SLOTS])
    for slot in slots:
        if type(slot.port) is not int or not 1024 <= slot.port <= 65535:
            raise ValueError("no port")
        if not re.fullmatch(r"[A-Za-z0-9_-]{32,64}", slot.token):
            raise ValueError("no token")
    return slots


def _write(file: Path, slots: tuple[Slot, ...]) -> None:
    """Write the addresses for this user only, whole or not at all."""
    write_private(file, json.dumps({"slots": [asdict(each) for each in slots]}).encode())
    file.parent.chmod(0o700)


def _ports() -> list[int]:
    import secrets

    return secrets.SystemRandom().sample(PORTS, SLOTS)


def _token() -> str:
    import secrets

    return secrets.token_urlsafe(32)
