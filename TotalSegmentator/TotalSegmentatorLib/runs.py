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
        return self.tasks[0].modality if self.tasks else ""

    @property
    def tasks(self) -> tuple[catalog.Task, ...]:
        """The tasks that are run; none for a user's own model."""
        return tuple(catalog.task(one.task) for one in self.requests if one.task != CUSTOM_TASK)


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
        task = request.task or _whole_body(modality, request.engine)
        run = _with_options(_with_task(dataclasses.replace(request, task=task)))
        return Runs(request, (run,), frozenset(run.structures))
    if request.engine:
        engines.spec(request.engine)  # it must be known
    plan = catalog.plan(request.structures, modality, request.speed, engine=request.engine)
    return Runs(request, _planned(request, plan), frozenset(plan.structures), plan.sentence)


def _whole_body(modality: str, engine: str) -> str:
    """The id of the task for the whole body: the engine's own if it does not run the usual one."""
    usual = catalog.task(WHOLE_BODY.get(modality, WHOLE_BODY["CT"]))
    own = (t for t in catalog.tasks() if engine in t.engines and t.modality == usual.modality)
    return (usual if engine in ("", *usual.engines) else next(own, usual)).id


def _planned(request: Request, plan: catalog.Plan) -> tuple[Request, ...]:
    """A completed request for every step.

    Engine and options are those that were asked for, as far as a step's task and engine have them;
    an option that none of them has is refused.
    """
    steps = []
    for step in plan.steps:
        task = catalog.task(step.task)
        engine = request.engine if request.engine in task.engines else task.engine
        steps.append(dataclasses.replace(request, **dataclasses.asdict(step), engine=engine))
    known = [{option.name for option in engines.options_of(one)} for one in steps]
    elsewhere = set[str]().union(*known)
    requests = []
    for one, names in zip(steps, known, strict=True):
        left_out = elsewhere - names
        options = {name: value for name, value in one.options.items() if name not in left_out}
        requests.append(_with_options(_with_task(dataclasses.replace(one, options=options))))
    return tuple(requests)


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
    return tuple(dict.fromkeys((*engines.structures(engine.name, task, own), *made)))


def _with_options(request: Request) -> Request:
    scope = engines.scope_of(request)
    options = engines.spec(request.engine).parse_options(request.options, scope, request.task)
    request = dataclasses.replace(request, options=options)
    engines.check(request)
    return request


def check(runs: Runs, settings: Settings) -> Runs:
    """What can be known of this computer before minutes are spent; returns the runs.

    :raises SetupError: ``licence.missing``; see :func:`.environment.check_terms` and
        :func:`.environment.check_weights`.
    """
    titles = [task.title for task in runs.tasks if task.licensed]
    environment.check_licence(titles, settings.engine.variables)
    environment.check_terms(runs.tasks)
    models = [model for one in runs.requests for model in engines.downloaded_models(one)]
    environment.check_weights(models, settings.weights_folder, settings.may_download)
    return runs
