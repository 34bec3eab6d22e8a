"""``tasks``: what can be segmented."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import catalog
from .console import print_json, print_table
from .parameters import AsJson


def tasks(
    as_json: AsJson = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show old and internal tasks too.")
    ] = False,
) -> None:
    """List the tasks, with what they find and at which speeds."""
    found = [task for task in catalog.tasks() if everything or not task.hidden]
    if as_json:
        print_json([_values(task) for task in found])
        return
    rows = [
        (
            task.id,
            task.title,
            task.modality,
            " ".join(task.speeds),
            str(len(task.labels)),
            "yes" if task.licensed else "",
        )
        for task in found
    ]
    print_table("", ("Task", "Title", "Modality", "Speeds", "Structures", "Licence"), rows)


def _values(task: catalog.Task) -> dict[str, object]:
    return {
        "id": task.id,
        "title": task.title,
        "description": task.description,
        "engine": task.engine,
        "engines": list(task.engines),
        "modality": task.modality,
        "speeds": list(task.speeds),
        "licensed": task.licensed,
        "labels": {str(value): name for value, name in task.labels.items()},
    }
