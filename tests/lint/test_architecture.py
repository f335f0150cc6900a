"""ARCHITECTURE.md's table of layers is the packages as they are, in the order that the import linter proves."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (`xtra\.[^|]+) \|([^|]*)\|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
UNNAMED = {"__init__", "config"}
"""Every package may have them."""


def test_the_table_names_every_module_of_every_layer_and_no_other() -> None:
    for layers, modules in ROWS:
        package = ROOT / layers.strip("`").replace(".", "/")
        if not package.is_dir():
            continue
        found = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))}
        outside = set(re.findall(r"\w+", re.sub(r"\([^)]*\)", "", modules)))
        assert outside <= found, layers
        assert found - UNNAMED <= set(re.findall(r"\w+", modules)), layers


def test_the_table_has_the_layers_of_the_import_linter_from_the_top_down() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    linted = [name for layer in layers for name in layer.split(" | ")]
    assert [name for layer, _ in ROWS for name in re.findall(r"xtra\.\w+", layer)] == linted
