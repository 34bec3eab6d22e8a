"""The engines, by name. What is read here needs no torch."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType

from .. import catalog
from ..catalog import Model, Task
from ..errors import InputError
from ..jobs import Request
from .contract import WEIGHTS, EngineSpec, NetworkWork, Option

#: Options that let a run find the body first and crop to it.
BODY_OPTIONS = ("body_seg", "body_first")


@cache
def specs() -> Mapping[str, EngineSpec]:
    """The declarations of all engines: every folder beside this file is one."""
    folders = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.ispkg]
    return MappingProxyType({name: _module(name).SPEC for name in folders})


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def check(request: Request) -> None:
    """What an engine itself can say about a completed request before it starts.

    An engine that has something to say has a function ``check(request)`` beside its ``SPEC``.

    :raises InputError: what is wrong.
    """
    engine = _module(request.engine)
    if hasattr(engine, "check"):
        engine.check(request)


def structures(name: str, task: Task, names: Sequence[str]) -> tuple[str, ...]:
    """The ids of a task's structures that names stand for, each once.

    An engine that knows names of its own has a function ``structures(task, names)``.

    :param name: of the engine.
    :raises InputError: ``input.unknown_structure``, or what an engine says.
    """
    engine = _module(name)
    found = engine.structures if hasattr(engine, "structures") else catalog.structures_in
    return tuple(found(task, names))


def networks(request: Request) -> tuple[NetworkWork, ...]:
    """What an engine computes for a completed request of a task, network by network.

    Only an engine whose models are not nnU-Net's says so, by a function ``networks(request,
    task)``; empty for others.
    """
    engine = _module(request.engine)
    if not hasattr(engine, "networks"):
        return ()
    return tuple(engine.networks(request, catalog.task(request.task)))


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
    """The options that a request may have, for its engine and task."""
    return spec(request.engine).options_for(scope_of(request), request.task)


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
    are used; none for a model folder, and for weights of the user's own."""
    if scope_of(request) == "model" or request.options.get(WEIGHTS.name):
        return ()
    task = catalog.task(request.task)
    structures = spec(request.engine).own_structures(request.task, request.structures)
    models = task.required_models(
        request.speed, structures, robust_crop=bool(request.options.get("robust_crop"))
    )
    if any(request.options.get(name) for name in body_options(task, structures)):
        models = catalog.task("body").required_models("fast") + models
    return tuple(dict.fromkeys(models))
