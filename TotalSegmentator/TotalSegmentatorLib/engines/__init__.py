"""The engines, by name. What is read here needs no torch."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from pathlib import Path

from .. import catalog
from ..catalog import Model
from ..errors import InputError
from ..jobs import Request
from .contract import EngineSpec


def specs() -> dict[str, EngineSpec]:
    """The declarations of all engines: every folder beside this file is one."""
    folders = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.ispkg]
    return {name: importlib.import_module(f"{__name__}.{name}").SPEC for name in folders}


def check(request: Request) -> None:
    """What an engine itself can say about a completed request before it starts.

    An engine that has something to say has a function ``check(request)`` beside its ``SPEC``.

    :raises InputError: what is wrong.
    """
    engine = importlib.import_module(f"{__name__}.{request.engine}")
    if hasattr(engine, "check"):
        engine.check(request)


def spec(name: str) -> EngineSpec:
    """The declaration of one engine.

    :raises InputError: ``input.unknown_engine``, with close matches.
    """
    known = specs()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise InputError(
            "input.unknown_engine",
            f"There is no engine '{name}'.",
            f"{hint}The engines are: {', '.join(known)}.",
        )
    return known[name]


def downloaded_models(request: Request) -> tuple[Model, ...]:
    """The models that must be on this computer for a completed request, in the order in which they
    are used; none for a model folder, whether the user's or one that comes with the extension."""
    if request.model or catalog.task(request.task).model_folder:
        return ()
    task = catalog.task(request.task)
    structures = spec(request.engine).own_structures(request.task, request.structures)
    models = task.required_models(
        request.speed, structures, robust_crop=bool(request.options.get("robust_crop"))
    )
    # The package crops to the body only where it does not crop to something else.
    crops = task.crop or (task.subset_crop and structures)
    if request.options.get("body_seg") and not crops and task.modality == "CT":
        models = catalog.task("body").required_models("fast") + models
    return tuple(dict.fromkeys(models))
