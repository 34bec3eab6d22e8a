"""Errors that people can act on.

Every failure that a user may see is a :class:`SegmentationError`: a stable code for programs, one
sentence for people, a remedy, and details for the log. Faces choose how to show it; none of them
shows a traceback as the message. This module is the floor of the house and imports nothing of it.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

EXIT_INPUT, EXIT_PARTIAL, EXIT_ENVIRONMENT, EXIT_INTERNAL, EXIT_CANCELLED = 2, 3, 4, 5, 130


class SegmentationError(Exception):
    """Base of all errors with a code.

    :param code: stable, dotted, e.g. ``input.not_3d``; the part before the dot is the family.
    :param message: one sentence: what is wrong and where.
    :param remedy: one sentence: what to do about it; empty if nothing can be done.
    :param details: text for the log (console output, an inner error), never shown as the message.
    """

    exit_code = EXIT_INTERNAL
    #: The one-click actions (:class:`.remedies.Remedy`) for this very error, the best one first;
    #: None where its code tells them, see :func:`.remedies.remedies`.
    remedies: tuple[Any, ...] | None = None

    def __init__(self, code: str, message: str, remedy: str = "", details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles only what it was initialised with, which is the message alone.
        return type(self), (self.code, self.message, self.remedy, self.details)

    def to_dict(self) -> dict[str, str]:
        """The error as it crosses the process boundary and stands in reports."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "details": self.details,
        }


class InputError(SegmentationError):
    """The image, the task, an option or the output is at fault (``input.*``, ``output.*``)."""

    exit_code = EXIT_INPUT


class SetupError(SegmentationError):
    """The computer is at fault: packages, weights, licence, GPU, disk."""

    exit_code = EXIT_ENVIRONMENT


class EngineError(SegmentationError):
    """The engine failed or its process ended (``engine.*``)."""

    exit_code = EXIT_INTERNAL


class CancelledError(SegmentationError):
    """The user stopped the run; nothing was changed."""

    exit_code = EXIT_CANCELLED

    def __init__(
        self,
        code: str = "cancelled",
        message: str = "The segmentation was cancelled.",
        remedy: str = "",
        details: str = "",
    ) -> None:
        super().__init__(code, message, remedy, details)


def internal_error(error: BaseException) -> EngineError:
    """The error for people that stands for an exception nobody expected."""
    return EngineError(
        "engine.internal",
        f"An internal error occurred ({type(error).__name__}: {error}).",
        "Please report it with the log.",
        "".join(traceback.format_exception(error)),
    )


_FAMILIES: Mapping[str, type[SegmentationError]] = {
    "input": InputError,
    "output": InputError,
    "environment": SetupError,
    "bundle": SetupError,
    "weights": SetupError,
    "licence": SetupError,
    "gpu": SetupError,
    "memory": SetupError,
    "disk": SetupError,
    "network": SetupError,
    "cancelled": CancelledError,
}


def from_dict(values: Mapping[str, Any]) -> SegmentationError:
    """Rebuild an error that crossed the process boundary; the class follows from the code."""
    code = str(values.get("code", "engine.failed"))
    cls = _FAMILIES.get(code.split(".")[0], EngineError)
    return cls(
        code,
        str(values.get("message", "The engine failed.")),
        str(values.get("remedy", "")),
        str(values.get("details", "")),
    )
