"""Errors that several readers raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InputError, SetupError

_AGAIN = "Copy, download or export it again."


@contextmanager
def file_errors(name: str) -> Iterator[None]:
    """What the file system says, also in the middle of a file on a network drive.

    :raises InputError: ``input.not_found``, ``input.not_readable``.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            "input.not_found", f"{name} does not exist.", "Check the path.", str(error)
        ) from error
    except OSError as error:
        raise InputError(
            "input.not_readable",
            f"{name} cannot be read: {error.strerror or 'the file system failed'}.",
            "Check that you may read it and that its drive is connected.",
            str(error),
        ) from error


def truncated(name: str, details: str = "") -> InputError:
    """A file that ends before its voxels do."""
    message = f"{name} is incomplete: it ends before all of its voxels."
    return InputError("input.truncated", message, _AGAIN, details)


def damaged(name: str, details: str = "") -> InputError:
    """A file whose content fails its own checks."""
    return InputError("input.damaged", f"{name} is damaged and cannot be read.", _AGAIN, details)


def too_large(name: str, details: str = "") -> SetupError:
    """An image for which there is no memory."""
    return SetupError(
        "memory.image_too_large",
        f"{name} does not fit into this computer's memory.",
        "Crop the image or use a computer with more memory.",
        details,
    )
