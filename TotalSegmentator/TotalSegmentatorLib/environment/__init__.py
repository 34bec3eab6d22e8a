"""With what a run is done: the engine's interpreter and packages, weights, folders."""

from .engine import EngineEnvironment, default_folder, find_engine, is_ready, make_engine
from .licence import check_licence, store_licence
from .paths import interpreter, resources_folder, user_data_folder
from .virtual import Observer
from .weights import check_weights, missing_models, weights_folder

__all__ = [
    "EngineEnvironment",
    "Observer",
    "check_licence",
    "check_weights",
    "default_folder",
    "find_engine",
    "interpreter",
    "is_ready",
    "make_engine",
    "missing_models",
    "resources_folder",
    "store_licence",
    "user_data_folder",
    "weights_folder",
]
