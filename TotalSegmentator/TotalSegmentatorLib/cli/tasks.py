"""``tasks``: what can be segmented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from .. import catalog, environment
from ..estimate import spacing_text
from .console import print_json, print_table
from .parameters import AsJson

_OWN_FAMILY = "TotalSegmentator"
_HEADER = ("Task", "Title", "Modality", "Speeds", "Structures", "On request", "Licence")


def tasks(
    as_json: AsJson = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show old and internal tasks too.")
    ] = False,
) -> None:
    """List the tasks, with what they find, and the resolution and download of each speed.

    What they find on request is not looked for unless it is named with --structures.
    """
    found = [task for task in catalog.tasks() if everything or not task.hidden]
    if as_json:
        print_json([_values(task) for task in found])
        return
    families: dict[str, list[catalog.Task]] = {}
    for task in found:
        families.setdefault(task.family or _OWN_FAMILY, []).append(task)
    for family, members in families.items():
        _print(family, members)


def _print(family: str, tasks: Sequence[catalog.Task]) -> None:
    engines = dict.fromkeys(engine for task in tasks for engine in task.engines)
    rows = [
        (
            task.id,
            task.title,
            task.modality,
            ", ".join(_speed(task, name) for name in task.speeds),
            str(len(task.default_labels)),
            str(len(task.on_request) or ""),
            _licence(task),
        )
        for task in tasks
    ]
    print_table(f"{family} (engine {' or '.join(engines)})", _HEADER, rows)


def _speed(task: catalog.Task, name: str) -> str:
    """A speed with what it costs, e.g. ``fast 3 mm 135 MB``."""
    spacings = dict.fromkeys(spacing_text(model.spacing_mm) for model in task.speeds[name])
    megabytes = environment.download_mb(task.required_models(name))
    return " ".join([name, *spacings, *([f"{megabytes} MB"] if megabytes else [])])


def _licence(task: catalog.Task) -> str:
    if task.licensed:
        return "number needed"
    return catalog.terms(task.terms).title if task.terms else ""


def _values(task: catalog.Task) -> dict[str, object]:
    return {
        "id": task.id,
        "title": task.title,
        "description": task.description,
        "family": task.family,
        "engine": task.engine,
        "engines": list(task.engines),
        "modality": task.modality,
        "speeds": list(task.speeds),
        "licensed": task.licensed,
        "terms": task.terms,
        "labels": {str(value): name for value, name in task.labels.items()},
        "on_request": sorted(task.on_request),
    }
