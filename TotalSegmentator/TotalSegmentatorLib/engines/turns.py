"""Programs that take turns at a GPU: two networks at once rarely fit into its memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..jobs.workspace import try_lock
from .contract import Reporter

if TYPE_CHECKING:
    import torch

_LOOK_S = 0.2


@contextmanager
def turn(device: torch.device, report: Reporter) -> Iterator[None]:
    """Wait until no other program of this user's computes on the device; the CPU is for all.

    The turn ends with the block, and with the process whatever ends it. In the block nobody may
    wait for a turn again: it would be for ever.

    :param report: is told of the waiting, which is not part of a timed stage if this is entered
        before it.
    :raises CancelledError: if the run was cancelled in the meantime.
    """
    if device.type == "cpu":
        yield
        return
    with ExitStack() as stack:
        # Where no file can be made, runs at once are better than none.
        with suppress(OSError, RuntimeError):
            path = _lock_file(device)
            path.parent.mkdir(parents=True, exist_ok=True)
            _wait(stack.enter_context(path.open("ab")), report)
        yield


def _wait(file: IO[bytes], report: Reporter) -> None:
    if try_lock(file):
        return
    report.stage("Waiting for the GPU: another program is using it")
    while not try_lock(file):
        report.check()
        time.sleep(_LOOK_S)


def _lock_file(device: torch.device) -> Path:
    """A file that all programs of this user name alike, wherever their temporary files are.

    Nobody else can make it first, or hold it.

    :raises RuntimeError: if there is no home folder.
    """
    return Path.home() / ".cache" / "TotalSegmentator" / f"{_number(device)}.lock"


def _number(device: torch.device) -> str:
    """The same for one GPU in all programs, each of which may count those that it sees only."""
    if device.type != "cuda":
        return device.type
    import torch

    return str(torch.cuda.get_device_properties(device).uuid)
