"""Mutation testing: small faults are put into a copy of the code, one at a time, and the tests beside it must notice.

    pip install mutmut==3.8.1
    nice python benchmarks/mutation/run.py --out mutants.json

mutmut's operators make the faults (numbers, arithmetic, comparisons, arguments, assignments, conditions, strings). This driver
adds what mutmut's own runner has not: a seeded sample, stratified by package; a map from files to tests (map.toml), of which a
mutant meets those that run its line, the quickest first (reach.py); a limit on CPU time; mutants judged equivalent. Each mutant
is tested in a fork of one process that has imported torch already. Results are appended to `OUT.jsonl` as they come, and a run
goes on where one with the same --out stopped. Needs Linux, and a built engine.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import libcst as cst
import numpy as np  # noqa: F401  (this and the next imports are inherited by every fork)
import pandas as pd  # noqa: F401
import pytest
import torch  # noqa: F401
from mutmut.mutation.mutators import mutation_operators
from reach import LineRecorder, Reach, Selection

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = (cst.Annotation, cst.Decorator, cst.Raise, cst.Assert)
"""Nodes without mutants: types, and what an error says."""
STRICT = re.compile(r",? ?strict=\w+|, (?=\))")
MARKS = "not gpu and not slow and not slurm and not browser"
Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Mutant:
    """One fault: the file, the line it is in, its unified diff without context, and the file's whole new text."""

    stratum: str
    file: str
    line: int
    diff: str
    code: str

    @property
    def key(self) -> str:
        """A name that survives changes elsewhere in the file."""
        lines = [line for line in self.diff.splitlines() if not line.startswith("@@")]
        return hashlib.sha256("\n".join([self.file, *lines]).encode()).hexdigest()[:12]


class Finder(cst.CSTVisitor):
    """Collects mutants of function bodies: pairs of a node and what replaces it."""

    def __init__(self) -> None:
        super().__init__()
        self.mutations: list[tuple[cst.CSTNode, cst.CSTNode]] = []
        self._depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, SKIPPED) or (isinstance(node, cst.Call) and getattr(node.func, "value", "") in ("len", "isinstance")):
            return False
        if self._depth:
            for kind, operator in mutation_operators:
                if isinstance(node, kind):
                    self.mutations += [(node, mutated) for mutated in operator(node)]
        self._depth += isinstance(node, cst.FunctionDef)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._depth -= isinstance(original_node, cst.FunctionDef)


@cache
def find_mutations(file: Path) -> tuple[cst.Module, list[tuple[cst.CSTNode, cst.CSTNode]]]:
    module, finder = cst.parse_module(file.read_text()), Finder()
    module.visit(finder)
    return module, finder.mutations


def sample(settings: dict[str, Any], seed: int) -> tuple[list[Mutant], dict[str, int]]:
    """The mutants, strata in turn so that a run cut short still covers all; and how many mutants each stratum has."""
    drawn, populations = [], {}
    for name, stratum in settings["strata"].items():
        files = sorted(path for root in stratum["files"] for path in ROOT.glob(root))
        places = [(file, i) for file in files for i in range(len(find_mutations(file)[1]))]
        populations[name] = len(places)
        chosen = random.Random(f"{seed}/{name}").sample(places, min(stratum["mutants"], len(places)))
        drawn.append([mutant for place in chosen if (mutant := make_mutant(name, *place))])
    return [mutant for turn in zip_longest(*drawn) for mutant in turn if mutant], populations


def make_mutant(stratum: str, file: Path, number: int) -> Mutant | None:
    """None where the mutant is the code itself, no Python, or differs in `strict=` alone, by which no right code is changed."""
    module, mutations = find_mutations(file)
    mutated = module.deep_replace(*mutations[number])
    assert isinstance(mutated, cst.Module)
    diff = list(difflib.unified_diff(module.code.splitlines(), mutated.code.splitlines(), lineterm="", n=0))[2:]
    try:
        compile(mutated.code, str(file), "exec")
    except SyntaxError:
        return None
    changes = ["".join(STRICT.sub("", line[1:]) for line in diff if line.startswith(sign)) for sign in "-+"]
    if changes[0] == changes[1]:
        return None
    line = int(diff[0].split()[1].lstrip("-").split(",")[0])
    return Mutant(stratum, str(file.relative_to(ROOT)), line, "\n".join(diff), mutated.code)


def tests_of(file: str, settings: dict[str, Any]) -> list[str]:
    """Of the longest prefix of `file` in the map. Raises ValueError where there is none, FileNotFoundError for a missing test."""
    tests: list[str] = settings["tests"][max((p for p in settings["tests"] if file.startswith(p)), key=len)]
    for test in tests:
        if not (ROOT / test).exists():
            raise FileNotFoundError(f"benchmarks/mutation/map.toml names {test}, which does not exist")
    return tests


def copy_tree(target: Path) -> None:
    """Tracked and untracked files that git does not ignore, and the compiled engines."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in [*listed.stdout.split("\n"), *(str(p.relative_to(ROOT)) for p in (ROOT / "xtra").rglob("*.so"))]:
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def run_tests(tree: Path, tests: list[str], plugin: object, limit: int) -> tuple[str, float]:
    """`killed`, `survived` or `timeout` (past `limit` CPU seconds, or tenfold on the clock), and the CPU seconds it took."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        os.chdir(tree)
        with (tree / "output.txt").open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.path[:0] = [str(tree), str(tree / "analysis")]
        os.environ["PYTHONPATH"] = f"{tree}:{tree / 'analysis'}"
        code = 3
        try:
            code = pytest.main(["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-m", MARKS, *tests], plugins=[plugin])
        finally:
            os._exit(int(code))
    deadline = time.monotonic() + 10 * limit
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            _, _, usage = os.wait4(pid, 0)
            return "timeout", usage.ru_utime + usage.ru_stime
        time.sleep(0.1)
    code = os.waitstatus_to_exitcode(status)
    outcome = {0: "survived", -signal.SIGXCPU: "timeout", -signal.SIGKILL: "timeout"}.get(code, "killed")
    return outcome, usage.ru_utime + usage.ru_stime


class Tester:
    """Runs mutants in one copy of the tree."""

    def __init__(self, tree: Path, settings: dict[str, Any]) -> None:
        self._tree, self._settings, self._clock = tree, settings, time.time()
        self._reaches: dict[str, Reach] = {}

    def test(self, mutant: Mutant) -> tuple[str, float]:
        """What became of the mutant, and CPU seconds. Raises RuntimeError if the tests fail without it, too."""
        reach, spent = self._reach(tests_of(mutant.file, self._settings))
        tests = reach.tests(mutant.file, mutant.line)
        limit = 60 + round(4 * sum(reach.seconds[test] for test in tests))
        path = self._tree / mutant.file
        original = path.read_text()
        try:
            self._write(path, mutant.code)
            files = list(dict.fromkeys(test.split("::")[0] for test in tests))
            outcome, seconds = run_tests(self._tree, files, Selection(tests), limit)
        finally:
            self._write(path, original)
        return outcome, seconds + spent

    def _reach(self, tests: list[str]) -> tuple[Reach, float]:
        """What the tests run, and the CPU seconds that it took to learn it: each file of tests is recorded once."""
        spent = 0.0
        for test in tests:
            if test not in self._reaches:
                path = self._tree / "reach.json"
                outcome, seconds = run_tests(self._tree, [test], LineRecorder(self._tree, path), 1800)
                if outcome != "survived":
                    raise RuntimeError(f"without any mutant, {test}: {(self._tree / 'output.txt').read_text()[-2000:]}")
                self._reaches[test] = Reach.read(path)
                spent += seconds
        return Reach.union(self._reaches[test] for test in tests), spent

    def _write(self, path: Path, code: str) -> None:
        """Bytecode is trusted by a file's time in whole seconds and its size: every version gets a second of its own."""
        path.write_text(code)
        self._clock += 2
        os.utime(path, (self._clock, self._clock))


def wilson(successes: int, trials: int) -> list[float]:
    """The 95 % score interval of a proportion (Wilson, 1927)."""
    if trials == 0:
        return [0.0, 1.0]
    p, z2 = successes / trials, Z**2
    center = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * (p * (1 - p) / trials + z2 / (4 * trials**2)) ** 0.5
    return [round(center - half, 4), round(center + half, 4)]


def report(
    results: list[dict[str, Any]], mutants: list[Mutant], populations: dict[str, int], equivalent: dict[str, str], seed: int
) -> dict[str, Any]:
    """Shares of killed mutants, those judged equivalent left out; a timeout counts as killed."""
    strata = {}
    for name, population in populations.items():
        own = [r for r in results if r["stratum"] == name]
        counts = {o: sum(r["outcome"] == o for r in own) for o in ("killed", "timeout", "survived")}
        judged = sum(r["outcome"] == "survived" and r["key"] in equivalent for r in own)
        killed, trials = counts["killed"] + counts["timeout"], len(own) - judged
        strata[name] = {
            "population": population,
            "sampled": sum(m.stratum == name for m in mutants),
            "run": len(own),
            **counts,
            "equivalent": judged,
            "killed_fraction": round(killed / trials, 4) if trials else None,
            "interval_95": wilson(killed, trials),
        }
    survivors = [r | {"equivalent": equivalent.get(r["key"])} for r in results if r["outcome"] == "survived"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    hours = round(sum(r["cpu_seconds"] for r in results) / 3600, 3)
    return {"commit": commit, "seed": seed, "cpu_hours": hours, "strata": strata, "survivors": survivors}


def earlier_results(log: Path, mutants: list[Mutant]) -> Iterator[dict[str, Any]]:
    """Yields the latest result of each mutant that is in this sample still."""
    keys = {mutant.key for mutant in mutants}
    lines = log.read_text().splitlines() if log.exists() else []
    latest = {r["key"]: r for r in map(json.loads, lines)}
    yield from (r for key, r in latest.items() if key in keys)


def main() -> None:
    """Samples, tests what is not tested yet, and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="report (JSON); OUT.jsonl beside it holds each result")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--core-hours", type=float, default=3.0, help="CPU time after which no mutant is begun")
    parser.add_argument("--limit", type=int, help="mutants to test in this run at most")
    parser.add_argument("--survivors", action="store_true", help="test again what survived, as after tests were added")
    parser.add_argument("--only", nargs="+", default=[""], help="test mutants of files that begin with one of these alone")
    arguments = parser.parse_args()
    settings = tomllib.loads((Path(__file__).parent / "map.toml").read_text())
    equivalent = {entry["key"]: entry["reason"] for entry in settings.get("equivalent", [])}
    mutants, populations = sample(settings, arguments.seed)
    log = arguments.out.with_suffix(".jsonl")
    results = [r for r in earlier_results(log, mutants) if not (arguments.survivors and r["outcome"] == "survived")]
    known = {r["key"] for r in results}
    left = [m for m in mutants if m.key not in known and m.file.startswith(tuple(arguments.only))][: arguments.limit]
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, log.open("a") as file:
        tree = Path(name)
        copy_tree(tree)
        tester = Tester(tree, settings)
        for number, mutant in enumerate(left, 1):
            if sum(r["cpu_seconds"] for r in results) > 3600 * arguments.core_hours:
                print(f"{arguments.core_hours} core-hours are spent; {len(left) - number + 1} mutants are left", flush=True)
                break
            outcome, seconds = tester.test(mutant)
            result = {
                "key": mutant.key, "stratum": mutant.stratum, "file": mutant.file, "line": mutant.line, "diff": mutant.diff,
                "outcome": outcome, "cpu_seconds": round(seconds, 1),
            }  # fmt: skip
            results.append(result)
            print(json.dumps(result), file=file, flush=True)
            print(f"{number}/{len(left)} {outcome} {mutant.file}:{mutant.line} {seconds:.0f} s", flush=True)
    arguments.out.write_text(json.dumps(report(results, mutants, populations, equivalent, arguments.seed), indent=1) + "\n")


if __name__ == "__main__":
    main()
