"""Groups run one after the other, each in a process of its own that can be stopped.

So that no group inherits another's threads or memory, and none outstays its time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.performance.group import Group, Setting
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

OVERTIME = 2.0
"""A group is stopped when it has taken this many times what it was meant to take."""

PARTING_SECONDS = 30.0
"""For a group that is stopped, to end the servers that it started."""


LONGEST_REASON = 300
"""Characters of an error's end, which may be the whole log of a server."""


@dataclass(frozen=True)
class _Failure:
    reason: str


def run(group: Group, setting: Setting, limit: float, show: Callable[[Found], None]) -> list[Found]:
    """Measure a group; its rows are complete, whatever happens in it.

    Args:
        group: to measure.
        setting: with what; `folder` is replaced by one of the group's own.
        limit: seconds after which it is stopped.
        show: told everything that is found, at once.

    Returns:
        What was found; rows that were not say why in their note.
    """
    found: list[Found] = []
    missing = {row.name: row for row in group.rows}
    reason = "it was not handed over"
    for each in _found(group, setting, limit):
        if isinstance(each, _Failure):
            reason = each.reason
            continue
        if isinstance(each, Row):
            del missing[each.name]
        found.append(each)
        show(each)
    for row in missing.values():
        found.append(row.not_run(reason))
        show(found[-1])
    return found


def _found(group: Group, setting: Setting, limit: float) -> Iterator[Found | _Failure]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix=f"xmadapter-{group.name}-") as folder:
        own = replace(setting, folder=Path(folder))
        process = context.Process(target=_measure, args=(group, own, sender), name=group.name)
        process.start()
        # The child's end alone keeps the pipe open: when it dies, there is nothing more to come.
        sender.close()
        try:
            yield from _received(receiver, time.monotonic() + limit, limit)
        finally:
            _stop(process)


def _received(receiver: Connection, deadline: float, limit: float) -> Iterator[Found | _Failure]:
    while receiver.poll(max(0.0, deadline - time.monotonic())):
        try:
            yield receiver.recv()
        except EOFError:
            return
    yield _Failure(f"the {limit:.0f} s for its group were over")


def _measure(group: Group, setting: Setting, sender: Connection) -> None:
    """Runs in the group's own process."""
    # A session of its own, so that its servers can be ended with it.
    os.setsid()
    try:
        _send(sender, group.measure(setting))
    except BrokenPipeError:
        # Whoever asked is gone: there is nobody to tell.
        os._exit(1)
    except Exception as error:
        said = " ".join(str(error).split())
        sender.send(_Failure(f"{type(error).__name__}: {said[-LONGEST_REASON:]}"))
        raise
    sender.close()
    # Without what libraries print as they end: Triton's bindings, a page of what they leaked.
    os._exit(0)


def _send(sender: Connection, found: Iterable[Found]) -> None:
    for each in found:
        sender.send(each)


def _stop(process: BaseProcess) -> None:
    """End a group's process, and whatever it left behind."""
    process.join(1)
    if process.is_alive():
        _signal(process, signal.SIGINT)
        process.join(PARTING_SECONDS)
    _signal(process, signal.SIGKILL)
    process.kill()
    process.join()


def _signal(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
