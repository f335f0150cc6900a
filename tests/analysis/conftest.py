"""Synthetic runs for the tests of the analysis, and one report made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xtra_analysis.report import write_report
from xtra_analysis.synthetic import METHODS, write_synthetic_run

GAMES = ("Alien", "Carnival", "Assault")
FEW_METHODS = (METHODS[0], METHODS[1], METHODS[4], METHODS[-1])
"""EfficientZero, XTRA, an ablation and the random agent."""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 methods × 3 games × 4 seeds, with missing and diverged cells."""
    directory = tmp_path_factory.mktemp("runs") / "small"
    return write_synthetic_run(directory, FEW_METHODS, GAMES, range(4), seed=26, score_threshold=500.0)


@pytest.fixture(scope="session")
def small_report(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the report of `small_run`."""
    return write_report([small_run], tmp_path_factory.mktemp("report")).parent


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes further runs: `make_run(name, methods=…, games=…, seeds=…, **changes of run.json)`."""

    def make(name: str, **options: Any) -> Path:
        arguments: dict[str, Any] = {"methods": FEW_METHODS[:2], "games": GAMES[:2], "seeds": range(3)} | options
        return write_synthetic_run(tmp_path / name, **arguments)

    return make
