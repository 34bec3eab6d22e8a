"""From a list of structures to the tasks that give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..errors import InputError
from .groups import MODALITIES, Wanted, offered_tasks, understand
from .tasks import SPEEDS, Model, Task, task
from .terms import terms

#: The tasks for the whole anatomy, and an engine that tasks of their kind have: taken where others
#: do no better.
_MAIN = ("total", "total_mr")
_MAIN_ENGINE = "totalsegmentator"
_WHOLE_BODY = "Whole body"
#: So many structures, or groups, are named in a sentence; of more, the number is given.
_NAMED = 4

_Sources = Mapping[str, tuple[Task, ...]]


@dataclass(frozen=True)
class Step:
    """One run.

    :param task: id of the task.
    :param structures: ids to restrict the run to; empty means all of the task.
    :param speed: a speed that the task offers.
    """

    task: str
    structures: tuple[str, ...]
    speed: str


@dataclass(frozen=True)
class Plan:
    """What to run for the structures that someone asked for.

    :param steps: the runs, general ones first: where structures of two runs overlap, and only one
        can be kept, the later is the more special one.
    :param structures: ids of all structures that were asked for.
    :param sentence: what was chosen, for people.
    """

    steps: tuple[Step, ...]
    structures: tuple[str, ...]
    sentence: str


def plan(
    names: Iterable[str],
    modality: str = "",
    speed: str = "",
    licensed: bool = False,
    engine: str = "",
) -> Plan:
    """Choose the fewest tasks that give the structures, every structure by one of them.

    Of a structure's tasks, those are left out if there are others that the engine does not run,
    that are not TotalSegmentator's, that need a licence, whose terms must be accepted, and that
    look into a region which need not hold all of the structure (the aorta near the heart). Among
    equally many tasks, ``total`` and ``total_mr`` are preferred, then what looks at the whole body,
    loads fewer models, computes less, comes first in the list.

    :param names: ids, names for people, or groups, see :func:`understand`.
    :param modality: ``CT`` or ``MR``; empty if it is not known: CT, unless only MR has them all.
    :param speed: one of :data:`SPEEDS`; a task that does not offer it runs at the next finer one.
        Empty means ``normal``.
    :param licensed: whether tasks that need a licence are as good as others.
    :param engine: the engine that is asked for; what none of its tasks gives is given by others.
    :raises InputError: ``input.no_structure``, ``input.unknown_structure``,
        ``input.wrong_modality``, ``input.unknown_speed``.
    """
    _check_speed(speed)
    wanted = understand(names, modality)
    givers = _givers(offered_tasks(wanted.modality))
    sources = {id: _best(id, givers[id], licensed, engine) for id in wanted.structures}
    steps = _fewest(sources, speed or SPEEDS[0])
    sentence = _sentence(steps, wanted, speed, engine, assumed=not modality)
    return Plan(steps, wanted.structures, sentence)


def _check_speed(speed: str) -> None:
    if speed and speed not in SPEEDS:
        raise InputError(
            "input.unknown_speed",
            f"There is no speed '{speed}'.",
            f"Choose one of: {', '.join(SPEEDS)}.",
        )


def _givers(offered: Iterable[Task]) -> dict[str, list[Task]]:
    """The tasks that give a structure, in the catalogue's order."""
    givers: dict[str, list[Task]] = {}
    for source in offered:
        for id in source.labels.values():
            givers.setdefault(id, []).append(source)
    return givers


def _best(id: str, giving: Sequence[Task], licensed: bool, engine: str) -> tuple[Task, ...]:
    """Those of the tasks to take a structure from."""

    def drawbacks(source: Task) -> tuple[bool, ...]:
        return (
            engine not in ("", *source.engines),
            _MAIN_ENGINE not in source.engines,
            source.licensed and not licensed,
            _must_be_accepted(source),
            source.crop is not None and id not in source.crop.structures,
        )

    best = min(drawbacks(t) for t in giving)
    return tuple(t for t in giving if drawbacks(t) == best)


def _must_be_accepted(source: Task) -> bool:
    return bool(source.terms) and terms(source.terms).accept


def _fewest(sources: _Sources, speed: str) -> tuple[Step, ...]:
    """The steps of the best choice of tasks.

    Few structures have several tasks, so that all choices among those can be tried.
    """
    needed = {tasks[0] for tasks in sources.values() if len(tasks) == 1}
    undecided = [set(tasks) for tasks in sources.values() if needed.isdisjoint(tasks)]
    free = _in_order(set().union(*undecided))
    for count in range(len(free) + 1):
        choices = [
            _steps(needed.union(choice), sources, speed)
            for choice in combinations(free, count)
            if not any(tasks.isdisjoint(choice) for tasks in undecided)
        ]
        if choices:
            return min(choices, key=_effort)
    raise AssertionError("all tasks together give all structures")


def _steps(chosen: set[Task], sources: _Sources, speed: str) -> tuple[Step, ...]:
    """One step for each task, general ones first."""
    given: dict[str, set[str]] = {t.id: set() for t in chosen}
    for id, tasks in sources.items():
        given[next(t.id for t in tasks if t in chosen)].add(id)
    steps = []
    for t in sorted(_in_order(chosen), key=_depth):
        ids = tuple(id for id in t.labels.values() if id in given[t.id])
        whole = set(ids) == set(t.default_labels.values())
        steps.append(Step(t.id, () if whole else ids, _speed_of(t, speed)))
    return tuple(steps)


def _in_order(chosen: set[Task]) -> list[Task]:
    return [t for modality in MODALITIES for t in offered_tasks(modality) if t in chosen]


def _depth(source: Task) -> int:
    """Outlines, cavities and tissues of the body; its whole anatomy; parts of that, and what other
    engines add."""
    if source.family or source.region != _WHOLE_BODY:
        return 2
    return 1 if source.subset_crop else 0


def _speed_of(source: Task, speed: str) -> str:
    """The speed, or the next finer one that the task offers; a coarser one if there is none."""
    at = SPEEDS.index(speed)
    return next(s for s in (*SPEEDS[at::-1], *SPEEDS[at:]) if s in source.speeds)


def _effort(steps: tuple[Step, ...]) -> tuple[float, ...]:
    """The order in which choices of equally many tasks are preferred, the best first."""
    chosen = [task(step.task) for step in steps]
    models = dict.fromkeys(
        model
        for t, step in zip(chosen, steps, strict=True)
        for model in t.required_models(step.speed, step.structures)
    )
    return (
        sum(t.licensed for t in chosen),
        -sum(t.id in _MAIN for t in chosen),
        sum(_is_narrow(t) for t in chosen),
        len(models),
        sum(_voxels_per_mm3(model) for model in models),
    )


def _is_narrow(source: Task) -> bool:
    """Whether it looks into a region of the body only."""
    return source.crop is not None and _depth(task(source.crop.task)) > 0


def _voxels_per_mm3(model: Model) -> float:
    # A model that takes images as they are sees about a millimetre.
    x, y, z = model.spacing_mm or (1.0, 1.0, 1.0)
    return 1 / (x * y * z)


def _sentence(
    steps: tuple[Step, ...], wanted: Wanted, speed: str, engine: str, assumed: bool
) -> str:
    parts = [
        f"task {step.task}{_remarks(step, speed, engine)} for {_given(step, wanted)}"
        for step in steps
    ]
    text = _listed(parts, comma=True)
    if assumed and wanted.modality != MODALITIES[0]:
        text = f"for {wanted.modality} images, {text}"
    return f"{text[0].upper()}{text[1:]}."


def _remarks(step: Step, speed: str, engine: str) -> str:
    """What to know of a task: the speed if there is a choice, and what it needs or lacks."""
    chosen = task(step.task)
    remarks = []
    if speed and step.speed != speed:
        remarks.append(f"{step.speed}, as it has no {speed}")
    elif len(chosen.speeds) > 1:
        remarks.append(step.speed)
    if chosen.licensed:
        remarks.append("needs a licence")
    if _must_be_accepted(chosen):
        remarks.append(terms(chosen.terms).title)
    if engine not in ("", *chosen.engines):
        remarks.append(f"not run by {engine}")
    return f" ({'; '.join(remarks)})" if remarks else ""


def _given(step: Step, wanted: Wanted) -> str:
    """What a step gives: some names, or how many structures."""
    ids = set(step.structures or task(step.task).default_labels.values())
    if len(ids) <= _NAMED:
        return _listed(id for id in wanted.structures if id in ids)
    phrases = [
        _share(name, meant, ids)
        for name, meant in wanted.meanings.items()
        if not ids.isdisjoint(meant)
    ]
    return _listed(phrases) if len(phrases) <= _NAMED else f"{len(ids)} structures"


def _share(name: str, meant: tuple[str, ...], ids: set[str]) -> str:
    """A name that was asked for, and how many structures of it a step gives."""
    given = [id for id in meant if id in ids]
    if len(meant) == 1:
        return given[0]
    of = f" of {len(meant)}" if len(given) < len(meant) else ""
    return f"{name.strip()} ({len(given)}{of} structures)"


def _listed(words: Iterable[str], comma: bool = False) -> str:
    """``a``, ``a and b``, ``a, b and c``; the last comma too if the words are clauses."""
    *first, last = words
    joint = ", and " if comma else " and "
    return f"{', '.join(first)}{joint}{last}" if first else last
