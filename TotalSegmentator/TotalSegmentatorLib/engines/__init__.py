"""The engines, by name. What is read here needs no torch."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from .. import catalog
from ..catalog import Model, Task
from ..errors import InputError
from ..jobs import Request
from .contract import EngineSpec, Option

#: Options that let a run find the body first and crop to it.
BODY_OPTIONS = ("body_seg", "body_first")


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


def scope_of(request: Request) -> str:
    """Which kind of options a request takes, see :class:`.contract.Option`: ``model`` for a model
    folder, whether the user's or one that comes with the extension, else ``task``."""
    return "model" if request.model or catalog.task(request.task).model_folder else "task"


def options_of(request: Request) -> tuple[Option, ...]:
    """The options that a request may have, for its engine."""
    return spec(request.engine).options_for(scope_of(request))


def body_options(task: Task, structures: Sequence[str]) -> tuple[str, ...]:
    """Those of :data:`BODY_OPTIONS` that a run heeds; the others do nothing.

    :param structures: if only some are wanted.
    """
    if task.crop or (task.subset_crop and structures):
        return ()  # it crops to something else
    names = [] if task.id.endswith("_mr") else ["body_seg"]  # as the official package decides
    # The model that finds the body knows CT.
    return (*names, "body_first") if task.modality == "CT" else tuple(names)


def downloaded_models(request: Request) -> tuple[Model, ...]:
    """The models that must be on this computer for a completed request, in the order in which they
    are used; none for a model folder."""
    if scope_of(request) == "model":
        return ()
    task = catalog.task(request.task)
    structures = spec(request.engine).own_structures(request.task, request.structures)
    models = task.required_models(
        request.speed, structures, robust_crop=bool(request.options.get("robust_crop"))
    )
    if any(request.options.get(name) for name in body_options(task, structures)):
        models = catalog.task("body").required_models("fast") + models
    return tuple(dict.fromkeys(models))
