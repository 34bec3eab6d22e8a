"""``licence``: the number that some tasks need, and the terms of weights."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from .. import catalog, environment
from ..environment import LicenceStatus
from ..errors import CancelledError, InputError
from .console import print_json, print_table, say
from .parameters import AsJson

_UsageError = typer.BadParameter.__mro__[1]  # typer itself gives it no name


class _Commands(TyperGroup):
    """Says what is wrong with a command line without repeating it: it may hold the number."""

    def invoke(self, context: typer.Context) -> object:
        try:
            return super().invoke(context)
        except _UsageError:
            raise InputError(
                "input.number_shown",
                "This is not how 'licence' is called, and a licence number must not stand on the "
                "command line, where others can see it.",
                "Use set, status, remove, terms or accept; the number is asked for, or read from "
                "standard input.",
            ) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    help="The licence number that some tasks need, and the terms of weights.",
)

_SENTENCES = {
    "none": "No licence number is stored.",
    "stored": "The licence number {shown} is stored; nobody was asked whether it is valid.",
    "valid": "The licence number {shown} is stored and valid.",
    "expired": "The licence of the stored number {shown} has expired.",
    "invalid": "The stored licence number {shown} is not valid.",
    "offline": "The licence number {shown} is stored; it could not be checked.",
}


@app.command("set")
def store(
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Store it without asking whether it is valid.")
    ] = False,
) -> None:
    """Check a licence number online and store it.

    It is asked for, or read from standard input: what stands on a command line can be seen by all
    users of the computer.
    """
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


@app.command()
def terms(as_json: AsJson = False) -> None:
    """List the terms of weights that are not TotalSegmentator's, and whether they are accepted."""
    rows = [(one, _state(one)) for one in catalog.all_terms()]
    if as_json:
        print_json([{**dataclasses.asdict(one), "state": state} for one, state in rows])
        return
    table = [(one.id, one.title, state, one.sentence, one.url) for one, state in rows]
    print_table("", ("Terms", "Licence", "State", "What they say", "In full"), table)


def _state(one: catalog.Terms) -> str:
    if not one.accept:
        return "need not be accepted"
    return "accepted" if environment.terms.is_accepted(one.id) else "not accepted"


@app.command()
def accept(
    id: Annotated[str, typer.Argument(metavar="TERMS", help="Which ones; see 'licence terms'.")],
) -> None:
    """Accept the terms of weights, once for this user of this computer."""
    found = {one.id: one for one in catalog.all_terms()}.get(id)
    if found is None:  # it may be the number, and is not repeated
        raise InputError(
            "input.unknown_terms",
            "There are no such terms.",
            f"There are: {', '.join(one.id for one in catalog.all_terms())}.",
        )
    environment.terms.accept(found.id)
    say.line(f"You have accepted: {found.sentence} In full: {found.url}")


def _print(found: LicenceStatus, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        print(_SENTENCES[found.state].format(shown=found.shown))
