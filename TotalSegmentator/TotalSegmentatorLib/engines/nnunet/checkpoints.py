"""Loading checkpoints without running code that they may hold."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import InputError

# nnU-Net stores its losses as NumPy scalars beside the weights.
_HARMLESS = (
    np.dtype,
    np.ndarray,
    np._core.multiarray.scalar,
    np._core.multiarray._reconstruct,
    *{type(np.dtype(code)) for code in "?bhilqBHILQefd"},
)


def load_checkpoint(path: Path, trusted: bool = False) -> dict[str, Any]:
    """The content of an nnU-Net checkpoint, on the CPU.

    Only what is used of it is read from the disk: a checkpoint also holds what training needs.

    :param trusted: allow any Python object, that is, any code.
    :raises InputError: ``input.untrusted_model`` if the file holds more than plain data,
        ``input.bad_model`` if it is damaged.
    """
    try:
        with torch.serialization.safe_globals(list(_HARMLESS)):
            return torch.load(
                path, map_location="cpu", weights_only=not trusted, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        raise InputError(
            "input.untrusted_model",
            f"The checkpoint {path.parent.name}/{path.name} holds more than plain weights.",
            "If you made it yourself, allow it with the option trust_model.",
            str(error),
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise InputError(
            "input.bad_model",
            f"The checkpoint {path.parent.name}/{path.name} is damaged.",
            "Get the model again.",
            str(error),
        ) from error
