"""TotalSegmentator's weights and licence, by the official package's own rules and functions."""

from __future__ import annotations

from collections.abc import Sequence

from ... import catalog
from ...catalog import Model
from ...errors import SetupError
from ..weights_folder import weights_folder


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


def check_models(models: Sequence[Model]) -> None:
    """Nothing is downloaded here: the application does so before a run, see ``session.py``.

    :raises SetupError: ``weights.missing``.
    """
    folder = weights_folder()
    missing = [model.folder for model in models if not (folder / model.folder).exists()]
    if missing:
        raise SetupError(
            "weights.missing",
            f"The weights are not on this computer ({', '.join(missing)}).",
            "Allow the download, or put the folders into the weights folder yourself.",
        )
