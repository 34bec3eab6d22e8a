"""Entry point: what happens to errors and to signals, from the first moment on."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import TYPE_CHECKING

from ..errors import EXIT_INTERNAL, CancelledError, SegmentationError

if TYPE_CHECKING:
    from .console import Say


def _interrupt(number: int, frame: object) -> None:
    raise CancelledError()


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        from .app import app  # here, as it takes half a second, in which one may interrupt it

        app()
    except SegmentationError as error:
        _say().error(error)
        sys.exit(error.exit_code)
    except Exception as error:
        _say().line(f"error: an internal error occurred ({type(error).__name__}: {error}).")
        _say().detail(traceback.format_exc())
        sys.exit(EXIT_INTERNAL)


def _say() -> Say:
    from .console import say

    return say


if __name__ == "__main__":
    main()
