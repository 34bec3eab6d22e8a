"""With what a run is done: the engine's interpreter and packages, weights, folders."""

from .engine import (
    EngineEnvironment,
    default_folder,
    find_engine,
    installed_versions,
    is_ready,
)
from .environments import Environment, Environments
from .hardware import Device, Hardware, probe, this_computer
from .installation import Plan, check, install, make_engine, plan
from .licence import (
    LicenceStatus,
    check_licence,
    has_licence,
    licence_status,
    remove_licence,
    store_licence,
)
from .observer import Observer
from .paths import interpreter, resources_folder, user_data_folder
from .settings import UserSettings, load_settings, save_settings
from .terms import check_terms, open_terms
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
    "Environment",
    "Environments",
    "Hardware",
    "LicenceStatus",
    "Observer",
    "Plan",
    "UserSettings",
    "check",
    "check_licence",
    "check_terms",
    "check_weights",
    "default_folder",
    "download_bytes",
    "download_mb",
    "find_engine",
    "has_licence",
    "install",
    "installed_versions",
    "interpreter",
    "is_ready",
    "licence_status",
    "load_settings",
    "make_engine",
    "missing_models",
    "open_terms",
    "plan",
    "probe",
    "remove_licence",
    "resources_folder",
    "save_settings",
    "store_licence",
    "this_computer",
    "user_data_folder",
    "weights_folder",
]
