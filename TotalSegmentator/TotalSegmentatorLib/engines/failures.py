"""What an exception in the engine process means for the user."""

from __future__ import annotations

import errno
import traceback

from ..errors import CancelledError, EngineError, SegmentationError, SetupError
from ..jobs.shortage import MAIN, shortage_error, shortage_in

# Windows: no memory, or no more of it to be had for the paging file.
_WINDOWS_SHORTAGES = (8, 14, 1455)


def classify(error: BaseException) -> SegmentationError:
    """The error with a code that stands for ``error``; its traceback goes into the details."""
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    for known in _chain(error):
        found = _known(known, details)
        if found:
            return found
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
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return found


def _known(error: BaseException, details: str) -> SegmentationError | None:
    if isinstance(error, SegmentationError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return CancelledError(details=details)
    short = _shortage(error)
    if short:
        return shortage_error(short, details=details)
    if isinstance(error, ModuleNotFoundError):
        return SetupError(
            "environment.package_missing",
            f"The engine's Python lacks the package {error.name}.",
            "Run the setup again.",
            details,
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError("disk.full", "The disk is full.", "Free some space.", details)
    if type(error).__module__.startswith(("requests", "urllib3")):
        return SetupError(
            "weights.download_failed",
            "The weights could not be downloaded.",
            "Check the internet connection and the proxy, then try again.",
            details,
        )
    return None


def _shortage(error: BaseException) -> str:
    """The code of a lack of memory; empty if it is none. Other errors may name a path or a value
    that reads like one."""
    if isinstance(error, OSError):
        windows = getattr(error, "winerror", None) in _WINDOWS_SHORTAGES
        return MAIN if windows or error.errno == errno.ENOMEM else ""
    if isinstance(error, MemoryError):
        return MAIN
    if isinstance(error, (RuntimeError, ImportError)):  # a library of PyTorch may not fit
        return shortage_in(f"{type(error).__name__}: {error}")
    return ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
