"""Numbered files: complete or not there, checked when they are read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapter.networks import AdapterFileError, Networks
from indexer import adapters as module
from indexer.adapters import Adapters, Record, fit_name
from indexer.errors import CacheUnwritable

WIDTH = 8
RECORD = Record(
    encoder="e" * 64,
    model="pixel-encoder",
    method="full",
    cache_version=7,
    shots=12,
    classes=3,
    seed=1,
    settings={"epochs": 5, "image_ratio": "gate"},
    metrics={"loss": 0.25},
    parameters=32,
    seconds=1.5,
    accuracy=0.9,
    serving=None,
    serving_accuracy=0.8,
    published=True,
    reason="better",
)


@pytest.fixture
def adapters(tmp_path: Path) -> Adapters:
    return Adapters(tmp_path)


def networks(seed: int = 0, width: int = WIDTH) -> Networks:
    return Networks.initial(width, 2, seed=seed)


def names(adapters: Adapters) -> list[str]:
    return sorted(path.name for path in adapters.folder.iterdir())


def test_what_is_written_is_read_back(adapters: Adapters) -> None:
    assert (adapters.latest, adapters.current) == (None, None)
    written = adapters.write(networks(5), RECORD)
    assert written == replace(RECORD, number=1, created=written.created, sha256=written.sha256)
    assert written.created.endswith("+00:00")
    assert names(adapters) == ["0001.json", "0001.safetensors", "current"]
    found = adapters.read(1, RECORD.encoder, WIDTH)
    assert (found.record, found.number, found.sha256) == (written, 1, written.sha256)
    assert torch.equal(
        found.networks.meta_net.projection.weight, networks(5).meta_net.projection.weight
    )
    assert found.fit_name("paper") == f"paper {written.sha256}"
    assert fit_name("paper", None) == "paper"


def test_who_may_read_the_folder_may_read_its_files(adapters: Adapters) -> None:
    """safetensors makes its files readable for their owner alone."""
    adapters.folder.mkdir(mode=0o750)
    adapters.write(networks(), RECORD)
    assert {path.stat().st_mode & 0o777 for path in adapters.folder.iterdir()} == {0o640}


def test_numbers_go_up_and_the_pointer_says_which_serves(adapters: Adapters) -> None:
    waiting = replace(RECORD, published=False)
    for number, record, current in ((1, waiting, None), (2, RECORD, 2), (3, waiting, 2)):
        assert adapters.write(networks(), record).number == number
        assert (adapters.latest, adapters.current) == (number, current)
    files = set(names(adapters))
    assert adapters.numbers == [1, 2, 3]
    for chosen in (1, None, 3):
        adapters.use(chosen)
        assert adapters.current == chosen
        published = adapters.published
        assert (None if published is None else published.number) == chosen
    assert not (set(names(adapters)) - {"current"} - files)


def test_what_a_killed_process_left_is_no_adapter_and_is_cleared_away(adapters: Adapters) -> None:
    adapters.folder.mkdir()
    (adapters.folder / "0001.safetensors").write_bytes(b"half")
    (adapters.folder / "0002.safetensors.new").write_bytes(b"half")
    assert adapters.latest is None
    # Not 1: somebody may still look at what is there under that number.
    assert adapters.write(networks(), RECORD).number == 2
    left = ["0001.safetensors", "0002.json", "0002.safetensors", "current"]
    assert names(adapters) == left


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def another_accuracy(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"accuracy": 0.9', b'"accuracy": 0.8'))


def unsealed(path: Path) -> None:
    facts = json.loads(path.read_bytes())
    del facts["checksum"]
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("suffix", "harm", "message"),
    [
        (0, Path.unlink, "cannot read networks"),
        (0, cut, "0001.safetensors is damaged: expected the checksum"),
        (0, flip, "0001.safetensors is damaged: expected the checksum"),
        (1, Path.unlink, "cannot read adapter 1"),
        (1, cut, "0001.json is damaged"),
        (1, another_accuracy, "0001.json is damaged: its content is not what its checksum"),
        (1, unsealed, "0001.json is damaged: expected JSON with a checksum, got none: train"),
        (1, lambda path: path.write_text("{}"), "0001.json is damaged"),
        (1, lambda path: path.write_bytes(b"\xff"), "0001.json is damaged"),
    ],
)
def test_a_damaged_adapter_is_told(
    adapters: Adapters, suffix: int, harm: Callable[[Path], object], message: str
) -> None:
    adapters.write(networks(), RECORD)
    harm(adapters.paths(1)[suffix])
    with pytest.raises(AdapterFileError, match=message):
        adapters.read(1, RECORD.encoder, WIDTH)


def test_numbers_that_are_not_finite_are_told_though_the_checksum_is_right(
    adapters: Adapters,
) -> None:
    broken = networks()
    broken.meta_net.projection.weight.data[0, 0] = float("nan")
    adapters.write(broken, RECORD)
    with pytest.raises(AdapterFileError, match="finite"):
        adapters.read(1, RECORD.encoder, WIDTH)


def test_another_encoder_or_width_is_told(adapters: Adapters) -> None:
    adapters.write(networks(), RECORD)
    with pytest.raises(AdapterFileError, match=r"pixel-encoder \(eeeeeeeeeeee\).*\(ffff"):
        adapters.read(1, "f" * 64, WIDTH)
    with pytest.raises(AdapterFileError, match="width 16"):
        adapters.read(1, RECORD.encoder, 16)


def test_a_record_under_another_number_is_told(adapters: Adapters) -> None:
    adapters.write(networks(), RECORD)
    for old, new in zip(adapters.paths(1), adapters.paths(4), strict=True):
        new.write_bytes(old.read_bytes())
    with pytest.raises(AdapterFileError, match="expected adapter 4"):
        adapters.read(4, RECORD.encoder, WIDTH)


@pytest.mark.parametrize("text", ["", "1", "newest", '{"number": 1}', "9" * 30])
def test_a_pointer_to_nothing_is_told(adapters: Adapters, text: str) -> None:
    adapters.folder.mkdir()
    (adapters.folder / "current").write_text(text, encoding="utf-8")
    with pytest.raises(AdapterFileError, match=r"current is damaged.*xmadapter adapter use"):
        _ = adapters.current


def test_what_is_not_there_or_damaged_cannot_be_used(adapters: Adapters) -> None:
    for _ in range(2):
        adapters.write(networks(), RECORD)
    flip(adapters.paths(1)[1])
    for number, message in ((1, r"0001\.json is damaged"), (3, "cannot read adapter 3")):
        with pytest.raises(AdapterFileError, match=message):
            adapters.use(number)
        assert adapters.current == 2


def test_a_disk_that_cannot_be_written_leaves_what_served(
    adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        adapters.write(networks(), RECORD)
    before = names(adapters)

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CacheUnwritable, match="No space left"):
        adapters.use(1)
    assert (adapters.current, names(adapters)) == (2, before)


def test_the_last_good_one_was_published_is_sound_and_is_older(adapters: Adapters) -> None:
    for published in (True, True, False, True):
        adapters.write(networks(), replace(RECORD, published=published))

    def good(below: int | None) -> int | None:
        found = adapters.good(RECORD.encoder, WIDTH, below)
        return None if found is None else found.number

    assert [good(below) for below in (None, 4, 2, 1)] == [4, 2, 1, None]
    flip(adapters.paths(2)[0])
    assert good(4) == 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from indexer.adapters import Adapters
from indexer.errors import CacheUnwritable
from tests.indexer.test_adapters import RECORD, WIDTH, networks
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
adapters = Adapters(Path(sys.argv[1]))
try:
    adapters.write(networks(width=64), RECORD)
except CacheUnwritable as error:
    print(error)
"""


def test_a_full_disk_leaves_everything_as_it_was(adapters: Adapters) -> None:
    adapters.write(networks(), RECORD)
    before = {path: path.read_bytes() for path in adapters.folder.iterdir()}
    command = [sys.executable, "-c", FULL_DISK, str(adapters.folder.parent), "600"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be written" in found.stdout
    assert "make room" in found.stdout
    assert {path: path.read_bytes() for path in adapters.folder.iterdir()} == before


@pytest.mark.parametrize("name", ["0002.safetensors", "0002.json", "current"])
def test_a_failure_anywhere_leaves_everything_as_it_was(
    adapters: Adapters, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    adapters.write(networks(), RECORD)
    replaced = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(28, "No space left on device")
        return replaced(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CacheUnwritable, match="No space left"):
        adapters.write(networks(), RECORD)
    assert names(adapters) == ["0001.json", "0001.safetensors", "current"]
    assert adapters.current == 1


def test_a_failure_once_it_serves_does_not_take_it_away(
    adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def failing(folder: Path) -> None:
        synced.append(folder)
        if len(synced) == 3:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "sync_folder", failing)
    with pytest.raises(CacheUnwritable):
        adapters.write(networks(), RECORD)
    assert adapters.current == 1
    assert adapters.read(1, RECORD.encoder, WIDTH).number == 1
