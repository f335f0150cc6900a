"""How numbers are told."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 job`, `1,000 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def agreeing(number: int, noun: str, verb: str) -> str:
    """`1 job asks`, `2 jobs ask`."""
    return f"{counted(number, noun)} {verb}{'s' if number == 1 else ''}"
