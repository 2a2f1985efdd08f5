"""What can be watched."""

from __future__ import annotations

from service.metrics import Metrics, Watched


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
    values = iter([1.0, 2.0])
    metrics.watch(lambda: [Watched("xmadapter_shots", "Shots.", next(values))])
    assert "xmadapter_shots 1.0\n" in metrics.text().decode()
    assert "xmadapter_shots 2.0\n" in metrics.text().decode()


def test_two_applications_do_not_share_their_numbers() -> None:
    first, second = Metrics(), Metrics()
    first.batch(3)
    assert "xmadapter_batch_images_count 0.0\n" in second.text().decode()
