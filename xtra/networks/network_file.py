"""The file format in which networks are shared: safetensors, with a header that describes the network and its origin; and whether
a file fits a method: the settings that each component's shapes, or its weights' meaning, depend on.

Neither imports torch: a suite that starts from a file is checked and planned on a login node.
`tests/networks/test_network_file.py` compares the table of settings with the networks themselves. The file's bytes follow from
the weights and the header alone, so the same network exported twice, by anyone, is the same file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError, deserialize

from xtra.config import Config
from xtra.envs.config import EnvironmentConfig
from xtra.store.job import canonical_json
from xtra.transfer.config import Component

if TYPE_CHECKING:
    from torch import Tensor


FORMAT = 1
"""Incremented when a field of the header changes meaning."""

METADATA_KEY = "xtra"
"""The one entry of the safetensors metadata, a JSON text. With several, their order in the file would not be defined."""

Tensors = Sequence[tuple[str, Mapping[str, Any]]]
"""Pairs of a tensor's name and its `dtype`, `shape` and `data` (bytes)."""


class NetworkFileError(Exception):
    """Raised for a file that is not an exported network, or a damaged one. fault: what is wrong; remedy: what to do about it."""

    def __init__(self, path: Path, fault: str, remedy: str) -> None:
        super().__init__(f"{path}: {fault}; {remedy}")
        self.path, self.fault, self.remedy = path, fault, remedy


class SourceData(Config):
    """Describes a dataset that a network learned from."""

    game: str
    """The game."""
    key: str
    """The key of the job that made it."""
    transitions: int
    """Number of transitions in it."""
    files: dict[str, str]
    """SHA-256 of each of its files, by name."""


class NetworkHeader(Config):
    """Describes a network and its origin. Configurations are plain JSON, so that files outlive the fields of a release."""

    format: int
    """Version of this header; see `FORMAT`."""
    agent: dict[str, JsonValue]
    """The configuration of the agent whose network it is."""
    environment: dict[str, JsonValue]
    """The environment whose frames it sees; `game` is empty for a network of several games."""
    stage: str
    """The stage that trained it."""
    stage_version: int
    """The version of that stage."""
    key: str
    """That job's key."""
    settings: dict[str, JsonValue]
    """The rest of that job's configuration: how it was trained."""
    games: tuple[str, ...]
    """Every game that it learned from, directly or through teachers."""
    seeds: dict[str, tuple[int, ...]]
    """The seeds of its job and of all jobs before it, by stage."""
    data: tuple[SourceData, ...]
    """The offline data that it learned from; empty for a network that learned online alone."""
    xtra_version: str | None
    """The version of xtra-bench that trained the network."""
    git_commit: str | None
    """The commit of that code; null where none was recorded."""
    git_dirty: bool | None
    """Whether the code differed from that commit."""


@dataclass(frozen=True)
class NetworkFile:
    """A file that was read and verified. sha256: of all its bytes; num_values: the number of weights and statistics in it."""

    path: Path
    data: bytes
    sha256: str
    header: NetworkHeader
    num_values: int


def network_bytes(weights: Mapping[str, Tensor], header: NetworkHeader) -> bytes:
    """Serialises a network's `state_dict`, in whatever shapes `[...]`, with its header."""
    import safetensors.torch

    # Contiguous copies: safetensors stores neither views that share memory nor channels-last layouts.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    tensors = _tensors(safetensors.torch.save(plain))
    fields = header.model_dump(mode="json")
    metadata = canonical_json({"checksum": _checksum(fields, tensors), "header": fields})
    return safetensors.torch.save(plain, {METADATA_KEY: metadata})


def read_network_file(path: Path) -> NetworkFile:
    """Reads a file and verifies all of it. Raises NetworkFileError."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, /dev/zero read for ever
            raise NetworkFileError(path, "is not a regular file", "name a file that `xtra-bench export` wrote")
        data = path.read_bytes()
    except FileNotFoundError:
        raise NetworkFileError(path, "no such file", "`xtra-bench export` writes one") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NetworkFileError(path, f"cannot be read: {reason}", "name a file that `xtra-bench export` wrote") from None
    try:
        tensors = _tensors(data)
    except SafetensorError as error:
        remedy = "copy it again, or name a file that `xtra-bench export` wrote"
        raise NetworkFileError(path, f"is not safetensors, or was cut short ({error})", remedy) from None
    header = _verified_header(path, _metadata(data), tensors)
    num_values = sum(math.prod(tensor["shape"]) for _, tensor in tensors)
    return NetworkFile(path, data, hashlib.sha256(data).hexdigest(), header, num_values)


def _tensors(data: bytes) -> Tensors:
    """Parses the tensors. Raises SafetensorError."""
    tensors: Tensors = deserialize(data)  # type: ignore[no-untyped-call]
    return tensors


def _metadata(data: bytes) -> str | None:
    """Returns our entry of the metadata, if any. data: valid safetensors, which is an 8-byte length, JSON, then tensors."""
    size = int.from_bytes(data[:8], "little")
    text: str | None = json.loads(data[8 : 8 + size]).get("__metadata__", {}).get(METADATA_KEY)
    return text


def _verified_header(path: Path, metadata: str | None, tensors: Tensors) -> NetworkHeader:
    if metadata is None:
        raise NetworkFileError(path, "is safetensors, but of something else", "name a file that `xtra-bench export` wrote")
    damaged = NetworkFileError(path, "does not match its own checksum: it was damaged or altered", "copy it again")
    try:
        record = json.loads(metadata)
        checksum, fields = record["checksum"], record["header"]
        intact = checksum == _checksum(fields, tensors)
        file_format = fields["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged from None
    if not intact:
        raise damaged
    try:
        if file_format == FORMAT:
            return NetworkHeader.model_validate_json(json.dumps(fields))
    except ValidationError:
        pass
    fault = f"was written by another release of xtra-bench (format {file_format}; this one reads {FORMAT})"
    raise NetworkFileError(path, fault, "export it again with this release")


def _checksum(header: Any, tensors: Tensors) -> str:
    """Hashes the header and every tensor's name, type, shape and bytes, whatever their order in the file."""
    digest = hashlib.sha256(canonical_json(header).encode())
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        digest.update(canonical_json([name, tensor["dtype"], tensor["shape"]]).encode())
        digest.update(tensor["data"])
    return digest.hexdigest()


ARCHITECTURES: dict[str, str] = {"efficientzero": "efficientzero", "cloning": "efficientzero", "curl": "curl"}
"""The agent whose kind of network each agent has: EfficientZero can finetune a network that was cloned."""

_LATENT = ("environment.frame_size", "agent.network.num_halvings", "agent.network.channels", "agent.network.latent_scaling")
_HEADS = ("agent.network.head_channels", "agent.network.head_hidden", "agent.network.support")
_ACTIONS = ("agent.network.action_space",)
_FEATURES = ("environment.frame_size", "agent.network.encoder", "agent.network.hidden")

DEPENDS_ON: dict[str, dict[Component, tuple[str, ...]]] = {
    "efficientzero": {
        "representation": (
            "agent.network.frame_stack",
            "agent.network.channels",
            "agent.network.num_halvings",
            "agent.network.blocks_per_stage",
            "agent.network.latent_scaling",
        ),
        "dynamics": (*_LATENT, *_HEADS, *_ACTIONS, "agent.network.lstm_hidden", "agent.network.action_encoding"),
        "prediction": (*_LATENT, *_HEADS, *_ACTIONS),
        "projection": (
            *_LATENT,
            "agent.network.projection_hidden",
            "agent.network.projection_size",
            "agent.network.predictor_hidden",
        ),
    },
    "curl": {
        "representation": ("environment.color", "agent.network.frame_stack", "agent.network.encoder"),
        "prediction": (*_FEATURES, "agent.network.num_atoms", "agent.network.support"),
        "projection": (*_FEATURES, "agent.contrastive.size"),
    },
}
"""The settings that must be equal, by architecture and component."""

BEFORE_IT_EXISTED: dict[str, str] = {"agent.network.action_space": "ale18"}
"""Values of settings that files older than the setting lack: networks of 0.1.0 knew ALE's 18 actions alone."""


def differences(
    exported: Mapping[str, Any], agent: Config, environment: EnvironmentConfig, components: Collection[Component]
) -> list[str]:
    """Returns why components of an exported network cannot be loaded by an agent, one sentence per setting; empty if they can.

    exported: the network's `agent` and `environment`, as JSON data.
    """
    method = {"agent": agent.model_dump(mode="json"), "environment": environment.model_dump(mode="json")}
    names = _setting(exported, "agent.name"), _setting(method, "agent.name")
    architecture = ARCHITECTURES.get(str(names[1]))
    if architecture is None or ARCHITECTURES.get(str(names[0])) != architecture:
        return [f"agent is {names[0]} in the file, {names[1]} in the method"]
    known = DEPENDS_ON[architecture]
    absent = [name for name in components if name not in known]
    if absent:
        return [f"a network of agent {names[1]} has no {', '.join(absent)}; it has {', '.join(known)}"]
    paths = dict.fromkeys(path for name in components for path in known[name])
    pairs = {path: (_setting(exported, path), _setting(method, path)) for path in paths}
    return [f"{path} is {a} in the file, {b} in the method" for path, (a, b) in pairs.items() if a != b]


def _setting(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return BEFORE_IT_EXISTED.get(path, "missing") if value is None else value
