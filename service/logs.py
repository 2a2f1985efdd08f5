"""The service's log: one line an event, as text for people or as JSON for machines.

Secrets are masked in every part of a line, by their name or by the look of an API key: a caller
may put one into an address, and a trace may quote it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

LOGGER = logging.getLogger("xmadapter")
# The form parser warns of each form that breaks; its sender is told, and nobody else need be.
LEVELS = {
    "xmadapter": logging.INFO,
    "uvicorn": logging.WARNING,
    "python_multipart": logging.ERROR,
}

MASK = "***"
_SECRET = r"authorization|cookie|password|passwd|secret|token|api[-_]?key"
_SECRET_NAME = re.compile(rf"(?:.*[-_])?(?:{_SECRET}|key)", re.IGNORECASE)
_API_KEY = re.compile(r"xma_[\w.~-]+", re.ASCII)
# `name=value`, `"name": "value"`, `Name: Scheme value`. A lone "key" is a word of many messages.
_NAMED = re.compile(
    rf"""(?P<name>(?:{_SECRET})["']?\s?[=:]|\bkey=)"""
    r"""\s?["']?(?:(?:bearer|basic|digest)\s)?[^\s"'&,;]+""",
    re.IGNORECASE | re.ASCII,
)


def _suspect(text: str) -> bool:
    """Whether there is anything to look for; few texts have it, and each line is asked."""
    low = text.lower()
    named = "key" in low or "token" in low or "secret" in low or "passw" in low
    return named or "xma_" in low or "cookie" in low or "authorization" in low


def masked(value: object) -> object:
    """`value` without the secrets in it."""
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, Mapping):
        return {name: _masked_field(str(name), part) for name, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [masked(part) for part in value]
    text = str(value)
    if not _suspect(text):
        return text
    return _NAMED.sub(rf"\g<name>{MASK}", _API_KEY.sub(f"xma_{MASK}", text))


def configure(
    form: Literal["text", "json"], stream: TextIO | None = None, **always: object
) -> None:
    """Write the service's log, and the server's warnings, to `stream` (standard error).

    Args:
        form: of the lines.
        stream: where they go.
        always: fields of every line of this process.
    """
    handler = Lines(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(always) if form == "json" else TextFormatter(always))
    for name, level in LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines to a stream: those of one turn of an event loop by one call, after it.

    A line of trouble, or from a thread without an event loop, is written at once, after those that
    wait.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line, now or soon."""
        try:
            self._waiting.append(f"{self.format(record)}\n")
            loop = _running_loop() if record.levelno <= logging.INFO else None
            if loop is None:
                self.flush()
            elif loop is not self._loop:
                self._loop = loop
                loop.call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write the lines that wait."""
        self.acquire()
        try:
            self._loop = None
            if self._waiting:
                lines, self._waiting = self._waiting, []
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def event(message: str, **fields: Any) -> None:
    """Log one event with its facts."""
    if LOGGER.isEnabledFor(logging.INFO):
        # Made here: the logger would look through the stack for a line of source that none shows.
        record = logging.LogRecord(LOGGER.name, logging.INFO, "", 0, message, (), None)
        record.fields = fields
        LOGGER.handle(record)


def trouble(message: str, **fields: Any) -> None:
    """Log what went wrong, with its facts, where a trace would tell nobody anything."""
    LOGGER.error(message, extra={"fields": fields})


def failure(message: str, error: BaseException, **fields: Any) -> None:
    """Log an unexpected error with its trace and its facts."""
    LOGGER.error(message, exc_info=error, extra={"fields": fields})


def _masked_field(name: str, value: object) -> object:
    return MASK if value is not None and _secret(name) else masked(value)


@lru_cache(1_000)
def _secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None


def _message(record: logging.LogRecord) -> str:
    return str(masked(record.getMessage()))


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    return str(masked(formatter.formatException(record.exc_info))) if record.exc_info else None


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Formatter(logging.Formatter):
    def __init__(self, always: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._always = dict(always or {})

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields: Mapping[str, object] = getattr(record, "fields", {})
        masked = {name: _masked_field(name, value) for name, value in fields.items()}
        return {**masked, **self._always}


class TextFormatter(_Formatter):
    """time level message key=value ..."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace below it where there is one."""
        facts = "".join(f" {name}={_plain(value)}" for name, value in self._fields(record).items())
        line = f"{_time(record)} {record.levelname.lower()} {_message(record)}{facts}"
        trace = _trace(self, record)
        return line if trace is None else f"{line}\n{trace}"


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a trace is the member `trace`."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": _message(record),
            **self._fields(record),
        }
        trace = _trace(self, record)
        if trace is not None:
            line["trace"] = trace
        return json.dumps(line, default=str)


def _plain(value: object) -> str:
    """A value that cannot break the line, whatever a caller put into it."""
    text = str(value)
    return text if text.isprintable() and " " not in text and text else json.dumps(text)
