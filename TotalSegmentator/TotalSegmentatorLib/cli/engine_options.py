"""The options that engines declare, as flags of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Optional

import typer

from .. import engines
from ..engines.contract import SCOPES, Option


def with_engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag per declared option, and hand it those that were given.

    The command receives them as ``engine_options``: option name -> value.
    """
    declared = _declared()

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        given = {name: values.pop(name) for name in declared}
        command(
            **values,
            engine_options={name: value for name, value in given.items() if value is not None},
        )

    own = inspect.signature(command, eval_str=True).parameters.values()
    added = [_parameter(option, names) for option, names in declared.values()]
    kept = [parameter for parameter in own if parameter.name != "engine_options"]
    wrapper.__signature__ = inspect.Signature(kept + added)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in kept + added}
    return wrapper


def _declared() -> dict[str, tuple[Option, list[str]]]:
    """Option name -> the option and the engines that have it."""
    found: dict[str, tuple[Option, list[str]]] = {}
    for name, spec in engines.specs().items():
        for option in spec.options:
            found.setdefault(option.name, (option, []))[1].append(name)
    return found


def _parameter(option: Option, names: list[str]) -> inspect.Parameter:
    runs = f" for {SCOPES[option.scope]}" if option.scope else ""
    runs += f" for {', '.join(option.tasks)}" if option.tasks else ""
    declaration = typer.Option(
        "--" + option.name.replace("_", "-"),
        metavar="|".join(option.choices) or ("PATH" if option.path else None),
        help=option.help + (f" (default: {option.default})" if option.default != "" else ""),
        rich_help_panel=f"Options{runs}, engine {' or '.join(names)}",
        show_default=False,
    )
    # Optional, not "|": typer reads this at run time, and None tells "not given" from a default.
    annotation = Annotated[Optional[type(option.default)], declaration]  # noqa: UP045
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
