"""Plain JPEGs to pictures: 8 bits, grey or three colours, baseline or progressive.

By libjpeg-turbo's own interface, which needs a fifth less time than Pillow's and can decode
at a smaller scale. What it does not take without a warning is left to Pillow, whose word on
damaged files stands.
"""

from __future__ import annotations

import simplejpeg

from adapter.image_errors import ImageLimits
from adapter.orientation import UPRIGHT
from adapter.picture import Picture

SCALES = (8, 4, 2)
_PLAIN = ("YCbCr", "RGB", "Gray")


def decode_jpeg(
    data: bytes, orientation: int, limits: ImageLimits, short_edge: int | None = None
) -> Picture | None:
    """The upright picture; None where Pillow is to see to it.

    Lets go of the interpreter while it works.

    Args:
        data: whose parts `adapter.segments` has counted.
        orientation: EXIF's.
        limits: checked by the header.
        short_edge: decode at the smallest scale at which the picture's short edge has this
            many pixels still; None for the full scale.

    Raises:
        ImageTooLarge: by the header.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    limits.check_size(width, height)
    if colours not in _PLAIN:
        return None
    scale = _scale(height, width, orientation, short_edge)
    try:
        rows = simplejpeg.decode_jpeg(
            data,
            min_height=-(-height // scale),
            min_width=-(-width // scale),
            min_factor=scale,
            strict=True,
        )
    except ValueError:
        return None
    if scale == 1:
        return Picture.of_rows(rows, orientation)
    return Picture.of_scaled_rows(rows, (height, width), scale, orientation)


def _scale(height: int, width: int, orientation: int, short_edge: int | None) -> int:
    if short_edge is None:
        return 1
    for scale in SCALES:
        # A row or column that stands for less than others may not come first.
        whole = height % scale == 0 and width % scale == 0
        if min(height, width) >= scale * short_edge and (whole or orientation == UPRIGHT):
            return scale
    return 1
