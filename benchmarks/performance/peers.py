"""What a user would otherwise run, each as its own documentation recommends, and its installation.

`python -m benchmarks.performance.peers install` makes an environment for each under var/peers/:
none of them is a dependency of this project. Plain FastAPI needs none of its own.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.performance.peers_plain import CACHE
from benchmarks.performance.peers_process import Running, running

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "var" / "peers"
MODEL = "clip"
"""infinity's folder with the model, beside the environments."""

Environment = Literal["infinity", "litserve"]
ENVIRONMENTS: tuple[Environment, ...] = ("litserve", "infinity")
INSTALL = "make bench-peers"


class PeerMissing(RuntimeError):  # noqa: N818
    """A peer is not installed; the message says how to."""


@dataclass(frozen=True)
class LitServeSettings:
    """What LitServe can be tuned by.

    Attributes:
        workers: processes with the model; its documentation recommends one a core.
        batch: images encoded together.
        wait: seconds that a batch is waited for.
        servers: processes that speak HTTP.
        fast_queue: whether ZeroMQ carries requests to the workers; recommended above 100 a second.
    """

    workers: int = 2
    batch: int = 16
    wait: float = 0.01
    servers: int = 1
    fast_queue: bool = True


def installed(name: Environment, folder: Path = FOLDER) -> bool:
    """Whether an environment is there, with the versions of its lock file."""
    mark = folder / name / "installed"
    return mark.is_file() and mark.read_text() == _wanted(name)


def require(name: Environment, folder: Path = FOLDER) -> Path:
    """The environment's Python. Raises PeerMissing."""
    if not installed(name, folder):
        raise PeerMissing(f"not run: {name} is not installed: run {INSTALL}")
    return folder / name / "bin" / "python"


def ours(cache: Path, *options: str) -> AbstractContextManager[Running]:
    """The service on a cache, with its settings as they come but for `options`."""
    command = [sys.executable, "-m", "service.cli", "serve", "--cache", str(cache), *options]
    return running(lambda port: [*command, "--port", str(port)], "/readyz")


def plain(cache: Path, workers: int = 1) -> AbstractContextManager[Running]:
    """Plain FastAPI on a cache of the shipped model; see `peers_plain`."""
    module = "benchmarks.performance.peers_plain"
    return running(
        lambda port: [sys.executable, "-m", module, f"--port={port}", f"--workers={workers}"],
        "/health",
        {CACHE: str(cache)},
    )


def litserve(
    cache: Path, settings: LitServeSettings | None = None, folder: Path = FOLDER
) -> AbstractContextManager[Running]:
    """LitServe on a cache of the shipped model; see `peers_litserve`. Raises PeerMissing."""
    python, chosen = require("litserve", folder), settings or LitServeSettings()
    options = [
        f"--workers={chosen.workers}",
        f"--batch={chosen.batch}",
        f"--wait={chosen.wait}",
        f"--servers={chosen.servers}",
        *(["--fast-queue"] if chosen.fast_queue else []),
    ]
    module = "benchmarks.performance.peers_litserve"
    return running(
        lambda port: [str(python), "-m", module, f"--port={port}", *options],
        "/health",
        {CACHE: str(cache)},
    )


def infinity(batch: int = 32, folder: Path = FOLDER) -> AbstractContextManager[Running]:
    """infinity on a CLIP ViT-B/32 of random weights, on the CPU. Raises PeerMissing."""
    python = require("infinity", folder)
    program = python.with_name("infinity_emb")
    options = [
        f"--model-id={folder / MODEL}",
        f"--served-model-name={MODEL}",
        "--engine=torch",
        "--device=cpu",
        "--no-bettertransformer",
        f"--batch-size={batch}",
        "--host=127.0.0.1",
        "--log-level=warning",
    ]
    return running(
        lambda port: [str(python), str(program), "v2", f"--port={port}", *options],
        "/health",
        # It would count its users, and look for models, elsewhere.
        {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"},
    )


def install(name: Environment, folder: Path = FOLDER) -> None:
    """Make an environment anew, with exactly the versions of its lock file.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "--no-deps", "-r", _lock(name)], check=True)
    if name == "litserve":
        _lend(place)
    else:
        _write_model(python, folder / MODEL)
    (place / "installed").write_text(_wanted(name))


def _lend(place: Path) -> None:
    """Let an environment import what this one has, after what it has itself: torch is 6 GB."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = sysconfig.get_path("purelib")
    (place / "lib" / version / "site-packages" / "project.pth").write_text(f"{own}\n")


def _write_model(python: Path, folder: Path) -> None:
    import open_clip

    pairs = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, HERE / "peers_infinity.py", folder, pairs], check=True)


def _lock(name: Environment) -> Path:
    return HERE / f"peers_{name}.lock"


def _wanted(name: Environment) -> str:
    return hashlib.sha256(_lock(name).read_bytes()).hexdigest()


def main(arguments: list[str]) -> None:
    """Install what is not installed."""
    if arguments != ["install"]:
        sys.exit(f"usage: python -m benchmarks.performance.peers install (got {arguments})")
    for name in ENVIRONMENTS:
        if installed(name):
            print(f"{name}: installed")
            continue
        print(f"{name}: installing into {FOLDER / name} ...", flush=True)
        install(name)


if __name__ == "__main__":
    main(sys.argv[1:])
