"""MONAI without what it brings along.

``import monai`` imports all of MONAI, and whatever it finds of the packages that some of it could
use. Nothing here uses those; without them a run starts 3 s earlier and takes 0.18 GB less.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_UNUSED = (
    "h5py",
    "huggingface_hub",
    "matplotlib",
    "mpl_toolkits",
    "pandas",
    "PIL",
    "pydicom",
    "scipy.signal",
    "scipy.stats",
    "skimage",
    "sklearn",
    "tensorboard",
    "torchvision",
)


@contextmanager
def lean_import() -> Iterator[None]:
    """In the block the packages that MONAI can do without seem not to be there."""
    hidden = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
