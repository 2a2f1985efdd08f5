"""Connections one way, words the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from service import channel


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_a_connection_comes_over_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    here, there = socket.socketpair()
    with here:
        with there:
            assert channel.hand(ours, there)
            assert channel.hand(ours, there)
        first = channel.taken(theirs)
        rest = channel.taken(theirs)
        assert first is not None
        assert rest is not None
        connections = [*first, *rest]
        assert len(connections) == 2
        connections[1].sendall(b"hello")
        assert here.recv(10) == b"hello"
        for connection in connections:
            connection.close()
        assert here.recv(10) == b""
    assert channel.taken(theirs) == []


def test_its_end_is_told_to_either(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.close()
    assert channel.taken(theirs) is None
    channel.tell(theirs, "ready")
    here, there = socket.socketpair()
    with here, there:
        assert not channel.hand(theirs, there)


def test_one_who_does_not_take_is_handed_no_more(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, there = socket.socketpair()
    with here, there:
        for _ in range(100_000):
            if not channel.hand(ends[0], there):
                break
        else:
            pytest.fail("there is no end to what it is handed")


def test_words_come_one_by_one_until_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    channel.tell(theirs, "up")
    channel.tell(theirs, "ready", model="é\n", shots=3)
    theirs.close()

    async def hear() -> list[dict[str, object]]:
        return [said async for said in channel.heard(ours)]

    said = asyncio.run(hear())
    assert said == [{"what": "up"}, {"what": "ready", "model": "é\n", "shots": 3}]
