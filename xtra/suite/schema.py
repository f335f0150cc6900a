"""The JSON Schema of suite files: what editors complete and check. Field docstrings are its descriptions."""

from __future__ import annotations

from typing import Any

from xtra.agents.config import AGENTS
from xtra.suite.method import leaf_schemas
from xtra.suite.spec import SuiteFile


def suite_schema() -> dict[str, Any]:
    """The schema of SuiteFile, in which `set` knows every dotted path of every agent."""
    schema = SuiteFile.model_json_schema()
    paths = {path: leaf for agent in AGENTS for path, leaf in leaf_schemas(agent).items()}
    del schema["$defs"]["JsonValue"]
    schema["$defs"]["Settings"] = {"type": "object", "properties": dict(sorted(paths.items())), "additionalProperties": False}
    for owner in (schema, schema["$defs"]["MethodSpec"]):
        owner["properties"]["set"] = {
            "$ref": "#/$defs/Settings",
            "description": owner["properties"]["set"]["description"],
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "xtra suite"}
