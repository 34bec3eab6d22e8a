"""Lists as people browse them: tasks and structures by group, and found by words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache

from .groups import MODALITIES, meaning, offered_tasks, singular_word
from .names import fold
from .structures import GROUPS, Structure, structure, structures
from .tasks import Task, tasks

_WORD = re.compile(r"\w+")


def tasks_by_group() -> dict[str, tuple[Task, ...]]:
    """The tasks that lists show, both in the catalogue's order: those of TotalSegmentator by
    :attr:`Task.region`, others by :attr:`Task.family`."""
    groups: dict[str, list[Task]] = {}
    for task in _listed():
        groups.setdefault(task.family or task.region, []).append(task)
    return {group: tuple(found) for group, found in groups.items()}


def structures_by_group(modality: str = "") -> dict[str, tuple[Structure, ...]]:
    """The structures that a plan can give, by :attr:`Structure.group`, in the order of the groups.

    Both sides of a structure follow each other, the left one first.

    :param modality: ``CT`` or ``MR``; anything else: what either of them gives.
    """
    offered = _givers(_modalities(modality))
    first: dict[tuple[str, ...], int] = {}
    for position, found in enumerate(structures()):
        first.setdefault(_without_side(found), position)
    drawers: dict[str, list[Structure]] = {group: [] for group in (*GROUPS, "")}
    for id in offered:
        found = structure(id)
        drawers[found.group].append(found)

    def place(found: Structure) -> tuple[int, str]:
        return first.get(_without_side(found), len(first)), found.laterality

    return {group: tuple(sorted(drawer, key=place)) for group, drawer in drawers.items() if drawer}


def giving_tasks(id: str, modality: str = "") -> tuple[Task, ...]:
    """The tasks from which a plan can take a structure, in the catalogue's order.

    :param modality: ``CT`` or ``MR``; anything else: the tasks of both.
    """
    return _givers(_modalities(modality)).get(id, ())


def search_tasks(query: str, modality: str = "") -> dict[str, tuple[str, ...]]:
    """The tasks that words find, and for each the structures by which it was found.

    A word counts if a word of the text begins with it; case, accents, hyphens, underscores and
    plural do not matter. The words are looked for in a task's name, group and description; or
    those that are not in its name in the names of one structure. A group's name ("skeleton") finds
    what it stands for.

    :param query: empty finds all.
    :param modality: ``CT`` or ``MR``; anything else: both.
    :return: ids of tasks in the catalogue's order, with ids of structures; none of these where
        the words are all the task's own.
    """
    words = search_words(query)
    wanted = _modalities(modality)
    found: dict[str, tuple[str, ...]] = {}
    for task in _listed():
        if task.modality not in wanted:
            continue
        if all(_holds(_task_text(task), word) for word in words):
            found[task.id] = ()
            continue
        rest = [word for word in words if not _holds(_task_name(task), word)]
        group = meaning(query, task.modality)
        ids = _found_by_name(rest, task.labels.values()) or tuple(
            id for id in task.labels.values() if id in group
        )
        if ids:
            found[task.id] = ids
    return found


def search_structures(query: str, modality: str = "") -> frozenset[str]:
    """The ids of :func:`structures_by_group` that words find, or that the name of a group means.

    :param query: as in :func:`search_tasks`; empty finds all.
    """
    kinds = _modalities(modality)
    offered = _givers(kinds)
    words = search_words(query)
    if not words:
        return frozenset(offered)
    groups = {id for kind in kinds for id in meaning(query, kind)}
    return groups.union(_found_by_name(words, offered)).intersection(offered)


def search_words(text: str) -> tuple[str, ...]:
    """The words of a text, without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", fold(text))
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c))))


def _listed() -> Iterable[Task]:
    return (task for task in tasks() if not task.hidden)


def _modalities(modality: str) -> tuple[str, ...]:
    return (modality,) if modality in MODALITIES else MODALITIES


@cache
def _givers(modalities: tuple[str, ...]) -> Mapping[str, tuple[Task, ...]]:
    """The structures that plans can give, with their tasks."""
    givers: dict[str, tuple[Task, ...]] = {}
    for modality in modalities:
        for task in offered_tasks(modality):
            for id in task.labels.values():
                givers[id] = (*givers.get(id, ()), task)
    return givers


def _without_side(found: Structure) -> tuple[str, ...]:
    return tuple(word for word in found.id.split("_") if word != found.laterality)


def _found_by_name(words: Iterable[str], ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(id for id in ids if all(_holds(_structure_text(id), word) for word in words))


def _holds(text: str, word: str) -> bool:
    return f" {word}" in text or f" {singular_word(word)}" in text


@cache
def _task_name(task: Task) -> str:
    return _searchable(task.id, task.title, task.modality, task.region, task.family)


@cache
def _task_text(task: Task) -> str:
    return _task_name(task) + _searchable(task.description)


@cache
def _structure_text(id: str) -> str:
    found = structure(id)
    aliases = (alias for names in found.aliases.values() for alias in names)
    return _searchable(id, found.name, *aliases)


def _searchable(*names: str) -> str:
    """The words of names, each once and after a blank."""
    words = dict.fromkeys(word for name in names for word in search_words(name))
    return "".join(f" {word}" for word in words)
