"""What a site wants to be told by every job: a file of one's own outside the suites, given by `--profile`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from xtra.config import Config
from xtra.stages.registry import STAGES


class StageProfile(Config):
    """Where the jobs of a stage go. None leaves SLURM's default."""

    partition: str | None = None
    """Partitions, separated by commas."""
    account: str | None = None
    """Account that is charged."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that nodes must have, such as `a100`."""
    max_running: int = Field(256, ge=1)
    """Jobs of one array that run at once."""
    sbatch: dict[str, str | int] = Field(default_factory=dict)
    """Any other option of sbatch by its long name, such as `nice: 100`."""
    setup: tuple[str, ...] = ()
    """Shell lines before the job, such as `module load cuda`."""


class SlurmProfile(Config):
    """The profile file. A stage named in `stages` uses its own block instead of `default`."""

    default: StageProfile = StageProfile()
    """Of every stage without a block of its own."""
    stages: dict[str, StageProfile] = Field(default_factory=dict)
    """Blocks by stage."""
    max_array_size: int | None = Field(None, ge=1)
    """Jobs in one array at most; the controller's MaxArraySize if not given."""
    max_queued: int | None = Field(None, ge=1)
    """Jobs of ours in the queue at most: the site's submit limit. What does not fit is submitted by a later `run`."""

    def of(self, stage: str) -> StageProfile:
        """The block of a stage."""
        return self.stages.get(stage, self.default)


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
    known = (*STAGES, "report")
    unknown = sorted(set(profile.stages) - set(known))
    if unknown:
        raise ProfileError(f"{path}: stages.{unknown[0]}: no such stage; there are {', '.join(known)}")
    return profile


def _explain(path: Path, place: tuple[int | str, ...], message: str) -> str:
    fields = SlurmProfile.model_fields if len(place) <= 1 else StageProfile.model_fields
    return f"{path}: {'.'.join(map(str, place)) or 'the file'}: {message}; valid keys here: {', '.join(fields)}"
