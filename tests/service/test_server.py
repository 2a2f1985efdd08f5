"""A process that serves: what can keep it from starting. The rest is in tests/e2e."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.encoder import EncoderError, PixelEncoder
from indexer.cache import Cache
from indexer.errors import IndexUnavailable
from service import engine
from service.running import ServeError
from service.server import listen, serve
from service.settings import Settings


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def settings(folder: Path, **given: object) -> Settings:
    return Settings(cache=folder, port=0, **given)  # type: ignore[arg-type]


def test_a_free_port_is_taken() -> None:
    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", 0) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


def test_a_port_in_use() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port} of 127.0.0.1 is in use.*--port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(ServeError, match=f"cannot listen on {host}"):
        listen(host, 0)


def test_others_could_come_in_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"reach 0\.0\.0\.0.*keys create NAME"):
        serve(settings(tmp_path, host="0.0.0.0"), PixelEncoder())
    assert not list(tmp_path.iterdir())


def test_insecure_goes_on_and_says_so_loudly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    exposed = settings(tmp_path / "file", published_host="0.0.0.0", insecure=True)
    with pytest.raises(ServeError, match="file"):
        serve(exposed, PixelEncoder())
    shown = capsys.readouterr()
    assert "WARNING: callers on other machines reach 0.0.0.0" in shown.out
    assert "error insecure warning=" in shown.err


def test_a_damaged_file_of_keys(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(b"{}")
    with pytest.raises(ServeError, match=r"keys\.json is damaged"):
        serve(settings(tmp_path), PixelEncoder())


def test_a_cache_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServeError, match="expected a folder for the cache"):
        serve(settings(tmp_path / "file"), PixelEncoder())


def test_a_cache_of_another_model(tmp_path: Path) -> None:
    other = PixelEncoder(width=16)
    other.name = "another-model"
    Cache.open(tmp_path, other).close()
    with pytest.raises(ServeError, match=r"another-model(.|\n)*pixel-encoder|pixel-.*another-m"):
        serve(settings(tmp_path), PixelEncoder())


def test_networks_that_are_not_there(tmp_path: Path) -> None:
    given = settings(tmp_path / "cache", networks=tmp_path / "none.safetensors")
    with pytest.raises(ServeError, match=r"none\.safetensors"):
        serve(given, PixelEncoder())


def test_a_truncated_cache(tmp_path: Path) -> None:
    Cache.open(tmp_path, PixelEncoder()).close()
    path = tmp_path / "cache.sqlite3"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ServeError, match="damaged"):
        serve(settings(tmp_path), PixelEncoder())


def test_templates_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text("no place for the label", encoding="utf-8")
    with pytest.raises(ServeError, match="where the label goes"):
        serve(settings(tmp_path, templates=tmp_path / "templates.txt"), PixelEncoder())


def test_an_index_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise IndexUnavailable("no GPU")

    monkeypatch.setattr(Cache, "open", refuse)
    with pytest.raises(ServeError, match="no GPU"):
        serve(settings(tmp_path, index="faiss-gpu"), PixelEncoder())


def test_a_model_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Settings) -> None:
        raise EncoderError(f"no model {settings.model}")

    monkeypatch.setattr(engine, "encoder_of", refuse)
    with pytest.raises(ServeError, match="no model nothing"):
        serve(settings(tmp_path, model="nothing"))


def test_an_unexpected_failure_keeps_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(settings: Settings) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine, "encoder_of", fail)
    with pytest.raises(ZeroDivisionError):
        serve(settings(tmp_path))
