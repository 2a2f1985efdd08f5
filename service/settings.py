"""What can be set: the same names on the command line and in the environment.

`--max-batch 64` is `XMADAPTER_MAX_BATCH=64`. Flags win over the environment. An unknown
`XMADAPTER_` variable is an error, so that a mistyped one is not silently ignored.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "XMADAPTER_"
CLIENT_KEY = "XMADAPTER_API_KEY"
MIB = 2**20


class SettingsError(ValueError):
    """A setting is unknown or has a value that it cannot have."""


class Settings(BaseSettings):
    """All settings, with their defaults; read them with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that answer, each with the whole model and all keys in memory.",
    )
    published_host: str | None = Field(
        None,
        description="Address at which callers reach it, where something forwards to it; "
        "the host, if not given.",
    )
    insecure: bool = Field(
        False, description="Serve on an address that others reach without asking for API keys."
    )
    keys: Path | None = Field(
        None, description="File of API keys; keys.json in the cache's folder, if not given."
    )
    key_rate: float = Field(
        200.0,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second of an API key without a rate of its own.",
    )
    key_burst: int = Field(
        400, ge=1, description="Requests at once of an API key without a burst of its own."
    )
    key_concurrency: int = Field(
        128, ge=1, description="Requests under way of an API key without a limit of its own."
    )
    cache: Path = Field(
        Path("var/cache"), description="Folder of the cache; made when there is none."
    )
    model: str = Field(
        "xmadapter-small",
        description="The small demonstration model that ships, an open_clip model name, "
        "or hf-hub:ORGANISATION/NAME.",
    )
    pretrained: str | None = Field(
        None, description="An open_clip tag (laion2b_s34b_b79k) or a file of weights."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 ...")
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        "auto",
        description="Of the image tower; auto is fp16 on CUDA, bf16 on processors with "
        "instructions for it, fp32 elsewhere.",
    )
    weights_dir: Path | None = Field(None, description="Folder where downloaded weights are kept.")
    method: Literal["paper", "full"] | None = Field(
        None,
        description="The published form, or the online mixture; "
        "the cache's own if not given, full for a new cache.",
    )
    templates: Path | None = Field(
        None, description="File of prompt templates, one a line, {} where the label goes."
    )
    index: Literal["auto", "numpy", "faiss-flat", "faiss-ivf", "faiss-gpu"] = Field(
        "auto", description="Kind of index; auto is exact, on the GPU where there is one."
    )
    networks: Path | None = Field(
        None,
        description="File of networks to answer with; the adapter that was published last, "
        "and those published from then on, if not given.",
    )
    max_image_bytes: int = Field(20 * MIB, ge=1, description="Largest image file, in bytes.")
    max_image_pixels: int = Field(50_000_000, ge=1, description="Largest image, in pixels.")
    max_request_bytes: int = Field(64 * MIB, ge=1, description="Largest request body, in bytes.")
    max_batch: int = Field(64, ge=1, description="Most images encoded together.")
    max_queue: int = Field(512, ge=1, description="Most requests under way; more get a 503.")
    max_wait: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that a request may be expected to wait for those before it; "
        "when it would be more, it gets a 503.",
    )
    max_queue_bytes: int = Field(
        512 * MIB, ge=1, description="Most bytes of requests under way; more get a 503."
    )
    decode_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Threads that decode images; by default one a core.",
    )
    scaled_decoding: bool = Field(
        False,
        description="Decode large JPEGs at 1/2, 1/4 or 1/8 where twice the model's size is left: "
        "sooner, and features differ a little.",
    )
    online_views: int = Field(
        1, ge=1, le=64, description="Views a taught image's key is the mean of; 1: centre crop."
    )
    max_shots_per_class: int | None = Field(
        None, ge=1, description="Most keys of a class; as many as are taught if not given."
    )
    full_class: Literal["merge", "refuse"] = Field(
        "merge",
        description="What becomes of a shot of a full class: it is averaged into the nearest key, "
        "or refused with a 409.",
    )
    idempotency_hours: float = Field(
        24.0,
        gt=0,
        allow_inf_nan=False,
        description="Hours for which an answer is kept under its Idempotency-Key.",
    )
    request_timeout: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Seconds until a request gets a 503."
    )
    header_timeout: float = Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds in which a request's line and headers must have come.",
    )
    max_header_bytes: int = Field(
        32 * 2**10, ge=1024, description="Largest request line with headers, in bytes."
    )
    min_upload_rate: int = Field(
        4096,
        ge=1,
        description="Bytes a second that a request's body must come with, after 5 seconds.",
    )
    max_connections: int = Field(1000, ge=1, description="Most connections open at once.")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        [],
        description="Origins (https://example.org, or * for all) whose pages may call the service "
        "from a browser; with commas between them in the environment.",
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of the log's lines.")
    examples: Path | None = Field(
        None, description="Folder of demonstration images for the hints printed at the start."
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
                raise ValueError(f"expected an origin like https://example.org, got {origin!r}")
        return value

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.max_request_bytes > self.max_queue_bytes:
            raise ValueError(
                f"max_request_bytes ({self.max_request_bytes}) must not be larger than "
                f"max_queue_bytes ({self.max_queue_bytes}), or the largest request never fits"
            )
        return self


def load_settings(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from flags (those that are not None), the environment and the defaults.

    Raises:
        SettingsError: an unknown variable or an impossible value; the message names it.
    """
    _refuse_unknown(os.environ if environment is None else environment)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error, given)) from None


def read_templates(path: Path | None) -> tuple[str, ...] | None:
    """The prompt templates of a file, one a line; None when there is no file.

    Raises:
        SettingsError: the file cannot be read, is empty, or a line has no {}.
    """
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"templates: cannot read {path}: {error}") from error
    templates = tuple(line.strip() for line in lines if line.strip())
    if not templates:
        raise SettingsError(f"templates: expected one template a line in {path}, got none")
    for template in templates:
        if "{}" not in template:
            raise SettingsError(
                f"templates: expected {{}} where the label goes, got {template!r} in {path}"
            )
    return templates


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {variable(name) for name in Settings.model_fields} | {CLIENT_KEY}
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        close = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {close[0]}?" if close else "known: " + ", ".join(sorted(known))
        raise SettingsError(f"unknown environment variable {name}: {hint}")


def _explain(error: ValidationError, given: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if not name:
            lines.append(problem["msg"].removeprefix("Value error, "))
            continue
        source = f"--{name.replace('_', '-')}" if name in given else variable(name)
        message = problem["msg"].replace("Input should be", "expected")
        lines.append(f"{source}: {message}, got {problem['input']!r}")
    return "; ".join(lines)
