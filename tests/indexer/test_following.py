"""Which adapter is to serve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.encoder import PixelEncoder
from adapter.learned import Learned
from adapter.networks import AdapterFileError, Networks
from indexer.adapters import Adapters
from indexer.following import Publications
from indexer.pointer import Pointer
from tests.indexer.test_adapters import RECORD, flip

ENCODER = PixelEncoder()
SOUND = replace(RECORD, encoder=ENCODER.fingerprint)


@pytest.fixture
def adapters(tmp_path: Path) -> Adapters:
    return Adapters(tmp_path)


def publish(adapters: Adapters, seed: int) -> int:
    return adapters.write(Networks.initial(ENCODER.width, seed=seed), SOUND).number


def point_to(adapters: Adapters, number: int) -> None:
    """Write the pointer, whether there is such an adapter or not."""
    (adapters.folder / "current").write_bytes(Pointer(number, "0" * 64).content())


def told(publications: Publications) -> str | None:
    """The error now, whatever it was when it was looked at last."""
    return publications.error


def test_without_any_untrained_networks_serve(adapters: Adapters) -> None:
    publications = Publications(adapters, ENCODER)
    first = publications.first()
    assert (first.number, first.sha256, publications.error) == (None, None, None)
    assert publications.newer(first) is None


def test_what_is_published_is_followed_up_and_down(adapters: Adapters) -> None:
    publications = Publications(adapters, ENCODER)
    serving = publications.first()
    for number in (1, 2):
        assert publish(adapters, seed=number) == number
        newer = publications.newer(serving)
        assert newer is not None
        assert newer.number == number
        assert publications.newer(newer) is None
        serving = newer
    adapters.use(1)
    back = publications.newer(serving)
    assert back is not None
    assert back.number == 1
    adapters.use(None)
    untrained = publications.newer(back)
    assert untrained is not None
    assert untrained.sha256 is None


def test_the_published_one_serves_from_the_start(adapters: Adapters) -> None:
    publish(adapters, seed=1)
    adapters.write(Networks.initial(ENCODER.width), replace(SOUND, published=False))
    publications = Publications(adapters, ENCODER)
    assert publications.first().number == 1
    assert publications.error is None


def test_at_the_start_the_last_good_one_serves_for_a_damaged_one(adapters: Adapters) -> None:
    for seed in (1, 2, 3):
        publish(adapters, seed)
    for number in (3, 2):
        flip(adapters.paths(number)[0])
    publications = Publications(adapters, ENCODER)
    assert publications.first().number == 1
    assert publications.error is not None
    assert "0003.safetensors is damaged" in publications.error
    flip(adapters.paths(1)[0])
    assert Publications(adapters, ENCODER).first().number is None


def test_an_unreadable_pointer_does_not_hide_what_was_published(adapters: Adapters) -> None:
    publish(adapters, seed=1)
    (adapters.folder / "current").write_text("one")
    publications = Publications(adapters, ENCODER)
    assert publications.first().number == 1
    assert publications.error is not None


def test_a_bad_one_is_told_once_and_used_when_it_is_mended(adapters: Adapters) -> None:
    publish(adapters, seed=1)
    publications = Publications(adapters, ENCODER)
    serving = publications.first()
    publish(adapters, seed=2)
    flip(adapters.paths(2)[0])
    with pytest.raises(AdapterFileError, match=r"0002\.safetensors is damaged"):
        publications.newer(serving)
    assert publications.newer(serving) is None
    assert told(publications) is not None
    flip(adapters.paths(2)[0])
    mended = publications.newer(serving)
    assert mended is not None
    assert mended.number == 2
    assert told(publications) is None


def test_going_back_to_the_one_that_serves_ends_the_error(adapters: Adapters) -> None:
    publish(adapters, seed=1)
    publications = Publications(adapters, ENCODER)
    serving = publications.first()
    point_to(adapters, 9)
    with pytest.raises(AdapterFileError, match="cannot read adapter 9"):
        publications.newer(serving)
    adapters.use(1)
    assert publications.newer(serving) is None
    assert publications.error is None


def test_networks_that_were_named_are_not_left_for_others(
    adapters: Adapters, tmp_path: Path
) -> None:
    publish(adapters, seed=1)
    Networks.initial(ENCODER.width, 4, seed=9).save(tmp_path / "own.safetensors")
    publications = Publications(adapters, ENCODER, tmp_path / "own.safetensors")
    serving = publications.first()
    assert (serving.number, serving.networks.width_out) == (None, 4)
    assert serving.sha256 is not None
    assert not publications.followed
    publish(adapters, seed=2)
    assert publications.newer(serving) is None
    with pytest.raises(AdapterFileError, match="cannot read"):
        Publications(adapters, ENCODER, tmp_path / "none.safetensors").first()


def test_what_could_not_be_put_to_use_is_told(adapters: Adapters) -> None:
    publish(adapters, seed=1)
    publications = Publications(adapters, ENCODER)
    publications.failed(publications.first(), MemoryError("the device is full"))
    assert publications.error == "adapter 1 could not be put to use: the device is full"


def test_a_pointer_to_another_record_is_told(adapters: Adapters) -> None:
    for seed in (1, 2):
        publish(adapters, seed)
    point_to(adapters, 1)
    publications = Publications(adapters, ENCODER)
    assert publications.first().number is None
    assert publications.error is not None
    assert "expected the record 000000000000 in" in publications.error


@pytest.mark.parametrize("how", ["overwritten", "cut"])
def test_what_becomes_of_its_file_changes_nothing_in_memory(adapters: Adapters, how: str) -> None:
    """A file that is mapped into memory shows its changes there, and ends the process if cut."""
    learned = Learned(whitening=torch.eye(ENCODER.width))
    adapters.write(replace(Networks.initial(ENCODER.width, seed=1), learned=learned), SOUND)
    publications = Publications(adapters, ENCODER)
    serving = publications.first()
    path = adapters.paths(1)[0]
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size if how == "overwritten" else 0))
        file.truncate()
    with pytest.raises(AdapterFileError, match=r"0001\.safetensors"):
        publications.newer(serving)
    assert serving.networks.learned.whitening is not None
    assert torch.equal(serving.networks.learned.whitening, torch.eye(ENCODER.width))
    assert told(publications) is not None


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Adapters:
    """1 and 2 were published, 2 serves, 3 waits."""
    adapters = Adapters(tmp_path_factory.mktemp("cache"))
    for seed in (1, 2):
        publish(adapters, seed)
    adapters.write(Networks.initial(ENCODER.width), replace(SOUND, published=False))
    return adapters


DAMAGED = (("0002.safetensors", 1), ("0002.json", 1), ("current", 2))


@settings(deadline=None, max_examples=60)
@given(
    which=st.sampled_from(DAMAGED),
    share=st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0, 0.01, 0.999])),
    mask=st.integers(1, 255),
)
def test_any_changed_byte_is_told_and_the_last_good_one_serves(
    three: Adapters, which: tuple[str, int], share: float, mask: int
) -> None:
    name, fallback = which
    path = three.folder / name
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[int(share * len(whole))] ^= mask
    running = Publications(three, ENCODER)
    serving = running.first()
    path.write_bytes(changed)
    try:
        opened = Publications(three, ENCODER)
        first = opened.first()
        with pytest.raises(AdapterFileError, match=name):
            running.newer(serving)
    finally:
        path.write_bytes(whole)
    assert (serving.number, first.number) == (2, fallback)
    assert opened.error is not None
    assert name in opened.error
    assert first.networks.content() == Networks.initial(ENCODER.width, seed=fallback).content()


@pytest.mark.parametrize("name", ["0002.json", "current"])
def test_every_missing_end_of_a_small_file_is_told(three: Adapters, name: str) -> None:
    path = three.folder / name
    whole = path.read_bytes()
    try:
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises(AdapterFileError, match=f"{name} is damaged"):
                _ = three.published
    finally:
        path.write_bytes(whole)
    assert three.published == three.record(2)
