"""Networks as files that people pass on: safetensors, whose metadata tell what the weights are, what made them, and a checksum.

Reading one imports no torch: a suite that starts from a file is checked and planned on a login node. The file's bytes follow from
the weights and the header alone, so the same network exported twice, by anyone, is the same file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError, deserialize

from xtra.config import Config
from xtra.store.job import canonical_json

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Raised when a field of the header changes meaning."""

METADATA_KEY = "xtra"
"""The one entry of the safetensors metadata, a JSON text: several would stand in no certain order."""


Tensors = Sequence[tuple[str, Mapping[str, Any]]]
"""Name; `dtype`, `shape` and `data`, its bytes."""


class ExchangeError(Exception):
    """A file that is not a network of ours, or not any more. path: which; fault: what is wrong; remedy: what to do."""

    def __init__(self, path: Path, fault: str, remedy: str) -> None:
        super().__init__(f"{path}: {fault}; {remedy}")
        self.path, self.fault, self.remedy = path, fault, remedy


class SourceData(Config):
    """A dataset that a network learned from."""

    game: str
    """The game."""
    key: str
    """The job that made it."""
    transitions: int
    """How many it holds."""
    files: dict[str, str]
    """SHA-256 of each of its files, by name."""


class NetworkHeader(Config):
    """What a network is and where it comes from. Configurations are plain JSON, so that files outlive the fields of a release."""

    format: int
    """Of this header."""
    agent: dict[str, JsonValue]
    """The configuration of the agent whose network it is."""
    environment: dict[str, JsonValue]
    """The view that it sees; `game` is empty for a network of several games."""
    stage: str
    """The kind of job that trained it."""
    stage_version: int
    """The version of that stage."""
    key: str
    """That job's key."""
    settings: dict[str, JsonValue]
    """The rest of that job's configuration: how it was trained."""
    games: tuple[str, ...]
    """Every game that it learned from."""
    seeds: dict[str, tuple[int, ...]]
    """The seeds of everything it stands on, by stage."""
    data: tuple[SourceData, ...]
    """The offline data that it learned from; empty for a network that learned online alone."""
    xtra_version: str | None
    """Of xtra-bench, as it trained the network."""
    git_commit: str | None
    """Of its code; null where nobody recorded it."""
    git_dirty: bool | None
    """Whether the code differed from that commit."""


@dataclass(frozen=True)
class NetworkFile:
    """A file that was read and found whole. sha256: of all its bytes; num_values: entries of all its tensors."""

    path: Path
    data: bytes
    sha256: str
    header: NetworkHeader
    num_values: int


def network_bytes(weights: Mapping[str, Tensor], header: NetworkHeader) -> bytes:
    """The file that holds a network's `state_dict`."""
    import safetensors.torch

    # Each tensor by itself, in plain order: the format knows neither views of one another nor memory formats.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    tensors = _tensors(safetensors.torch.save(plain))
    described = header.model_dump(mode="json")
    metadata = canonical_json({"checksum": _checksum(described, tensors), "header": described})
    return safetensors.torch.save(plain, {METADATA_KEY: metadata})


def read_network_file(path: Path) -> NetworkFile:
    """Reads and verifies all of a file. Raises ExchangeError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ExchangeError(path, "no such file", "`xtra-bench export` writes one") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ExchangeError(path, f"cannot be read: {reason}", "name a file that `xtra-bench export` wrote") from None
    try:
        tensors = _tensors(data)
    except SafetensorError as error:
        remedy = "copy it again, or name a file that `xtra-bench export` wrote"
        raise ExchangeError(path, f"is not safetensors, or was cut short ({error})", remedy) from None
    header = _verified_header(path, _metadata(data), tensors)
    num_values = sum(math.prod(tensor["shape"]) for _, tensor in tensors)
    return NetworkFile(path, data, hashlib.sha256(data).hexdigest(), header, num_values)


def _tensors(data: bytes) -> Tensors:
    """Raises SafetensorError."""
    found: Tensors = deserialize(data)  # type: ignore[no-untyped-call]
    return found


def _metadata(data: bytes) -> str | None:
    """Our entry of the metadata, from bytes that are known to be in order: 8 of length, a JSON object, the tensors."""
    size = int.from_bytes(data[:8], "little")
    text: str | None = json.loads(data[8 : 8 + size]).get("__metadata__", {}).get(METADATA_KEY)
    return text


def _verified_header(path: Path, metadata: str | None, tensors: Tensors) -> NetworkHeader:
    if metadata is None:
        raise ExchangeError(path, "is safetensors, but of something else", "name a file that `xtra-bench export` wrote")
    damaged = ExchangeError(path, "does not match its own checksum: it was damaged or altered", "copy it again")
    try:
        record = json.loads(metadata)
        checksum, described = record["checksum"], record["header"]
        intact = checksum == _checksum(described, tensors)
        written = described["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged from None
    if not intact:
        raise damaged
    try:
        if written == FORMAT:
            return NetworkHeader.model_validate_json(json.dumps(described))
    except ValidationError:
        pass
    fault = f"was written by another release of xtra-bench (format {written}; this one reads {FORMAT})"
    raise ExchangeError(path, fault, "export it again with this release")


def _checksum(described: Any, tensors: Tensors) -> str:
    """Over the header, and every tensor's name, type, shape and bytes: not over their order in the file."""
    digest = hashlib.sha256(canonical_json(described).encode())
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        digest.update(canonical_json([name, tensor["dtype"], tensor["shape"]]).encode())
        digest.update(tensor["data"])
    return digest.hexdigest()
