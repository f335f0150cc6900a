"""Errors of the store. Each message says what to do."""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """The base of the store's errors. Its message says what is wrong, where, and the remedy."""


class DamagedError(StoreError):
    """A file of the store is missing, truncated or altered."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}; `xtra-bench run` makes it again")
        self.path = path
        self.fault = fault


class UnreadableError(StoreError):
    """A file or directory of the store is there and cannot be read: most often a colleague's, made with a strict umask."""

    def __init__(self, path: Path, error: OSError) -> None:
        at = Path(error.filename) if isinstance(error.filename, str) else path
        super().__init__(f"{at}: cannot be read ({error.strerror}); its owner can make it readable (chmod -R a+rX)")
        self.path = at


class ClaimLostError(StoreError):
    """Another process took the job over while this one was thought dead; what this one computed is dropped."""
