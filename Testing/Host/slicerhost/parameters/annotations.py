"""What may stand in Annotated[type, ...] of a parameter: limits, default, and widget settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Validator:
    """Checks a value before it is stored."""

    def validate(self, value: object) -> None:
        """Raise ValueError for a value that is not allowed."""


@dataclass(frozen=True)
class WithinRange(Validator):
    """Both limits are allowed."""

    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        """Raise ValueError outside the range."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within [{self.minimum}, {self.maximum}]")


@dataclass(frozen=True)
class Minimum(Validator):
    """The limit is allowed."""

    minimum: float

    def validate(self, value: float) -> None:
        """Raise ValueError below the limit."""
        if value < self.minimum:
            raise ValueError(f"{value} is less than {self.minimum}")


@dataclass(frozen=True)
class Maximum(Validator):
    """The limit is allowed."""

    maximum: float

    def validate(self, value: float) -> None:
        """Raise ValueError above the limit."""
        if value > self.maximum:
            raise ValueError(f"{value} is more than {self.maximum}")


@dataclass(frozen=True)
class Choice(Validator):
    """One of some values."""

    choices: Sequence

    def validate(self, value: object) -> None:
        """Raise ValueError for any other value."""
        if value not in self.choices:
            raise ValueError(f"{value!r} is not one of {list(self.choices)}")


@dataclass(frozen=True)
class Exclude(Validator):
    """None of some values."""

    excludedValues: Sequence

    def validate(self, value: object) -> None:
        """Raise ValueError for one of them."""
        if value in self.excludedValues:
            raise ValueError(f"{value!r} is excluded")


@dataclass(frozen=True)
class Default:
    """The value of a parameter that was never set."""

    value: object


@dataclass(frozen=True)
class Decimals:
    """Digits after the point that a spin box shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of a spin box or slider."""

    value: float


ALL = (
    Validator,
    WithinRange,
    Minimum,
    Maximum,
    Choice,
    Exclude,
    Default,
    Decimals,
    SingleStep,
)
