"""The channel between hook and guard: whoever does not know the token gets nothing, whoever loses guard stops."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from installguard.hook import pip_hook
from installguard.hook.channel import ChannelServer, listen
from installguard.hook.pip_hook import MAX_MESSAGE, PROTOCOL, Channel, ChannelLostError, proof, shake_hands

from .environments import Environment, Ran
from .loopback import Index
from .packages import make_sdist, make_wheel, source_files

Item: TypeAlias = dict[str, Any]
Message: TypeAlias = Mapping[str, Any]
HELLO: Item = {"hello": 1, "pid": 4711}

# ------------------------------------------------------------------ guard's end


class Answering:
    """Says yes to everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Message] = []

    def __call__(self, greeting: Message, message: Message) -> Message:
        self.asked.append(message)
        return {"go": True, "greeted": greeting.get("hello")}


@pytest.fixture
def answering() -> Answering:
    return Answering()


@pytest.fixture
def server(answering: Answering) -> Iterator[ChannelServer]:
    made = ChannelServer()
    made.answer(answering)
    yield made
    made.close()


def context_of(server: ChannelServer, **other: object) -> Item:
    host, port = server.address
    return {"host": host, "port": port, "token": server.token, **other}


def raw(server: ChannelServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=10)


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def all_that_comes(connection: socket.socket) -> bytes:
    """Return what the other end sends until it hangs up."""
    received = b""
    try:
        while block := connection.recv(65536):
            received += block
    except ConnectionError:
        pass
    return received


def connect(context: Item) -> Channel:
    """Return a channel both ends of which have proved themselves."""
    channel = pip_hook.connect(context)
    try:
        shake_hands(channel, context["token"])
    except ChannelLostError:
        channel.close()
        raise
    return channel


def test_a_hook_that_knows_the_token_is_answered_each_time(server: ChannelServer, answering: Answering) -> None:
    channel = connect(context_of(server))
    for message in (HELLO, {"ask": "ping", "items": []}, {"ask": "final", "items": [{"name": "café"}]}):
        channel.send(message)
        assert channel.receive() == {"go": True, "greeted": HELLO["hello"]}
    channel.close()
    assert answering.asked == [
        HELLO,
        {"ask": "ping", "items": []},
        {"ask": "final", "items": [{"name": "café"}]},
    ]


def test_a_client_without_the_token_is_asked_for_proof_and_then_gets_nothing(
    server: ChannelServer, answering: Answering
) -> None:
    with raw(server) as connection:
        channel = Channel(connection)
        channel.send({"protocol": PROTOCOL, "nonce": "00"})
        nonce = str(channel.receive()["nonce"])
        channel.send({"proof": proof("another token", "hook", nonce)})
        connection.sendall(frame(HELLO) + frame({"ask": "final", "items": []}))
        assert all_that_comes(connection) == b""
    assert answering.asked == []


def test_guards_own_proof_sent_back_is_no_proof(server: ChannelServer, answering: Answering) -> None:
    with raw(server) as connection, raw(server) as other:
        first, second = Channel(connection), Channel(other)
        first.send({"protocol": PROTOCOL, "nonce": "00"})
        nonce = first.receive()["nonce"]
        second.send({"protocol": PROTOCOL, "nonce": nonce})
        connection.sendall(frame({"proof": second.receive()["proof"]}) + frame(HELLO))
        assert all_that_comes(connection) == b""
    assert answering.asked == []


OPENINGS: list[tuple[str, bytes]] = [
    ("another protocol", frame({"protocol": PROTOCOL + 1, "nonce": "00"})),
    ("no protocol", frame({})),
    ("a question at once", frame({"ask": "final", "items": []})),
    ("a list", frame([1, 2])),
    ("no JSON", struct.pack(">I", 4) + b"{{{{"),
    ("no UTF-8", struct.pack(">I", 4) + b"\xff\xfe\xff\xfe"),
    ("an HTTP request", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    ("one byte too many", struct.pack(">I", MAX_MESSAGE + 1)),
    ("four gigabytes", struct.pack(">I", 0xFFFFFFFF) + b"x" * 100),
    ("nothing", b""),
    ("half a length", b"\0\0"),
    ("half a message", struct.pack(">I", 100) + b'{"protocol"'),
    ("deep nesting", struct.pack(">I", 200_000) + b"[" * 200_000),
]


@pytest.mark.parametrize("opening", [sent for _, sent in OPENINGS], ids=[name for name, _ in OPENINGS])
def test_whoever_opens_otherwise_is_hung_up_on_unanswered(
    server: ChannelServer, answering: Answering, opening: bytes
) -> None:
    with raw(server) as connection:
        with suppress(OSError):  # it may have hung up already
            connection.sendall(opening)
            connection.shutdown(socket.SHUT_WR)
        assert all_that_comes(connection) == b""
    assert answering.asked == []
    still = connect(context_of(server))
    still.send(HELLO)
    assert still.receive()["go"] is True
    still.close()


def test_a_client_that_stays_silent_keeps_nobody_else_waiting(server: ChannelServer) -> None:
    with raw(server), raw(server), raw(server):
        started = time.monotonic()
        channel = connect(context_of(server))
        channel.send(HELLO)
        assert channel.receive()["go"] is True
        channel.close()
        assert time.monotonic() - started < 5


def test_many_hooks_are_answered_side_by_side(server: ChannelServer, answering: Answering) -> None:
    answers: list[Item] = []

    def ask(number: int) -> None:
        channel = connect(context_of(server))
        for _ in range(5):
            channel.send({**HELLO, "hello": number})
            answers.append(channel.receive())
        channel.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(answers) == len(answering.asked) == 200
    assert sorted(answer["greeted"] for answer in answers) == sorted(list(range(40)) * 5)


def test_a_message_of_several_megabytes_arrives_whole(server: ChannelServer, answering: Answering) -> None:
    channel = connect(context_of(server))
    text = "é\x00\n" * 1_000_000
    channel.send({**HELLO, "hello": text})
    assert channel.receive()["greeted"] == text
    channel.close()
    assert answering.asked == [{**HELLO, "hello": text}]


def test_a_process_counts_as_connected_until_it_hangs_up(server: ChannelServer) -> None:
    channel = connect(context_of(server))
    channel.send(HELLO)
    channel.receive()
    assert server.pids == {HELLO["pid"]}
    channel.close()
    wait_until(lambda: not server.pids)


def test_closing_the_channel_wakes_a_hook_that_waits(answering: Answering) -> None:
    asked, release = threading.Event(), threading.Event()

    def wait(greeting: Message, message: Message) -> Message:
        asked.set()
        release.wait(10)
        return {"go": True}

    server = ChannelServer()
    server.answer(wait)
    context = context_of(server)
    channel = connect(context)
    channel.send(HELLO)
    assert asked.wait(10)
    server.close()
    with pytest.raises(ChannelLostError):
        channel.receive()
    release.set()
    channel.close()
    with pytest.raises(ChannelLostError):
        connect(context)


# ------------------------------------------------------------------ the hook's end


@pytest.fixture
def impostor() -> Iterator[Callable[[Callable[[socket.socket], None]], Item]]:
    """Something else at guard's address, which treats its one visitor as it is told to."""
    listener = listen()
    threads: list[threading.Thread] = []

    def start(treat: Callable[[socket.socket], None]) -> Item:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                treat(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        host, port = listener.getsockname()[:2]
        return {"host": host, "port": port, "token": "the token"}

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


def after_the_opening(reply: bytes) -> Callable[[socket.socket], None]:
    def treat(connection: socket.socket) -> None:
        Channel(connection).receive()
        connection.sendall(reply)

    return treat


IMPOSTORS: list[tuple[str, Callable[[socket.socket], None]]] = [
    ("hangs up", lambda connection: None),
    ("says go", after_the_opening(frame({"go": True}))),
    ("proves another token", after_the_opening(frame({"nonce": "00", "proof": proof("other", "guard", "00")}))),
    ("proves nothing", after_the_opening(frame({"nonce": "00", "proof": None}))),
    ("speaks HTTP", after_the_opening(b"HTTP/1.1 200 OK\r\n\r\n")),
    ("sends a list", after_the_opening(frame([]))),
    ("sends garbage", after_the_opening(struct.pack(">I", 3) + b"\xff\xff\xff")),
    ("sends too much", after_the_opening(struct.pack(">I", 0xFFFFFFFF))),
]


@pytest.mark.parametrize("treat", [treat for _, treat in IMPOSTORS], ids=[name for name, _ in IMPOSTORS])
def test_a_hook_trusts_nobody_else_at_guards_address(
    impostor: Callable[[Callable[[socket.socket], None]], Item], treat: Callable[[socket.socket], None]
) -> None:
    with pytest.raises(ChannelLostError):
        connect(impostor(treat))


def test_a_hook_never_sends_its_proof_to_an_impostor(
    impostor: Callable[[Callable[[socket.socket], None]], Item],
) -> None:
    received: list[bytes] = []

    def treat(connection: socket.socket) -> None:
        Channel(connection).receive()
        connection.sendall(frame({"nonce": "00", "proof": "00"}))
        received.append(all_that_comes(connection))

    context = impostor(treat)
    with pytest.raises(ChannelLostError, match="something else answers"):
        connect(context)
    deadline = time.monotonic() + 10
    while not received and time.monotonic() < deadline:
        time.sleep(0.01)
    assert received == [b""]


# ------------------------------------------------------------------ real processes


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is not of this system")
@pytest.mark.last_pip
def test_pip_stops_and_installs_nothing_once_guard_is_killed(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go-on"
    payload = (
        f"import pathlib, time\nif not pathlib.Path({str(started)!r}).exists():\n"
        f"    pathlib.Path({str(started)!r}).touch()\n"
        f"    while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)\n"
    )
    make_wheel(index.files, "nice")
    make_sdist(index.files, "slow", "1.0", source_files("slow", payload=payload))
    before = environment.files()
    command = [sys.executable, "-m", "installguard", "--python", environment.python, "install", "nice", "slow"]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        guard = subprocess.Popen(
            [str(part) for part in command],
            env=environment.environ(),
            cwd=environment.home,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            wait_until(started.exists)
            children = children_of(guard.pid)
        finally:
            guard.send_signal(signal.SIGKILL)
            guard.wait(10)
    go_on.touch()
    for pid in children:
        wait_until(lambda pid=pid: not alive(pid))  # type: ignore[misc]

    assert children
    assert "the guard process is gone" in err.read_text(encoding="utf-8")
    assert "Installing collected packages" not in out.read_text(encoding="utf-8")
    assert environment.files() == before


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fail where it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def alive(pid: int) -> bool:
    """Tell whether a process is still running; one that ended but was not waited for is not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


DUMP = """
import json, os, pathlib, sys
with open({path!r}, "a") as file:
    modules = sorted(name for name in sys.modules if "guard" in name)
    seen = [sys.argv[1:], dict(sorted(os.environ.items())), sys.path, sys.executable, os.getcwd(), modules]
    file.write(json.dumps(seen) + "\\n")
"""


@pytest.mark.parametrize("depth", [0, 1], ids=["backend", "backend-of-a-build-requirement"])
def test_a_build_backend_sees_nothing_of_guard(
    environment: Environment, index: Index, tmp_path: Path, depth: int
) -> None:
    dump = tmp_path / "dump"
    make_wheel(index.files, "helper")
    files = source_files("dumper", build_requires=["helper"], payload=DUMP.format(path=str(dump)))
    make_sdist(index.files, "dumper", "1.0", files)
    make_sdist(index.files, "outer", "1.0", source_files("outer", build_requires=["dumper"]))
    project = ("dumper", "outer")[depth]

    def seen(install: Callable[..., Ran]) -> list[str]:
        dump.unlink(missing_ok=True)
        shutil.rmtree(environment.home / "cache", ignore_errors=True)
        done = install("install", "--force-reinstall", project)
        assert done.code == 0, done.text
        return steady_paths(dump.read_text(encoding="utf-8")).splitlines()

    bare, guarded = seen(environment.pip), seen(environment.guard)

    assert guarded == bare
    assert len(bare) >= 2


def steady_paths(text: str) -> str:
    """Return text without the random part of pip's temporary directories."""
    text = re.sub(r"/(pip-[a-z-]+-|tmp)[a-z0-9_]{8}\b", r"/\1*", text)
    return re.sub(r"_[0-9a-f]{32}\b", "_*", text)


SHADOWS = (
    "pip.py",
    "json.py",
    "installguard.py",
    "socket.py",
    "hmac.py",
    "zipfile.py",
    "tomllib.py",
    "platformdirs.py",
)


@pytest.mark.last_pip
def test_modules_in_the_current_directory_are_never_imported(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    make_wheel(index.files, "nice")
    here = tmp_path / "here"
    here.mkdir()
    for name in SHADOWS:
        (here / name).write_text(f"open({str(tmp_path / 'shadow')!r}, 'w').close()\nraise SystemExit(99)\n")
    guard = Path(sys.executable).with_name("guard.exe" if os.name == "nt" else "guard")
    if not guard.is_file():
        pytest.skip("guard's console script is not installed beside this interpreter")

    ran = environment.run([guard, "--python", environment.python, "install", "nice"], cwd=here)

    assert ran.code == 0, ran.text
    assert not (tmp_path / "shadow").exists()
    assert (environment.site_packages / "nice" / "__init__.py").is_file()


@pytest.mark.last_pip
@pytest.mark.parametrize(
    ("project", "code"), [("nice", 0), ("source", 0), ("missing", 1), ("evil", 10)], ids=lambda value: str(value)
)
@pytest.mark.usefixtures("feed")
def test_guards_temporary_directory_is_gone_after_a_run(
    environment: Environment, index: Index, tmp_path: Path, project: str, code: int
) -> None:
    make_wheel(index.files, "nice")
    make_wheel(index.files, "evil")
    make_sdist(index.files, "source", "1.0", source_files("source", build_requires=["nice"]))
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    ran = environment.guard("install", project, TMPDIR=str(temporary), TEMP=str(temporary), TMP=str(temporary))

    assert ran.code == code, ran.text
    assert list(temporary.iterdir()) == []
