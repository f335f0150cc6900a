"""Every kind of broken suite gives its place, its message and its remedy, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from xtra.suite.diagnostics.document import MAX_BYTES, parse
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite, validate_document

SOUND = """\
suite: example
version: 1
question: Does it work?
protocol: atari100k
preset: small
seeds: [0, 1]
targets: [Pong, Breakout]
methods:
  - name: EfficientZero
  - name: Fewer simulations
    base: EfficientZero
    set:
      agent.search.num_simulations: 8
  - name: Random
    agent: random
baseline: EfficientZero
set:
  agent.optimizer.batch_size: 64
"""


def changed(old: str, new: str) -> str:
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


CASES = {case["case"]: case for case in YAML(typ="safe").load(Path(__file__).with_name("broken_suites.yaml"))}


def broken(case: dict[str, str]) -> str:
    """The text of a case: its own, or the sound suite with something replaced or appended."""
    if "replace" in case:
        return changed(case["replace"], case["by"])
    return case["text"] if "text" in case else SOUND + case["append"]


def load(text: str, path: Path) -> SuiteError:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    return caught.value


def test_the_suite_that_the_cases_break_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SOUND, encoding="utf-8")
    assert load_suite(path).suite == "example"


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_mistake_is_told_with_its_place_and_its_remedy(case: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    (problem,) = load(broken(case), path).problems
    assert (str(problem.location), problem.message) == (f"{path}:{case['place']}", case["message"])
    assert problem.remedy == case["remedy"]


def test_the_caret_stands_under_the_mistake(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    rendered = load(changed("Breakout]", "Brekaout]"), path).render()
    assert rendered == (
        f"{path}:7:17: unknown game 'Brekaout'\n"
        "    targets: [Pong, Brekaout]\n"
        "                    ^\n"
        "    did you mean 'Breakout'?"
    )


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = changed("version: 1", "version: one").replace("Breakout]", "Brekaout]").replace("small", "smal")
    text = text.replace("agent: random", "agnt: random").replace("batch_size: 64", "batch_size: 0").replace("[0, 1]", "[-1]")
    problems = load(text, tmp_path / "suite.yaml").problems
    assert [problem.location.line for problem in problems] == [2, 5, 6, 7, 15, 18]


def test_a_value_of_the_wrong_shape_causes_no_further_complaints(tmp_path: Path) -> None:
    text = SOUND.replace("  - name: EfficientZero\n", "  - nothing\n")
    messages = [problem.message for problem in load(text, tmp_path / "suite.yaml").problems]
    assert messages == ["methods.0: 'nothing' is not a mapping"]
    text = SOUND.split("methods:")[0] + "methods:\n  - name: ''\n"
    assert [problem.message for problem in load(text, tmp_path / "suite.yaml").problems] == ["methods.0.name is empty"]


def test_a_cycle_is_told_once_where_it_is_and_not_where_it_is_used(tmp_path: Path) -> None:
    methods = "methods:\n  - {name: Outside, base: A}\n  - {name: A, base: B}\n  - {name: B, base: A}\n"
    text = SOUND.split("methods:")[0] + methods
    (problem,) = load(text, tmp_path / "suite.yaml").problems
    assert (problem.location.line, problem.message) == (10, "bases form a cycle: A -> B -> A")


def test_a_cycle_hidden_by_a_duplicate_name_is_found(tmp_path: Path) -> None:
    methods = "methods:\n  - {name: A, base: B}\n  - {name: B, base: A}\n  - {name: A}\n"
    text = SOUND.split("methods:")[0] + methods
    messages = {problem.message for problem in load(text, tmp_path / "suite.yaml").problems}
    assert messages == {"bases form a cycle: A -> B -> A", "duplicate method name 'A'"}


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    assert load_suite(path).suite == "example"


def test_of_very_many_mistakes_only_the_first_are_printed(tmp_path: Path) -> None:
    rendered = load(SOUND + "".join(f"key{number}: 1\n" for number in range(500)), tmp_path / "suite.yaml").render()
    assert rendered.endswith("500 problems, of which the first 20 are shown")
    assert rendered.count("unknown key") == 20


FILES = {
    "empty": (b"", "is empty"),
    "only a comment": (b"# nothing yet\n", "is empty"),
    "a line of 10 MB": (b"suite: " + b"x" * 10_000_000, "is too large for a suite"),
    "invalid UTF-8": (b"suite: caf\xe9\n", "byte 0xE9 is not UTF-8"),
    "UTF-16": ("suite: x".encode("utf-16"), "byte 0xFF is not UTF-8"),
    "NUL": (b"suite: a\x00b\n", "control character U+0000"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_text_of_a_suite_is_refused(case: str, tmp_path: Path) -> None:
    raw, message = FILES[case]
    path = tmp_path / "suite.yaml"
    path.write_bytes(raw)
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.remedy


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").touch()
    os.mkfifo(tmp_path / "pipe")
    told = {}
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "catch.yaml").touch()
    for name in (".", "pipe", "quik.yaml", "catch", "far.yaml", "absent/quick.yaml", "with\0null"):
        with pytest.raises(SuiteError) as caught:
            load_suite(tmp_path / name)
        told[name] = (caught.value.problems[0].message, caught.value.problems[0].remedy.replace(str(tmp_path), "DIR"))
    assert told == {
        ".": ("is a directory", "name a suite file, or one that `xtra-bench list suites` names"),
        "pipe": ("is not a regular file", "name a suite file, or one that `xtra-bench list suites` names"),
        "quik.yaml": ("no such file", "did you mean DIR/quick.yaml?"),
        "catch": ("no such file", "did you mean DIR/suites/catch.yaml?"),
        "far.yaml": ("no such file", "name a suite file, or one that `xtra-bench list suites` names"),
        "absent/quick.yaml": ("no such file", "there is no directory DIR/absent"),
        "with\0null": ("cannot be read: embedded null byte", ""),
    }


def test_ten_aliases_of_ten_aliases_are_refused_unexpanded(tmp_path: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 20))
    (problem,) = load("l0: &l0 ha\n" + levels, tmp_path / "suite.yaml").problems
    assert problem.message == "anchors and aliases are not allowed"


def test_nothing_printed_controls_the_terminal(tmp_path: Path) -> None:
    text = changed("agent: random", r'agent: "ran\u200Bdom"').replace("suite: example", "suite: '[red]x'")
    rendered = load(text, tmp_path / "a\x1b[31m.yaml").render()
    assert all(character.isprintable() or character == "\n" for character in rendered)
    assert "[red]x" in rendered


def test_yaml_1_2_numbers_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(changed("batch_size: 64", "learning_rate: 1e-4"), encoding="utf-8")
    assert load_suite(path).set == {"agent.optimizer.learning_rate": 1e-4}


fragments = st.sampled_from(["\n", "  ", "\t", "- ", "---\n", "&a", "*a", "!!int ", "null", "<<", *"{}[]:'\"|#é\\?%0"])


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(SOUND)), st.integers(0, 30), fragments), min_size=1, max_size=4))
def test_a_mangled_suite_is_loaded_or_refused_and_never_crashes(edits: list[tuple[int, int, str]]) -> None:
    text = SOUND
    for start, length, fragment in edits:
        text = text[:start] + fragment + text[start + length :]
    try:
        validate_document(parse(text, "suite.yaml"))
    except SuiteError as error:
        assert all(problem.message for problem in error.problems)


def test_the_size_limit_leaves_room_for_every_suite_of_ours() -> None:
    suites = Path(__file__).parents[2] / "suites"
    assert all(path.stat().st_size < MAX_BYTES // 4 for path in suites.glob("*.yaml"))
