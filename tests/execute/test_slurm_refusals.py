"""What becomes of jobs when sbatch fails: nothing is queued twice, lost, or promised in vain. No SLURM needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xtra.cli.main import app
from xtra.execute.slurm.launch import SlurmLauncher
from xtra.execute.slurm.queue import SlurmError, UnknownFateError

from .pretended_slurm import put_program

TIMES_OUT = """\
name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
echo "70_0|$name|PENDING|None" >> '{queue}'
echo 'Socket timed out on send/recv operation' >&2
exit 1"""
"""An sbatch that has queued the job by the time that it gives up."""


@pytest.fixture
def queue(slurm: SlurmLauncher, tmp_path: Path) -> Path:
    """What squeue tells, and scancel empties. The launcher's sbatch times out once it has queued."""
    listing = tmp_path / "queue"
    listing.touch()
    programs = {"squeue": f"cat '{listing}'", "scancel": f"echo $* >> '{tmp_path}/cancelled'; : > '{listing}'"}
    for name, text in {**programs, "sbatch": TIMES_OUT.format(queue=listing)}.items():
        put_program(tmp_path / "bin", name, text)
    return listing


def records(slurm: SlurmLauncher) -> list[Path]:
    return list(slurm.directory.glob("*/submission.json"))


def test_what_a_failed_sbatch_queued_all_the_same_is_cancelled(bench: Any, slurm: SlurmLauncher, queue: Path) -> None:
    jobs = {job.key: job for job in (bench.job("a"), bench.job("b"))}
    with pytest.raises(SlurmError, match=r"sbatch refused 2 jobs: .*Socket timed out.*; nothing was submitted"):
        slurm.submit(jobs)
    assert (queue.parent / "cancelled").read_text() == "--quiet 70_0\n"
    assert queue.read_text() == ""
    assert not records(slurm)


def test_what_a_failed_sbatch_may_have_queued_is_cancelled_once_slurm_answers_and_submitted_anew(
    bench: Any, slurm: SlurmLauncher, queue: Path
) -> None:
    job = bench.job("a")
    put_program(queue.parent / "bin", "squeue", f"[ -s '{queue}' ] && exit 1; exit 0")
    with pytest.raises(
        UnknownFateError, match=r"sbatch failed for 1 job: .*timed out.*queue is unknown.*may be queued"
    ) as caught:
        slurm.submit({job.key: job})
    assert "nothing was submitted" not in str(caught.value)
    assert len(records(slurm)) == 1
    put_program(queue.parent / "bin", "squeue", f"cat '{queue}'")
    put_program(queue.parent / "bin", "sbatch", "echo Submitted batch job 71")
    again = slurm.submit({job.key: job})
    assert (queue.parent / "cancelled").read_text().startswith("--quiet 70")
    assert (again.queued, list(again.new), again.calls) == ({}, [job.key], 1)
    assert len(records(slurm)) == 1


def test_a_report_that_sbatch_refused_is_submitted_by_the_same_command_and_only_once(
    slurm: SlurmLauncher, queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = "name=$(sed -n 's/^#SBATCH --job-name=//p' \"$1\")\n"
    takes += f"echo \"70|$name|PENDING|None\" >> '{queue}'; echo Submitted batch job 70"
    put_program(queue.parent / "bin", "sbatch", f"[ -s '{queue}' ] && echo no account >&2 && exit 1\n{takes}")
    monkeypatch.chdir(queue.parent)
    command = ["run", "catch", "--executor", "slurm", "--only", "Random", "--seeds", "0"]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "no account; it is the job that reports, the others stay queued, and the same command" in refused.stderr
    put_program(queue.parent / "bin", "sbatch", takes)
    for _ in range(2):
        again = CliRunner().invoke(app, command)
        assert again.exit_code == 0, again.output
        assert "1 queued before, 0 submitted" in again.stdout
        assert "the report will be " in again.stdout
        assert len(queue.read_text().splitlines()) == 2  # the evaluation, and the job that reports
