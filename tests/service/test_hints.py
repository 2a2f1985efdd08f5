"""What is printed to be copied."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from adapter.embedded import NOTICE
from service import hints

URL = "http://127.0.0.1:8000"


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    folder = tmp_path / "demo images"
    for name in ("test/star/00.png", "test/star/01.png", "test/ring/00.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for number in range(6):
        (folder / "teach/it's new" / f"{number}.png").parent.mkdir(parents=True, exist_ok=True)
        (folder / "teach/it's new" / f"{number}.png").touch()
    return folder


def test_the_lines_use_example_images_relative_to_here(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ask, teach, page = hints.lines(URL, examples)
    assert shlex.split(ask) == [
        "curl",
        "-F",
        "image=@demo images/test/ring/00.png",
        f"{URL}/classify",
    ]
    words = shlex.split(teach)
    assert words[:3] == ["curl", "-F", "label=it's new"]
    assert words.count("-F") == 5
    assert "image=@demo images/teach/it's new/3.png" in words
    assert words[-1] == f"{URL}/cache/add"
    assert page == f"{URL}/docs"


def test_images_elsewhere_are_absolute(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setattr(Path, "cwd", lambda: Path("/somewhere/else"))
    assert str(examples) in hints.lines(URL, examples)[0]


@pytest.mark.parametrize("missing", [True, False])
def test_without_examples_the_lines_say_what_to_fill_in(tmp_path: Path, missing: bool) -> None:
    ask, teach, _ = hints.lines(URL, tmp_path if missing else None)
    assert ask == f"curl -F image=@photo.jpg {URL}/classify"
    assert teach.startswith("curl -F label=LABEL -F image=@1.jpg")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("my.host", "http://my.host:80"),
    ],
)
def test_the_address_is_one_that_can_be_reached(host: str, expected: str) -> None:
    assert hints.address(host, 80) == expected


def test_the_small_model_has_a_notice_and_others_have_none() -> None:
    assert hints.notice("xmadapter-small") == NOTICE
    assert hints.notice("xmadapter-small/embedded") == NOTICE
    assert hints.notice("ViT-B-32/laion2b_s34b_b79k") is None
    assert hints.notice(None) is None


def test_where_a_key_is_asked_for_the_lines_send_the_one_at_hand() -> None:
    ask, teach, page = hints.lines(URL, None, with_key=True)
    for line in (ask, teach):
        assert line.startswith('curl -H "Authorization: Bearer $XMADAPTER_API_KEY" -F ')
    assert page == f"{URL}/docs"
