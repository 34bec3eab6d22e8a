"""The weights of MONAI's networks: where they are, and into the network, whole or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..catalog import Model
from ..errors import InputError, SetupError
from ..jobs.checksums import sha256_of

# Where bundles have their checkpoints.
_FOLDERS = ("", "models", "vista3d_pretrained_model")
# What a checkpoint may hold its weights under, as MONAI's handlers and its bundles save them.
_KEYS = ("model", "state_dict", "network")
_PARALLEL = "module."  # before each name, if several GPUs trained the network


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A file with the weights of a network.

    :param name: of the file.
    :param weights: by their names in the network.
    :param sha256: of the file.
    """

    name: str
    weights: Mapping[str, torch.Tensor]
    sha256: str

    def width(self, name: str, default: int) -> int:
        """The first size of a weight, which tells how large the network is.

        :param default: if there is no such weight.
        """
        weight = self.weights.get(name)
        return default if weight is None or not weight.ndim else weight.shape[0]


def weights_file(option: str, model: Model, folder: Path) -> Path:
    """The checkpoint that a run takes.

    :param option: the user's: a checkpoint, or the folder of a bundle; empty for the model that
        was downloaded.
    :param model: the model of the catalogue.
    :param folder: the weights folder.
    :raises SetupError: ``weights.missing``: there is no downloaded one.
    :raises InputError: ``input.bad_model``: the user's is not there.
    """
    if not option:
        path = folder / model.folder / model.checkpoint
        if path.is_file():
            return path
        raise SetupError(
            "weights.missing",
            f"The weights {model.folder} are not on this computer.",
            "Allow the download, or give your own with the option weights.",
        )
    given = Path(option)
    if given.is_file():
        return given
    for place in _FOLDERS:
        if (given / place / model.checkpoint).is_file():
            return given / place / model.checkpoint
    raise InputError(
        "input.bad_model",
        f"'{given.name}' is neither a checkpoint nor a bundle with {model.checkpoint}.",
        f"Give a file, or the folder of a bundle that holds models/{model.checkpoint}.",
    )


def open_checkpoint(path: Path) -> Checkpoint:
    """The weights in a file: plain ones, or under a name; perhaps of a training on several GPUs.

    :raises InputError: ``input.untrusted_model`` if the file holds more than plain data,
        ``input.bad_model`` if it is damaged or holds no weights.
    """
    content = _content(path)
    for key in _KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise _bad(path.name, "holds no weights")
    if not all(isinstance(one, torch.Tensor) for one in content.values()):
        raise _bad(path.name, "holds no weights")
    parallel = all(str(name).startswith(_PARALLEL) for name in content)
    start = len(_PARALLEL) if parallel else 0
    weights = {str(name)[start:]: weight for name, weight in content.items()}
    return Checkpoint(path.name, weights, sha256_of(path))


def fill(module: nn.Module, checkpoint: Checkpoint, title: str) -> None:
    """Put the weights of a checkpoint into a network: all of them, and no others.

    :param module: the network, which may be on the device ``meta``; it is on the CPU afterwards.
    :param title: of the network, for people.
    :raises InputError: ``input.wrong_model`` if they are those of another network,
        ``input.bad_model`` if they are no numbers.
    """
    weights, wanted = checkpoint.weights, module.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    unknown = sorted(weights.keys() - wanted.keys())
    both = sorted(wanted.keys() & weights.keys())
    other = [name for name in both if wanted[name].shape != weights[name].shape]
    if missing or unknown or other:
        raise InputError(
            "input.wrong_model",
            f"'{checkpoint.name}' is not a checkpoint of {title}: {len(missing)} weights are "
            f"missing, {len(unknown)} are unknown, and {len(other)} have another size.",
            "Give the checkpoint that comes with the model.",
            f"missing {missing[:5]}, unknown {unknown[:5]}, of another size {other[:5]}",
        )
    if not all(bool(torch.isfinite(one).all()) for one in weights.values()):
        raise _bad(checkpoint.name, "holds weights that are no numbers")
    # Those of the checkpoint themselves: there is no second copy of all.
    right = {name: one.to(wanted[name].dtype) for name, one in weights.items()}
    module.load_state_dict(right, assign=True)
    module.requires_grad_(False)


def _content(path: Path) -> Any:
    try:
        # Not mapped: a file in use could not be replaced, and its pages would count twice.
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # what is no pickle makes an unpickler raise anything
        # PyTorch names the class or function that it refuses.
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL " in str(error):
            raise InputError(
                "input.untrusted_model",
                f"The checkpoint {path.name} holds more than plain weights.",
                "Save its weights alone, with torch.save(network.state_dict(), ...).",
                str(error),
            ) from error
        raise _bad(path.name, "is damaged, or no checkpoint", repr(error)) from error


def _bad(name: str, what: str, details: str = "") -> InputError:
    return InputError(
        "input.bad_model", f"The checkpoint {name} {what}.", "Get the model again.", details
    )
