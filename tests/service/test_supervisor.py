"""The parent of workers, with workers that are small scripts."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service import logs, supervisor
from service.facts import Facts
from service.running import ServeError
from service.server import listen
from service.settings import Settings
from service.supervisor import supervise

READY = """
import os, signal, socket, sys, time
from service import channel
folder, worker, descriptor = sys.argv[1:]
end = socket.socket(fileno=int(descriptor))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
tell_ready = lambda: channel.tell(end, "ready", model="none", classes=1, shots=int(worker))
"""
# Answers each connection with its number, and keeps it.
ANSWERING = f"""{READY}
channel.tell(end, "up")
tell_ready()
kept = []
while (taken := channel.taken(end)) is not None:
    for connection in taken:
        connection.sendall(worker.encode())
        kept.append(connection)
"""
# Ends with the first connection, once.
DYING = f"""{READY}
channel.tell(end, "up")
tell_ready()
while (taken := channel.taken(end)) is not None:
    for connection in taken:
        if worker == "0" and not os.path.exists(folder + "/died"):
            open(folder + "/died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        connection.sendall(worker.encode())
"""
STUBBORN = f"""{READY}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
channel.tell(end, "up")
tell_ready()
time.sleep(60)
"""
REFUSING = f"""{READY}
if worker == "1":
    channel.tell(end, "failed", why="no model of that name")
    sys.exit(1)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)


def supervised(script: str, announced: Callable[[str], None], **given: object) -> list[Facts]:
    """Run workers of this script until a signal; what was announced.

    `announced` is called on a thread of its own, with the port.
    """
    settings = Settings(workers=2, request_timeout=1.0, **given)  # type: ignore[arg-type]
    facts: list[Facts] = []
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=announced, args=(port,))

        def announce(found: Facts) -> None:
            facts.append(found)
            thread.start()

        try:
            supervise(settings, listener, announce, ("-c", script))
        finally:
            if facts:
                thread.join(10)
    return facts


def asked(port: str) -> tuple[socket.socket, bytes]:
    connection = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
    return connection, connection.recv(1)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_connections_are_spread_evenly_and_it_is_announced_once() -> None:
    answers: list[bytes] = []

    def ask(port: str) -> None:
        kept = [asked(port) for _ in range(6)]
        answers.extend(answer for _, answer in kept)
        for connection, _ in kept:
            connection.close()
        stop()

    (facts,) = supervised(ANSWERING, ask)
    assert (facts.model, facts.classes) == ("none", 1)
    assert sorted(answers) == [b"0"] * 3 + [b"1"] * 3


def test_one_that_dies_is_replaced_and_the_other_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    monkeypatch.setattr(
        logs, "trouble", lambda message, **fields: told.append({"message": message, **fields})
    )
    answers: list[bytes] = []

    def ask(port: str) -> None:
        while not {b"", b"0", b"1"} <= set(answers):
            connection, answer = asked(port)
            answers.append(answer)
            connection.close()
        stop()

    assert len(supervised(DYING, ask)) == 1
    assert answers.count(b"") == 1
    (ended,) = told
    assert (ended["message"], ended["reason"]) == ("worker ended", "killed by SIGKILL")


def test_why_one_cannot_start_is_told_and_ends_the_others() -> None:
    with pytest.raises(ServeError, match=r"^no model of that name$"):
        supervised(REFUSING, lambda port: None)


@pytest.mark.parametrize(
    ("end", "how"),
    [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "killed by SIGKILL")],
)
def test_those_that_die_of_their_start_are_given_up(
    end: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"import os, sys; open(f'{tmp_path}/{{os.getpid()}}', 'w'); {end}"
    with pytest.raises(ServeError, match=rf"ended 3 times in a row.*{how}.*fewer --workers"):
        supervised(script, lambda port: None)
    assert 3 <= len(list(tmp_path.iterdir())) <= 6


def test_a_second_signal_ends_those_that_are_at_work() -> None:
    def twice(port: str) -> None:
        stop()
        threading.Event().wait(0.2)
        stop()

    with pytest.raises(ServeError, match="second signal"):
        supervised(STUBBORN, twice)


def test_those_that_do_not_end_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MORE_SECONDS", -0.8)
    with pytest.raises(ServeError, match=r"did not end within 0\.2 s"):
        supervised(STUBBORN, lambda port: stop())


def test_nothing_is_left_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervisor, "IN_MEMORY", tmp_path)
    supervised(ANSWERING, lambda port: stop())
    assert not list(tmp_path.iterdir())
