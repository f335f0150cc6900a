"""Which tests run which lines, recorded once: a mutant needs to meet only the tests that run its line, the quickest first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest


class LineRecorder:
    """A pytest plugin that writes to `path` which tests run each line below `root`, and each test's CPU seconds."""

    def __init__(self, root: Path, path: Path) -> None:
        self._root, self._path = root, path
        self._coverage = coverage.Coverage(data_file=None, config_file=False, source=[str(root / "xtra"), str(root / "analysis")])
        self._seconds: dict[str, float] = {}

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begin = time.process_time()
        result = yield
        self._seconds[item.nodeid] = time.process_time() - begin
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A fixture may serve every test of the file, though only the first one makes it: the file stands for them all."""
        self._coverage.switch_context(item.nodeid.split("::")[0])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self._coverage.switch_context(item.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {str(Path(file).relative_to(self._root)): data.contexts_by_lineno(file) for file in data.measured_files()}
        self._path.write_text(json.dumps({"seconds": self._seconds, "lines": lines}))


@dataclass(frozen=True)
class Reach:
    """CPU seconds of each test by its id, and for each file and line the ids of the tests, or files of tests, that run it."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    @classmethod
    def read(cls, path: Path) -> Reach:
        return cls(**json.loads(path.read_text()))

    @classmethod
    def union(cls, parts: Iterable[Reach]) -> Reach:
        """Returns what the tests of all parts run."""
        seconds: dict[str, float] = {}
        lines: dict[str, dict[str, list[str]]] = {}
        for part in parts:
            seconds |= part.seconds
            for file, of_file in part.lines.items():
                for line, contexts in of_file.items():
                    lines.setdefault(file, {}).setdefault(line, []).extend(contexts)
        return cls(seconds, lines)

    def tests(self, file: str, line: int) -> list[str]:
        """Ids of the tests that run `line`, the quickest first; all tests where none is known to, since tests start processes.

        Of a statement over several lines Python reports some, so the last reported line up to `line` counts.
        """
        lines = self.lines.get(file, {})
        reported = max((number for number in map(int, lines) if number <= line), default=0)
        contexts = set(lines.get(str(reported), []))
        tests = [test for test in self.seconds if test in contexts or test.split("::")[0] in contexts]
        return sorted(tests or self.seconds, key=self.seconds.__getitem__)


class Selection:
    """A pytest plugin that runs the given tests alone, in the order given."""

    def __init__(self, tests: list[str]) -> None:
        self._ranks = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._ranks), key=lambda item: self._ranks[item.nodeid])
