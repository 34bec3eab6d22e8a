"""An nnU-Net v2 model folder: its plans, its labels and its checkpoints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError

CHECKPOINT = "checkpoint_final.pth"


@dataclass(frozen=True)
class ModelFolder:
    """A folder as nnU-Net's training leaves it.

    :param path: the folder.
    :param plans: ``plans.json``.
    :param dataset: ``dataset.json``.
    :param folds: the trained folds, e.g. ``("0",)``.
    """

    path: Path
    plans: dict[str, Any]
    dataset: dict[str, Any]
    folds: tuple[str, ...]

    @property
    def name(self) -> str:
        """That of the dataset which the model was trained on."""
        return str(self.plans.get("dataset_name", self.path.name))

    @property
    def label_names(self) -> dict[int, str]:
        """Label value -> structure, without the background.

        The regions of a model whose labels overlap have the value that each is painted with.
        """
        labels = {k: v for k, v in self.dataset["labels"].items() if k != "ignore" and v != 0}
        if all(isinstance(value, int) for value in labels.values()):
            return {value: name for name, value in labels.items()}
        return dict(zip(self.dataset["regions_class_order"], labels, strict=True))

    @property
    def card(self) -> dict[str, Any]:
        """``model_card.json``, or nothing: what the maker of the model says of it."""
        path = self.path / "model_card.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def checkpoint(self, fold: str) -> Path:
        """The weights of a fold."""
        return self.path / f"fold_{fold}" / CHECKPOINT


def open_model_folder(path: Path) -> ModelFolder:
    """Read the description of a model; no weights are loaded.

    :raises InputError: ``input.bad_model`` if something is missing or unreadable.
    """
    folds = tuple(sorted(f.parent.name[5:] for f in path.glob(f"fold_*/{CHECKPOINT}")))
    missing = [name for name in ("plans.json", "dataset.json") if not (path / name).is_file()]
    missing += [] if folds else [f"fold_*/{CHECKPOINT}"]
    if missing:
        raise InputError(
            "input.bad_model",
            f"'{path.name}' is not an nnU-Net v2 model folder: {', '.join(missing)} is missing.",
            "Give the folder that holds plans.json, dataset.json and fold_0.",
        )
    try:
        plans, dataset = (
            json.loads((path / name).read_text("utf-8")) for name in ("plans.json", "dataset.json")
        )
        dataset["labels"], plans["configurations"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "input.bad_model",
            f"The description of the model '{path.name}' cannot be read ({error}).",
            "Get the model again.",
        ) from error
    return ModelFolder(path, plans, dataset, folds)
