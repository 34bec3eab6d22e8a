"""Whether TotalSegmentator's weights are on this computer. Downloading is the package's own job."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.request import getproxies

from ..catalog import TYPICAL_BYTES, Model, archive
from ..errors import SetupError

_CHECKPOINT = "checkpoint_final.pth"
_ONLINE_TIMEOUT_S = 1.5


def weights_folder(variables: Mapping[str, str] | None = None) -> Path:
    """Where the official package keeps its weights, by its own rules."""
    variables = os.environ if variables is None else variables
    if variables.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(variables["TOTALSEG_WEIGHTS_PATH"])
    home = variables.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator"
    return Path(home) / "nnunet" / "results"


def is_present(model: Model, folder: Path) -> bool:
    """Whether a model is there as a whole.

    The package takes a folder left by an interrupted download for a model. Here the description
    and a checkpoint must be there, and the checkpoint must have the end that its zip format
    writes last.

    :raises SetupError: ``weights.unreadable``.
    """
    try:
        return _is_present(model, folder)
    except OSError as error:
        raise _unusable(model.folder, "read", error) from error


def _is_present(model: Model, folder: Path) -> bool:
    place = folder / model.folder / model.subfolder
    folds = [f"fold_{fold}" for fold in model.folds] or ["fold_*"]
    checkpoints = [path for fold in folds for path in place.glob(f"{fold}/{_CHECKPOINT}")]
    return (
        all((place / name).is_file() for name in ("plans.json", "dataset.json"))
        and len(checkpoints) >= len(folds)
        and all(_is_whole(path) for path in checkpoints)
    )


def _is_whole(checkpoint: Path) -> bool:
    with open(checkpoint, "rb") as file:
        start = file.read(4)
        file.seek(max(0, checkpoint.stat().st_size - 65_557))  # the longest end record of a zip
        end = file.read()
    # Checkpoints of older nnU-Nets are plain pickles, whose end says nothing.
    return bool(start) and (start != b"PK\x03\x04" or b"PK\x05\x06" in end)


def missing_models(models: Sequence[Model], folder: Path) -> tuple[Model, ...]:
    """Those of the models that must still be downloaded.

    :raises SetupError: ``weights.unreadable``.
    """
    return tuple(model for model in models if not is_present(model, folder))


def download_bytes(models: Sequence[Model]) -> int:
    """The size of the models' archives together.

    Weights that need a licence have no public archive; they count as much as a typical one.
    """
    found = [archive(model) for model in dict.fromkeys(models)]
    return sum(one.size_bytes if one else TYPICAL_BYTES for one in found)


def download_mb(models: Sequence[Model]) -> int:
    """:func:`download_bytes` in millions of bytes, for people."""
    return round(download_bytes(models) / 1e6)


def check_weights(models: Sequence[Model], folder: Path, may_download: bool) -> None:
    """Fail early if a run would stop for lack of weights.

    :param may_download: whether the user agreed to a download.
    :raises SetupError: ``weights.missing`` without consent, ``weights.offline`` without internet,
        ``weights.unreadable`` if the folder cannot be used.
    """
    missing = missing_models(models, folder)
    if not missing:
        return
    names = ", ".join(model.folder for model in missing)
    what = "of this task" if len(missing) == 1 else "of what was asked for"
    if not may_download:
        raise SetupError(
            "weights.missing",
            f"The weights {what} are not on this computer ({names}).",
            "Allow the download, or put the folders into the weights folder yourself.",
        )
    if not is_online("weights"):
        raise SetupError(
            "weights.offline",
            f"The weights {what} are missing ({names}), and the internet is out of reach.",
            "Connect to the internet, set the proxy, or copy the folders into the weights folder.",
        )
    for model in missing:
        _set_aside(folder / model.folder)


def _set_aside(place: Path) -> None:
    """Rename a damaged model: the package would take its folder for a whole one.

    :raises SetupError: ``weights.unreadable``.
    """
    if not place.exists():
        return
    number = 1
    while place.with_name(f"{place.name}.damaged{number}").exists():
        number += 1
    try:
        place.rename(place.with_name(f"{place.name}.damaged{number}"))
    except OSError as error:
        raise _unusable(place.name, "set aside, though they are damaged", error) from error


def _unusable(name: str, what: str, error: OSError) -> SetupError:
    return SetupError(
        "weights.unreadable",
        f"The weights in the folder {name} cannot be {what} ({error.strerror or error}).",
        "Close programs that use the folder and check that you may write to it, then try again.",
        str(error),
    )


def is_online(purpose: str) -> bool:
    """Whether the first host for a purpose (``hosts.json``), or the proxy, answers in time."""
    if "https" in getproxies():
        return True  # only the proxy knows
    path = Path(__file__).parent / "data" / "hosts.json"
    host = json.loads(path.read_text("utf-8"))[purpose]["hosts"][0]
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, 443), _ONLINE_TIMEOUT_S).close()
            answered.set()
        except OSError:
            pass

    # A name look-up cannot be given a timeout, so it waits in a thread of its own.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(_ONLINE_TIMEOUT_S)
    return answered.is_set()
