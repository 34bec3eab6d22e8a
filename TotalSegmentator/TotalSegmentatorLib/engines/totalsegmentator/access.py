"""TotalSegmentator's weights and licence, by the official package's own rules and functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ... import catalog
from ...catalog import Model
from ...errors import SetupError
from ..contract import DOWNLOAD, Reporter


def check_licence(task: str) -> None:
    """The package itself would print a text and end the process.

    :raises SetupError: ``licence.missing``.
    """
    if not catalog.task(task).licensed:
        return
    from totalsegmentator.config import has_valid_license_offline

    state, _ = has_valid_license_offline()
    if state != "yes":
        raise SetupError(
            "licence.missing",
            "This task needs a TotalSegmentator licence number, and no valid one is stored.",
            "Get one (free for non-commercial use) and store it.",
        )


def weights_folder() -> Path:
    """Where the package keeps its models."""
    from totalsegmentator import config

    return Path(config.get_weights_dir())


def get_models(models: Sequence[Model], report: Reporter) -> None:
    """Get the models that are not here; a step of its own, as its time says nothing about others.

    The package takes any folder of the right name for a model; see ``environment/weights.py``.
    """
    folder = weights_folder()
    missing = [model for model in models if not (folder / model.folder).exists()]
    if missing:
        from totalsegmentator import libs

        with report.timed(DOWNLOAD):
            for model in missing:
                libs.download_pretrained_weights(model.dataset_id)
