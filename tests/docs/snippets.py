"""The fenced blocks of a documentation page, and how they are run: in order, in one directory, as a reader would.

    sh                     run by bash; the first command that fails ends it
    python                 run; with a title it is written to that file
    yaml, toml, csv        written to the file that the title names; without one it must be well-formed
    text                   what the block before it prints

A comment before a block changes that: `<!-- test: skip, REASON -->` does not run it, but holds its commands to options that
exist; `<!-- test: add ARGUMENTS -->` adds them to each line that begins with xtra-bench; `<!-- test: needs COMMAND -->` runs that
first.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from ruamel.yaml import YAML

from xtra.cli.main import app

FENCE = re.compile(r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ORDER = re.compile(r"<!-- test: (?P<word>skip|add|needs),? (?P<rest>.+) -->\n$")
COMMANDS = Path(sys.executable).parent
ALONE = ("math", "")
"""Languages of blocks that are only looked at."""


@dataclass(frozen=True)
class Block:
    """language, title and text of a fence; word and rest of the comment before it."""

    language: str
    title: str | None
    text: str
    word: str = ""
    rest: str = ""


def blocks(page: str) -> list[Block]:
    """Every fence of a page."""
    result = []
    for fence in FENCE.finditer(page):
        order = ORDER.search(page[: fence.start()])
        result.append(Block(fence["language"], fence["title"], fence["text"], *(order.groups() if order else ())))
    return result


def run_page(page: str, directory: Path) -> None:
    """Runs a page's blocks. Raises AssertionError that shows what a block printed if it fails."""
    printed = ""
    for block in blocks(page):
        if block.word == "skip":
            check(block, directory)
        elif block.language == "text":
            assert block.text == printed, f"shown: {block.text}\nprinted: {printed}"
        elif block.title is not None:
            (directory / block.title).write_text(block.text, encoding="utf-8")
        elif block.language in ("sh", "python"):
            printed = run_block(block, directory)
        else:
            check(block, directory)


def run_block(block: Block, directory: Path) -> str:
    """Runs one block; what it printed."""
    if block.word == "needs":
        run(["bash", "-euo", "pipefail", "-c", block.rest], directory)
    if block.language == "python":
        return run([sys.executable, "-c", block.text], directory)
    lines = block.text.splitlines()
    if block.word == "add":
        lines = [f"{line} {block.rest}" if line.startswith("xtra-bench ") else line for line in lines]
    return run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], directory)


def run(command: list[str], directory: Path) -> str:
    environment = os.environ | {"PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def check(block: Block, directory: Path) -> None:
    """Checks what is not run."""
    if block.language == "sh":
        for line in block.text.splitlines():
            if line.startswith("xtra-bench "):
                check_command(shlex.split(line, comments=True)[1:])
    elif block.language == "python":
        compile(block.text, "block", "exec")
    elif block.language == "yaml":
        YAML(typ="safe").load(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        assert block.language in ALONE, f"nothing is known of language {block.language}"


def check_command(arguments: list[str]) -> None:
    """Parses the arguments of xtra-bench, and does nothing. Raises typer's UsageError for what does not exist."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="xtra-bench")
    while hasattr(command, "list_commands"):
        name, *arguments = arguments
        inner = command.get_command(context, name)
        assert inner is not None, f"there is no command {name}"
        command, context = inner, inner.context_class(inner, info_name=name, parent=context)
    command.make_context(context.info_name, arguments, parent=context.parent)
