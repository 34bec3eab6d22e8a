"""Where files of results go: targets ``query-->path`` with placeholders, as MHub writes them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import InputError
from .queries import Item, Query, read_query

_ARROW = "-->"
_PLACEHOLDER = re.compile(r"\[(?:([id]):)?([\w-]+)\]")
# Without a letter before: what is known of the file itself.
_OF_FILE: dict[str, Callable[[str], str]] = {
    "random": lambda name: str(uuid.uuid4()),
    "path": lambda name: name,
    "basename": lambda name: name,
    "filename": lambda name: name.partition(".")[0],
    "filext": lambda name: name.partition(".")[2],
}
# Windows knows these as devices, also with a suffix, and forbids these characters in names.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f]|[. ]$')
_LONGEST = 64
# Bytes; systems take 255, and there may come a number.
_LONGEST_NAME = 180
_END = 16  # characters, e.g. .rtstruct.dcm


@dataclass(frozen=True)
class Target:
    """A place for the items that a query takes.

    :param parts: names of folders and, last, of the file, with placeholders: ``[i:...]`` is an
        attribute of the series' header (or ``sid``, its UID), ``[d:...]`` of the item's meta,
        others are of the item's name.
    """

    query: Query
    parts: tuple[str, ...]

    def place(self, item: Item, attribute: Callable[[str], str]) -> PurePosixPath:
        """Where an item goes, below the output folder.

        :param attribute: tells attributes of the series; empty for one that it does not have.
        :raises InputError: ``output.no_value`` if there is no value for a placeholder.
        """

        def value(match: re.Match[str]) -> str:
            letter, name = match.groups()
            if letter is None:
                return safe_name(_OF_FILE[name](item.name))
            found = attribute(name) if letter == "i" else item.meta.get(name, "")
            if not found:
                raise InputError(
                    "output.no_value",
                    f"The series has no value for {match[0]} in the name of the output.",
                    "Use another placeholder in the target.",
                )
            return safe_name(found)

        names = [_PLACEHOLDER.sub(value, part) for part in self.parts]
        return PurePosixPath(*(f"_{n}" if _DEVICE.fullmatch(n) else _cut(n) for n in names))


def safe_name(value: str) -> str:
    """A value as it may stand in the name of a file: it leads nowhere and is not long."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in value)
    return kept[:_LONGEST].strip(".") or "_"


def _cut(name: str) -> str:
    """A name that is not too long for any system, with the same end."""
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    end = name[-_END:]
    return name[:-_END].encode()[: _LONGEST_NAME - len(end.encode())].decode(errors="ignore") + end


def read_target(text: str, output: Path) -> Target:
    """The target that a text like ``dicomseg:mod=seg-->[i:sid]/TotalSegmentator.seg.dcm`` is.

    :param output: the output folder, which no target may leave.
    :raises InputError: ``input.bad_config``.
    """
    query, arrow, place = text.partition(_ARROW)
    path = Path(place.strip())
    if path.is_absolute() and path.is_relative_to(output.absolute()):
        path = path.relative_to(output.absolute())
    if not arrow or not path.parts:
        raise _bad(text, f"Write it as query{_ARROW}path.")
    for scope, name in _PLACEHOLDER.findall(place):
        if not scope and name not in _OF_FILE:
            known = ", ".join(f"[{one}]" for one in _OF_FILE)
            raise _bad(text, f"Placeholders are [i:...], [d:...], {known}.")
    literal = [_PLACEHOLDER.sub("x", part) for part in path.parts]
    if path.is_absolute() or any(_FORBIDDEN.search(part) for part in literal):
        raise _bad(text, "Name a file in the output folder, in letters that every system knows.")
    return Target(read_query(query), path.parts)


def _bad(text: str, remedy: str) -> InputError:
    return InputError("input.bad_config", f"The target '{text}' cannot be used.", remedy)
