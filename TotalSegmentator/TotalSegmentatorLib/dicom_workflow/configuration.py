"""The configuration of a workflow: MHub's modules and keys, and what can be set besides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..catalog.names import did_you_mean
from ..dicom.orders import MEASUREMENTS, SEGMENTATION, STRUCTURE_SET, DicomOptions
from ..errors import InputError
from ..jobs import Request
from .queries import Query, read_query

DEFAULT = Path(__file__).parent / "data" / "default.yml"
IMPORTER, CONVERTER, RUNNER = "DicomImporter", "NiftiConverter", "TotalSegmentatorMLRunner"
DSEG, RTSTRUCT, SR = "DsegConverter", "RTStructConverter", "SrConverter"
ORGANIZER = "DataOrganizer"
#: Modules that write something.
WRITERS = (DSEG, RTSTRUCT, SR)
_BITMAP, _LABELMAP = "bitmap", "labelmap"
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Configuration:
    """What a workflow does.

    :param source: folder of the images, unless another one is given.
    :param output: folder for the results, unless another one is given.
    :param meta: what is noted of a series; a value like ``%Modality`` is read from its header.
    :param inputs: the series that are segmented; None for all that a task is for.
    :param tasks: empty for what finds the structures, or else the whole body.
    :param request: what is asked for, but for the task.
    :param options: what is written.
    :param targets: where it goes, see :func:`.targets.read_target`.
    """

    source: Path
    output: Path
    meta: Mapping[str, str]
    inputs: Query | None
    tasks: tuple[str, ...]
    request: Request
    options: DicomOptions
    targets: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of files that each result has."""
        others = (
            (STRUCTURE_SET, self.options.structure_set),
            (MEASUREMENTS, self.options.measurements),
        )
        return (SEGMENTATION, *(kind for kind, written in others if written))


def read_configuration(
    text: str, changes: Mapping[str, Any] | None = None, writers: Iterable[str] = ()
) -> Configuration:
    """The configuration that a YAML file holds.

    :param text: of the file.
    :param changes: values to set in it, by names like ``modules.DsegConverter.encoding``.
    :param writers: modules of :data:`WRITERS` that are executed besides.
    :raises InputError: ``input.bad_config``.
    """
    values = _with_inline_settings(_parsed(text))
    for name, value in (changes or {}).items():
        _set(values, name, value)
    executed = values["execute"]
    added = [name for name in writers if name not in executed]
    executed = [*executed[:-1], *added, *executed[-1:]]  # the last one takes what they write
    general = _checked("general", _GENERAL, values["general"])
    modules = {
        name: _checked(name, known, values["modules"].get(name) or {})
        for name, known in _known_modules(values["modules"]).items()
    }
    return _configuration(general, _executed(executed), modules)


def read_change(text: str) -> tuple[str, Any]:
    """A change that is written as ``modules.NAME.KEY=VALUE``, with JSON or plain text as value.

    :raises InputError: ``input.bad_config``.
    """
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        raise _bad(f"'{text}' sets nothing.", "Write it as modules.NAME.KEY=VALUE.")
    plain = {"True": True, "False": False, "None": None}  # as MHub writes them
    try:
        return name, plain[value] if value in plain else json.loads(value)
    except ValueError:
        return name, value


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > _LONGEST:
        raise _bad("The configuration is too long to be one.")
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise _bad(f"The configuration is not valid YAML{where}.", details=str(error)) from error
    sections: dict[str, type] = {"general": dict, "execute": list, "modules": dict}
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise _bad("The configuration has no sections.")
    for name in values:
        if name not in sections:
            raise _unknown("section", str(name), sections)
    found = {name: values.get(name) or kind() for name, kind in sections.items()}
    for name, kind in sections.items():
        if not isinstance(found[name], kind):
            raise _bad(f"The section {name} of the configuration is not of the right form.")
    return found


def _with_inline_settings(values: dict[str, Any]) -> dict[str, Any]:
    """The same with settings that stand in ``execute`` (``{module: NAME, key: value}``) moved to
    those of the modules, so that there is one place for them."""
    names, modules = [], dict(values["modules"])
    for entry in values["execute"]:
        if isinstance(entry, dict) and isinstance(entry.get("module"), str):
            name = entry["module"]
            inline = {key: value for key, value in entry.items() if key != "module"}
            own = modules.get(name) or {}
            modules[name] = {**own, **inline} if isinstance(own, dict) else own
            names.append(name)
        else:
            names.append(entry)
    return {**values, "execute": names, "modules": modules}


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    *folders, key = name.split(".")
    place: Any = values if name.startswith(("general.", "modules.")) else None
    for folder in folders:
        if isinstance(place, dict):
            place[folder] = place.get(folder) or {}
            place = place[folder]
    if not isinstance(place, dict):
        raise _bad(f"'{name}' names nothing in it.", "Begin with general. or modules.")
    place[key] = value


# ---- What can be set ------------------------------------------------------------------------

Reader = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    """A list, or one text with commas."""
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ValueError("a list of texts")
    found = tuple(one.strip() for one in values if one.strip())
    if not found:  # it must not mean everything
        raise ValueError("a list of texts")
    return found


def _list(value: Any) -> tuple[str, ...]:
    return _texts([value] if isinstance(value, str) else value)


def _texts_by_name(value: Any) -> dict[str, str]:
    values = _by_name(value)
    if not all(isinstance(one, str) for one in values.values()):
        raise ValueError("names with texts")
    return values


def _by_name(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError("names with values")
    return value


def _encoding(value: Any) -> str:
    if value not in (_BITMAP, _LABELMAP):
        raise ValueError(f"{_BITMAP} or {_LABELMAP}")
    return str(value)


def _without_effect(*names: str) -> dict[str, Reader]:
    """Settings of MHub's that need no heeding here; the user guide says why."""
    return {name: lambda value: value for name in names}


_GENERAL: Mapping[str, Reader] = {
    "data_base_dir": _text,
    **_without_effect("version", "description"),
}
_OF_WRITERS = _without_effect(
    "source_segs", "target_dicom", "skip_empty_slices", "converted_file_name", "bundle_name"
)
# In the order in which they can be executed; the writers among themselves in any.
_MODULES: Mapping[str, Mapping[str, Reader]] = {
    IMPORTER: {
        "source_dir": _text,
        "meta": _texts_by_name,
        **_without_effect("import_dir", "sort_data", "import_data", "structure", "merge"),
    },
    CONVERTER: {
        "in_datas": lambda value: read_query(_text(value)),
        **_without_effect(
            "engine",
            "allow_multi_input",
            "converted_file_name",
            "bundle_name",
            "overwrite_existing_file",
        ),
    },
    RUNNER: {
        "use_fast_mode": _flag,
        "task": _texts,
        "speed": _text,
        "structures": _texts,
        "engine": _text,
        "device": _text,
        "options": _by_name,
        **_without_effect("in_data"),
    },
    DSEG: {
        "encoding": _encoding,
        "deflate": _flag,
        "empty_segments": _flag,
        **_OF_WRITERS,
        **_without_effect(
            "model_name", "body_part_examined", "json_config_path", "segment_id_meta_key"
        ),
    },
    RTSTRUCT: {
        **_OF_WRITERS,
        **_without_effect("segment_id_meta_key", "use_pin_hole", "approximate_contours"),
    },
    SR: _OF_WRITERS,
    ORGANIZER: {
        "target_dir": _text,
        "targets": _list,
        **_without_effect("require_data_confirmation"),
    },
}


def _known_modules(given: Iterable[Any]) -> Mapping[str, Mapping[str, Reader]]:
    for name in given:
        if not isinstance(name, str) or name not in _MODULES:
            raise _unknown("module", str(name), _MODULES)
    return _MODULES


def _checked(module: str, known: Mapping[str, Reader], given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _bad(f"The settings of {module} are not of the right form.")
    found = {}
    for name, value in given.items():
        if name not in known:
            raise _unknown(f"setting of {module}", str(name), known)
        if value is None:  # as if it were not there
            continue
        try:
            found[name] = known[name](value)
        except ValueError as error:
            raise _bad(f"The setting {name} of {module} must be {error}.") from error
    return found


def _executed(names: list[Any]) -> list[str]:
    """The modules, in an order in which they can be executed."""
    _known_modules(names)
    needed = (IMPORTER, CONVERTER, RUNNER, DSEG, ORGANIZER)
    missing = [name for name in needed if name not in names]
    if missing:
        raise _bad(
            f"The configuration executes no {' and no '.join(missing)}, without which nothing "
            "comes out.",
            "Add it to execute.",
        )
    stages = [DSEG if name in WRITERS else name for name in names]
    places = [list(_MODULES).index(name) for name in stages]
    if places != sorted(places) or len(set(names)) < len(names):
        raise _bad(
            "The modules cannot be executed in this order.",
            f"Execute each of them once, in this order: {', '.join(_MODULES)}.",
        )
    return names


# ---- From settings to what is done ----------------------------------------------------------


@cache
def _defaults() -> dict[str, Any]:
    return dict(yaml.safe_load(DEFAULT.read_text("utf-8")))


def _configuration(
    general: Mapping[str, Any], names: list[str], modules: Mapping[str, Mapping[str, Any]]
) -> Configuration:
    defaults = _defaults()["modules"]
    importer = {**defaults[IMPORTER], **modules[IMPORTER]}
    organizer = {**defaults[ORGANIZER], **modules[ORGANIZER]}
    runner, dseg = modules[RUNNER], modules[DSEG]
    labelmap, deflate = dseg.get("encoding") == _LABELMAP, dseg.get("deflate", False)
    if labelmap and deflate:
        raise _bad(
            "A labelmap is compressed anyway, and cannot be deflated.",
            f"Set only one of encoding: {_LABELMAP} and deflate.",
        )
    base = Path(general.get("data_base_dir", _defaults()["general"]["data_base_dir"]))
    fast = "fast" if runner.get("use_fast_mode") else "normal"
    return Configuration(
        source=base / importer["source_dir"],
        output=base / organizer["target_dir"],
        meta=importer["meta"],
        inputs=modules[CONVERTER].get("in_datas"),
        tasks=runner.get("task", ()),
        request=Request(
            speed=runner.get("speed", fast),
            structures=runner.get("structures", ()),
            engine=runner.get("engine", ""),
            device=runner.get("device", "auto"),
            options=runner.get("options", {}),
        ),
        options=DicomOptions(
            labelmap=labelmap,
            deflate=deflate,
            empty_segments=dseg.get("empty_segments", False),
            structure_set=RTSTRUCT in names,
            measurements=SR in names,
        ),
        targets=tuple(organizer["targets"]),
    )


def _unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    names = list(known)
    remedy = did_you_mean(name, {one: one for one in names}) or f"There are: {', '.join(names)}."
    return _bad(f"The configuration has an unknown {what}: '{name}'.", remedy)


def _bad(message: str, remedy: str = "", details: str = "") -> InputError:
    return InputError("input.bad_config", message, remedy, details)
