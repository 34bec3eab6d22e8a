"""`slicer.parameterNodeWrapper`: typed access to a parameter node and its binding to widgets.

An implementation of the documented behaviour for the types that a module's settings have:
numbers, text, bool, paths, enumerations, nodes, Optional and Union, and lists, tuples and
dictionaries of all these. Not here: parameter packs, and containers without element types.
"""

from __future__ import annotations

import types

from . import annotations, connectors
from .wrapper import isParameterNodeWrapper, parameterNodeWrapper


def module() -> types.ModuleType:
    """Return the module to be entered as `slicer.parameterNodeWrapper`."""
    made = types.ModuleType("slicer.parameterNodeWrapper")
    made.parameterNodeWrapper = parameterNodeWrapper
    made.isParameterNodeWrapper = isParameterNodeWrapper
    made.SlicerParameterNamePropertyName = connectors.PROPERTY
    for cls in annotations.ALL:
        setattr(made, cls.__name__, cls)
    return made
