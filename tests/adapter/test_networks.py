"""MetaNet and Img2TxtNet: their start, and their file."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from adapter.learned import PREFIX, Learned, PaperNumbers
from adapter.networks import FORMAT, AdapterFileError, Img2TxtNet, Networks, TextKeyNet


def features(count: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, width, generator=generator), dim=1)


def test_both_start_from_one_semi_orthogonal_matrix() -> None:
    networks = Networks.initial(64)
    assert (networks.width_in, networks.width_out) == (64, 16)
    assert isinstance(networks.meta_net, TextKeyNet)
    assert isinstance(networks.img2txt_net, Img2TxtNet)
    matrix = networks.meta_net.projection.weight
    assert torch.equal(matrix, networks.img2txt_net.projection.weight)
    assert matrix.data_ptr() != networks.img2txt_net.projection.weight.data_ptr()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(16), atol=1e-6, rtol=0)
    assert networks.meta_net.projection.bias is None


def test_the_seed_makes_the_matrix() -> None:
    first, again, other = (Networks.initial(32, seed=seed)._state() for seed in (3, 3, 4))
    name = "meta_net.projection.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_the_matrix_is_that_of_gram_and_schmidt_on_every_machine() -> None:
    # Libraries for QR differ in signs; a cache's numbers were fitted to one matrix.
    rows = torch.randn(32, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64).T
    basis: list[torch.Tensor] = []
    for row in rows:
        for other in basis:
            row = row - (row @ other) * other
        basis.append(row / row.norm())
    ours = Networks.initial(32, seed=3).meta_net.projection.weight
    torch.testing.assert_close(ours, torch.stack(basis).float(), atol=1e-6, rtol=0)


def test_at_full_width_they_are_the_identity() -> None:
    networks = Networks.initial(24, text_width=24)
    f = features(5, 24)
    torch.testing.assert_close(networks.meta_net(f), f)
    torch.testing.assert_close(networks.img2txt_net(f), f)


def test_untrained_they_keep_clips_cosines_approximately() -> None:
    networks = Networks.initial(512)
    images, texts = features(40, 512), features(40, 512, seed=1)
    texts = normalize(images + 0.5 * texts, dim=1)
    ours = networks.img2txt_net(images) @ networks.meta_net(texts).T
    difference = ours - images @ texts.T
    # A random projection to d keeps cosines to about 1 / sqrt(d) = 0.09 (Johnson-Lindenstrauss).
    assert difference.std() < 0.1
    assert difference.mean().abs() < 0.02


@pytest.mark.parametrize("bottleneck", [None, 8])
def test_outputs_are_unit_norm_for_any_leading_shape(bottleneck: int | None) -> None:
    networks = Networks.initial(32, bottleneck=bottleneck)
    out = networks.meta_net(3 * features(6, 32).view(2, 3, 32))
    assert out.shape == (2, 3, 8)
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(2, 3))
    assert networks.meta_net(torch.zeros(0, 32)).shape == (0, 8)


def test_a_bottleneck_changes_nothing_before_training_and_something_after() -> None:
    plain, with_bottleneck = Networks.initial(32), Networks.initial(32, bottleneck=8)
    f = features(6, 32)
    assert torch.equal(plain.img2txt_net(f), with_bottleneck.img2txt_net(f))
    assert with_bottleneck.img2txt_net.residual is not None
    for parameter in with_bottleneck.img2txt_net.residual.parameters():
        parameter.add_(0.1)
    assert not torch.allclose(plain.img2txt_net(f), with_bottleneck.img2txt_net(f))


@pytest.mark.parametrize("bottleneck", [None, 8])
def test_they_are_frozen_and_in_eval_mode(bottleneck: int | None) -> None:
    networks = Networks.initial(32, bottleneck=bottleneck)
    for net in (networks.meta_net, networks.img2txt_net):
        assert not net.training
        assert not any(parameter.requires_grad for parameter in net.parameters())
    assert networks.to(torch.device("cpu")) == networks


@pytest.mark.parametrize(
    ("width", "text_width", "bottleneck", "said"),
    [
        (8, 9, None, "expected a text width of 1 to 8"),
        (8, 0, None, "expected a text width of 1 to 8"),
        (8, 2, 0, "expected a bottleneck of 1 to 8"),
        (8, 2, 9, "expected a bottleneck of 1 to 8"),
    ],
)
def test_widths_that_cannot_be(
    width: int, text_width: int, bottleneck: int | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Networks.initial(width, text_width, bottleneck)


@pytest.mark.parametrize(("width", "text_width"), [(1, 1), (2, 1), (3, 1), (7, 1), (8, 2)])
def test_a_quarter_of_the_width_is_the_default(width: int, text_width: int) -> None:
    assert Networks.initial(width).width_out == text_width


# The file


@pytest.fixture(params=[None, 8], ids=["linear", "bottleneck"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Networks, Path]:
    """Networks that differ from each other and from any start, and their file."""
    networks = Networks.initial(32, text_width=12, bottleneck=request.param)
    generator = torch.Generator().manual_seed(9)
    nets = (networks.meta_net, networks.img2txt_net)
    for parameter in itertools.chain(*(net.parameters() for net in nets)):
        parameter.add_(torch.randn(parameter.shape, generator=generator))
    path = tmp_path / "networks.safetensors"
    networks.save(path)
    return networks, path


def test_a_file_is_read_back_unchanged(saved: tuple[Networks, Path]) -> None:
    networks, path = saved
    loaded = Networks.load(path, width=32)
    f = features(5, 32)
    assert torch.equal(loaded.meta_net(f), networks.meta_net(f))
    assert torch.equal(loaded.img2txt_net(f), networks.img2txt_net(f))
    assert not torch.allclose(loaded.img2txt_net(f), loaded.meta_net(f))
    assert (loaded.width_in, loaded.width_out, loaded.bottleneck) == (32, 12, networks.bottleneck)
    assert not loaded.meta_net.projection.weight.requires_grad


def test_a_file_for_another_width(saved: tuple[Networks, Path]) -> None:
    with pytest.raises(
        AdapterFileError, match="expected networks for features of width 64, got 32"
    ):
        Networks.load(saved[1], width=64)


def test_a_truncated_file(saved: tuple[Networks, Path], tmp_path: Path) -> None:
    data = saved[1].read_bytes()
    cut = tmp_path / "cut.safetensors"
    for size in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:size])
        with pytest.raises(AdapterFileError, match="cannot read networks"):
            Networks.load(cut)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(saved: tuple[Networks, Path], value: float) -> None:
    tensors = load_file(saved[1])
    tensors["img2txt_net.projection.weight"][3, 4] = value
    save_file(tensors, saved[1], metadata={FORMAT: "{}"})
    with pytest.raises(AdapterFileError, match="expected finite weights"):
        Networks.load(saved[1])


def test_a_missing_file_a_folder_and_other_bytes(tmp_path: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("these are no weights")
    for path in (tmp_path / "missing.safetensors", tmp_path, text):
        with pytest.raises(AdapterFileError, match="cannot read networks"):
            Networks.load(path)


def test_safetensors_of_something_else(saved: tuple[Networks, Path], tmp_path: Path) -> None:
    tensors = load_file(saved[1])
    path = tmp_path / "other.safetensors"
    save_file(tensors, path)
    with pytest.raises(AdapterFileError, match="expected a file of format"):
        Networks.load(path)
    projection = "meta_net.projection.weight"
    for change in (
        {projection: torch.zeros(32)},
        {projection: torch.zeros(5, 32)},
        {"surplus": torch.zeros(1)},
        {"meta_net.residual.0.weight": torch.zeros(1)},
        {"meta_net.residual.0.weight": torch.zeros(0, 32)},
        {"meta_net.residual.0.weight": torch.zeros(33, 32)},
        {projection: torch.zeros(0, 32)},
        {projection: torch.zeros(33, 32)},
        {projection: torch.zeros(12, 32, dtype=torch.int32)},
        {projection: torch.zeros(12, 32, dtype=torch.complex64)},
    ):
        save_file({**tensors, **change}, path, metadata={FORMAT: "{}"})
        with pytest.raises(AdapterFileError, match="expected"):
            Networks.load(path)
    del tensors[projection]
    save_file(tensors, path, metadata={FORMAT: "{}"})
    with pytest.raises(AdapterFileError, match="expected MetaNet's matrices"):
        Networks.load(path)


# What else was learned


@pytest.fixture
def with_learned(tmp_path: Path) -> tuple[Networks, Path]:
    """Networks with every kind of residual, and their file."""
    rows = features(40, 32)
    learned = Learned(
        whitening=rows[:32],
        class_residuals={"cat": rows[32], "dog": rows[33]},
        shot_residuals={"a shot": rows[34]},
        low_rank=(rows[35:37].T.contiguous(), rows[37:39]),
        numbers=PaperNumbers(1.0, 2.0, 3.0, 0.5, 0.25, "sum"),
        class_features={"cow": rows[39]},
        text_key="class",
    )
    networks = replace(Networks.initial(32), learned=learned)
    path = tmp_path / "learned.safetensors"
    networks.save(path)
    return networks, path


def test_a_file_brings_all_that_was_learned(with_learned: tuple[Networks, Path]) -> None:
    networks, path = with_learned
    loaded = Networks.load(path, 32).learned
    assert loaded.facts() == networks.learned.facts()
    expected = networks.learned.tensors()
    assert loaded.tensors().keys() == expected.keys()
    for name, tensor in loaded.tensors().items():
        assert torch.equal(tensor, expected[name])


def test_the_same_networks_make_the_same_bytes(
    with_learned: tuple[Networks, Path], tmp_path: Path
) -> None:
    networks, path = with_learned
    for again in range(5):
        other = tmp_path / f"{again}.safetensors"
        Networks.load(path).save(other)
        assert other.read_bytes() == path.read_bytes()
    networks.save(other)
    assert other.read_bytes() == path.read_bytes()


def test_a_truncated_file_of_all_that_was_learned(with_learned: tuple[Networks, Path]) -> None:
    path = with_learned[1]
    data = path.read_bytes()
    for size in (9, 500, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(AdapterFileError, match="cannot read networks"):
            Networks.load(path)


@pytest.mark.parametrize(
    ("tensors", "facts", "said"),
    [
        ({"whitening": torch.full((32, 32), float("nan"))}, {}, "expected finite weights"),
        ({"class_residuals": torch.full((2, 32), float("inf"))}, {}, "expected finite weights"),
        ({"whitening": torch.eye(16)}, {}, "expected whitening for width 32"),
        ({"low_rank.down": torch.ones(32, 5)}, {}, "of one rank"),
        ({}, {"class_residuals": ["cat"]}, "a name for each of 2 rows of class_residuals"),
        ({}, {"text_key": "sound"}, "expected text_key to be one of"),
        ({}, {"numbers": {"alpha": 1}}, "expected the numbers of the published form"),
        ({}, {"numbers": {"cache_weight": float("nan")}}, "expected the numbers"),
        ({}, {"numbers": vars(PaperNumbers(10**400, 2.0, 3.0, 0.5))}, "expected the numbers"),
        ({}, {"class_residuals": ["cat", "cat"]}, "a name for each of 2 rows"),
        ({}, {"class_residuals": ["cat", []]}, "a name for each of 2 rows"),
        ({"whitening": torch.tensor(1.0)}, {}, "expected whitening for width 32"),
    ],
)
def test_a_file_that_was_changed(
    with_learned: tuple[Networks, Path],
    tensors: dict[str, torch.Tensor],
    facts: dict[str, Any],
    said: str,
) -> None:
    networks, path = with_learned
    changed = load_file(path) | {PREFIX + name: tensor for name, tensor in tensors.items()}
    metadata = {FORMAT: json.dumps(networks.learned.facts() | facts)}
    save_file(changed, path, metadata=metadata)
    with pytest.raises(AdapterFileError, match=said):
        Networks.load(path)


@pytest.mark.parametrize("metadata", ["", "{", "[]", "null", "3", "[" * 100_000])
def test_facts_that_are_none(with_learned: tuple[Networks, Path], metadata: str) -> None:
    path = with_learned[1]
    save_file(load_file(path), path, metadata={FORMAT: metadata})
    with pytest.raises(AdapterFileError, match=r"cannot read networks|expected a file of format"):
        Networks.load(path)


def test_moving_networks_takes_the_whitening_along(with_learned: tuple[Networks, Path]) -> None:
    networks = Networks.load(with_learned[1])
    moved = networks.to(torch.device("meta"))
    assert moved.learned.whitening is not None
    assert moved.learned.whitening.is_meta
    assert moved.meta_net.projection.weight.is_meta
