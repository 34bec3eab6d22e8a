"""What is chosen in the panel: what is run, by which engine, with which options."""

from functools import lru_cache

from slicer.i18n import tr as _

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.catalog.browsing import structures_by_group
from TotalSegmentatorLib.catalog.groups import MODALITIES, offered_tasks
from TotalSegmentatorLib.engines.contract import Option
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.scene import region_points, volume_modality

# Its options are offered before any structure is checked.
_ANY_TASK = "total"


def askedFor(parameters, logic) -> dict[str, object]:
    """The arguments of :meth:`TotalSegmentatorLogic.segment` that are the same for all volumes.

    :param parameters: the panel's parameter node, here and below.
    :raises InputError: if nothing is chosen.
    """
    asked = {
        "speed": parameters.speed,
        "device": parameters.device,
        "engine": chosenEngine(parameters),
        **_options(parameters),
    }
    if parameters.findBy == "structures":
        structures = _offeredStructures(parameters)
        if not structures:
            raise InputError(
                "input.no_structure", _("No structure is checked."), _("Check at least one.")
            )
        return {**asked, "structures": structures}
    speeds = logic.getSupportedSpeeds(parameters.task)
    if parameters.speed not in speeds:  # as the panel shows
        asked["speed"] = speeds[0]
    return {**asked, "task": parameters.task}


def offeredEngines(parameters) -> tuple[str, ...]:
    """The engines that may be chosen: those of the task, or of all that give structures."""
    if parameters.findBy != "structures":
        return catalog.task(parameters.task).engines
    modality = _modality(parameters)
    kinds = (modality,) if modality else MODALITIES
    tasks = (task for kind in kinds for task in offered_tasks(kind))
    return tuple(dict.fromkeys(engine for task in tasks for engine in task.engines))


def chosenEngine(parameters) -> str:
    """The engine that was chosen; empty if none was, or one that is not offered."""
    return parameters.engine if parameters.engine in offeredEngines(parameters) else ""


def offeredOptions(parameters) -> tuple[Option, ...]:
    """The options of what is run, each once."""
    engine, found = chosenEngine(parameters), {}
    for task in _plannedTasks(parameters):
        for option in _optionsOf(task, engine if engine in task.engines else task.engine):
            found.setdefault(option.name, option)
    return tuple(found.values())


def regionOf(parameters, volume) -> tuple[tuple[float, float, float], ...]:
    """The box to segment inside of, in mm RAS of the volume's own space; empty for all of it.

    :raises InputError: see :func:`region_points`.
    """
    return region_points(parameters.region, volume) if parameters.region else ()


def _plannedTasks(parameters) -> tuple[catalog.Task, ...]:
    """What is run: the chosen task, or the tasks from which the checked structures are taken."""
    if parameters.findBy != "structures":
        return (catalog.task(parameters.task),)
    return _tasksFor(
        _offeredStructures(parameters),
        _modality(parameters),
        parameters.speed,
        chosenEngine(parameters),
    )


@lru_cache(maxsize=1)  # asked again and again, and takes long for very many structures
def _tasksFor(
    structures: tuple[str, ...], modality: str, speed: str, engine: str
) -> tuple[catalog.Task, ...]:
    try:
        plan = catalog.plan(structures, modality, speed, engine=engine)
    except InputError:  # nothing is checked, or no image gives it all
        return (catalog.task(_ANY_TASK),)
    return tuple(catalog.task(step.task) for step in plan.steps)


def _optionsOf(task: catalog.Task, engine: str) -> list[Option]:
    """The options of a run, but for those that do nothing in this task."""
    idle = set(engines.BODY_OPTIONS).difference(engines.body_options(task, ()))
    offered = engines.options_of(Request(task.id, engine))
    return [option for option in offered if option.name not in idle]


def _options(parameters) -> dict[str, str]:
    """Those of the stored options that the run has; of others a scene may know, too."""
    offered = {option.name for option in offeredOptions(parameters) if not option.unsafe}
    stored = parameters.engineOptions.items()
    return {name: value for name, value in stored if name in offered}


def _offeredStructures(parameters) -> tuple[str, ...]:
    """What is checked and can be found in the volume, as the panel shows it."""
    groups = structures_by_group(_modality(parameters))
    offered = {structure.id for group in groups.values() for structure in group}
    return tuple(id for id in parameters.structures if id in offered)


def _modality(parameters) -> str:
    """That of the volume; empty if none is chosen, or nobody knows."""
    return volume_modality(parameters.inputVolume) if parameters.inputVolume else ""
