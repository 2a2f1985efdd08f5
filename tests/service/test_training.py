"""From a cache to a numbered adapter; the mathematics stands still here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from adapter.class_features import ClassFeatureError
from adapter.encoder import PixelEncoder
from adapter.fit import Fit, Method
from adapter.networks import Networks
from adapter.support import SupportSet
from adapter.training import Step, Trained, TrainingError, TrainingOptions
from indexer.adapters import Adapters, Record
from indexer.cache import Cache
from indexer.errors import CacheMismatch, CacheMissing, CacheUnwritable
from service import training
from service.lock import CacheLocked, training_lock
from service.settings import Settings, SettingsError
from service.training import train_adapter
from tests.indexer.helpers import new_shots
from tests.service.adapters import publish, spoil

ENCODER = PixelEncoder()


class Trainer:
    """Takes what `adapter.training.train` takes, and finds what it is told to find."""

    def __init__(self) -> None:
        self.accuracy, self.serving_accuracy = 0.9, 0.8
        self.error: BaseException | None = None
        self.supports: list[SupportSet] = []
        self.methods: list[Method] = []
        self.serving: list[Networks] = []

    def __call__(
        self,
        support: SupportSet,
        options: TrainingOptions,
        *,
        method: Method,
        serving: Networks,
        shot_ids: tuple[str, ...] | None = None,
        on_step: Callable[[Step], None],
    ) -> Trained:
        assert shot_ids is not None
        assert len(shot_ids) == len(support.keys)
        self.supports.append(support)
        self.methods.append(method)
        self.serving.append(serving)
        on_step(Step(epoch=1, epochs=1, step=1, steps=1, loss=0.5, accuracy=0.75))
        if self.error is not None:
            raise self.error
        return Trained(
            networks=Networks.initial(ENCODER.width, 8, seed=options.seed),
            fit=Fit(),
            accuracy=self.accuracy,
            serving_accuracy=self.serving_accuracy,
            seconds=0.1,
            metrics={"loss": 0.5, "nothing": float("nan")},
            parameters=512,
        )


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    made = Trainer()
    monkeypatch.setattr(training, "train", made)
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Of three shots each of an ant and a bee."""
    with Cache.open(tmp_path / "cache", ENCODER) as cache:
        cache.add("ant", new_shots([1, 2, 3], near=1))
        cache.add("bee", new_shots([4, 5, 6], near=2))
    return tmp_path / "cache"


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Settings) -> PixelEncoder:
        raise AssertionError("no model is needed")

    monkeypatch.setattr(training, "encoder_of", refuse)


def run(cache: Path, **options: object) -> Record:
    settings = Settings(method=options.pop("method", None))
    return train_adapter(cache, settings, TrainingOptions(seed=3), **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_model")
def test_what_is_no_worse_is_published_with_all_that_is_known(
    cache: Path, trainer: Trainer
) -> None:
    steps: list[Step] = []
    record = run(cache, on_step=steps.append)
    assert Adapters(cache).current == record.number == 1
    found = Adapters(cache).read(1, ENCODER.fingerprint, ENCODER.width)
    assert found.record == record
    assert (record.method, record.cache_version, record.shots, record.classes) == ("full", 2, 6, 2)
    assert (record.accuracy, record.serving_accuracy, record.serving) == (0.9, 0.8, None)
    assert (record.seed, record.settings["epochs"]) == (3, TrainingOptions().epochs)
    assert record.metrics == {"loss": 0.5}
    assert record.reason == (
        "90.0% of the shots are right when left out, with untrained networks 80.0%"
    )
    assert len(steps) == 1
    again = run(cache)
    assert (again.number, again.serving, again.sha256) == (2, 1, record.sha256)
    assert trainer.serving[1].width_out == 8


@pytest.mark.parametrize("force", [False, True])
def test_what_is_worse_is_kept_and_published_only_by_force(
    cache: Path, trainer: Trainer, force: bool
) -> None:
    run(cache)
    trainer.accuracy = 0.7
    record = run(cache, force=force)
    assert record.published is force
    assert Adapters(cache).current == (2 if force else 1)
    assert Adapters(cache).record(2) == record
    assert record.reason.startswith(
        "70.0% of the shots are right when left out, with adapter 1 80.0%"
    )
    assert record.reason.endswith("forced") is force


def test_what_was_trained_for_another_form_than_the_one_that_answers_waits(
    cache: Path, trainer: Trainer
) -> None:
    record = run(cache, method="paper")
    assert (record.method, record.published) == ("paper", False)
    assert "trained for paper, and the cache answers full" in record.reason
    assert trainer.methods == ["paper"]
    assert run(cache, method="paper", force=True).published
    assert run(cache, method="full").published


def test_it_is_compared_with_what_serves_in_place_of_a_damaged_one(
    cache: Path, trainer: Trainer
) -> None:
    publish(cache, seed=5)
    publish(cache, seed=6)
    spoil(cache, 2)
    record = run(cache)
    assert (record.serving, record.number) == (1, 3)
    assert torch.equal(
        trainer.serving[0].meta_net.projection.weight,
        Networks.initial(ENCODER.width, 8, seed=5).meta_net.projection.weight,
    )


def test_a_cache_that_is_being_served_can_be_trained(cache: Path, trainer: Trainer) -> None:
    with Cache.open(cache, ENCODER) as opened:
        opened.add("ant", new_shots([9], near=1))
        assert run(cache).shots == 7


def test_the_later_of_two_trainings_is_refused(cache: Path, trainer: Trainer) -> None:
    with training_lock(Adapters(cache).folder):
        with pytest.raises(CacheLocked, match="being trained by xmadapter train"):
            run(cache)
        assert trainer.supports == []
    assert run(cache).number == 1


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), TrainingError("one class"), MemoryError("full")]
)
def test_a_training_that_ends_early_leaves_everything_as_it_was(
    cache: Path, trainer: Trainer, error: BaseException
) -> None:
    run(cache)
    before = {path: path.read_bytes() for path in cache.rglob("*.*") if "lock" not in path.name}
    trainer.error = error
    with pytest.raises(type(error)):
        run(cache)
    after = {path: path.read_bytes() for path in cache.rglob("*.*") if "lock" not in path.name}
    assert after == before
    trainer.error = None
    assert run(cache).number == 2


def test_a_full_disk_leaves_everything_as_it_was(
    cache: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheUnwritable, match="No space left"):
        run(cache)
    names = sorted(path.name for path in Adapters(cache).folder.iterdir())
    assert names == ["train.lock"]


def test_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing, match="build one"):
        run(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_templates_of_a_file(
    cache: Path, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "encoder_of", lambda settings: ENCODER)
    with Cache.open(cache, ENCODER) as opened:
        opened.put_class("bee", ["a striped one"])
    path = tmp_path / "templates.txt"
    path.write_text("a drawing of a {}.\nthe {}\n")
    record = run(cache, prompts=path)
    support = trainer.supports[0]
    ant = ENCODER.encode_texts(["a drawing of a ant.", "the ant"]).mean(0)
    bee = ENCODER.encode_texts(["a striped one"])[0]
    expected = torch.nn.functional.normalize(torch.stack([ant, bee]), dim=1)
    torch.testing.assert_close(support.classifier, expected)
    torch.testing.assert_close(support.texts[support.text_rows], expected[support.targets])
    assert record.settings["prompts"] == str(path)
    path.write_text("no place for the name")
    with pytest.raises(SettingsError, match="where the label goes"):
        run(cache, prompts=path)


@pytest.mark.usefixtures("without_model")
def test_ready_class_features(cache: Path, trainer: Trainer, tmp_path: Path) -> None:
    path = tmp_path / "learned.safetensors"
    rows = torch.nn.functional.normalize(torch.randn(3, ENCODER.width), dim=1)

    def write(*labels: str) -> None:
        safetensors.torch.save_file(
            {"features": rows[: len(labels)].clone()}, path, {"labels": json.dumps(labels)}
        )

    write("bee", "ant", "cow")
    run(cache, prompts=path)
    torch.testing.assert_close(trainer.supports[0].classifier, rows[[1, 0]])
    written = Adapters(cache).read(1, ENCODER.fingerprint, ENCODER.width).networks
    assert written.learned.class_features.keys() == {"ant", "bee"}
    torch.testing.assert_close(written.learned.class_features["bee"], rows[0])
    write("bee")
    with pytest.raises(ClassFeatureError, match=r"none for 1 of them: ant"):
        run(cache, prompts=path)


def test_a_cache_that_does_not_know_its_scale_asks_the_model(
    cache: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache.open(cache, ENCODER) as opened, opened._store._database.writing() as connection:
        connection.execute("DELETE FROM meta WHERE key = 'logit_scale'")
        opened._store.set_meta("method", "full")
    monkeypatch.setattr(training, "encoder_of", lambda settings: ENCODER)
    run(cache)
    assert trainer.supports[0].logit_scale == ENCODER.logit_scale
    monkeypatch.setattr(training, "encoder_of", lambda settings: PixelEncoder(width=48))
    with pytest.raises(CacheMismatch):
        run(cache)


HOLDER = """
import sys
from pathlib import Path
from service.lock import training_lock
with training_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_training_does_not_keep_others_out(cache: Path, trainer: Trainer) -> None:
    folder = Adapters(cache).folder
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CacheLocked, match=f"process {holder.pid} on"):
            run(cache)
        holder.kill()
    assert run(cache).number == 1
