"""What is asked of an engine: a plain value that can be saved, sent and run again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from ..images.region import Point

OptionValue = bool | int | float | str
SCHEMA = 1
#: A box needs eight points. Every result keeps its request, which must not grow without end.
MOST_POINTS = 1000
_NO_TEXTS = ("structures", "options", "region")


@dataclass(frozen=True)
class Request:
    """One segmentation, independent of the image it is applied to.

    :param task: task id of the catalogue; empty means the tasks that find the structures, or
        the whole body if no structures are given.
    :param engine: engine name; empty means the task's first engine in the catalogue.
    :param speed: ``normal``, ``fast`` or ``fastest``.
    :param structures: class names to restrict the run to, or without a task names of any kind;
        empty means all of the task.
    :param modality: ``CT`` or ``MR``; empty means as the image says.
    :param device: ``auto``, ``cpu``, ``gpu``, ``gpu:N`` or ``mps``.
    :param model: nnU-Net model folder for the task ``custom``; empty otherwise.
    :param options: values for the options that the engine declares.
    :param region: points in mm RAS of the image's own space, :data:`MOST_POINTS` at most; the
        smallest box of its voxels that holds all of them is segmented; empty means the whole image.
    """

    task: str = ""
    engine: str = ""
    speed: str = "normal"
    structures: tuple[str, ...] = ()
    modality: str = ""
    device: str = "auto"
    model: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    region: tuple[Point, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON values, with the version of this schema."""
        values = asdict(self)
        values["structures"] = list(self.structures)
        values["options"] = dict(self.options)
        values["region"] = [[float(x) for x in point] for point in self.region]
        return {"schema": SCHEMA, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """The inverse of :meth:`to_dict`.

        :raises InputError: ``input.bad_request`` if the schema, a field or a type is unknown.
        """
        if not isinstance(values, Mapping):
            raise _bad_request("it is no JSON object")
        values = dict(values)
        schema = values.pop("schema", SCHEMA)
        unknown = set(values) - {f.name for f in fields(cls)}
        if schema != SCHEMA or unknown:
            names = ", ".join(sorted(unknown)) or "none"
            raise _bad_request(f"schema {schema}, unknown fields: {names}")
        structures, options = values.get("structures", ()), values.get("options", {})
        if not isinstance(structures, (list, tuple)) or not isinstance(options, Mapping):
            raise _bad_request("structures are a list, options an object")
        region = _region_from(values.get("region", ()))
        request = cls(**{**values, "structures": tuple(structures), "region": region})
        texts = [value for name, value in asdict(request).items() if name not in _NO_TEXTS]
        if not all(isinstance(text, str) for text in (*texts, *request.structures, *options)):
            raise _bad_request("a value that is not a text")
        if not all(isinstance(value, OptionValue) for value in options.values()):
            raise _bad_request("an option that is neither number, text, true nor false")
        return request


def _region_from(values: Any) -> tuple[Point, ...]:
    if isinstance(values, (list, tuple)) and len(values) <= MOST_POINTS:
        points = tuple(map(_point_from, values))
        if None not in points:
            return points  # type: ignore[return-value]
    raise _bad_request(
        f"a region is a list of up to {MOST_POINTS} points, each of three finite numbers"
    )


def _point_from(value: Any) -> Point | None:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return None
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value):
        return None
    try:
        x, y, z = map(float, value)
    except OverflowError:  # a whole number of JSON may have hundreds of digits
        return None
    return (x, y, z) if all(map(math.isfinite, (x, y, z))) else None


def _bad_request(reason: str) -> InputError:
    return InputError(
        "input.bad_request",
        f"This version cannot read the request ({reason}).",
        "Write the request anew with this version.",
    )
