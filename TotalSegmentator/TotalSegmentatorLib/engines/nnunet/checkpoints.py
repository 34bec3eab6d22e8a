"""Loading checkpoints without running code that they may hold."""

from __future__ import annotations

import pickle
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import InputError

# nnU-Net stores its losses as NumPy scalars beside the weights.
_SCALAR, _ARRAY = np._core.multiarray.scalar, np._core.multiarray._reconstruct
_HARMLESS = (
    np.dtype,
    np.ndarray,
    _SCALAR,
    _ARRAY,
    # Their names before NumPy 2.
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_ARRAY, "numpy.core.multiarray._reconstruct"),
    *{type(np.dtype(code)) for code in "?bhilqBHILQefd"},
)
_NEEDED = {"network_weights", "trainer_name", "init_args"}


def load_checkpoint(
    path: Path, trusted: bool = False, content: bytes | None = None
) -> dict[str, Any]:
    """The content of an nnU-Net checkpoint, on the CPU.

    Only what is used of it is read from the disk: a checkpoint also holds what training needs.

    :param trusted: allow any Python object, that is, any code.
    :param content: what the file held when it was checked, which is loaded then.
    :raises InputError: ``input.untrusted_model`` if the file holds more than plain data,
        ``input.bad_model`` if it is damaged or something else.
    """
    try:
        loaded = _load(path if content is None else BytesIO(content), trusted)
    except MemoryError:
        raise
    except Exception as error:  # what is no pickle makes an unpickler raise anything
        # PyTorch names the class or function that it refuses.
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL " in str(error):
            raise InputError(
                "input.untrusted_model",
                f"The checkpoint {path.parent.name}/{path.name} holds more than plain weights.",
                "If you made it yourself, allow it with the option trust_model.",
                str(error),
            ) from error
        raise _bad(path, "is damaged", repr(error)) from error
    if not isinstance(loaded, dict) or not loaded.keys() >= _NEEDED:
        raise _bad(path, "is not one of nnU-Net")
    return loaded


def _load(source: Path | BytesIO, trusted: bool) -> Any:
    mapped = isinstance(source, Path) and zipfile.is_zipfile(source)
    with torch.serialization.safe_globals(list(_HARMLESS)):
        return torch.serialization.load(
            source, map_location="cpu", weights_only=not trusted, mmap=mapped
        )


def _bad(path: Path, what: str, details: str = "") -> InputError:
    return InputError(
        "input.bad_model",
        f"The checkpoint {path.parent.name}/{path.name} {what}.",
        "Get the model again.",
        details,
    )
