"""`run.json` as reports use it: checked, and every name in it safe to draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xtra.results.run_record import MethodRecord, RunRecord, TransferRecord, read_run_record
from xtra_analysis.matrices import InputError
from xtra_analysis.text import label, printable

__all__ = ["OTHER_TARGETS", "MethodRecord", "RunRecord", "TransferRecord", "read_record"]
OTHER_TARGETS = "other_targets"
"""In place of source games: all targets but the one that is learned."""


def read_record(run: Path) -> RunRecord:
    """Reads `run/run.json`. Raises InputError that names the file, the key at fault and the remedy."""
    try:
        record = read_run_record(run)
    except ValueError as error:
        raise InputError(str(error)) from error
    content = _safe(record.model_dump(mode="json"))
    content["provenance"]["suite_text"] = printable(record.provenance.suite_text)
    return RunRecord.model_validate_json(json.dumps(content))


def _safe(value: Any) -> Any:
    """Returns the same JSON data with every text, keys included, as a label on one line."""
    if isinstance(value, str):
        return label(value)
    if isinstance(value, dict):
        return {label(key): _safe(item) for key, item in value.items()}
    return [_safe(item) for item in value] if isinstance(value, list) else value
