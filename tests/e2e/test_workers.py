"""A service of two workers: real processes, with the encoder without weights."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from service.client import Client, ClientError
from service.keyfile import KeyFile
from service.keys import make
from tests.e2e.process import PIXELS, Process, running
from tests.service.serving import BLUE, GREEN, RED, eventually, picture

CALLERS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def process(folder: Path) -> Iterator[Process]:
    given = {"cache": folder / "cache", "workers": 2, "log_format": "json", "max_wait": 60}
    with running(*PIXELS, cwd=folder, **given) as process:
        process.ready().close()
        yield process
        ever = [int(str(each["pid"])) for each in events(process) if "pid" in each]
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert not any(map(_lives, ever))


@pytest.fixture
def clients(process: Process) -> Iterator[list[Client]]:
    """Each with a connection of its own, so that both workers have some."""
    clients = [Client(process.url, timeout=60) for _ in range(2)]
    for client in clients:
        client.ready()
    yield clients
    for client in clients:
        client.close()


def workers(process: Process) -> list[int]:
    """The workers' process numbers, those that live."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def events(process: Process) -> list[dict[str, object]]:
    return [json.loads(line) for line in process.logged if line.startswith("{")]


def answered(process: Process) -> list[dict[str, object]]:
    """The log's lines of /readyz, which nothing else asks for."""
    return [event for event in events(process) if event.get("path") == "/readyz"]


def metric(url: str, name: str) -> float:
    """As any worker tells it."""
    where = urlsplit(url)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_what_is_taught_to_one_is_known_by_the_other(clients: list[Client]) -> None:
    for turn in range(100):
        teacher, asked = clients if turn % 2 else clients[::-1]
        taught = teacher.add("red", [picture(RED, mark=turn + 1)])
        answer = asked.classify(picture(RED, mark=turn + 1), explain=200)
        assert answer.cache_version >= taught.cache_version
        assert taught.shot_ids[0] in {each.shot_id for each in answer.neighbors}


def test_the_same_request_to_both_at_once_is_done_once(clients: list[Client]) -> None:
    with ThreadPoolExecutor(2) as threads:
        for turn in range(20):
            image, key = picture(GREEN, size=(40, 40), mark=turn + 1), f"both {turn}"
            asked = [
                threads.submit(client.add, "green", [image], idempotency_key=key)
                for client in clients
            ]
            one, other = (each.result() for each in asked)
            assert one == other
            assert one.created == [True]


def test_both_answer_and_their_log_says_who(process: Process, clients: list[Client]) -> None:
    for client in clients:
        client.ready()
    eventually(lambda: {event["worker"] for event in answered(process)} == {1, 2})


def test_callers_who_stay_are_spread_evenly(process: Process) -> None:
    before = len(answered(process))
    clients = [Client(process.url) for _ in range(CALLERS)]
    for client in clients:
        client.ready()
    eventually(lambda: len(answered(process)) == before + CALLERS)
    for client in clients:
        client.close()
    by = [event["worker"] for event in answered(process)[before:]]
    assert by.count(1) == by.count(2) == CALLERS // 2


def test_the_metrics_are_the_services(process: Process, clients: list[Client]) -> None:
    name = 'xmadapter_requests_total{method="GET",route="/classes",status="200"}'
    before = metric(process.url, name)
    for client in clients * 5:
        list(client.classes())
    # By any worker.
    assert [metric(process.url, name) - before for _ in range(4)] == [10, 10, 10, 10]
    assert metric(process.url, "xmadapter_workers_ready") == 2


def test_each_comes_to_answer_with_the_same_fit(clients: list[Client]) -> None:
    clients[0].add("green", [picture(GREEN, mark=mark) for mark in range(4)])
    for client in clients:
        eventually(lambda client=client: _fitted(client))  # type: ignore[misc]
    confidences = {client.classify(picture(GREEN)).confidence for client in clients}
    assert max(confidences) == pytest.approx(min(confidences), abs=1e-6)


def _fitted(client: Client) -> bool:
    state = client.cache()
    return state.fitted_version == state.version


def test_one_that_is_killed_is_replaced_and_nothing_is_lost(process: Process) -> None:
    ended = threading.Event()
    acknowledged: list[str] = []
    failed: list[str] = []

    def teach(caller: int) -> None:
        with Client(process.url, timeout=60) as client:
            for mark in range(1, 400):
                if ended.is_set():
                    return
                image = picture(BLUE, size=(48 + caller, 48), mark=mark)
                try:
                    acknowledged.extend(client.add("blue", [image]).shot_ids)
                except ClientError as error:
                    failed.append(str(error))

    victim = workers(process)[0]
    with ThreadPoolExecutor(CALLERS) as threads:
        teaching = [threads.submit(teach, caller) for caller in range(CALLERS)]
        eventually(lambda: len(acknowledged) > 40, 30)
        os.kill(victim, signal.SIGKILL)
        before = len(acknowledged)
        eventually(lambda: len(acknowledged) > before + 40, 30)
        failed_at_its_death = len(failed)
        eventually(lambda: metric(process.url, "xmadapter_workers_ready") == 2, 30)
        ended.set()
        for each in teaching:
            each.result()
    # Those whose connection it had; one of them may have come again while it was dying.
    assert 0 < len(failed) <= CALLERS, failed
    assert failed[failed_at_its_death:] == []
    assert victim not in workers(process)
    assert len(workers(process)) == 2
    with Client(process.url) as client:
        kept = {shot.shot_id for shot in client.shots("blue")}
    assert kept >= set(acknowledged)
    eventually(lambda: any(event["message"] == "worker ended" for event in events(process)))
    (told,) = [event for event in events(process) if event["message"] == "worker ended"]
    assert (told["pid"], told["reason"]) == (victim, "killed by SIGKILL")


def test_a_key_has_one_limit_for_both(
    process: Process, clients: list[Client], folder: Path
) -> None:
    # The last one here: from now on all need a key.
    key, kept = make("me", ["read"], rate=0.001, burst=6)
    file = KeyFile(folder / "cache" / "keys.json")
    file.add(kept)
    answers = []
    for _ in range(4):
        for _ in clients:
            # On a connection of its own, which goes to the other worker.
            answer = httpx.get(f"{process.url}/classes", headers={"X-API-Key": key})
            answers.append(answer.status_code)
    assert answers == [200] * 6 + [429] * 2


def test_sigterm_finishes_what_is_in_flight_in_both(tmp_path: Path) -> None:
    with running(*PIXELS, "2.0", cwd=tmp_path, cache=tmp_path / "cache", workers=2) as process:
        with process.ready() as client, ThreadPoolExecutor(4) as threads:
            asking = [Client(process.url, timeout=60) for _ in range(4)]
            adds = [
                threads.submit(each.add, "red", [picture(RED, mark=mark)])
                for mark, each in enumerate(asking)
            ]
            name = "xmadapter_queue_requests"
            eventually(lambda: metric(process.url, name) == 4)
            process.signal(signal.SIGTERM)
            assert [add.result().created for add in adds] == [[True]] * 4
            for each in (client, *asking):
                each.close()
        assert process.wait() == 0
    with Cache.open(tmp_path / "cache", PixelEncoder(), create=False) as cache:
        assert cache.info().shots == 4


def test_workers_without_a_supervisor_finish_and_end(tmp_path: Path) -> None:
    with running(*PIXELS, "1.0", cwd=tmp_path, cache=tmp_path / "cache", workers=2) as process:
        with process.ready() as client, ThreadPoolExecutor(1) as threads:
            pids = workers(process)
            assert len(pids) == 2
            add = threads.submit(client.add, "red", [picture(RED)])
            eventually(lambda: metric(process.url, "xmadapter_queue_requests") == 1)
            process.signal(signal.SIGKILL)
            assert add.result().created == [True]
        eventually(lambda: not any(map(_lives, pids)))


def _lives(pid: int) -> bool:
    """Whether a process that is nobody's child any more runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
