"""PythonQt converts arguments that Qt cannot take as they are: `label.setText(3)` shows '3'."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator


def _numbers_to_text(value: object) -> object:
    return str(value) if isinstance(value, numbers.Number) else value


def _numbers_to_int(value: object) -> object:
    return int(value) if isinstance(value, numbers.Real) else value


def _conversions(arguments: tuple) -> Iterator[tuple]:
    """Yield the arguments in the forms that PythonQt's lenient overload resolution tries."""
    for convert in (_numbers_to_int, _numbers_to_text):
        converted = tuple(convert(a) for a in arguments)
        if [type(a) for a in converted] != [type(a) for a in arguments]:
            yield converted


def lenient(method: Callable) -> Callable:
    """Return a Qt method that retries with converted numbers where Qt refuses the types."""

    # Without functools.wraps(): PySide would write the method's help text, at every call.
    def call(*arguments: object, **options: object) -> object:
        try:
            return method(*arguments, **options)
        except TypeError:
            for converted in _conversions(arguments):
                try:
                    return method(*converted, **options)
                except TypeError:
                    continue
            raise

    return call
