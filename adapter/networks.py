"""MetaNet and Img2TxtNet: the two small maps that the paper trains.

MetaNet makes text keys of text features; Img2TxtNet takes an image's feature into the same
space. *Reading*: the paper leaves their form open; here each is one linear map without bias,
with a residual bottleneck as an option. Both start from the same semi-orthogonal matrix, so that
an untrained adapter compares image and text about as CLIP itself does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from adapter.learned import PREFIX, Learned
from adapter.tensor_file import TensorFileError, parse, read_content

FORMAT = "xmadapter-networks/1"
SHOWN = 500
"""Characters of a file's own words in a message."""


class AdapterFileError(ValueError):
    """A file of networks is missing, damaged, or made for another width."""


class _UnitMap(nn.Module):
    """unit(P x + U relu(V x)): (..., D) to unit-norm (..., d). The second part is optional.

    U starts at zero, so that a bottleneck changes nothing before training.
    """

    def __init__(self, projection: Tensor, bottleneck: int | None) -> None:
        super().__init__()
        width_out, width_in = projection.shape
        self.projection = nn.Linear(width_in, width_out, bias=False)
        self.projection.weight.data = projection.float().clone()
        self.residual: nn.Module | None = None
        if bottleneck is not None:
            up = nn.Linear(bottleneck, width_out, bias=False)
            nn.init.zeros_(up.weight)
            down = nn.Linear(width_in, bottleneck, bias=False)
            down.weight.data = _semi_orthogonal(bottleneck, width_in, seed=1)
            self.residual = nn.Sequential(down, nn.ReLU(), up)

    def forward(self, features: Tensor) -> Tensor:
        """(..., D) to unit-norm (..., d)."""
        mapped = self.projection(features)
        if self.residual is not None:
            mapped = mapped + self.residual(features)
        return functional.normalize(mapped, dim=-1)


class TextKeyNet(_UnitMap):
    """The paper's MetaNet: text features (..., D) to text keys (..., d).

    Not CoCoOp's net of the same name, which makes prompt tokens of image features.
    """


class Img2TxtNet(_UnitMap):
    """Image features (..., D) to queries in the space of the text keys (..., d)."""


@dataclass(frozen=True)
class Networks:
    """Both maps, frozen and in eval mode, and what else was trained with them.

    `width_in` is D, `width_out` is d.
    """

    meta_net: TextKeyNet
    img2txt_net: Img2TxtNet
    width_in: int
    width_out: int
    bottleneck: int | None = None
    learned: Learned = field(default_factory=Learned)

    @classmethod
    def initial(
        cls,
        width: int,
        text_width: int | None = None,
        bottleneck: int | None = None,
        seed: int = 0,
    ) -> Networks:
        """Untrained networks: the same semi-orthogonal matrix in both, identity if d = D.

        Args:
            width: D.
            text_width: d, at most D; D/4 if None (*reading*).
            bottleneck: width of a residual MLP beside the linear map; None for none.
            seed: of the matrix.

        Raises:
            ValueError: a width that cannot be.
        """
        d = max(1, width // 4) if text_width is None else text_width
        if not 1 <= d <= width:
            raise ValueError(f"expected a text width of 1 to {width} (the model's), got {d}")
        if bottleneck is not None and not 1 <= bottleneck <= width:
            raise ValueError(f"expected a bottleneck of 1 to {width}, got {bottleneck}")
        matrix = torch.eye(width) if d == width else _semi_orthogonal(d, width, seed)
        return cls._starting_from(matrix, bottleneck)

    @classmethod
    def _starting_from(cls, matrix: Tensor, bottleneck: int | None) -> Networks:
        meta, img2txt = TextKeyNet(matrix, bottleneck), Img2TxtNet(matrix, bottleneck)
        for net in (meta, img2txt):
            net.eval().requires_grad_(False)
        width_out, width_in = matrix.shape
        return cls(meta, img2txt, width_in, width_out, bottleneck)

    def to(self, device: torch.device) -> Networks:
        """These networks, moved to a device."""
        self.meta_net.to(device)
        self.img2txt_net.to(device)
        return replace(self, learned=self.learned.to(device))

    def content(self) -> bytes:
        """What a file of them holds: safetensors that `parse` reads back unchanged."""
        return bytes(
            save(
                self._state() | self.learned.tensors(),
                # One entry: several would be written in another order each time.
                metadata={FORMAT: json.dumps(self.learned.facts(), sort_keys=True)},
            )
        )

    def save(self, path: Path) -> None:
        """Write a file that `load` reads back unchanged. Raises OSError."""
        path.write_bytes(self.content())

    @classmethod
    def load(cls, path: Path, width: int | None = None) -> Networks:
        """Read what `save` wrote.

        Args:
            path: a safetensors file.
            width: the D that is needed, if known.

        Raises:
            AdapterFileError: not such a file, damaged, not finite, or of another width.
        """
        return cls.parse(networks_content(path), path, width)

    @classmethod
    def parse(cls, content: bytes, path: Path, width: int | None = None) -> Networks:
        """Read what `content` gave, whoever made it.

        Args:
            content: of a file.
            path: that file, for messages.
            width: the D that is needed, if known.

        Raises:
            AdapterFileError: not that, damaged, not finite, or of another width.
        """
        tensors, facts = _parsed(content, path)
        expected, bottleneck = _expected(tensors, path)
        matrix = tensors["meta_net.projection.weight"]
        if width not in (None, matrix.shape[1]):
            raise AdapterFileError(
                f"expected networks for features of width {width}, got {matrix.shape[1]} in "
                f"{path}: they belong to another model"
            )
        maps = {n: t for n, t in tensors.items() if not n.startswith(PREFIX)}
        got = {name: tuple(tensor.shape) for name, tensor in maps.items()}
        if expected != got:
            raise AdapterFileError(f"expected tensors {expected} in {path}, got {_short(got)}")
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise AdapterFileError(f"expected finite weights in {path}, got NaN or infinity")
        networks = cls._starting_from(matrix, bottleneck)
        networks._fill(maps)
        try:
            learned = Learned.from_file(tensors, facts, networks.width_in)
        except ValueError as error:
            raise AdapterFileError(f"cannot use the networks in {path}: {error}") from error
        return replace(networks, learned=learned)

    def _state(self) -> dict[str, Tensor]:
        nets = {"meta_net": self.meta_net, "img2txt_net": self.img2txt_net}
        return {
            f"{prefix}.{name}": tensor.detach().cpu().contiguous()
            for prefix, net in nets.items()
            for name, tensor in net.state_dict().items()
        }

    def _fill(self, tensors: dict[str, Tensor]) -> None:
        for prefix, net in (("meta_net.", self.meta_net), ("img2txt_net.", self.img2txt_net)):
            own = {
                name.removeprefix(prefix): t
                for name, t in tensors.items()
                if name.startswith(prefix)
            }
            net.load_state_dict(own)


def _semi_orthogonal(rows: int, columns: int, seed: int) -> Tensor:
    """(rows, columns) float32 with orthonormal rows, the same for a seed on every machine."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(columns, rows, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(normal)
    # QR is unique only up to signs, and libraries differ in theirs.
    matrix: Tensor = q * r.diagonal().sign()
    return matrix.T.float().contiguous()


def networks_content(path: Path) -> bytes:
    """All bytes of a file of networks. Raises AdapterFileError where there is none to read."""
    try:
        return read_content(path)
    except TensorFileError as error:
        raise AdapterFileError(f"cannot read networks from {path}: {error}") from error


def _parsed(content: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        tensors, metadata = parse(content)
        facts = json.loads(metadata.get(FORMAT, "null"))
    except (ValueError, TypeError, RecursionError) as error:
        raise AdapterFileError(f"cannot read networks from {path}: {error}") from error
    if not isinstance(facts, dict):
        raise AdapterFileError(f"expected a file of format {FORMAT}, got {path} without it")
    return tensors, facts


def _expected(
    tensors: dict[str, Tensor], path: Path
) -> tuple[dict[str, tuple[int, ...]], int | None]:
    """The shapes of both maps, as MetaNet's matrices have it, and the bottleneck.

    Raises:
        AdapterFileError: these are none, or of widths that cannot be.
    """
    matrix, hidden = (
        tensors.get(f"meta_net.{name}.weight") for name in ("projection", "residual.0")
    )
    if matrix is None or matrix.ndim != 2 or (hidden is not None and hidden.ndim != 2):
        raise AdapterFileError(
            f"expected MetaNet's matrices in {path}, got {_short(sorted(tensors))}"
        )
    width_out, width_in = matrix.shape
    bottleneck = None if hidden is None else len(hidden)
    if not all(1 <= each <= width_in for each in (width_out, bottleneck) if each is not None):
        raise AdapterFileError(
            f"expected a text width and a bottleneck of 1 to {width_in} (the model's) in {path}, "
            f"got {width_out} and {bottleneck}"
        )
    shapes = {"projection": (width_out, width_in)}
    if bottleneck is not None:
        shapes |= {"residual.0": (bottleneck, width_in), "residual.2": (width_out, bottleneck)}
    return {
        f"{net}.{name}.weight": shape
        for net in ("meta_net", "img2txt_net")
        for name, shape in shapes.items()
    }, bottleneck


def _short(found: object) -> str:
    """As much of it as a message has room for."""
    text = str(found)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."
