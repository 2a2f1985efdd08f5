"""multipart/form-data, read as it streams: each part has its limit, and nothing goes to disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import (
    MultipartParser,
    MultipartState,
    parse_options_header,
)

from service.errors import Problem, shown

TEXT_LIMIT = 64 * 2**10
PIECE = 2**14
# One part too many has a message of its own, and a file may hold what looks like a boundary.
SPARE = 16


@dataclass
class Part:
    """One part of a form.

    Attributes:
        name: of the form field.
        data: its bytes, as far as they were kept.
        size: how many came; more than `len(data)` where the part is over its limit.
    """

    name: str
    data: bytearray = field(default_factory=bytearray)
    size: int = 0

    @property
    def oversized(self) -> bool:
        """Whether it came with more bytes than were kept."""
        return self.size > len(self.data)

    def text(self) -> str:
        """The part as text.

        Raises:
            Problem: malformed; too long for a field of text, or not UTF-8.
        """
        if self.oversized:
            raise Problem(
                "malformed",
                f"form field {self.name}: expected at most {TEXT_LIMIT} bytes of text, "
                f"got {self.size}",
            )
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Problem(
                "malformed", f"form field {self.name}: expected UTF-8 text, got {error}"
            ) from error


class Form:
    """A form being read: feed it with `write`, end it with `finish`.

    Args:
        content_type: the request's header, with the boundary.
        limits: the fields that are taken, with the most parts of each.
        image_bytes: the most bytes kept of an `image` part; of others `TEXT_LIMIT`.

    Raises:
        Problem: malformed, or invalid for a field that is not taken or comes too often.
    """

    def __init__(self, content_type: str, limits: Mapping[str, int], image_bytes: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise Problem(
                "malformed",
                "expected multipart/form-data with a boundary, got "
                f"{shown(content_type)}: let your HTTP library set this header",
            )
        self.parts: list[Part] = []
        self._limits = limits
        self._image_bytes = image_bytes
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._ended = False
        # What stands before each part but the first, and at the end, and nowhere else.
        self._delimiter = b"\r\n--" + boundary
        self._delimiters = 0
        self._tail = b""
        self._padded = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header.extend(
                        data[start:end]
                    ),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": self._keep,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(error) from error

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._count(chunk)
        for start in range(0, len(chunk), PIECE):
            try:
                self._parser.write(chunk[start : start + PIECE])
            except FormParserError as error:
                raise _malformed(error) from error
            padded = self._parser.state is MultipartState.BOUNDARY_PADDING
            if padded and self._padded:
                raise Problem("malformed", "expected a form, got a boundary with endless blanks")
            self._padded = padded

    def finish(self) -> list[Part]:
        """All parts, in their order."""
        if not self._ended:
            raise Problem(
                "malformed", "expected a closing boundary, got the end of the form: it is cut off"
            )
        return self.parts

    def _count(self, chunk: bytes) -> None:
        """Refuse more boundaries than parts may come.

        The parser takes a thousand times as long over what looks like a boundary as over data.
        """
        data = self._tail + chunk
        self._delimiters += data.count(self._delimiter)
        self._tail = data[max(len(data) - len(self._delimiter) + 1, 0) :]
        most = sum(self._limits.values())
        if self._delimiters > most + SPARE:
            raise Problem("invalid", f"expected a form of at most {most} parts, got more")

    def _begin(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if bytes(self._header).strip().lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open_part(self) -> None:
        raw = parse_options_header(self._disposition)[1].get(b"name", b"")
        name = raw.decode("utf-8", errors="replace")
        expected = ", ".join(self._limits)
        if name not in self._limits:
            raise Problem(
                "invalid", f"form field {shown(name)}: unknown, expected one of {expected}"
            )
        self.parts.append(Part(name))
        count = sum(part.name == name for part in self.parts)
        if count > self._limits[name]:
            raise Problem(
                "invalid",
                f"form field {name}: expected at most {self._limits[name]} of it, got more",
            )

    def _keep(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        limit = self._image_bytes if part.name == "image" else TEXT_LIMIT
        part.size += end - start
        if part.size <= limit:
            part.data += data[start:end]

    def _end(self) -> None:
        self._ended = True


def _malformed(error: FormParserError) -> Problem:
    return Problem("malformed", f"expected multipart/form-data, got a form that breaks: {error}")
