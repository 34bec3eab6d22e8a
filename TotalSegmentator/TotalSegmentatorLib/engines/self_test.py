"""Whether a new engine environment works, as far as one process can tell.

Started as ``python -m TotalSegmentatorLib.engines.self_test IMAGE``. It imports what runs need,
lets PyTorch compute a small convolution on the device that runs will use, and writes a small made
image for the run that follows. The versions are printed as one JSON line.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from pathlib import Path

import nibabel
import numpy as np
import torch

from .devices import choose_device

# What runs import.
_MODULES = (
    "SimpleITK",
    "cc3d",
    "highdicom",
    "monai.networks.nets",
    "nnunetv2.inference.predict_from_raw_data",
    "totalsegmentator.python_api",
)
_PACKAGES = ("torch", "nnunetv2", "TotalSegmentator", "nibabel", "numpy", "scipy")


def import_all() -> None:
    """Import what runs do.

    :raises ImportError: something is missing or damaged.
    """
    for name in _MODULES:
        importlib.import_module(name)
    if importlib.util.find_spec("openvino"):  # not for every processor
        importlib.import_module(".nnunet.openvino_network", __package__)


def convolve(device: torch.device) -> None:
    """Let PyTorch compute on a device.

    :raises RuntimeError: it cannot, or the result is wrong.
    """
    image = torch.ones(1, 1, 8, 8, 8, device=device)
    layer = torch.ones(1, 1, 3, 3, 3, device=device)
    found = torch.nn.functional.conv3d(image, layer)
    if not torch.allclose(found.cpu(), torch.full((1, 1, 6, 6, 6), 27.0)):
        raise RuntimeError(f"wrong result of a convolution on {device}")


def write_image(path: Path) -> None:
    """Write a made CT: an ellipsoid of soft tissue in air, 40 x 40 x 40 voxels of 3 mm, HU."""
    places = np.indices((40, 40, 40)) - 19.5
    inside = (places[0] / 16) ** 2 + (places[1] / 12) ** 2 + (places[2] / 18) ** 2 < 1
    values = np.where(inside, 40, -1000).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag((3.0, 3.0, 3.0, 1.0))), path)


def main() -> None:
    import_all()
    convolve(choose_device("auto"))
    write_image(Path(sys.argv[1]))
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    print(json.dumps({"python": platform.python_version(), **versions}))


if __name__ == "__main__":
    main()
