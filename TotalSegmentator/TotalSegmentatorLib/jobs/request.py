"""What is asked of an engine: a plain value that can be saved, sent and run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import InputError

OptionValue = bool | int | float | str
SCHEMA = 1


@dataclass(frozen=True)
class Request:
    """One segmentation, independent of the image it is applied to.

    :param task: task id of the catalogue; empty means the tasks that find the structures, or
        the whole body if no structures are given.
    :param engine: engine name; empty means the engine that the catalogue names for the task.
    :param speed: ``normal``, ``fast`` or ``fastest``.
    :param structures: class names to restrict the run to, or without a task names of any kind;
        empty means all of the task.
    :param modality: ``CT`` or ``MR``; empty means as the image says.
    :param device: ``auto``, ``cpu``, ``gpu``, ``gpu:N`` or ``mps``.
    :param model: nnU-Net model folder for the task ``custom``; empty otherwise.
    :param options: values for the options that the engine declares.
    """

    task: str = ""
    engine: str = ""
    speed: str = "normal"
    structures: tuple[str, ...] = ()
    modality: str = ""
    device: str = "auto"
    model: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON values, with the version of this schema."""
        values = asdict(self)
        values["structures"] = list(self.structures)
        values["options"] = dict(self.options)
        return {"schema": SCHEMA, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """The inverse of :meth:`to_dict`.

        :raises InputError: ``input.bad_request`` if the schema or a field is unknown.
        """
        values = dict(values)
        schema = values.pop("schema", SCHEMA)
        unknown = set(values) - {f.name for f in fields(cls)}
        if schema != SCHEMA or unknown:
            raise InputError(
                "input.bad_request",
                f"This version cannot read the request (schema {schema}, "
                f"unknown fields: {', '.join(sorted(unknown)) or 'none'}).",
                "Write the request anew with this version.",
            )
        values["structures"] = tuple(values.get("structures", ()))
        return cls(**values)
