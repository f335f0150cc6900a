"""What all tests need, whichever of them share a process."""

import os
import random
import sys
import tempfile
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

# submitit configures logging when it is imported, and that closes every handler there is. absl, which rliable imports, has one
# that writes to what standard error was when absl was imported: in a test, the file in which pytest captures. Imported first,
# submitit finds no handler to close.
import submitit.core.logger  # noqa: F401
import torch
from hypothesis import HealthCheck, settings

# One commit, one verdict: the same examples every time, on any machine. `--hypothesis-profile explore` looks for others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("explore"), derandomize=True)
settings.load_profile("repeatable")

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def declare_entry_points() -> None:
    """Has this process, and those it starts, find the entry points that pyproject.toml declares, where the package was installed
    before some of them were."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    groups = project["entry-points"]
    if all(set(names) <= {one.name for one in entry_points(group=group)} for group, names in groups.items()):
        return
    place = Path(tempfile.mkdtemp())
    metadata = place / f"xtra_bench-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [line for group, names in groups.items() for line in (f"[{group}]", *(f"{a} = {b}" for a, b in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.insert(0, str(place))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))


declare_entry_points()


def pytest_configure(config: pytest.Config) -> None:
    """Hides GPUs from tests that do not ask for one, and from the processes they start: a stage takes what it finds, and would
    then compute on another device than the test that looks at its results. `pytest -m gpu` sees them."""
    selection = str(config.getoption("markexpr", ""))
    if "gpu" not in selection.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup() -> None:
    """Seeds what tests draw without a generator of their own, so that none depends on those that its process ran before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
