"""A real process on a real socket, with the encoder without weights."""

from __future__ import annotations

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from service.client import Client
from tests.e2e.process import CLI, PIXELS, Process, running
from tests.service.serving import BLUE, GREEN, RED, eventually, picture


def test_taught_from_nothing_killed_and_still_knowing(tmp_path: Path) -> None:
    cache = tmp_path / "not" / "there yet"
    with running(*PIXELS, cwd=tmp_path, cache=cache) as process, process.ready() as client:
        assert client.cache().classes == 0
        client.put_class("red")
        client.put_class("green")
        zero_shot = client.classify(picture(RED))
        assert zero_shot.label in ("red", "green")
        assert zero_shot.neighbors == []
        for label, colour in (("red", RED), ("green", GREEN)):
            client.add(label, [picture(colour, mark=mark) for mark in range(4)])
        assert client.classify(picture(BLUE, mark=9)).label != "blue"
        four = client.add("blue", [picture(BLUE, mark=mark) for mark in range(4)])
        answer = client.classify(picture(BLUE, mark=9))
        assert answer.cache_version >= four.cache_version
        assert answer.neighbors[0].shot_id in four.shot_ids
        eventually(lambda: _fitted(client))
        assert client.classify(picture(BLUE, mark=9)).label == "blue"
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with (
        running(*PIXELS, cwd=tmp_path, cache=cache, log_format="json") as process,
        process.ready() as client,
    ):
        eventually(lambda: _fitted(client))
        state = client.cache()
        assert (state.classes, state.shots, state.version) == (3, 12, four.cache_version)
        for label, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
            assert client.classify(picture(colour, mark=9)).label == label
        assert [shot.shot_id for shot in client.shots("blue")] == four.shot_ids
        with running(*PIXELS, cwd=tmp_path, cache=cache) as second, second.ready() as shared:
            taught = shared.add("green", [picture(GREEN, mark=99)])
            assert client.classify(picture(GREEN)).cache_version >= taught.cache_version
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    events = [json.loads(line) for line in process.logged]
    assert {event["level"] for event in events} == {"info"}
    asked = [event["path"] for event in events if event["message"] == "request"]
    assert asked.count("/classify") == 4


def _fitted(client: Client) -> bool:
    state = client.cache()
    return state.fitted_version == state.version


def _in_flight(process: Process, count: int) -> bool:
    text = httpx.get(f"{process.url}/metrics").text
    return f"\nxmadapter_queue_requests {count:.1f}\n" in text


def test_sigterm_finishes_what_is_in_flight(tmp_path: Path) -> None:
    with running(*PIXELS, "1.0", cwd=tmp_path, cache=tmp_path / "cache") as process:
        with process.ready() as client, ThreadPoolExecutor(4) as threads:
            adds = [
                threads.submit(client.add, label, [picture(colour)])
                for label, colour in (("red", RED), ("green", GREEN), ("blue", BLUE))
            ]
            eventually(lambda: _in_flight(process, 3))
            process.signal(signal.SIGTERM)
            assert [add.result().created for add in adds] == [[True]] * 3
        assert process.wait() == 0
    with Cache.open(tmp_path / "cache", PixelEncoder(), create=False) as cache:
        assert cache.info().shots == 3


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running(*CLI, "serve", cwd=tmp_path, port=port) as process:
            assert process.wait() == 1
    (message,) = process.logged
    assert message.startswith(f"Error: port {port} of 127.0.0.1 is in use")
    assert "--port" in message
    assert not (tmp_path / "var").exists()
