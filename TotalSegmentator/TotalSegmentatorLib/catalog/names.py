"""Names that people write: near misses and other spellings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def did_you_mean(name: str, ids: Mapping[str, str]) -> str:
    """A remedy that names up to three ids; empty if nothing is near.

    :param ids: what people may have meant to write, and the id that stands for it.
    """
    folded = {fold(key): id for key, id in ids.items()}
    keys = get_close_matches(fold(name), folded, n=6) or _sharing_a_word(fold(name), folded)
    close = list(dict.fromkeys(folded[key] for key in keys))[:3]
    return f"Did you mean {' or '.join(close)}?" if close else ""


def _sharing_a_word(name: str, keys: Iterable[str]) -> list[str]:
    """The keys in which some word is near to a word of the name, in the keys' order."""
    words = name.split()
    return [
        key for key in keys if any(get_close_matches(w, key.split(), cutoff=0.75) for w in words)
    ]


def fold(name: str) -> str:
    """A spelling that is the same for names that differ in case, hyphens and order of words."""
    return " ".join(sorted(name.casefold().replace("_", " ").replace("-", " ").split()))
