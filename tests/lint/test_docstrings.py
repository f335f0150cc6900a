"""Docstrings say what a reader of the code would have to find out: the shapes of arrays, and a sentence that begins plainly."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("xtra", "analysis") for path in (ROOT / folder).rglob("*.py"))
MODULES = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
SHAPE = re.compile(r"`\[[^`]*\]`|`[a-z0-9]+ \[[^`]*\]`")


def _array_names() -> set[str]:
    """Names of types that are arrays: NumPy's, torch's, and our aliases for them, such as `Frames = NDArray[np.uint8]`."""
    names = {"NDArray", "Tensor"}
    for module in MODULES.values():
        for node in module.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("NDArray["):
                names.update(ast.unparse(target) for target in node.targets)
    return names


ARRAYS = re.compile(rf"\b({'|'.join(sorted(_array_names()))})\b")
OTHERS = re.compile(r"\b(Mapping|dict|Callable)\[.*?\]+")
"""Weights by their names, and functions, whose arrays have no one shape."""


def _functions() -> Iterator[tuple[str, ast.FunctionDef, list[ast.ClassDef]]]:
    """Every function that others may call, with the classes around it."""
    for path, module in MODULES.items():
        stack: list[tuple[ast.AST, list[ast.ClassDef]]] = [(module, [])]
        while stack:
            parent, classes = stack.pop()
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    stack.append((node, [*classes, node]))
                elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    yield path, node, classes


def _gives_shapes(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return SHAPE.search(ast.get_docstring(node) or "") is not None


def _takes_arrays(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    types = [ast.unparse(annotation) for annotation in (*(a.annotation for a in arguments), function.returns) if annotation]
    return any(ARRAYS.search(OTHERS.sub("", annotation)) for annotation in types)


def test_functions_over_arrays_give_their_shapes() -> None:
    """In their own docstring; without one, in that of their class, or of the protocol whose method they are."""
    by_protocol = {
        function.name
        for _, function, classes in _functions()
        if any(ast.unparse(base) == "Protocol" for cls in classes for base in cls.bases)
        and any(map(_gives_shapes, (function, *classes)))
    }
    over_arrays = [function for function in _functions() if _takes_arrays(function[1])]
    assert len(over_arrays) > 200
    silent = []
    for path, function, classes in over_arrays:
        inherited = any(map(_gives_shapes, classes)) or (classes and function.name in by_protocol)
        if not _gives_shapes(function) and (ast.get_docstring(function) or not inherited):
            silent.append(f"{path}:{function.lineno} {function.name}")
    assert silent == []
