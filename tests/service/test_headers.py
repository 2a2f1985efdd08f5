"""What every answer tells a browser, over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.service.serving import Service, picture, serving

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
ORIGIN = {"Origin": "https://example.org"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    "path", ["/cache", "/nothing", "/cache/shots/nothing", "/docs", "/metrics"]
)
def test_every_answer_is_protected(taught: Service, path: str) -> None:
    headers = taught.http.get(path).headers
    assert ALWAYS.items() <= dict(headers).items()
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_data_may_run_nothing(taught: Service) -> None:
    for answer in (taught.http.get("/cache"), taught.ask(picture()), taught.ask(b"")):
        assert "src " not in answer.headers["content-security-policy"].replace("default-src ", "")


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_may_load_what_they_name_and_nothing_else(taught: Service, path: str) -> None:
    page = taught.http.get(path)
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    for kind, pattern in (
        ("script-src", r'<script[^>]+src="(https://[^/"]+)'),
        ("style-src", r'<link[^>]+href="(https://[^/"]+)[^>]*rel="stylesheet"'),
    ):
        for site in re.findall(pattern, page.text):
            assert site in policy[kind]
    assert "'self'" in policy["connect-src"]
    assert "*" not in page.headers["content-security-policy"]


def test_a_thumbnail_may_be_kept_by_its_reader(taught: Service) -> None:
    shot = taught.http.get("/cache/shots").json()["shots"][0]["shot_id"]
    headers = taught.http.get(f"/cache/shots/{shot}/image").headers
    assert headers.get_list("cache-control") == ["private, max-age=86400"]


def test_no_other_site_may_call(taught: Service) -> None:
    answers = [
        taught.http.get("/cache", headers=ORIGIN),
        taught.http.options("/classify", headers=PREFLIGHT),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_site_that_is_named_may_call_and_another_may_not(tmp_path: Path) -> None:
    with serving(tmp_path, cors_origins=["https://example.org"]) as service:
        answer = service.http.get("/cache", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        assert "access-control-allow-credentials" not in answer.headers
        preflight = service.http.options("/classify", headers=PREFLIGHT)
        assert preflight.status_code == 200
        assert "POST" in preflight.headers["access-control-allow-methods"]
        other = service.http.get("/cache", headers={"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers
        missing = service.http.get("/nothing", headers=ORIGIN)
        assert missing.headers["access-control-allow-origin"] == "https://example.org"
