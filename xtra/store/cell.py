"""A cell of a suite's result table: one method on one game with one seed, and the jobs that its row stands on."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Cell:
    """`protocol` is the row's label (see `xtra.protocol.protocols.Protocol.label`), `agent` the configuration class's name.

    train_key: the job whose network is scored; None for an agent that is not trained.
    evaluate_key: the job that leaves the cell's episodes.
    """

    suite: str
    suite_version: int
    protocol: str
    method: str
    agent: str
    game: str
    seed: int
    train_key: str | None
    evaluate_key: str

    @property
    def name(self) -> str:
        """`method/game/seed`, what `--only` is matched against."""
        return f"{self.method}/{self.game}/{self.seed}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Its jobs, in the order they run."""
        return (self.evaluate_key,) if self.train_key is None else (self.train_key, self.evaluate_key)

    def matches(self, glob: str) -> bool:
        """Whether `method`, `method/game` or `method/game/seed`, each part with `*`, `?` and `[...]`, is this one."""
        parts, own = glob.split("/"), (self.method, self.game, str(self.seed))
        return len(parts) <= len(own) and all(fnmatchcase(value, part) for value, part in zip(own, parts, strict=False))
