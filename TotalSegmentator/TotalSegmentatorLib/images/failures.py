"""Errors that several readers raise."""

from __future__ import annotations

from ..errors import InputError, SetupError

_AGAIN = "Copy, download or export it again."


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
