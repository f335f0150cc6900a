"""What this library raises for rows that it cannot use; the message names file, key, value and remedy."""

from __future__ import annotations


class InputError(ValueError):
    """The given runs cannot be read, or not together. Meant to be shown to a person without a traceback."""
