"""The settings as flags of a command: same names, same texts, written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import PydanticUndefined

from service.settings import Settings

ALL = tuple(Settings.model_fields)
MODEL = ("model", "pretrained", "device", "precision", "weights_dir")
BUILD = (
    *MODEL,
    "method",
    "templates",
    "index",
    "max_image_bytes",
    "max_image_pixels",
    "decode_threads",
    "scaled_decoding",
)

Command = TypeVar("Command", bound=Callable[..., Any])


def settings_flags(names: Sequence[str]) -> Callable[[Command], Command]:
    """Give a command a flag for each of these settings, in place of its `**flags`.

    A flag that is not typed is None, so that the environment and the defaults can have their say.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        parameters = [*own, *map(_parameter, names)]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    shown = field.default if field.default is not PydanticUndefined else None
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=f"{field.description}{'' if shown is None else f' [default: {shown}]'}",
        show_default=False,
        rich_help_panel="Settings (also XMADAPTER_... in the environment)",
    )
    annotation = Annotated[field.annotation | None, option]  # type: ignore[name-defined]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
