"""Write a folder with a CLIP ViT-B/32 of random weights, as infinity loads it.

Runs in infinity's own environment: `python peers_infinity.py FOLDER BPE`, where BPE is the file of
byte pairs that open_clip brings. Nothing is downloaded.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

MERGES = 49152 - 256 - 2
"""Byte pairs of CLIP's vocabulary: 49,408 tokens, less 512 for bytes and 2 that are special."""


def main() -> None:
    """Write model, pre-processing and tokenizer."""
    folder, pairs = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    merges = gzip.decompress(pairs.read_bytes()).decode().split("\n")[1 : MERGES + 1]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    symbols = _symbols()
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    tokens += ["".join(merge.split()) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)


def _symbols() -> list[str]:
    """A printable character for each byte, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


if __name__ == "__main__":
    main()
