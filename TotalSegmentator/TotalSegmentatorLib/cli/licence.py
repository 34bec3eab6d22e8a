"""``licence``: the number that some tasks need."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from .. import environment
from ..environment import LicenceStatus
from ..errors import CancelledError, InputError
from .console import print_json, say
from .parameters import AsJson

app = typer.Typer(no_args_is_help=True, help="The licence number that some tasks need.")

_SENTENCES = {
    "none": "No licence number is stored.",
    "stored": "The licence number {shown} is stored; nobody was asked whether it is valid.",
    "valid": "The licence number {shown} is stored and valid.",
    "expired": "The licence of the stored number {shown} has expired.",
    "invalid": "The stored licence number {shown} is not valid.",
    "offline": "The licence number {shown} is stored; it could not be checked.",
}


# What does not belong there is taken and not repeated: it may be the number.
@app.command("set", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def store(
    context: typer.Context,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Store it without asking whether it is valid.")
    ] = False,
) -> None:
    """Check a licence number online and store it.

    It is asked for, or read from standard input: what stands on a command line can be seen by all
    users of the computer.
    """
    if context.args:
        raise InputError(
            "input.number_shown",
            "The licence number must not stand on the command line, where others can see it.",
            "Give the command without it; it is asked for, or read from standard input.",
        )
    _print(environment.store_licence(_typed_number(), unchecked=unchecked), as_json=False)


def _typed_number() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    try:
        return typer.prompt("Licence number (not shown)", hide_input=True, err=True)
    except typer.Abort:
        raise CancelledError(message="Nothing was stored.") from None


@app.command()
def status(
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show whether a licence number is stored and valid."""
    _print(environment.licence_status(online=not offline), as_json)


@app.command()
def remove() -> None:
    """Forget the licence number."""
    environment.remove_licence()
    say.line("No licence number is stored any more.")


def _print(found: LicenceStatus, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        print(_SENTENCES[found.state].format(shown=found.shown))
