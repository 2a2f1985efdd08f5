"""What schemathesis sends as images: valid ones, and mutations of them."""

from __future__ import annotations

import base64

import schemathesis
from hypothesis import strategies as st

from benchmarks.torture.mutation import mutated
from benchmarks.torture.seeds import seeds

LARGEST = 4_096
MUTATIONS = 200

_SMALL = [data for data in seeds() if len(data) <= LARGEST]
_DAMAGED = [mutated(_SMALL, number) for number in range(MUTATIONS)]

IMAGES = st.sampled_from(_SMALL) | st.sampled_from(_DAMAGED)

for kind in ("image/jpeg", "image/png", "image/webp"):
    schemathesis.openapi.media_type(kind, IMAGES)
schemathesis.openapi.format("byte", IMAGES.map(lambda data: base64.b64encode(data).decode()))
