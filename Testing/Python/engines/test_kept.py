"""What stays in memory between runs, and what goes first."""

from __future__ import annotations

import pytest

from TotalSegmentatorLib.engines.kept import Kept


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def get(made):
    """Asks for a text of which each letter takes a byte, and notes what is made."""

    def get(kept: Kept, text: str) -> str:
        return kept.get(text, lambda: made.append(text) or text, len)

    return get


def test_a_kept_value_is_not_made_again(get, made):
    kept = Kept(10)
    assert [get(kept, "liver"), get(kept, "liver")] == ["liver", "liver"]
    assert made == ["liver"]


def test_the_least_recently_used_goes_first(get, made):
    kept = Kept(10)
    for text in ("aaaa", "bbbb", "aaaa", "cccc"):  # b must go for c
        get(kept, text)
    for text in ("aaaa", "cccc"):
        get(kept, text)
    assert made == ["aaaa", "bbbb", "cccc"]
    get(kept, "bbbb")
    assert made[-1] == "bbbb"


def test_a_value_above_the_cap_stays_alone_until_the_next(get, made):
    kept = Kept(10)
    for text in ("a", "b" * 20, "b" * 20, "a"):
        get(kept, text)
    assert made == ["a", "b" * 20, "a"]


def test_what_cannot_be_made_is_not_kept(get, made):
    kept = Kept(10)
    with pytest.raises(MemoryError):
        kept.get("a", fail, len)
    assert get(kept, "a") == "a"


def fail() -> str:
    raise MemoryError


def test_clear(get, made):
    kept = Kept(10)
    get(kept, "a")
    kept.clear()
    get(kept, "a")
    assert made == ["a", "a"]
