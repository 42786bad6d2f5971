"""Guard's end of the channel: answers the hooks that know the token, and nobody else."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

from .pip_hook import PROTOCOL, Channel, ChannelLostError, proof, same

TYPE_CHECKING = False  # as in the hook: this is imported before pip is started
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Message = Mapping[str, Any]
    Respond = Callable[[Message, Message], Message]
    """From a hook's greeting and its question to the answer."""

HANDSHAKE_SECONDS = 10.0


class ChannelServer:
    """Listens on loopback; every hook of one run speaks to it over a connection of its own."""

    def __init__(self) -> None:
        self.token = os.urandom(32).hex()
        self._listener = listen()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.pids: set[int] = set()
        """The processes that are connected at this moment, as they named themselves."""

    def answer(self, respond: Respond) -> None:
        """Begin to answer; who connected before has been waiting."""
        self._respond = respond
        threading.Thread(target=self._accept, name="guard-channel", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Hang up on everybody; a hook that still asks then stops its pip."""
        with self._lock:
            self._closed = True
            connections = tuple(self._connections)
        for each in (self._listener, *connections):
            shut_down(each)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="guard-channel-hook", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            channel = self._shake_hands(connection)
            self._answer_all(channel, channel.receive())
        except (ChannelLostError, OSError):
            pass  # a hook that ended, or somebody who is none; what was not asked is not allowed
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _answer_all(self, channel: Channel, greeting: Message) -> None:
        pid = int(greeting.get("pid", 0))
        if pid <= 0:
            raise ChannelLostError("a greeting without a process")
        self.pids.add(pid)
        try:
            message = greeting
            while True:
                channel.send(dict(self._respond(greeting, message)))
                message = channel.receive()
        finally:
            self.pids.discard(pid)

    def _shake_hands(self, connection: socket.socket) -> Channel:
        connection.settimeout(HANDSHAKE_SECONDS)
        channel = Channel(connection)
        opening = channel.receive()
        if opening.get("protocol") != PROTOCOL:
            raise ChannelLostError("another protocol")
        nonce = os.urandom(16).hex()
        channel.send({"nonce": nonce, "proof": proof(self.token, "guard", str(opening.get("nonce")))})
        if not same(str(channel.receive().get("proof")), proof(self.token, "hook", nonce)):
            raise ChannelLostError("a wrong token")
        connection.settimeout(None)
        return channel


def listen() -> socket.socket:
    """Return a socket that listens on a loopback address, IPv4 where there is one."""
    try:
        return socket.create_server(("127.0.0.1", 0))
    except OSError:
        return socket.create_server(("::1", 0), family=socket.AF_INET6)


def shut_down(connection: socket.socket) -> None:
    """Close a socket so that a thread blocked in it wakes up."""
    with suppress(OSError):  # it may not be connected
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
