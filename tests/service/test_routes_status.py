"""Alive, ready, what, how."""

from __future__ import annotations

from pathlib import Path

from adapter.embedded import NOTICE
from adapter.encoder import PixelEncoder
from service import __version__
from tests.service.serving import Service, eventually, picture, serving
from tests.service.slow import SlowEncoder


def test_alive_and_ready(taught: Service) -> None:
    assert taught.http.get("/healthz").json() == {"status": "ok"}
    assert taught.http.get("/readyz").json() == {"status": "ok"}


def test_while_it_loads_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    encoder = SlowEncoder()
    encoder.free.clear()
    with serving(tmp_path / "cache", encoder=encoder, wait=False) as service:
        assert service.http.get("/healthz").status_code == 200
        response = service.http.get("/readyz")
        service.problem(response, 503, "not-ready")
        assert int(response.headers["Retry-After"]) > 0
        service.problem(service.ask(picture()), 503, "not-ready")
        service.problem(service.http.get("/cache"), 503, "not-ready")
        assert service.http.get("/version").json()["model"] is None
        assert "xmadapter_ready 0.0" in service.http.get("/metrics").text
        encoder.free.set()
        eventually(lambda: service.http.get("/readyz").status_code == 200)
        assert "xmadapter_ready 1.0" in service.http.get("/metrics").text


def test_the_version_names_model_and_parts(taught: Service) -> None:
    found = taught.http.get("/version").json()
    assert found["version"] == __version__
    assert found["model"] == "pixel-encoder"
    assert found["notice"] is None
    assert found["torch"]
    assert found["python"]


def test_the_small_models_notice_is_shown_wherever_it_is_named(tmp_path: Path) -> None:
    encoder = PixelEncoder()
    encoder.name = "xmadapter-small"
    with serving(tmp_path / "cache", encoder=encoder) as service:
        assert service.http.get("/version").json()["notice"] == NOTICE
        assert service.http.get("/cache").json()["encoder"]["notice"] == NOTICE


def test_metrics_count_what_was_done(service: Service) -> None:
    def value(line: str) -> float:
        text = service.http.get("/metrics").text
        found = [row for row in text.splitlines() if row.startswith(line + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    answered = 'xmadapter_requests_total{method="POST",route="/classify",status="200"}'
    before = value(answered), value("xmadapter_batch_images_sum")
    service.teach("red", picture(), picture(mark=1))
    service.ask(picture())
    service.ask(picture())
    assert value(answered) == before[0] + 2
    assert value("xmadapter_batch_images_sum") == before[1] + 4
    assert value("xmadapter_shots") == 2
    assert value("xmadapter_classes") == 1
    assert value("xmadapter_cache_version") == service.version
    assert value("xmadapter_queue_requests") == 0
    assert value("xmadapter_queue_bytes") == 0
    eventually(lambda: value("xmadapter_fitted_version") == service.version)
    assert value("xmadapter_refit_seconds_count") >= 1


def test_paths_do_not_make_metrics_of_their_own(taught: Service) -> None:
    taught.http.get("/no/such/thing")
    taught.http.get("/classes/red")
    text = taught.http.get("/metrics").text
    assert "such" not in text
    assert 'route="/classes/{label}"' in text
    assert 'route="unmatched"' in text
