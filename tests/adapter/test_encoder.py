"""The tower pair: loading, features, fingerprints, and what is said when loading fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors.torch import save_file

from adapter.encoder import (
    DEFAULT_MODEL,
    Encoder,
    EncoderError,
    OpenClipEncoder,
    PixelEncoder,
    Preprocessing,
    fingerprint,
    load_encoder,
)
from adapter.picture import Picture
from adapter.resizing import to_pixels

TINY = "xmadapter-test-tiny"
TINY_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 1,
    },
}


@pytest.fixture(scope="module", autouse=True)
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make open_clip know a model that is built in milliseconds."""
    path = tmp_path_factory.mktemp("configs") / f"{TINY}.json"
    path.write_text(json.dumps(TINY_CONFIG))
    open_clip.add_model_config(path)


@pytest.fixture(scope="module")
def tiny(tiny_config: None) -> Encoder:
    return load_encoder(TINY, "random", device="cpu")


@pytest.fixture(scope="module")
def weights_file(tiny_config: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the tiny model, other than its random ones."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(open_clip.create_model(TINY).state_dict(), path)
    return path


def pictures(count: int = 5) -> list[Picture]:
    noise = torch.randint(0, 256, (count, 40, 56, 3), generator=torch.Generator().manual_seed(1))
    return [Picture.of_rows(rows.to(torch.uint8).numpy()) for rows in noise]


def batch(encoder: Encoder, count: int = 5) -> torch.Tensor:
    return torch.stack([to_pixels(image, encoder.preprocessing) for image in pictures(count)])


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import adapter, sys; sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_features_equal_open_clips_own(weights_file: Path) -> None:
    encoder = load_encoder(TINY, str(weights_file), device="cpu", precision="fp32")
    model, transform = open_clip.create_model_from_pretrained(TINY, str(weights_file))
    with torch.no_grad():
        # Its resizing has tests of its own, to a step of 255.
        normalise = transform.transforms[-1]
        images = model.encode_image(normalise(batch(encoder) / 255), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer(TINY)(["a cat", "part 4711"]), True)
    # Batches of another size may sum in another order.
    torch.testing.assert_close(encoder.encode_images(batch(encoder)), images, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        encoder.encode_texts(["a cat", "part 4711"]), texts, atol=1e-6, rtol=0
    )
    assert encoder.logit_scale == pytest.approx(float(model.logit_scale.detach().exp()), rel=1e-6)


def test_what_a_loaded_encoder_says_of_itself(tiny: Encoder) -> None:
    assert tiny.name == f"{TINY}/random"
    assert tiny.width == 24
    assert tiny.logit_scale == pytest.approx(1 / 0.07, rel=1e-6)
    assert tiny.device == torch.device("cpu")
    defaults = PreprocessCfg()
    assert tiny.preprocessing == Preprocessing((32, 32), defaults.mean, defaults.std)
    assert len(bytes.fromhex(tiny.fingerprint)) == 32


@pytest.mark.parametrize("kind", ["tiny", "pixel"])
def test_features_are_unit_float32_that_autograd_may_use(kind: str, tiny: Encoder) -> None:
    encoder = tiny if kind == "tiny" else PixelEncoder()
    images, texts = encoder.encode_images(batch(encoder)), encoder.encode_texts(["a", "b", ""])
    assert images.shape == (5, encoder.width)
    assert texts.shape == (3, encoder.width)
    for features in (images, texts):
        assert features.dtype == torch.float32
        torch.testing.assert_close(features.norm(dim=1), torch.ones(len(features)))
        weight = torch.ones(encoder.width, requires_grad=True)
        (gradient,) = torch.autograd.grad((features @ weight).sum(), weight)
        torch.testing.assert_close(gradient, features.sum(0))


@pytest.mark.parametrize("kind", ["tiny", "pixel"])
def test_empty_batches(kind: str, tiny: Encoder) -> None:
    encoder = tiny if kind == "tiny" else PixelEncoder()
    assert encoder.encode_images(batch(encoder)[:0]).shape == (0, encoder.width)
    assert encoder.encode_texts([]).shape == (0, encoder.width)


@pytest.mark.parametrize("kind", ["tiny", "pixel"])
def test_pixels_that_would_be_misread_are_refused(kind: str, tiny: Encoder) -> None:
    encoder = tiny if kind == "tiny" else PixelEncoder()
    pixels = batch(encoder)
    with pytest.raises(ValueError, match="expected uint8 pixels"):
        encoder.encode_images(pixels.float())
    for wrong in (pixels[:, :, :31], pixels[0], pixels[:, :1]):
        with pytest.raises(ValueError, match=r"expected pixels of shape \(B, 3, 32, 32\)"):
            encoder.encode_images(wrong)


def test_many_texts_are_batched_in_order(tiny: Encoder) -> None:
    texts = [f"a photo of thing {number}" for number in range(600)]
    features = tiny.encode_texts(texts)
    assert features.shape == (600, 24)
    for row in (0, 255, 256, 599):
        # Batches of another size may sum in another order.
        torch.testing.assert_close(
            features[row], tiny.encode_texts([texts[row]])[0], atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("text", ["", " ", "x" * 10_000, "🦊" * 50, "שלום", "a\nb", "\ud800", "{}"])
def test_odd_texts_have_features(text: str, tiny: Encoder) -> None:
    for encoder in (tiny, PixelEncoder()):
        assert encoder.encode_texts([text]).isfinite().all()


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone(
    tiny: Encoder,
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = load_encoder(TINY, "random", device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert again.fingerprint == tiny.fingerprint
    assert torch.equal(again.encode_images(batch(tiny)), tiny.encode_images(batch(tiny)))


def test_half_precision_gives_float32_features_and_the_same_fingerprint(
    weights_file: Path,
) -> None:
    exact = load_encoder(TINY, str(weights_file), device="cpu", precision="fp32")
    coarse = load_encoder(TINY, str(weights_file), device="cpu", precision="bf16")
    assert exact.fingerprint == coarse.fingerprint
    for ours, theirs in (
        (coarse.encode_images(batch(coarse)), exact.encode_images(batch(exact))),
        (
            load_encoder(TINY, str(weights_file), device="cpu").encode_images(batch(exact)),
            exact.encode_images(batch(exact)),
        ),
    ):
        assert ours.dtype == torch.float32
        # bf16 keeps 8 bits: a cosine of 1 to within a few times 2^-8 squared.
        assert (ours * theirs).sum(1).min() > 0.999
        torch.testing.assert_close(ours.norm(dim=1), torch.ones(len(ours)))
    # The text tower is not in question: prompts are encoded once.
    assert torch.equal(coarse.encode_texts(["a cat"]), exact.encode_texts(["a cat"]))


def test_making_ready_changes_no_feature(tiny: Encoder) -> None:
    before = tiny.encode_images(batch(tiny))
    for encoder in (tiny, PixelEncoder()):
        encoder.warm(8)
    assert torch.equal(tiny.encode_images(batch(tiny)), before)


@pytest.mark.gpu
def test_fp16_on_cuda_is_the_default_and_close_to_fp32(weights_file: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    exact = load_encoder(TINY, str(weights_file), device="cpu", precision="fp32")
    fast = load_encoder(TINY, str(weights_file))
    assert fast.device.type == "cuda"
    features = fast.encode_images(batch(fast))
    assert features.is_cuda
    assert features.dtype == torch.float32
    # fp16 keeps 11 bits.
    assert (features.cpu() * exact.encode_images(batch(exact))).sum(1).min() > 0.9999


def test_a_file_gives_its_name_and_its_own_fingerprint(weights_file: Path, tiny: Encoder) -> None:
    encoder = load_encoder(TINY, str(weights_file), device="cpu")
    assert encoder.name == f"{TINY}/tiny.safetensors"
    assert encoder.fingerprint != tiny.fingerprint


def test_a_tag_brings_its_activation_and_preprocessing(
    weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"file": str(weights_file), "quick_gelu": True, "mean": (0.5, 0.5, 0.5)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, TINY, {"tag_1": facts})
    encoder = load_encoder(TINY, "tag-1", device="cpu")
    assert encoder.name == f"{TINY}/tag-1"
    assert encoder.preprocessing.mean == (0.5, 0.5, 0.5)
    model = open_clip.create_model(TINY, str(weights_file), force_quick_gelu=True)
    with torch.no_grad():
        texts = model.eval().encode_text(open_clip.get_tokenizer(TINY)(["a cat"]), True)
    torch.testing.assert_close(encoder.encode_texts(["a cat"]), texts, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("model", "pretrained", "said"),
    [
        ("ViT-B32", None, r"unknown model 'ViT-B32'; near to it: .*ViT-B-32"),
        ("qqqqqqqqqqqqqqq", "random", "unknown model"),
        ("ViT-B-32", None, "needs weights: give a tag .*laion2b_s34b_b79k.*a local file"),
        ("ViT-B-32", "laion2b_s34b", "neither a file nor a tag.*near to it: .*laion2b_s34b_b79k"),
        ("ViT-B/32", "/nowhere/w.safetensors", "'/nowhere/w.safetensors' is neither a file"),
        (TINY, None, "it has none"),
        ("hf-hub:someone/model", "openai", "names its weights itself: leave out 'openai'"),
    ],
)
def test_names_that_fit_nothing(model: str, pretrained: str | None, said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        load_encoder(model, pretrained)


def test_without_a_network_a_download_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> str:
        raise FileNotFoundError("name resolution failed")

    monkeypatch.setattr("open_clip.pretrained.download_pretrained", unreachable)
    monkeypatch.setattr("open_clip.pretrained.download_pretrained_from_hf", unreachable)
    with pytest.raises(EncoderError, match=r"ViT-B-32/openai: name resolution.*the network"):
        load_encoder("ViT-B-32", "openai")
    with pytest.raises(EncoderError, match=r"hf-hub:a/b: name resolution.*give a local file"):
        load_encoder("hf-hub:a/b")


def test_a_damaged_file_and_one_of_another_model(weights_file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights_file.read_bytes()[:-100])
    with pytest.raises(EncoderError, match=r"cannot load .*damaged\.safetensors.*are complete"):
        load_encoder(TINY, str(damaged))
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(EncoderError, match="belong to this model"):
        load_encoder(TINY, str(other))


def test_devices_and_precisions_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match=r"expected a device .* got 'toaster'"):
        load_encoder(TINY, "random", device="toaster")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EncoderError, match="no CUDA device is usable: give cpu or auto"):
        load_encoder(TINY, "random", device="cuda:0")
    precision: Any = "fp8"
    with pytest.raises(EncoderError, match="expected precision auto, fp32, fp16, bf16, got 'fp8'"):
        load_encoder(TINY, "random", precision=precision)


def test_the_fingerprint_depends_on_each_of_its_parts() -> None:
    half = (0.5, 0.5, 0.5)
    small, large = Preprocessing((32, 32), half, half), Preprocessing((64, 64), half, half)
    prints = {
        fingerprint("m", "w", small),
        fingerprint("n", "w", small),
        fingerprint("m", "x", small),
        fingerprint("m", "w", large),
    }
    assert len(prints) == 4
    assert fingerprint("m", "w", small) in prints


def test_both_encoders_meet_the_protocol(tiny: Encoder) -> None:
    encoders: list[Encoder] = [PixelEncoder(), tiny]
    assert isinstance(encoders[1], OpenClipEncoder)
    for encoder in encoders:
        assert encoder.name
        assert encoder.device.type == "cpu"


def test_the_pixel_encoder_sees_colours_and_is_repeatable() -> None:
    encoder = PixelEncoder()

    def flat(*color: int) -> torch.Tensor:
        image = Image.new("RGB", (50, 40), color)
        return to_pixels(Picture.of_pillow(image), encoder.preprocessing).unsqueeze(0)

    red, dark_red, blue, grey = encoder.encode_images(
        torch.cat([flat(250, 0, 0), flat(200, 20, 20), flat(0, 0, 250), flat(127, 127, 127)])
    )
    assert red @ dark_red > 0.9
    assert red @ blue < 0.7
    assert grey.isfinite().all()
    # Batches of another size may sum in another order.
    again = PixelEncoder().encode_images(flat(250, 0, 0))[0]
    torch.testing.assert_close(again, red, atol=1e-6, rtol=0)
    texts = encoder.encode_texts(["red", "blue", "red"])
    assert torch.equal(texts[0], texts[2])
    assert texts[0] @ texts[1] < 0.9
    assert PixelEncoder(width=8).encode_texts(["red"]).shape == (1, 8)


def test_the_shipped_model_is_the_default() -> None:
    encoder = load_encoder(device="cpu")
    assert encoder.name == DEFAULT_MODEL
    assert len(load_encoder(DEFAULT_MODEL, device="cpu").fingerprint) == 64
    assert load_encoder(device="cpu").fingerprint == encoder.fingerprint
    features = encoder.encode_images(batch(encoder, 2))
    assert features.shape == (2, encoder.width)
    assert features.isfinite().all()
