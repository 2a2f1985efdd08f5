"""What is wrong with an image, and the largest that is taken.

Errors: `ImageError`, and below it `EmptyImage`, `UnsupportedImage`, `ImageTooLarge` and
`UndecodableImage`.
"""

from __future__ import annotations

from dataclasses import dataclass

# As in JPEG, whose format ends there: Pillow takes 8 bytes more for each row.
MAX_EDGE = 65_535


class ImageError(ValueError):
    """These bytes give no image. Each kind is a class below."""


class EmptyImage(ImageError):  # noqa: N818
    """No bytes at all."""


class UnsupportedImage(ImageError):  # noqa: N818
    """By their content, not JPEG, PNG or WebP."""


class ImageTooLarge(ImageError):  # noqa: N818
    """Too many bytes, or too many pixels or parts by the header; nothing was decoded."""


class UndecodableImage(ImageError):  # noqa: N818
    """Truncated or corrupt."""


@dataclass(frozen=True)
class ImageLimits:
    """The largest image that is taken, in bytes as sent and in pixels as decoded."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000

    def check_bytes(self, count: int) -> None:
        """Raises ImageTooLarge: more than `max_bytes`."""
        if count > self.max_bytes:
            raise ImageTooLarge(
                f"expected at most {self.max_bytes} bytes, got {count}: send a smaller image"
            )

    def check_size(self, width: int, height: int) -> None:
        """Raises ImageTooLarge: more than `max_pixels`, or a longer edge than `MAX_EDGE`."""
        if width * height > self.max_pixels:
            raise ImageTooLarge(
                f"expected at most {self.max_pixels} pixels, got {width} x {height}: "
                "send a smaller image"
            )
        if max(width, height) > MAX_EDGE:
            raise ImageTooLarge(
                f"expected edges of at most {MAX_EDGE} pixels, got {width} x {height}: "
                "send a smaller image"
            )
