"""The terms of weights that a person must accept, once on this computer, before they are used."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from .. import catalog, remedies
from ..catalog import Task, Terms
from ..errors import SetupError
from .json_files import read_values, write_values
from .paths import user_data_folder

_FILE = "terms.json"


def is_accepted(id: str) -> bool:
    """Whether the user has accepted terms on this computer.

    :param id: see :class:`~..catalog.Terms`.
    """
    try:
        return id in read_values(_file())
    except RuntimeError:  # there is no home folder
        return False


def accept(id: str) -> None:
    """Note that the user accepts terms, and when.

    :param id: see :class:`~..catalog.Terms`.
    :raises SetupError: ``disk.full`` or ``disk.not_writable``.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_values(_file(), {**read_values(_file()), id: now})


def open_terms(tasks: Iterable[Task]) -> tuple[Terms, ...]:
    """The terms of tasks that must still be accepted, each once."""
    ids = dict.fromkeys(task.terms for task in tasks if task.terms)
    found = [catalog.terms(id) for id in ids]
    return tuple(one for one in found if one.accept and not is_accepted(one.id))


def check_terms(tasks: Iterable[Task]) -> None:
    """Fail early if tasks have terms that must still be accepted.

    :raises SetupError: ``licence.not_accepted``, with the action that accepts the first of them.
    """
    for one in open_terms(tasks):
        error = SetupError(
            "licence.not_accepted",
            f"The terms of these weights were not accepted yet. {one.sentence}",
            f"Read the terms ({one.url}), and accept them if you agree.",
        )
        error.remedies = (remedies.Remedy(remedies.ACCEPT_TERMS, value=one.id),)
        raise error


def _file() -> Path:
    """
    :raises RuntimeError: the user has no folder for such files.
    """
    return user_data_folder() / _FILE
