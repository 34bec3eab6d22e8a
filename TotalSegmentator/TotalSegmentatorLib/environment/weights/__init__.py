"""The trained models on this computer: which are there, getting them, checking them."""

from .archives import Caps, check_archive
from .importing import import_weights
from .obtaining import Way, download_archive, obtain
from .records import known_file
from .store import (
    WeightsEntry,
    check_weights,
    download_bytes,
    download_mb,
    entries,
    known_models,
    missing_models,
    remove,
    tasks_of,
    verify,
    weights_folder,
)

__all__ = [
    "Caps",
    "Way",
    "WeightsEntry",
    "check_archive",
    "check_weights",
    "download_archive",
    "download_bytes",
    "download_mb",
    "entries",
    "import_weights",
    "known_file",
    "known_models",
    "missing_models",
    "obtain",
    "remove",
    "tasks_of",
    "verify",
    "weights_folder",
]
