from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

from service import exposure
from service.exposure import ExposedError
from service.keyfile import KeyFile
from service.keys import make
from service.settings import Settings, load_settings, variable
from tests.docker.compose import (
    BASE,
    CPU,
    ROOT,
    Reset,
    container_environment,
    interpolate,
    load,
    merge,
    project,
    seconds,
    service,
    specification,
    without_tags,
)
from tests.docker.dockerfile import exec_form, image_environment, rests

# Hints about a folder of pictures of the demonstration, which the image does not have.
NOT_IN_A_CONTAINER = {variable("examples")}
BOTH = pytest.mark.parametrize("paths", [(BASE,), (BASE, CPU)], ids=["gpu", "cpu"])


def settings_in_container(
    monkeypatch: pytest.MonkeyPatch, *paths: Path, environment: dict[str, str]
) -> Settings:
    inside = image_environment() | container_environment(*paths, environment=environment)
    for name, value in inside.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.parametrize(
    "tree",
    [load(BASE), without_tags(load(CPU)), project(BASE), project(BASE, CPU)],
    ids=["base", "override", "base as read", "both merged"],
)
def test_fits_the_compose_specification(tree: Any) -> None:
    jsonschema.validate(tree, specification())


def test_the_specification_refuses_what_is_not_in_it() -> None:
    tree = load(BASE)
    tree["services"]["xmadapter"]["healthchek"] = tree["services"]["xmadapter"].pop("healthcheck")
    with pytest.raises(jsonschema.ValidationError, match="healthchek"):
        jsonschema.validate(tree, specification())


def test_merging_appends_lists_replaces_values_and_takes_out_what_is_reset() -> None:
    base = {"list": [1], "map": {"kept": 1, "changed": 1}, "gone": [1]}
    override = {"list": [2], "map": {"changed": 2, "new": 3}, "gone": Reset([])}
    expected = {"list": [1, 2], "map": {"kept": 1, "changed": 2, "new": 3}}
    assert merge(base, override) == expected


def test_merging_refuses_a_rule_it_does_not_know() -> None:
    with pytest.raises(NotImplementedError, match="ports"):
        merge({"ports": ["1:1"]}, {"ports": ["2:2"]})


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, "d"), ({"A": ""}, "d"), ({"A": "a"}, "a")]
)
def test_a_default_stands_in_for_what_is_unset_or_empty(
    environment: dict[str, str], expected: str
) -> None:
    assert interpolate("${A:-d}", environment) == expected


@pytest.mark.parametrize("text", ["$A", "${A:?no}", "${A-d}", "${A:-${B}}"])
def test_interpolating_refuses_a_form_it_does_not_know(text: str) -> None:
    with pytest.raises(NotImplementedError):
        interpolate(text, {"A": "a"})


def test_one_gpu_is_reserved_and_used() -> None:
    (device,) = service(BASE)["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}
    assert container_environment(BASE)["XMADAPTER_DEVICE"] == "cuda"


def test_the_gpu_can_be_chosen() -> None:
    chosen = service(BASE, environment={"GPU": "2"})
    assert chosen["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] == ["2"]


def test_the_override_takes_the_gpu_away() -> None:
    assert service(BASE, CPU)["deploy"] == {"resources": {"reservations": {}}}


def test_the_override_serves_from_the_cpu_whatever_is_set() -> None:
    inside = container_environment(BASE, CPU, environment={"XMADAPTER_DEVICE": "cuda"})
    assert inside["XMADAPTER_DEVICE"] == "cpu"


def test_the_override_changes_nothing_else() -> None:
    gpu, cpu = service(BASE), service(BASE, CPU)
    assert {key for key in gpu | cpu if gpu.get(key) != cpu.get(key)} == {"deploy", "environment"}
    assert cpu["environment"] == gpu["environment"] | {"XMADAPTER_DEVICE": "cpu"}


@BOTH
def test_serves_a_real_clip_by_default(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_clip.pretrained import get_pretrained_cfg

    weights = get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k")
    settings = settings_in_container(monkeypatch, *paths, environment={})
    assert settings.model == "hf-hub:" + weights["hf_hub"].rstrip("/")
    assert settings.pretrained is None


@BOTH
def test_one_variable_switches_to_the_model_that_ships(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"XMADAPTER_MODEL": "xmadapter-small"}
    settings = settings_in_container(monkeypatch, *paths, environment=environment)
    assert settings.model == Settings.model_fields["model"].default
    assert settings.pretrained is None


@BOTH
def test_a_named_model_and_its_tag_reach_the_service(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"XMADAPTER_MODEL": "ViT-L-14", "XMADAPTER_PRETRAINED": "laion2b_s32b_b82k"}
    settings = settings_in_container(monkeypatch, *paths, environment=environment)
    assert (settings.model, settings.pretrained) == ("ViT-L-14", "laion2b_s32b_b82k")


def test_every_setting_reaches_the_container_once() -> None:
    fixed = {name for name in image_environment() if name.startswith("XMADAPTER_")}
    passed = {name for name in service(BASE)["environment"] if name.startswith("XMADAPTER_")}
    assert not fixed & passed
    known = {variable(name) for name in Settings.model_fields}
    assert fixed | passed == known - NOT_IN_A_CONTAINER


@BOTH
def test_the_service_listens_where_the_port_leads(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in_container(monkeypatch, *paths, environment={})
    (published,) = service(*paths)["ports"]
    host, port, target = published.rsplit(":", 2)
    assert settings.host == "0.0.0.0"
    assert rests("EXPOSE") == [target]
    assert settings.port == int(target)
    assert host == Settings.model_fields["host"].default
    assert int(port) == Settings.model_fields["port"].default


@BOTH
def test_on_this_machine_alone_it_starts_without_a_key(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_in_container(monkeypatch, *paths, environment={})
    assert exposure.check(settings.model_copy(update={"cache": tmp_path})) is None


@BOTH
def test_reached_from_everywhere_it_starts_with_a_key_or_if_told_to(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = {"XMADAPTER_HOST": "0.0.0.0"}
    settings = settings_in_container(monkeypatch, *paths, environment=environment)
    settings = settings.model_copy(update={"cache": tmp_path})
    with pytest.raises(ExposedError):
        exposure.check(settings)
    risked = environment | {"XMADAPTER_INSECURE": "true"}
    insecure = settings_in_container(monkeypatch, *paths, environment=risked)
    assert insecure.insecure
    KeyFile.of(settings).add(make("me", ["read"])[1])
    assert exposure.check(settings) is None


def test_the_documented_docker_run_says_what_it_publishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.strip().startswith("docker run ")]
    words = shlex.split(line)
    given = dict(value.split("=", 1) for word, value in pairwise(words) if word == "--env")
    for name, value in (image_environment() | given).items():
        monkeypatch.setenv(name, value)
    settings = load_settings().model_copy(update={"cache": tmp_path})
    assert exposure.check(settings) is None
    assert f"{settings.published_host}:8000:8000" in words


def test_the_address_on_this_machine_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"XMADAPTER_HOST": "0.0.0.0", "XMADAPTER_PORT": "9000"}
    assert service(BASE, environment=environment)["ports"] == ["0.0.0.0:9000:8000"]
    assert settings_in_container(monkeypatch, BASE, environment=environment).port == 8000


@BOTH
def test_cache_and_weights_are_in_named_volumes(
    paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in_container(monkeypatch, *paths, environment={})
    named = dict(volume.split(":") for volume in service(*paths)["volumes"])
    assert project(*paths)["volumes"] == dict.fromkeys(named)
    assert set(exec_form("VOLUME")) == set(named.values())
    # Not the volume itself: a mount point cannot be renamed, and a finished index is.
    assert str(settings.cache.parent) == named["cache"]
    assert str(settings.weights_dir) == named["weights"]
    assert PurePosixPath(image_environment()["HF_HOME"]).is_relative_to(named["weights"])


def test_compose_and_image_ask_for_health_in_the_same_way() -> None:
    (image,) = rests("HEALTHCHECK")
    check = service(BASE)["healthcheck"]
    flags = (
        f"--interval={check['interval']} --timeout={check['timeout']} "
        f"--start-period={check['start_period']} --retries={check['retries']} CMD "
    )
    assert image.startswith(flags)
    words = image.removeprefix(flags).strip('[]"').split('", "')
    assert ["CMD", *words] == check["test"]


def test_starts_again_after_a_crash_and_stops_without_cutting_an_answer_off() -> None:
    running = service(BASE)
    assert running["restart"] == "unless-stopped"
    assert running["init"] is True
    assert seconds(running["stop_grace_period"]) > Settings.model_fields["request_timeout"].default


def test_the_container_has_no_root_and_gets_no_more_rights() -> None:
    running = service(BASE)
    assert not {"user", "privileged", "cap_add", "pid", "network_mode"} & set(running)
    assert running["cap_drop"] == ["ALL"]
    assert running["security_opt"] == ["no-new-privileges:true"]


def test_compose_builds_the_one_dockerfile_on_the_same_base() -> None:
    assert "image" not in service(BASE), "a stranger's image of that name would be pulled"
    build = service(BASE)["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    assert rests("ARG") == [f"BASE={build['args']['BASE']}"]
