"""Calling Python slots as PythonQt does: spare arguments dropped, exceptions printed."""

from __future__ import annotations

import sys
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass

_VARIABLE_ARGUMENTS = 0x04  # CO_VARARGS of a code object


@dataclass(frozen=True)
class SlotError:
    """An exception that left a slot or an observer: the application prints it and goes on."""

    kind: str
    message: str
    traceback: str


class ErrorLog:
    """Collects what reaches ``sys.excepthook``: slots, VTK observers and Qt's own callbacks."""

    def __init__(self) -> None:
        self.errors: list[SlotError] = []
        self._previous: Callable | None = None

    def install(self) -> None:
        """Listen to every exception that is printed from here on; again if others took over.

        Programs in the same process put hooks of their own there (typer's do).
        """
        if sys.excepthook != self._record:
            self._previous = sys.excepthook
            sys.excepthook = self._record

    def remove(self) -> None:
        """Give ``sys.excepthook`` back."""
        if self._previous is not None:
            sys.excepthook, self._previous = self._previous, None

    def _record(self, kind: type, error: BaseException, trace: types.TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        self.errors.append(SlotError(kind.__name__, str(error), text))
        sys.stderr.write(text)


def accepted_arguments(slot: Callable) -> int | None:
    """How many positional arguments PythonQt passes on; None means all that the signal has.

    PythonQt counts the parameters of functions and methods, defaults included, and does not look
    into other callables.
    """
    function = slot.__func__ if isinstance(slot, types.MethodType) else slot
    if not isinstance(function, types.FunctionType):
        return None
    if function.__code__.co_flags & _VARIABLE_ARGUMENTS:
        return None
    return function.__code__.co_argcount - isinstance(slot, types.MethodType)


def guarded(slot: Callable, carried: int | None = None) -> Callable[..., None]:
    """Return a callable for Qt that calls a slot, trims its arguments and keeps exceptions in.

    :param slot: what the module connected
    :param carried: number of arguments of the signal's signature, None for all
    """

    def call(*arguments: object) -> None:
        limit = accepted_arguments(slot)
        given = arguments[:carried]
        try:
            slot(*(given if limit is None else given[:limit]))
        except Exception:
            # This is where PythonQt prints to the error log; the event loop must go on.
            sys.excepthook(*sys.exc_info())

    return call
