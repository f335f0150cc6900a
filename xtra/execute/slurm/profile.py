"""What a site wants to be told by every job: a file of one's own outside the suites, given by `--profile`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from xtra.config import Config
from xtra.stages.registry import STAGES
from xtra.store.job import Resources
from xtra.suite.diagnostics.errors import suggest
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
    max_queued: int | None = Field(None, ge=1)
    """Jobs of ours in the queue at most: the site's submit limit. What does not fit is submitted by a later `run`."""

    def of(self, stage: str, asked: Resources) -> SlurmSettings:
        """What holds for the jobs of a stage that ask for these resources."""
        of_suite = SlurmSettings.model_validate_json(json.dumps(asked.slurm))
        return combine([self.default, of_suite, *([self.stages[stage]] if stage in self.stages else [])])


class ProfileError(Exception):
    """The profile cannot be used; the message names file, key and remedy."""


def load_profile(path: Path | None) -> SlurmProfile:
    """The profile in a YAML file, or the empty one. Raises ProfileError."""
    if path is None:
        return SlurmProfile()
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        profile = SlurmProfile.model_validate_json(json.dumps({} if data is None else data))
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except (YAMLError, TypeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: is not YAML: {error}") from None
    except ValidationError as error:
        raise ProfileError("\n".join(_explain(path, problem["loc"], problem["msg"]) for problem in error.errors())) from None
    known = (*STAGES, REPORT)
    for stage in profile.stages:
        if stage not in known:
            raise ProfileError(f"{path}: stages.{stage}: no such stage; {suggest(stage, known, 'stages')}")
    return profile


def _explain(path: Path, place: tuple[int | str, ...], message: str) -> str:
    fields = SlurmProfile.model_fields if len(place) <= 1 else SlurmSettings.model_fields
    key, where = str(place[-1]) if place else "", ".".join(map(str, place)) or "the file"
    if message == "Extra inputs are not permitted":
        return f"{path}: {where}: unknown key; {suggest(key, fields, 'keys')}"
    return f"{path}: {where}: {message}; valid keys here: {', '.join(fields)}"
