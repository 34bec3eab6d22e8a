"""Whether a new environment can segment: it is tried before it is used."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CancelledError, SegmentationError, SetupError
from ..jobs import EngineProcess, Event, JobContext, Log, Request, run_message, workspace
from .engine import EngineEnvironment
from .observer import Observer, observed_run
from .paths import import_folder

_MODULE = "TotalSegmentatorLib.engines.self_test"
_HEADER_BYTES = 352  # of an uncompressed NIfTI file


def self_test(
    python: Path, observer: Observer, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Try an environment, and return the versions of Python and the main packages in it.

    Its packages are imported, PyTorch computes on the device that runs will use, and the worker
    segments a small made image with the demo model.

    :param python: the environment's interpreter.
    :raises SetupError: ``environment.check_failed``.
    :raises CancelledError: if the observer says so.
    """
    engine = EngineEnvironment(python, variables)
    with workspace() as folder:
        image = folder / "image.nii"
        command = engine.command(module=_MODULE)
        status, lines = observed_run(
            [*command.arguments, image], observer, import_folder(), command.variables
        )
        versions = last_json(lines)
        if status or not isinstance(versions, dict):
            raise _failed("\n".join(lines[-40:]))
        _segment(engine, image, folder, observer)
    return versions


def _segment(engine: EngineEnvironment, image: Path, folder: Path, observer: Observer) -> None:
    def log(event: Event) -> None:
        if isinstance(event, Log):
            observer.on_line(event.text)

    labels = folder / "labels.nii"
    context = JobContext(log)
    context.cancelled = _Cancelled(observer)
    process = EngineProcess(engine.command(), import_folder())
    try:
        request = Request(task="demo", engine="nnunet")
        process.run(run_message(request, image, labels, folder), context)
    except CancelledError:
        observer.check()
        raise
    except SegmentationError as error:
        raise _failed(f"{error}\n{error.details}") from error
    finally:
        process.end()
    # As bytes: NumPy need not be there. All that follows the header is voxels.
    if not labels.is_file() or not any(labels.read_bytes()[_HEADER_BYTES:]):
        raise _failed("the demo segmentation found nothing")


class _Cancelled(threading.Event):
    """Set as soon as an observer wants the end."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer

    def is_set(self) -> bool:
        return self._observer.cancelled()


def last_json(lines: Sequence[str]) -> Any:
    """The value of the last line that is JSON: libraries may print after it; None if none is."""
    for line in reversed(lines):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return None


def _failed(details: str) -> SetupError:
    return SetupError(
        "environment.check_failed",
        "The new environment does not work, so it is not used.",
        "Try again; if it fails again, report it with the log.",
        details,
    )
