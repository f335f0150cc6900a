"""A site's profile: what every SLURM job asks for there, in a file outside the suites that `--profile` names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from xtra.config import Config
from xtra.stages.registry import STAGES
from xtra.store.job import Resources
from xtra.suite.diagnostics.document import Document, parse, read_text
from xtra.suite.diagnostics.errors import Problem, SuiteError, shown, suggest
from xtra.suite.diagnostics.validation import validation_problems
from xtra.suite.resources import SlurmSettings, combine

REPORT = "report"
"""The stage of a launch's last job, which collects and reports."""


class SlurmProfile(Config):
    """The profile file."""

    default: SlurmSettings = SlurmSettings()
    """Of every stage, where neither the suite nor `stages` says otherwise."""
    stages: dict[str, SlurmSettings] = Field(default_factory=dict)
    """By stage; wins over the suite, which wins over `default`: who runs a suite knows the site better than who wrote it."""
    max_array_size: int | None = Field(None, ge=1)
    """Elements in one array at most; the controller's MaxArraySize if not given."""
    max_queued: int | None = Field(None, ge=2)
    """Jobs of ours in the queue at most, the one that reports included: the site's submit limit.
    What does not fit is submitted by a later `run`."""

    def of(self, stage: str, asked: Resources) -> SlurmSettings:
        """Returns the settings of a stage's jobs that ask for these resources."""
        of_suite = SlurmSettings.model_validate_json(json.dumps(asked.slurm))
        return combine([self.default, of_suite, *([self.stages[stage]] if stage in self.stages else [])])


class ProfileError(SuiteError):
    """A profile that cannot be used, with every problem in it."""


def load_profile(path: Path | None) -> SlurmProfile:
    """The profile in a YAML file, or the empty one. Raises ProfileError."""
    if path is None:
        return SlurmProfile()
    try:
        document = parse(read_text(path, "profile"), str(path))
    except SuiteError as error:
        raise ProfileError(error.problems) from None
    if document.data is None:
        document.data = {}
    problems = [*document.problems, *(problem for _, problem in validation_problems(document, SlurmProfile))]
    problems += _unknown_stages(document)
    if problems:
        raise ProfileError(problems)
    return SlurmProfile.model_validate_json(json.dumps(document.data))


def _unknown_stages(document: Document) -> Iterator[Problem]:
    known = (*STAGES, REPORT)
    stages = document.data.get("stages") if isinstance(document.data, dict) else None
    for stage in stages if isinstance(stages, dict) else ():
        if stage not in known:
            location = document.key_location(("stages", stage))
            yield Problem(location, f"unknown stage {shown(stage)}", suggest(stage, known, "stages"))
