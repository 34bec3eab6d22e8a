"""``structures``: what can be found, and which task finds it."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import catalog
from ..catalog.groups import MODALITIES, groups
from ..errors import InputError
from .console import print_json, print_table
from .parameters import AsJson

_CODES = ("category", "type", "type_modifier", "region", "region_modifier")


def structures(
    query: Annotated[str, typer.Argument(help="Part of a name, e.g. kidney.")] = "",
    as_json: AsJson = False,
    named_groups: Annotated[
        bool, typer.Option("--groups", help="List the groups that --structures understands.")
    ] = False,
) -> None:
    """List the structures whose name contains QUERY, with the tasks that find them."""
    if named_groups:
        _list_groups(query, as_json)
        return
    found = catalog.find_structures(query)
    if not found:
        raise InputError(
            "input.unknown_structure",
            f"No structure's name contains '{query}'.",
            "Use a shorter or an English name.",
        )
    if as_json:
        print_json([_values(structure) for structure in found])
        return
    offered = {task.id for task in catalog.tasks() if not task.hidden}
    rows = [
        (s.id, s.name, s.group, s.type.value, " ".join(t for t in s.tasks if t in offered))
        for s in found
    ]
    print_table("", ("Structure", "Name", "Group", "Code", "Tasks"), rows)


def _list_groups(query: str, as_json: bool) -> None:
    """The groups whose name contains the query, with what they stand for in CT and in MR."""
    named = (g for g in groups() if query.casefold() in f"{g.id} {g.title}".casefold())
    rows = [(group, {kind: group.structures(kind) for kind in MODALITIES}) for group in named]
    if as_json:
        print_json([{"id": g.id, "title": g.title, "structures": found} for g, found in rows])
        return
    table = [(g.id, g.title, *(str(len(found[kind])) for kind in MODALITIES)) for g, found in rows]
    print_table("", ("Group", "Name", *(f"In {kind}" for kind in MODALITIES)), table)


def _values(structure: catalog.Structure) -> dict[str, object]:
    return {
        "id": structure.id,
        "name": structure.name,
        **{name: _code(getattr(structure, name)) for name in _CODES},
        "color": list(structure.color),
        "group": structure.group,
        "laterality": structure.laterality,
        "tasks": list(structure.tasks),
    }


def _code(code: catalog.Code | None) -> dict[str, str] | None:
    return code and {"scheme": code.scheme, "value": code.value, "meaning": code.meaning}
