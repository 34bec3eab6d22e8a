"""Words that people use for structures: ids, names, and groups such as "lungs" or "ribs".

A group here is what people ask for at once. It is not the drawer in which lists keep a structure
(:attr:`Structure.group`): the heart lies in one drawer only, but is asked for as an organ, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from ..errors import InputError
from .names import did_you_mean, fold
from .structures import Structure, structure
from .tasks import Task, check_structures, task, tasks

_DATA = Path(__file__).parent / "data" / "groups.json"
#: Kinds of images that tasks are made for; the first is assumed where an image does not say.
MODALITIES = ("CT", "MR")


@dataclass(frozen=True)
class Group:
    """Structures that people ask for by one name.

    :param id: e.g. ``lungs``.
    :param title: name for people.
    :param aliases: other names.
    :param rules: what belongs to it, as ``task:pattern``. The pattern is a class name in which
        ``*`` and ``[...]`` stand for letters, or ``@drawer`` for a whole :attr:`Structure.group`.
    """

    id: str
    title: str
    aliases: tuple[str, ...]
    rules: tuple[str, ...]

    def structures(self, modality: str) -> tuple[str, ...]:
        """The ids that the group stands for in images of a modality; none if it has no such.

        :param modality: one of :data:`MODALITIES`.
        """
        found = (id for rule in self.rules for id in _matches(rule, modality))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Wanted:
    """What people asked for, in the catalogue's terms.

    :param modality: the modality in which the names were understood.
    :param meanings: every name as it was asked for, and the ids that it stands for.
    """

    modality: str
    meanings: Mapping[str, tuple[str, ...]]

    @property
    def structures(self) -> tuple[str, ...]:
        """All ids, each once, in the order in which they were asked for."""
        return tuple(dict.fromkeys(id for ids in self.meanings.values() for id in ids))


def groups() -> tuple[Group, ...]:
    """All groups, in the order in which people should see them."""
    return tuple(_table().values())


def offered_tasks(modality: str) -> tuple[Task, ...]:
    """The tasks that a plan may use: not the hidden ones, and not the demo."""
    return tuple(
        t for t in tasks() if t.modality == modality and not t.hidden and not t.model_folder
    )


def understand(names: Iterable[str], modality: str = "") -> Wanted:
    """Find out what names stand for.

    A name is looked up as: the id of a structure; a group; a structure's name, or another engine's
    name for it; a structure with both sides without its side ("kidney"). Apart from ids, case,
    order of words, hyphens and plural do not matter. The first that a task of the modality gives
    is taken: ``vertebrae`` is one structure in MR, and a group in CT.

    :param names: at least one.
    :param modality: one of :data:`MODALITIES`; empty: the first in which all names mean something.
    :raises InputError: ``input.no_structure``, ``input.unknown_structure`` with close names in the
        remedy, ``input.wrong_modality``.
    """
    asked = tuple(dict.fromkeys(names))
    if not asked:
        raise InputError(
            "input.no_structure",
            "No structure is asked for.",
            "Name at least one structure or group, e.g. liver or lungs.",
        )
    _check_modality(modality)
    for kind in (modality,) if modality else MODALITIES:
        meanings = {name: meaning(name, kind) for name in asked}
        if all(meanings.values()):
            return Wanted(kind, meanings)
    raise _not_understood(asked, modality)


def structures_in(task: Task, names: Iterable[str]) -> tuple[str, ...]:
    """The ids of a task's structures that names stand for, each once.

    :param names: ids of the task's structures, or as in :func:`understand`.
    :raises InputError: ``input.unknown_structure`` if the task has nothing of a name.
    """
    own = set(task.labels.values())
    found: list[str] = []
    for name in names:
        meant = (name,) if name in own else meaning(name, task.modality)
        given = [id for id in meant if id in own]
        found += given or check_structures(task, (name,))
    return tuple(dict.fromkeys(found))


def _check_modality(modality: str) -> None:
    if modality and modality not in MODALITIES:
        raise InputError(
            "input.wrong_modality",
            f"There is no task for images of the modality '{modality}'.",
            f"Tasks are made for {' or '.join(MODALITIES)}.",
        )


def _not_understood(asked: tuple[str, ...], modality: str) -> InputError:
    """Why no modality, or not the one that was asked for, gives all names."""
    where = {name: [kind for kind in MODALITIES if meaning(name, kind)] for name in asked}
    for name, kinds in where.items():
        if not kinds:
            return InputError(
                "input.unknown_structure",
                f"No task gives the structure '{name}'.",
                did_you_mean(name, _words(modality)) or "See the list of structures.",
            )
    if modality:
        name = next(name for name, kinds in where.items() if modality not in kinds)
        near = did_you_mean(name, _words(modality))
        return InputError(
            "input.wrong_modality",
            f"No task for {modality} images gives '{name}'.",
            f"The tasks for it take {where[name][0]} images. {near}".strip(),
        )
    first, second = (
        next(name for name, kinds in where.items() if kinds == [kind]) for kind in MODALITIES
    )
    return InputError(
        "input.wrong_modality",
        f"No image gives both '{first}' ({MODALITIES[0]} only) and '{second}' "
        f"({MODALITIES[1]} only).",
        "Say of which modality the image is, and ask for what it can give.",
    )


def _words(modality: str) -> dict[str, str]:
    """What people may write, and the id that stands for it; for remedies."""
    words: dict[str, str] = {}
    for kind in (modality,) if modality else MODALITIES:
        for found in _offered(kind).values():
            words.update({found.id: found.id, found.name: found.id})
        for group in groups():
            if group.structures(kind):
                names = (group.id, group.title, *group.aliases)
                words.update(dict.fromkeys(names, group.id))
    return words


def meaning(name: str, modality: str) -> tuple[str, ...]:
    """The ids that one name stands for in images of a modality, as :func:`understand` says.

    :param modality: one of :data:`MODALITIES`.
    :return: empty if the name means nothing there.
    """
    if name in _offered(modality):
        return (name,)
    index = _index(modality)
    return index.get(fold(name)) or index.get(_singular(name)) or ()


@cache
def _index(modality: str) -> Mapping[str, tuple[str, ...]]:
    """The folded names, and the ids that they stand for; earlier sources win."""
    named = [*_group_names(modality), *_structure_names(modality), *_pair_names(modality)]
    index: dict[str, tuple[str, ...]] = {}
    for spell in (fold, _singular):
        for name, ids in named:
            index.setdefault(spell(name), ids)
    return index


def _group_names(modality: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for group in groups():
        ids = group.structures(modality)
        if ids:
            yield from ((name, ids) for name in (group.id, group.title, *group.aliases))


def _structure_names(modality: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for found in _offered(modality).values():
        aliases = (alias for names in found.aliases.values() for alias in names)
        yield from ((name, (found.id,)) for name in (found.id, found.name, *aliases))


def _pair_names(modality: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names without "left" and "right" of the structures that have both sides."""
    sides: dict[str, dict[str, str]] = {}
    for found in _offered(modality).values():
        for name in (found.id, found.name):
            words = fold(name).split()
            if found.laterality in words:
                words.remove(found.laterality)
                sides.setdefault(" ".join(words), {})[found.laterality] = found.id
    for stem, ids in sides.items():
        if len(ids) == len(("left", "right")):
            yield stem, tuple(ids.values())


@cache
def _offered(modality: str) -> Mapping[str, Structure]:
    """The structures, by id, that a plan can give for images of a modality."""
    return {id: structure(id) for t in offered_tasks(modality) for id in t.labels.values()}


def _matches(rule: str, modality: str) -> Iterator[str]:
    name, _, pattern = rule.partition(":")
    source = task(name)
    if source.modality != modality:
        return
    for id in source.labels.values():
        if pattern == f"@{structure(id).group}" or fnmatchcase(id, pattern):
            yield id


def _singular(name: str) -> str:
    """The folded name with every word in the singular; what is left need not be a word."""
    return " ".join(sorted(singular_word(word) for word in fold(name).split()))


def singular_word(word: str) -> str:
    """A folded word without the ending of a plural; what is left need not be a word."""
    for plural, singular in (("ies", "y"), ("ae", "a"), ("ss", "ss"), ("us", "us"), ("s", "")):
        if len(word) > 3 and word.endswith(plural):
            return word[: -len(plural)] + singular
    return word


@cache
def _table() -> dict[str, Group]:
    content = json.loads(_DATA.read_text(encoding="utf-8"))
    return {
        row["id"]: Group(row["id"], row["title"], tuple(row["aliases"]), tuple(row["structures"]))
        for row in content["groups"]
    }
