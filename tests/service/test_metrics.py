"""What can be watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import multiprocess, values

from service.metrics import Metrics, Part, Watched, share


def test_requests_batches_and_fits_are_counted() -> None:
    metrics = Metrics()
    metrics.request("POST", "/classify", 200, 0.004)
    metrics.request("POST", "/classify", 413, 0.001)
    metrics.batch(3)
    metrics.batch(0)
    metrics.refit(0.02)
    metrics.refit_failed()
    text = metrics.text().decode()
    assert 'xmadapter_requests_total{method="POST",route="/classify",status="200"} 1.0\n' in text
    assert 'xmadapter_request_seconds_count{method="POST",route="/classify"} 2.0\n' in text
    assert "xmadapter_batch_images_sum 3.0\n" in text
    assert "xmadapter_batch_images_count 1.0\n" in text
    assert "xmadapter_refit_seconds_sum 0.02\n" in text
    assert "xmadapter_refit_failures_total 1.0\n" in text


def test_a_watched_value_is_read_when_it_is_asked_for() -> None:
    metrics = Metrics()
    numbers = iter([1.0, 2.0])
    metrics.watch(lambda: [Watched("xmadapter_shots", "Shots.", next(numbers))])
    metrics.watch_parts(lambda: [Part(Watched("xmadapter_queue", "Waiting.", 7))])
    assert "xmadapter_shots 1.0\n" in metrics.text().decode()
    text = metrics.text().decode()
    assert "xmadapter_shots 2.0\n" in text
    assert "xmadapter_queue 7.0\n" in text


def test_two_applications_do_not_share_their_numbers() -> None:
    first, second = Metrics(), Metrics()
    first.batch(3)
    assert "xmadapter_batch_images_count 0.0\n" in second.text().decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    yield tmp_path
    values.close_all_multiprocess_files()  # type: ignore[no-untyped-call]


def worker(folder: Path, number: int, queue: float) -> Metrics:
    share(folder, number)
    metrics = Metrics(folder)
    metrics.watch(lambda: [Watched("xmadapter_shots", "Shots.", 12)])
    metrics.watch_parts(
        lambda: [
            Part(Watched("xmadapter_queue", "Waiting.", queue)),
            Part(Watched("xmadapter_longest", "Longest wait.", queue), "max"),
        ]
    )
    metrics.publish()
    return metrics


def test_any_worker_answers_for_all(folder: Path) -> None:
    workers = [worker(folder, number, queue) for number, queue in ((0, 2), (1, 5))]
    for number, metrics in enumerate(workers):
        metrics.request("POST", "/classify", 200, 0.004)
        metrics.request("GET", "/cache", 200, 3.0 + number)
        metrics.batch(3 + number)
    for metrics in workers:
        text = metrics.text().decode()
        assert 'requests_total{method="POST",route="/classify",status="200"} 2.0\n' in text
        assert 'request_seconds_sum{method="GET",route="/cache"} 7.0\n' in text
        assert 'request_seconds_count{method="GET",route="/cache"} 2.0\n' in text
        assert 'request_seconds_bucket{le="5.0",method="GET",route="/cache"} 2.0\n' in text
        assert "xmadapter_batch_images_sum 7.0\n" in text
        assert "xmadapter_queue 7.0\n" in text
        assert "xmadapter_longest 5.0\n" in text
        assert text.count("xmadapter_shots 12.0\n") == 1
        assert "# HELP xmadapter_requests_total Requests answered.\n" in text


def test_a_worker_that_replaces_another_goes_on_with_its_counts(folder: Path) -> None:
    kept, gone = worker(folder, 0, 2), worker(folder, 1, 5)
    kept.batch(1)
    gone.batch(4)
    multiprocess.mark_process_dead(1, str(folder))  # type: ignore[no-untyped-call]
    text = kept.text().decode()
    assert "xmadapter_batch_images_sum 5.0\n" in text
    assert "xmadapter_queue 2.0\n" in text
    worker(folder, 1, 0).batch(8)
    text = kept.text().decode()
    assert "xmadapter_batch_images_sum 13.0\n" in text
    assert "xmadapter_batch_images_count 3.0\n" in text
