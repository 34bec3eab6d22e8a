"""Finding nnU-Net's trainer classes without importing all of them.

nnU-Net imports every trainer module until one has the class. Some of them import timm and with it
torchvision, whose PyPI build fails to import beside a CPU build of torch.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import nnunetv2

from ..errors import InputError


def find_trainer(name: str) -> type:
    """The trainer class of this name, from the one module that defines it.

    :raises InputError: ``input.unsupported_model`` if nnU-Net has none.
    """
    root = Path(nnunetv2.__file__).parent
    definition = re.compile(rf"^class {re.escape(name)}\b", re.MULTILINE)
    for path in sorted((root / "training" / "nnUNetTrainer").rglob("*.py")):
        if definition.search(path.read_text("utf-8")):
            module = ".".join(("nnunetv2", *path.relative_to(root).with_suffix("").parts))
            return getattr(importlib.import_module(module), name)
    raise InputError(
        "input.unsupported_model",
        f"The model was trained with {name}, which this nnU-Net does not know.",
        "Use a model of a stock nnU-Net v2 trainer.",
    )
