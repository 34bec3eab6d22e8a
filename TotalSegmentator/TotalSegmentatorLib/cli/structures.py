"""``structures``: which task finds an organ."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import catalog
from ..errors import InputError
from .console import print_json, print_table
from .parameters import AsJson


def structures(
    query: Annotated[str, typer.Argument(help="Part of a name, e.g. kidney.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the structures whose name contains QUERY, with the tasks that find them."""
    found = catalog.find_structures(query)
    if not found:
        raise InputError(
            "input.unknown_structure",
            f"No structure's name contains '{query}'.",
            "Use a shorter or an English name.",
        )
    where = _tasks_by_structure()
    if as_json:
        print_json([_values(structure, where.get(structure.id, [])) for structure in found])
        return
    rows = [(s.id, s.name, s.type.value, " ".join(where.get(s.id, []))) for s in found]
    print_table("", ("Structure", "Name", "Code", "Tasks"), rows)


def _tasks_by_structure() -> dict[str, list[str]]:
    where: dict[str, list[str]] = {}
    for task in catalog.tasks():
        if not task.hidden:
            for name in task.labels.values():
                where.setdefault(name, []).append(task.id)
    return where


def _values(structure: catalog.Structure, tasks: list[str]) -> dict[str, object]:
    codes = ("category", "type", "type_modifier", "region", "region_modifier")
    return {
        "id": structure.id,
        "name": structure.name,
        **{name: _code(getattr(structure, name)) for name in codes},
        "color": list(structure.color),
        "tasks": tasks,
    }


def _code(code: catalog.Code | None) -> dict[str, str] | None:
    return code and {"scheme": code.scheme, "value": code.value, "meaning": code.meaning}
