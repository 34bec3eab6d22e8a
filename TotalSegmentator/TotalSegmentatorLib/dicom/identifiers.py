"""Unique identifiers (UIDs): those that can be trusted, and stable ones in place of the others."""

from __future__ import annotations

import re
import uuid

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_NAMESPACE = uuid.UUID("1d0c3b5e-8f0a-5b52-9c5e-6a2f4f0d7b11")  # ours; any fixed one would do


def valid_uid(text: str) -> str:
    """The text if it is a UID, else nothing: it may become the name of a folder."""
    return text if len(text) <= _LONGEST_UID and _UID.fullmatch(text) else ""


def stable_uid(*parts: str) -> str:
    """A UID that the same parts give on every computer, and others do not (PS3.5, B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"
