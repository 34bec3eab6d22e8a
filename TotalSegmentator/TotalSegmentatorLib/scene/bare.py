"""What the module file needs of Slicer's Python that slicer-core does not bring.

slicer-core is Slicer's MRML without Qt, and without some small Python modules. With these in
their place, the module's logic runs on it: a script imports ``TotalSegmentatorLogic`` as in
Slicer's console. The panel still needs the application.
"""

from __future__ import annotations

import sys
import types
import unittest
from typing import Any

import slicer


def provide() -> None:
    """Enter the missing modules; only for slicer-core."""
    _enter("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
    _enter(
        "slicer.parameterNodeWrapper",
        parameterNodeWrapper=lambda cls: cls,
        WithinRange=lambda minimum, maximum: (minimum, maximum),
    )
    _enter(
        "slicer.ScriptedLoadableModule",
        ScriptedLoadableModule=_Base,
        ScriptedLoadableModuleWidget=_Base,
        ScriptedLoadableModuleLogic=_Base,
        ScriptedLoadableModuleTest=unittest.TestCase,
    )


def _enter(name: str, **members: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    setattr(slicer, name.partition(".")[2], module)


class _Base:
    """Base class of module, panel and logic, as far as a script needs it."""

    def __init__(self, parent: object = None) -> None:
        self.parent = parent
