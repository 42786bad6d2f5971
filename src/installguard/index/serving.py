"""A small HTTP/1.1 server for GET and HEAD on loopback, a thread a connection, everything bounded."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias
from weakref import WeakSet

from ..dataclass import dataclass

LARGEST_HEAD = 16 << 10
CONNECTIONS = 256
"""Beyond them, those that have waited longest without a request that was answered have to go."""
HEAD_SECONDS = 10.0
"""For a whole request once it has begun, and for the first one of a connection."""
IDLE_SECONDS = 120.0
SEND_SECONDS = 60.0
LONGEST_REASON = 300

UNJUDGED = 424
"""Failed Dependency: where judging or the cache fails. Installers try again for seconds on anything from 500 on."""

PHRASES = {200: "OK", 304: "Not Modified", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asks for."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it is told."""

    status: int
    reason: str = ""
    """The reason phrase; by default the usual one."""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    last: bool = False
    """Whether the connection ends with it."""


class BadRequestError(Exception):
    """Bytes that are no request we would answer."""


Respond: TypeAlias = Callable[[Request], Answer]


class Server:
    """Answers on a listening socket until it is closed."""

    def __init__(self, listener: socket.socket, respond: Respond) -> None:
        self._listener = listener
        self._respond = respond
        self._connections: dict[socket.socket, bool] = {}
        """Oldest first; whether one has had an answer and may stay."""
        self._threads: WeakSet[threading.Thread] = WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Begin to answer; who connected before has been waiting."""
        threading.Thread(target=self._accept, name="guard-index", daemon=True).start()

    def close(self) -> None:
        """Hang up on everybody."""
        with self._lock:
            self._closed = True
            connections = tuple(self._connections)
        for each in (self._listener, *connections):
            _shut_down(each)

    def wait(self, seconds: float) -> None:
        """Wait until nobody is answered any longer, at most so long: the process should not end under such a thread."""
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = tuple(self._threads)
        for each in threads:
            if each.ident is not None:
                each.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closed or self._listener.fileno() < 0:
                    return
                time.sleep(0.05)  # out of file descriptors, or a client that left at once
                continue
            if self._admit(connection):
                serving = threading.Thread(target=self._serve, args=(connection,), name="guard-index-client")
                serving.daemon = True
                with self._lock:
                    self._threads.add(serving)
                serving.start()

    def _admit(self, connection: socket.socket) -> bool:
        """Say whether there is room for one more, and make some at the cost of one that never asked."""
        with self._lock:
            full = len(self._connections) >= CONNECTIONS
            silent = next((each for each, known in self._connections.items() if not known), None) if full else None
            admitted = not self._closed and (not full or silent is not None)
            if silent is not None:
                del self._connections[silent]
            if admitted:
                self._connections[connection] = False
        for each in (silent, None if admitted else connection):
            if each is not None:
                _shut_down(each)
        return admitted

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = _Client(connection)
            while self._answer(client):
                with self._lock:
                    self._connections[connection] = True
        except OSError:
            pass  # the client left, or was too slow
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            _shut_down(connection)

    def _answer(self, client: _Client) -> bool:
        """Answer one request; say whether another may follow."""
        try:
            request = client.receive()
            if request is None:
                return False
            answer = self._respond(request) if request.method in ("GET", "HEAD") else Answer(status=405, last=True)
        except BadRequestError:
            request, answer = None, Answer(status=400, last=True)
        last = answer.last or (request is not None and request.headers.get("connection", "").lower() == "close")
        client.send(answer, body=request is None or request.method != "HEAD", last=last)
        return not last


class _Client:
    """One connection: requests in, answers out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = b""
        self._patience = HEAD_SECONDS

    def receive(self) -> Request | None:
        """Return the next request, or `None` where the client has gone; raises `BadRequestError`, `OSError`."""
        deadline = time.monotonic() + self._patience
        self._patience = IDLE_SECONDS
        begun = bool(self._pending)
        while b"\r\n\r\n" not in self._pending:
            if len(self._pending) > LARGEST_HEAD:
                raise BadRequestError("too large a head")
            if self._pending and not begun:
                begun, deadline = True, time.monotonic() + HEAD_SECONDS
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._connection.recv(LARGEST_HEAD)
            if not data:
                return None
            self._pending += data
        head, _, self._pending = self._pending.partition(b"\r\n\r\n")
        return parse_request(head)

    def send(self, answer: Answer, *, body: bool, last: bool) -> None:
        """Send an answer, or only its head; raises `OSError`."""
        reason = printable(answer.reason) or PHRASES.get(answer.status, "Error")
        lines = [f"HTTP/1.1 {answer.status} {reason}"]
        lines += [f"{name}: {printable(value)}" for name, value in answer.headers]
        if answer.status != 304:
            lines.append(f"Content-Length: {len(answer.body)}")
        lines += ["Connection: close"] * last
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        self._connection.settimeout(SEND_SECONDS)
        content = answer.body if body and answer.status != 304 else b""
        small = len(content) <= LARGEST_HEAD  # one packet for what is small, no second copy of what is not
        self._connection.sendall(head + content if small else head)
        if not small:
            self._connection.sendall(content)


def parse_request(head: bytes) -> Request:
    """Read the head of a request (RFC 9112); raises `BadRequestError` for whatever could be read in two ways."""
    try:
        start, *lines = head.decode("ascii").split("\r\n")
        method, target, version = start.split(" ")
    except ValueError as error:
        raise BadRequestError("no request line") from error
    if version != "HTTP/1.1" or not target.startswith("/") or not target.isprintable():
        raise BadRequestError("another protocol")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or not line.isprintable() or name.lower() in headers:
            raise BadRequestError("a header that is none, or comes twice")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise BadRequestError("a body")
    return Request(method=method, target=target, headers=headers)


def printable(text: str) -> str:
    """The text as it may stand in a head: one line of ASCII, of bounded length."""
    line = "".join(char if " " <= char <= "~" else "?" for char in " ".join(text.split()))
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."


def _shut_down(connection: socket.socket) -> None:
    """Close a socket so that a thread blocked in it wakes up."""
    with suppress(OSError):  # it may not be connected
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
