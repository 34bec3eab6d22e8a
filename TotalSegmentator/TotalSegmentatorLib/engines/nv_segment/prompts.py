"""What the network can be asked for: by number, by its own names, and by the catalogue's.

The network finds one structure for each prompt. A prompt is a number from 1 to 345, which is the
label of what is found, too. The catalogue says what prompts a kind of image can have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from ... import catalog
from ...catalog import Task
from ...catalog.names import fold
from ...errors import InputError

NAME = "nv_segment"
_BACKGROUND = ("0", "background")
#: Prompts that the network's makers have withdrawn, with their names. Their tool refuses them, too:
#: what the network would find for them is not trained.
FORBIDDEN: Mapping[int, str] = {
    16: "prostate or uterus",
    129: "kidney mass",
    130: "liver tumor",
    131: "vertebrae L6",
    133: "fibula",
    137: "left quadriceps femoris",
    138: "right quadriceps femoris",
    139: "left sartorius",
    140: "right sartorius",
    141: "left thigh medial compartment",
    142: "right thigh medial compartment",
    143: "left thigh posterior compartment",
    144: "right thigh posterior compartment",
    145: "tibia",
    162: "uterus",
}
#: Prompts that stand for others: the network was trained on the parts, not on the whole.
GROUPS: Mapping[int, tuple[str, tuple[int, ...]]] = {
    2: ("kidney", (14, 5)),
    20: ("lung", (28, 29, 30, 31, 32)),
    21: ("bone", (*range(33, 57), *range(63, 98), 114, 120, 122)),
}


def structures(task: Task, names: Iterable[str]) -> tuple[str, ...]:
    """The ids of a task's structures that names stand for, each once.

    :param names: numbers of prompts, the network's own names in any case, or whatever the
        catalogue understands: ids, names, groups.
    :raises InputError: ``input.forbidden_prompt``; ``input.unknown_structure`` with close names in
        the remedy.
    """
    found = (id for name in names for id in _meaning(task, name))
    return tuple(dict.fromkeys(found))


def prompts_for(task: Task, structures: Iterable[str]) -> dict[int, str]:
    """The prompts of a run and the structures that they give, in the order in which they are asked:
    where two are equally likely, the first counts.

    :param structures: ids; if there are none, all that the task looks for by default.
    """
    chosen = tuple(structures)
    if not chosen:
        return dict(task.default_labels)
    return {value: id for wanted in chosen for value, id in task.labels.items() if id == wanted}


def _meaning(task: Task, name: str) -> tuple[str, ...]:
    found = _index(task.id).get(fold(name))
    if found:  # the catalogue may call another prompt what a withdrawn one was called
        return found
    _check_allowed(name)
    return catalog.structures_in(task, (name,))


def _check_allowed(name: str) -> None:
    asked = fold(name)
    if asked in _BACKGROUND:
        raise InputError(
            "input.forbidden_prompt",
            f"'{name}' is the background, which cannot be asked for.",
            "Ask for structures; what none of them covers is the background.",
        )
    for prompt, title in FORBIDDEN.items():
        if asked in (str(prompt), fold(title)):
            raise InputError(
                "input.forbidden_prompt",
                f"The network cannot be asked for '{title}' (prompt {prompt}): its makers have "
                "withdrawn this prompt.",
                "Ask for another structure, or choose another task for this one.",
            )


@cache
def _index(id: str) -> Mapping[str, tuple[str, ...]]:
    """What people may write for the structures of a task, folded, and the ids that it stands for;
    earlier sources win."""
    labels = catalog.task(id).labels
    index: dict[str, tuple[str, ...]] = {}
    for prompt, (title, parts) in GROUPS.items():
        ids = tuple(labels[part] for part in parts if part in labels)
        if ids:
            index |= {str(prompt): ids, fold(title): ids}
    for names in (_own_names, _catalogue_names):
        for prompt, structure in labels.items():
            for name in names(prompt, structure):
                index.setdefault(fold(name), (structure,))
    return index


def _own_names(prompt: int, structure: str) -> tuple[str, ...]:
    aliases = catalog.structure(structure).aliases.get(NAME, ())
    return (str(prompt), *aliases)


def _catalogue_names(_prompt: int, structure: str) -> tuple[str, ...]:
    return structure, catalog.structure(structure).name
