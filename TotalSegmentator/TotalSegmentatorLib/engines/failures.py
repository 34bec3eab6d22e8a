"""What an exception in the engine process means for the user."""

from __future__ import annotations

import errno
import traceback

from ..errors import CancelledError, EngineError, SegmentationError, SetupError
from ..jobs.shortage import MAIN, shortage_error, shortage_in

# What nnU-Net says when a process that it has started is gone.
_GONE = ("background workers died", "background worker is 6 feet under")


def classify(error: BaseException) -> SegmentationError:
    """The error with a code that stands for ``error``; its traceback goes into the details."""
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    for known in _chain(error):
        found = _known(known, details)
        if found:
            return found
    if any(words in str(error).lower() for words in _GONE):
        message = "A process of the engine ended, most likely because memory ran out."
        return shortage_error(MAIN, message, details)
    what = "it ended itself" if isinstance(error, SystemExit) else _first_line(error)
    return EngineError(
        "engine.failed",
        f"The engine failed: {what}.",
        "See the log for details.",
        details,
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and what led to it: packages often wrap the telling exception in a vague one."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _known(error: BaseException, details: str) -> SegmentationError | None:
    if isinstance(error, SegmentationError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return CancelledError(details=details)
    short = shortage_in(f"{type(error).__name__}: {error}")
    if short or isinstance(error, MemoryError):
        return shortage_error(short or MAIN, details=details)
    if isinstance(error, ModuleNotFoundError):
        return SetupError(
            "environment.package_missing",
            f"The engine's Python lacks the package {error.name}.",
            "Run the setup again.",
            details,
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return SetupError("disk.full", "The disk is full.", "Free some space.", details)
    if type(error).__module__.startswith(("requests", "urllib3")):
        return SetupError(
            "weights.download_failed",
            "The weights could not be downloaded.",
            "Check the internet connection and the proxy, then try again.",
            details,
        )
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
