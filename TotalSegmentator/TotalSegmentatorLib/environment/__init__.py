"""With what a run is done: the engine's interpreter and packages, weights, folders."""

from .engine import (
    EngineEnvironment,
    default_folder,
    find_engine,
    installed_versions,
    is_ready,
    make_engine,
)
from .hardware import Device, Hardware, probe, this_computer
from .licence import check_licence, has_licence, store_licence
from .paths import interpreter, resources_folder, user_data_folder
from .virtual import Observer
from .weights import (
    check_weights,
    download_bytes,
    download_mb,
    missing_models,
    weights_folder,
)

__all__ = [
    "Device",
    "EngineEnvironment",
    "Hardware",
    "Observer",
    "check_licence",
    "check_weights",
    "default_folder",
    "download_bytes",
    "download_mb",
    "find_engine",
    "has_licence",
    "installed_versions",
    "interpreter",
    "is_ready",
    "make_engine",
    "missing_models",
    "probe",
    "resources_folder",
    "store_licence",
    "this_computer",
    "user_data_folder",
    "weights_folder",
]
