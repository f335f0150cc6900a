"""`xtra-bench doctor`: every state of a machine that costs speed is told with its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from xtra.cli.checks import render_findings
from xtra.cli.main import app
from xtra.perf import doctor
from xtra.perf.doctor import Finding
from xtra.search.cuda import CudaKernels


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an NVIDIA driver, as far as its file says."""
    path = tmp_path / "version"
    path.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 01:00:00 UTC 2025\n")
    monkeypatch.setattr(doctor, "DRIVER", path)
    return path


def finding(topic: str) -> Finding:
    (only,) = (each for each in doctor.examine() if each.topic == topic)
    return only


def with_gpu(monkeypatch: pytest.MonkeyPatch, major: int = 9) -> None:
    about = SimpleNamespace(name="A card", total_memory=80 * 2**30, major=major, minor=0)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    monkeypatch.setattr(doctor, "cuda_kernels", lambda: CudaKernels(SimpleNamespace, "built with CUDA 12.8"))


def without_gpu(monkeypatch: pytest.MonkeyPatch, built_for: str | None) -> None:
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_the_command_tells_a_line_for_each_topic_or_json() -> None:
    text = CliRunner().invoke(app, ["doctor"])
    assert text.exit_code == 0, text.output
    findings = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    topics = [each["topic"] for each in findings]
    assert len(set(topics)) == len(topics)
    assert {"torch", "processor", "threads", "tree search on CPU", "tree search on GPU", "NVIDIA driver", "SLURM"} <= set(topics)
    lines = [line for line in text.stdout.splitlines() if not line.lstrip().startswith("->")]
    assert [line.startswith(topic) for line, topic in zip(lines, topics, strict=True)] == [True] * len(topics)


def test_advice_stands_below_what_it_is_about() -> None:
    assert (
        render_findings([Finding("GPU", "none", "buy one"), Finding("threads", "4")])
        == "GPU      none\n         -> buy one\nthreads  4"
    )


def test_a_torch_without_cuda_beside_a_driver_is_named(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch, built_for=None)
    assert finding("NVIDIA driver").state == "570.86.15"
    assert "install a build with CUDA" in finding("torch").advice


def test_a_machine_without_a_gpu_needs_no_advice_about_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch, built_for=None)
    monkeypatch.setattr(doctor, "DRIVER", tmp_path / "absent")
    assert [finding(topic).advice for topic in ("torch", "NVIDIA driver", "GPU", "tree search on GPU")] == [""] * 4


def test_a_driver_that_tells_no_version_is_one_if_torch_sees_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch)
    monkeypatch.setattr(doctor, "DRIVER", tmp_path / "absent")
    assert finding("NVIDIA driver").state == "of unknown version"


def test_hidden_gpus_and_old_drivers_are_told_apart(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch, built_for="13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hides every GPU" in finding("GPU").advice
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "update the driver" in finding("GPU").advice


def test_a_gpu_is_described_and_an_old_one_told_to_avoid_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch)
    assert finding("GPU 0") == Finding("GPU 0", "A card, 80 GB, compute capability 9.0")
    with_gpu(monkeypatch, major=7)
    assert "agent.precision=float32" in finding("GPU 0").advice


def test_a_processor_that_computes_in_bfloat16_is_told_to_use_it_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert finding("processor").advice == ""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert "agent.precision=bfloat16" in finding("processor").advice
    assert finding("processor").state.endswith("computes in bfloat16")
    with_gpu(monkeypatch)
    assert finding("processor").advice == ""


def test_what_slows_a_search_on_a_gpu_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch)
    assert finding("tree search on GPU") == Finding(
        "tree search on GPU", "the CUDA engine, built with CUDA 12.8; searches and updates are captured as CUDA graphs"
    )
    monkeypatch.setattr(doctor, "cuda_kernels", lambda: CudaKernels(None, "", "the engine does not load. Update the driver"))
    assert finding("tree search on GPU").advice == "the engine does not load. Update the driver"
    with_gpu(monkeypatch)
    monkeypatch.setenv("XTRA_CUDA_GRAPHS", "0")
    assert "unset it" in finding("tree search on GPU").advice


def test_a_processor_without_avx2_is_told_that_its_search_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor._native, "instruction_sets", lambda: ["portable"])
    assert "AVX2" in finding("tree search on CPU").advice
    monkeypatch.setattr(doctor._native, "instruction_sets", lambda: ["portable", "avx2"])
    assert finding("tree search on CPU") == Finding("tree search on CPU", "avx2; this processor runs portable, avx2")


def test_slurm_is_found_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert finding("SLURM").state == "none: sbatch is not on PATH"
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho slurm 23.11.4\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("SLURM_JOB_ID", "71")
    assert finding("SLURM").state == "slurm 23.11.4; this is job 71"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: could not load slurm.conf' >&2\nexit 1\n")
    assert finding("SLURM").advice == "`sbatch --version` exits with 1: sbatch: error: could not load slurm.conf"
    sbatch.write_text("\x7fELF, for another processor")
    assert finding("SLURM").state == f"{sbatch}, which does not answer"
    assert finding("SLURM").advice == "it cannot be started: Exec format error"


def test_a_missing_extra_is_told_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "package_version", lambda name: None)
    assert finding("pygame").advice == "needed for most of Gymnasium's environments: pip install 'xtra-bench[gymnasium]'"
    assert finding("minatar") == Finding(
        "minatar", "not installed", "needed for protocol minatar: pip install 'xtra-bench[minatar]'"
    )
