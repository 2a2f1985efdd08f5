"""Settings from flags, environment and defaults; wrong ones are named."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from adapter.encoder import Precision
from adapter.fit import Method
from indexer.index import IndexKind
from service.settings import (
    CLIENT_KEY,
    Settings,
    SettingsError,
    load_settings,
    read_templates,
    variable,
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.model == "xmadapter-small"
    assert settings.cache == Path("var/cache")
    assert settings.decode_threads >= 1


def test_environment_beats_default_and_flag_beats_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XMADAPTER_PORT", "9000")
    monkeypatch.setenv("XMADAPTER_CACHE", "/srv/cache")
    assert load_settings().port == 9000
    settings = load_settings({"port": 9001, "cache": None})
    assert settings.port == 9001
    assert settings.cache == Path("/srv/cache")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMADAPTER_METHOD", "")
    assert load_settings().method is None


def test_origins_have_commas_between_them_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().cors_origins == []
    monkeypatch.setenv("XMADAPTER_CORS_ORIGINS", "https://a.example, http://localhost:3000")
    assert load_settings().cors_origins == ["https://a.example", "http://localhost:3000"]
    for wrong in ("example.org", "https://example.org/", "https://a.example,,"):
        monkeypatch.setenv("XMADAPTER_CORS_ORIGINS", wrong)
        with pytest.raises(SettingsError, match=r"expected an origin like https://example\.org"):
            load_settings()


def test_an_unknown_variable_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMADAPTER_PROT", "9000")
    with pytest.raises(SettingsError, match=r"XMADAPTER_PROT.*did you mean XMADAPTER_PORT\?"):
        load_settings()


def test_the_clients_key_is_no_unknown_variable() -> None:
    assert load_settings(environment={CLIENT_KEY: "xma_abc"}).port == 8000


def test_other_programs_variables_are_left_alone() -> None:
    assert load_settings(environment={"XMAD": "1", "PATH": "/bin"}).port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("port", "http"),
        ("max_batch", "0"),
        ("request_timeout", "inf"),
        ("precision", "fp8"),
        ("online_views", "0"),
    ],
)
def test_an_impossible_value_is_named_with_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SettingsError, match=rf"{variable(name)}: .*got '{value}'"):
        load_settings()


def test_an_impossible_flag_is_named_as_a_flag() -> None:
    with pytest.raises(SettingsError, match=r"--max-batch: .*got -1"):
        load_settings({"max_batch": -1})


def test_the_largest_request_must_fit_into_the_queue() -> None:
    with pytest.raises(SettingsError, match=r"max_request_bytes \(100\).*max_queue_bytes \(50\)"):
        load_settings({"max_request_bytes": 100, "max_queue_bytes": 50})


@pytest.mark.parametrize(
    ("name", "choices"),
    [("precision", Precision), ("method", Method), ("index", IndexKind)],
)
def test_choices_are_those_of_the_floors_below(name: str, choices: object) -> None:
    annotation = Settings.model_fields[name].annotation
    given = {value for option in (annotation, *get_args(annotation)) for value in get_args(option)}
    assert set(get_args(choices)) <= given
    assert {value for value in given if isinstance(value, str)} == set(get_args(choices))


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_templates_are_read_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("a photo of a {}.\n\n  a drawing of a {}. \n", encoding="utf-8")
    assert read_templates(path) == ("a photo of a {}.", "a drawing of a {}.")
    assert read_templates(None) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n", "got none"), (b"a photo\n", "expected {} .*'a photo'"), (b"\xff{}", "cannot read")],
)
def test_unusable_templates_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "templates.txt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        read_templates(path)


def test_missing_templates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        read_templates(tmp_path / "none.txt")
