"""What all tests need, whichever of them share a process."""

import os

import pytest

# submitit configures logging when it is imported, and that closes every handler there is. absl, which rliable imports, has one
# that writes to what standard error was when absl was imported: in a test, the file in which pytest captures. Imported first,
# submitit finds no handler to close.
import submitit.core.logger  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    """Hides GPUs from tests that do not ask for one, and from the processes they start: a stage takes what it finds, and would
    then compute on another device than the test that looks at its results. `pytest -m gpu` sees them."""
    selection = str(config.getoption("markexpr", ""))
    if "gpu" not in selection.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
