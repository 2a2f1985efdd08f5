"""GET /adapter, and adapters that change under a running service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapter.networks import Networks
from indexer.live import Live, Prepared
from service import refit
from tests.service.adapters import ENCODER, point_to, publish, spoil
from tests.service.serving import GREEN, RED, Service, eventually, picture, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def taught(folder: Path) -> Iterator[Service]:
    """One of this test alone, that knows red and green."""
    with serving(folder) as made:
        teach(made)
        yield made


def teach(service: Service) -> None:
    service.teach("red", picture(RED), picture(RED, mark=1))
    service.teach("green", picture(GREEN), picture(GREEN, mark=1))
    service.settle()


def state(service: Service) -> dict[str, Any]:
    response = service.http.get("/adapter")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def metric(service: Service, name: str) -> float:
    lines = service.http.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def ready(service: Service) -> str:
    response = service.http.get("/readyz")
    assert response.status_code == 200
    status: str = response.json()["status"]
    return status


def test_without_a_trained_one(taught: Service) -> None:
    found = state(taught)
    assert found["accuracy"] is not None
    assert found["fitted_version"] == taught.version
    assert found == {
        "number": None,
        "method": "full",
        "sha256": None,
        "networks": None,
        "following": True,
        "accuracy": found["accuracy"],
        "fitted_version": taught.version,
        "training": None,
        "published": None,
        "latest": None,
        "error": None,
    }
    assert taught.ask(picture()).json()["adapter"] is None
    assert taught.http.get("/cache").json()["adapter"]["number"] is None
    assert metric(taught, "xmadapter_adapter_number") == 0
    assert "?" not in taught.problem(taught.http.get("/adapter?x=1"), 422, "invalid")


def test_a_published_one_comes_to_serve_and_says_so_everywhere(
    taught: Service, folder: Path
) -> None:
    before = taught.ask(picture(RED)).json()
    assert publish(folder) == 1
    eventually(lambda: state(taught)["number"] == 1)
    found = state(taught)
    assert (found["published"], found["latest"], found["error"]) == (1, 1, None)
    training = found["training"]
    assert (training["accuracy"], training["serving_accuracy"]) == (0.75, 0.5)
    assert (training["shots"], training["cache_version"]) == (4, 2)
    assert training["settings"] == {"epochs": 5}
    assert found["sha256"]
    after = taught.ask(picture(RED)).json()
    assert (after["label"], after["adapter"]) == ("red", 1)
    assert after["neighbors"][0]["text_affinity"] != before["neighbors"][0]["text_affinity"]
    batch = taught.http.post("/classify/batch", files=[("image", picture())] * 2).json()
    assert batch["adapter"] == 1
    assert taught.http.get("/cache").json()["adapter"]["number"] == 1
    assert metric(taught, "xmadapter_adapter_number") == 1
    assert taught.http.get("/cache").json()["version"] == before["cache_version"]


def test_a_bad_one_is_told_once_and_the_old_one_goes_on(
    taught: Service, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(folder)
    eventually(lambda: state(taught)["number"] == 1)
    assert ready(taught) == "ok"
    with caplog.at_level(logging.INFO, "xmadapter"):
        publish(folder, seed=2, published=False)
        spoil(folder, 2)
        point_to(folder, 2)
        eventually(lambda: state(taught)["error"] is not None)
        threading.Event().wait(2.5)  # it is looked at twice more
    told = [record for record in caplog.records if record.message == "adapter refused"]
    assert len(told) == 1
    found = state(taught)
    assert "0002.safetensors is damaged" in found["error"]
    assert (found["number"], found["published"], found["latest"]) == (1, 2, 2)
    assert ready(taught) == "degraded"
    assert metric(taught, "xmadapter_adapter_degraded") == 1
    assert taught.ask(picture(RED)).json()["adapter"] == 1
    publish(folder, seed=3)
    eventually(lambda: state(taught)["number"] == 3)
    assert (ready(taught), state(taught)["error"]) == ("ok", None)


def test_damage_to_any_file_of_the_one_that_serves_is_told_and_changes_no_answer(
    taught: Service,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refit, "WATCH_SECONDS", 0.1)
    publish(folder)
    publish(folder, seed=2)
    eventually(lambda: state(taught)["number"] == 2)
    before = taught.ask(picture(RED)).json()["predictions"]
    for name in ("0002.safetensors", "0002.json", "current"):
        path = folder / "adapters" / name
        whole = path.read_bytes()
        caplog.clear()
        with caplog.at_level(logging.ERROR, "xmadapter"):
            path.write_bytes(whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
            eventually(lambda: state(taught)["error"] is not None)
        assert f"{name} is damaged" in state(taught)["error"]
        assert (ready(taught), state(taught)["number"]) == ("degraded", 2)
        answer = taught.ask(picture(RED)).json()
        assert (answer["adapter"], answer["predictions"]) == (2, before)
        assert [record.message for record in caplog.records] == ["adapter refused"]
        path.write_bytes(whole)
        eventually(lambda: state(taught)["error"] is None)
        assert ready(taught) == "ok"


def test_a_damaged_one_at_the_start_is_replaced_by_the_last_good_one(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(folder) as service:
        teach(service)
    publish(folder, seed=1)
    publish(folder, seed=2)
    spoil(folder, 2)
    with caplog.at_level(logging.ERROR, "xmadapter"), serving(folder) as service:
        assert (state(service)["number"], state(service)["published"]) == (1, 2)
        assert ready(service) == "degraded"
        assert service.ask(picture(RED)).json()["adapter"] == 1
    assert "adapter refused" in caplog.text
    assert "0002.safetensors" in caplog.records[0].fields["reason"]  # type: ignore[attr-defined]


def test_what_was_fitted_for_an_adapter_is_there_after_a_restart(folder: Path) -> None:
    with serving(folder) as service:
        teach(service)
        publish(folder)
        eventually(lambda: state(service)["number"] == 1)
        before = service.ask(picture(RED)).json()
    with serving(folder) as service:
        after = service.ask(picture(RED)).json()
        assert after["adapter"] == 1
        assert after["predictions"][0]["logit"] == pytest.approx(
            before["predictions"][0]["logit"], abs=1e-4
        )


def test_networks_that_were_named_are_kept(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    Networks.initial(ENCODER.width, 4, seed=5).save(path)
    with serving(folder, networks=path) as service:
        teach(service)
        publish(folder)
        threading.Event().wait(1.5)
        found = state(service)
        assert (found["number"], found["following"]) == (None, False)
        assert (found["networks"], found["published"]) == (str(path), 1)
        assert service.ask(picture()).json()["adapter"] is None
        assert ready(service) == "ok"


def test_what_cannot_be_prepared_leaves_the_old_one(
    taught: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(live: Live, adapter: object) -> Prepared:
        raise MemoryError("the device is full")

    with monkeypatch.context() as patch:
        patch.setattr(Live, "prepare", full)
        publish(folder)
        eventually(lambda: state(taught)["error"] is not None)
    assert "could not be put to use: the device is full" in state(taught)["error"]
    assert taught.ask(picture(RED)).json()["adapter"] is None
    # It still fits, and takes the next one.
    taught.teach("red", picture(RED, mark=5))
    taught.settle()
    publish(folder, seed=2)
    eventually(lambda: state(taught)["number"] == 2)


def test_shots_that_come_while_one_is_prepared_are_kept_and_fitted(
    taught: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, free = threading.Event(), threading.Event()
    plain = Live.prepare

    def slow(live: Live, adapter: Any) -> Prepared:
        prepared = plain(live, adapter)
        began.set()
        assert free.wait(30)
        return prepared

    monkeypatch.setattr(Live, "prepare", slow)
    publish(folder)
    assert began.wait(10)
    added = taught.teach("blue", picture((10, 10, 240)), picture((10, 10, 240), mark=1)).json()
    asked = taught.ask(picture((10, 10, 240), mark=2)).json()
    assert (asked["adapter"], asked["neighbors"][0]["label"]) == (None, "blue")
    free.set()
    eventually(lambda: state(taught)["number"] == 1)
    asked = taught.ask(picture((10, 10, 240), mark=2)).json()
    assert asked["neighbors"][0]["shot_id"] in added["shot_ids"]
    taught.settle()
    fit = taught.http.get("/cache").json()["adapter"]["fit"]
    assert fit["shots"] == 6


def test_no_answer_is_lost_or_mixed_while_adapters_change(taught: Service, folder: Path) -> None:
    """Each answer is of one adapter, told by its number, and numbers never go back."""
    texts: dict[int | None, set[float]] = {}
    over = threading.Event()

    def ask() -> list[int | None]:
        seen: list[int | None] = []
        while not over.is_set():
            response = taught.ask(picture(RED, mark=9), explain=1)
            assert response.status_code == 200, response.text
            found = response.json()
            seen.append(found["adapter"])
            affinity = round(found["neighbors"][0]["text_affinity"], 5)
            texts.setdefault(found["adapter"], set()).add(affinity)
        return seen

    with ThreadPoolExecutor(4) as threads:
        try:
            runs = [threads.submit(ask) for _ in range(4)]
            for seed in (1, 2, 3):
                number = publish(folder, seed)
                eventually(lambda number=number: state(taught)["number"] == number)  # type: ignore[misc]
        finally:
            over.set()
    for run in runs:
        numbers = [number or 0 for number in run.result()]
        assert numbers == sorted(numbers)
        assert len(numbers) > 3
    assert {None, 1, 2, 3} >= set(texts) >= {None, 3}
    # One value an adapter: the query, the keys and the numbers are all of the same one.
    assert all(len(values) == 1 for values in texts.values())
    assert len({next(iter(values)) for values in texts.values()}) == len(texts)
