"""From what is asked to what is run, with every check that needs no image."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import catalog, engines, environment
from .engines.contract import DEVICE_PATTERN
from .errors import InputError
from .jobs import Request
from .jobs.request import MOST_POINTS
from .session import Settings

CUSTOM_TASK = "custom"
MODEL_ENGINE = "nnunet"
#: What is run if neither a task nor structures are asked for.
WHOLE_BODY = {"CT": "total", "MR": "total_mr"}


@dataclass(frozen=True)
class Runs:
    """What is run to answer a request.

    :param asked: the request as it came.
    :param requests: a completed request for every task, general tasks first.
    :param wanted: the ids of the structures that were asked for by name.
    :param sentence: what was chosen, for people; empty if there was nothing to choose.
    """

    asked: Request
    requests: tuple[Request, ...]
    wanted: frozenset[str] = frozenset()
    sentence: str = ""

    @property
    def request(self) -> Request:
        """What gives the same runs again: the one completed request, or what was asked."""
        return self.requests[0] if len(self.requests) == 1 else self.asked

    @property
    def modality(self) -> str:
        """``CT`` or ``MR``, which all tasks of a plan are for; empty for a user's own model."""
        task = self.requests[0].task
        return "" if task == CUSTOM_TASK else catalog.task(task).modality


def complete(request: Request, modality: str = "") -> Runs:
    """The runs that answer a request, after all that can be checked without the image.

    Structures without a task are given to the tasks that find them.

    :param modality: that of the image, if known.
    :raises InputError: ``input.unknown_*`` (task, speed, structure, engine, option, device),
        ``input.bad_option``, ``input.bad_region`` or ``input.no_model``.
    """
    _check_region(request)
    if not re.fullmatch(DEVICE_PATTERN, request.device):
        raise InputError(
            "input.unknown_device",
            f"There is no device '{request.device}'.",
            "Use auto, cpu, gpu, gpu:N or mps.",
        )
    if request.modality not in ("", *WHOLE_BODY):
        raise InputError(
            "input.unknown_modality",
            f"There is no modality '{request.modality}'.",
            f"Use {' or '.join(WHOLE_BODY)}, or leave it out.",
        )
    if request.model or request.task == CUSTOM_TASK:
        run = _with_options(_with_model(request))
        return Runs(request, (run,), frozenset(catalog.structure(s).id for s in run.structures))
    modality = request.modality or modality
    if request.task or not request.structures:
        task = request.task or WHOLE_BODY.get(modality, WHOLE_BODY["CT"])
        run = _with_options(_with_task(dataclasses.replace(request, task=task)))
        return Runs(request, (run,), frozenset(run.structures))
    plan = catalog.plan(request.structures, modality, request.speed)
    steps = tuple(
        _with_options(_with_task(dataclasses.replace(request, **dataclasses.asdict(step))))
        for step in plan.steps
    )
    return Runs(request, steps, frozenset(plan.structures), plan.sentence)


def _check_region(request: Request) -> None:
    if len(request.region) > MOST_POINTS:
        raise InputError(
            "input.bad_region",
            f"The region has {len(request.region)} points.",
            f"Give at most {MOST_POINTS}: the corners of a box are enough.",
        )
    for point in request.region:
        try:
            finite = len(point) == 3 and all(math.isfinite(float(x)) for x in point)
        except OverflowError:  # a whole number may be too large for one with a fraction
            finite = False
        if not finite:
            raise InputError(
                "input.bad_region",
                "The region has a point that does not consist of three finite numbers.",
                "Give the points in millimetres, or leave the region out.",
            )


def _with_model(request: Request) -> Request:
    if not request.model:
        raise InputError(
            "input.no_model", "The task 'custom' needs a model.", "Name the model's folder."
        )
    engine = request.engine or MODEL_ENGINE
    if not engines.spec(engine).runs_models:
        raise InputError(
            "input.wrong_engine",
            f"The engine {engine} does not run model folders.",
            f"Leave the engine out, or use {MODEL_ENGINE}.",
        )
    model = str(Path(request.model).absolute())
    return dataclasses.replace(request, task=CUSTOM_TASK, engine=engine, model=model)


def _with_task(request: Request) -> Request:
    task = catalog.task(request.task)
    task.check_speed(request.speed)
    engine = engines.spec(request.engine or task.engine)
    if engine.name not in task.engines:
        raise InputError(
            "input.wrong_engine",
            f"The engine {engine.name} does not run the task '{task.id}'.",
            f"Leave the engine out, or use {' or '.join(task.engines)}.",
        )
    structures = _structures_of(task, request.structures, engine)
    return dataclasses.replace(request, engine=engine.name, structures=structures)


def _structures_of(
    task: catalog.Task, names: Sequence[str], engine: engines.EngineSpec
) -> tuple[str, ...]:
    """The ids of a task's structures that names stand for, also of those that the engine derives.

    :raises InputError: ``input.unknown_structure``.
    """
    derived = engine.derived.get(task.id, ())
    known = {name.casefold(): id for id in derived for name in (id, catalog.structure(id).name)}
    own = [name for name in names if name.casefold() not in known]
    made = [known[name.casefold()] for name in names if name.casefold() in known]
    return tuple(dict.fromkeys((*catalog.structures_in(task, own), *made)))


def _with_options(request: Request) -> Request:
    scope = engines.scope_of(request)
    options = engines.spec(request.engine).parse_options(request.options, scope)
    request = dataclasses.replace(request, options=options)
    engines.check(request)
    return request


def check(runs: Runs, settings: Settings) -> Runs:
    """What can be known of this computer before minutes are spent; returns the runs.

    :raises SetupError: ``licence.missing``; see :func:`.environment.check_weights`.
    """
    tasks = [catalog.task(one.task) for one in runs.requests if one.task != CUSTOM_TASK]
    environment.check_licence([t.title for t in tasks if t.licensed], settings.engine.variables)
    models = [model for one in runs.requests for model in engines.downloaded_models(one)]
    environment.check_weights(models, settings.weights_folder, settings.may_download)
    return runs
