"""What a service says that its cache holds, and whether it answers with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.torture.history import Held, State
from service.client import Client, ClientError

EXPLAIN = 5


@dataclass(frozen=True)
class Observed:
    """A cache, as its service lists it.

    Attributes:
        version: of it.
        state: of it.
        doubled: how many shots too many have the image, or the id, of another.
    """

    version: int
    state: State
    doubled: int


def observe(client: Client) -> Observed:
    """All that a service lists, while nobody changes it. Raises ClientError."""
    version = client.cache().version
    shots = list(client.shots())
    doubled = sum(
        count - 1
        for names in ([shot.sha256 for shot in shots], [shot.shot_id for shot in shots])
        for count in Counter(names).values()
    )
    state = State(
        {shot.sha256: Held(shot.label, shot.caption, shot.shot_id) for shot in shots},
        {
            each.label: None if each.prompts is None else tuple(each.prompts)
            for each in client.classes()
        },
    )
    return Observed(version, state, doubled)


def unserved(client: Client, state: State, pictures: Sequence[tuple[str, bytes]]) -> list[str]:
    """What a service does not answer with although its cache holds it; nothing, if all is well.

    Args:
        client: of it.
        state: of its cache.
        pictures: checksum and bytes of some that are taught.
    """
    found = []
    if (status := client.ready().status) != "ok":
        found.append(f"expected it to be ready, got {status}: {client.adapter().error}")
    for image, data in pictures:
        held = state.shots[image]
        assert held.shot_id is not None
        try:
            client.thumbnail(held.shot_id)
            answer = client.classify(data, explain=EXPLAIN)
        except ClientError as error:
            found.append(f"shot {held.shot_id}: {error}")
            continue
        shown = [(each.shot_id, each.label) for each in answer.neighbors]
        if (held.shot_id, held.label) not in shown:
            found.append(f"expected shot {held.shot_id} ({held.label}) in an answer, got {shown}")
    return found
