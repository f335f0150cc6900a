"""Functions over arrays say in their docstrings of what shapes: `[B, A]`, with the letters of their module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("xtra", "analysis") for path in (ROOT / folder).rglob("*.py"))
MODULES = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
SHAPE = re.compile(r"`\[[^`]*\]`")
OTHERS = re.compile(r"\b(Mapping|dict|Callable)\[.*?\]+")
"""Weights by their names, and functions, whose arrays have no one shape."""
Function = tuple[str, ast.FunctionDef, list[ast.ClassDef]]
"""A file, a function in it, and the classes around that."""


def _aliases(module: ast.Module) -> set[str]:
    """Names that a module gives to arrays, such as `Frames = NDArray[np.uint8]`."""
    statements = [node for node in module.body if isinstance(node, ast.Assign)]
    arrays = [node for node in statements if ast.unparse(node.value).startswith("NDArray[")]
    return {ast.unparse(target) for node in arrays for target in node.targets}


ALIASES = set().union(*map(_aliases, MODULES.values()))


def _array_type(module: ast.Module) -> re.Pattern[str]:
    """Matches the names by which a module knows arrays."""
    imported = {alias.name for node in module.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return re.compile(rf"\b({'|'.join({'NDArray', 'Tensor'} | _aliases(module) | imported & ALIASES)})\b")


def _functions(parent: ast.AST, path: str, classes: list[ast.ClassDef]) -> Iterator[Function]:
    """Functions and methods that others may call."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(node, path, [*classes, node])
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield path, node, classes


FUNCTIONS = [function for path, module in MODULES.items() for function in _functions(module, path, [])]


def _gives_shapes(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return SHAPE.search(ast.get_docstring(node) or "") is not None


def _is_over_arrays(path: str, function: ast.FunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [*(argument.annotation for argument in arguments), function.returns]
    array_type = _array_type(MODULES[path])
    return any(array_type.search(OTHERS.sub("", ast.unparse(annotation))) for annotation in annotations if annotation)


def test_functions_over_arrays_give_their_shapes() -> None:
    """In their own docstring or that of the protocol whose method they are; without a docstring, in that of their class."""
    by_protocol = {
        function.name
        for _, function, classes in FUNCTIONS
        if any(ast.unparse(base) == "Protocol" for cls in classes for base in cls.bases)
        and any(map(_gives_shapes, (function, *classes)))
    }
    over_arrays = [entry for entry in FUNCTIONS if _is_over_arrays(*entry[:2])]
    assert len(over_arrays) > 200
    silent = []
    for path, function, classes in over_arrays:
        by_class = ast.get_docstring(function) is None and any(map(_gives_shapes, classes))
        if not (_gives_shapes(function) or by_class or (classes and function.name in by_protocol)):
            silent.append(f"{path}:{function.lineno} {function.name}")
    assert silent == []
