"""What a site's profile for SLURM may say, and who wins over whom. No SLURM needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.slurm.profile import ProfileError, load_profile, parameters, sbatch_script
from xtra.store.job import Resources
from xtra.suite.diagnostics.errors import SuiteError
from xtra.suite.load import load_suite
from xtra.suite.resources import REPLACEMENTS, SlurmSettings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {partiton: gpu}", ":1:11: unknown key 'partiton' did you mean 'partition'?"),
        ("stages:\n  trian: {}", ":2:3: unknown stage 'trian' did you mean 'train'?"),
        (
            "stages:\n  train: {max_running: 0}",
            ":2:24: stages.train.max_running: 0 is not at least 1 for example: max_running: 64",
        ),
        ("max_queued: 0", ":1:13: max_queued: 0 is not at least 2 "),
        (
            "default: {sbatch: {nice: 1, time: 60}}",
            ":1:29: sbatch's time is set by xtra-bench; in its place write `hours` of the stage, in the suite's `resources` ",
        ),
        (
            "stages: {train: {sbatch: {cpus_per_task: 4}}}",
            ":1:27: sbatch's cpus-per-task is set by xtra-bench; in its place write `cpus` of the stage,",
        ),
        (
            "default: {sbatch: {--mail-type: FAIL}}",
            ":1:20: '--mail-type' is not the long name of an option, without dashes, such as mail-type ",
        ),
        (
            "default: {sbatch: {gres: 'gpu:a100:1'}}",
            ":1:1: sbatch's gres asks for GPUs; in its place write `gpus` of the stage, in the suite's `resources`, and ",
        ),
        ("default: [", ":1:11: not YAML: expected the node content, but found '<stream end>' "),
        (
            "suite: a\nmethods: []",
            ":1:1: this is a suite, not a profile a profile has the keys default, stages, max_array_size, max_queued",
        ),
        ("- a", ":1:1: the file: ['a'] is not a mapping "),
    ],
)
def test_a_broken_profile_names_the_place_the_key_and_what_is_valid(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    (problem,) = caught.value.problems
    assert f"{problem.location}: {problem.message} {problem.remedy}".startswith(f"{path}{message}")


def test_every_mistake_in_a_profile_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("default: {partiton: gpu}\nstages: {trian: {}}\nmax_queued: 0\n")
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    assert [problem.location.line for problem in caught.value.problems] == [1, 2, 3]


def test_who_runs_a_suite_wins_over_who_wrote_it_and_both_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "default: {account: lab, partition: gpu, constraint: a100, sbatch: {nice: 1, mail-type: FAIL}}\n"
        "stages: {evaluate: {partition: cpu, constraint: null}}\n"
    )
    of_suite = Resources(slurm={"partition": "long", "qos": "normal", "sbatch": {"nice": 2}, "setup": ["module load cuda"]})
    profile = load_profile(path)
    train = profile.of("train", of_suite)
    assert (train.account, train.partition, train.constraint, train.qos) == ("lab", "long", "a100", "normal")
    assert (train.sbatch, train.setup) == ({"nice": 2, "mail-type": "FAIL"}, ("module load cuda",))
    evaluate = profile.of("evaluate", of_suite)
    assert (evaluate.account, evaluate.partition, evaluate.constraint, evaluate.qos) == ("lab", "cpu", None, "normal")
    assert load_profile(None).of("train", Resources()) == SlurmSettings()


@pytest.mark.parametrize("option", sorted(REPLACEMENTS))
def test_every_option_that_is_made_here_is_refused_in_a_suite_too_with_the_key_to_use(option: str, tmp_path: Path) -> None:
    suite = (Path(__file__).resolve().parents[2] / "suites" / "catch.yaml").read_text()
    path = tmp_path / "suite.yaml"
    path.write_text(f"{suite}\nresources:\n  evaluate:\n    slurm:\n      sbatch:\n        {option}: 1\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    (problem,) = caught.value.problems
    assert problem.location.text == f"        {option}: 1"
    assert problem.location.column == 9
    assert problem.message == f"sbatch's {option} is set by xtra-bench; in its place write {REPLACEMENTS[option]}"


def test_every_option_that_a_script_gets_from_us_is_one_that_a_profile_cannot_set(tmp_path: Path) -> None:
    site = SlurmSettings(partition="p", account="a", qos="q", constraint="c", gpu_type="a100")
    script = sbatch_script(parameters(Resources(gpus=2), 1, site, "afterok:1"), 3, tmp_path, "name")
    options = {line.removeprefix("#SBATCH --").partition("=")[0] for line in script.splitlines() if line.startswith("#SBATCH")}
    assert options - {"wckey"} <= REPLACEMENTS.keys()
    assert "#SBATCH --gpus-per-node=a100:2" in script.splitlines()


def test_a_profile_is_checked_and_told_by_stage(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "default: {partition: gpu, sbatch: {mail-type: FAIL}}\nstages: {evaluate: {partition: cpu}}\nmax_queued: 50\n"
    )
    done = CliRunner().invoke(app, ["profile", "check", str(path)])
    assert done.exit_code == 0, done.output
    assert "evaluate: partition cpu, mail-type FAIL" in done.output.splitlines()
    assert "max_queued: 50" in done.output.splitlines()
    path.write_text("default: {sbatch: {array: 1-5}, partiton: gpu}")
    done = CliRunner().invoke(app, ["profile", "check", str(path)])
    assert done.exit_code == 2
    assert "2 problems" in done.output
    assert "`max_running`" in done.output
    assert "did you mean 'partition'" in done.output


def test_an_absent_profile_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no such file"):
        load_profile(tmp_path / "absent.yaml")
