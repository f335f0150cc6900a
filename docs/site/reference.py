"""The reference pages, made from the code: settings, protocols, commands, rows and public Python names, as Markdown."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from xtra.agents.config import AGENTS
from xtra.cli.main import app
from xtra.protocol.families import PROTOCOLS
from xtra.stages.registry import STAGES
from xtra.store.rows import TABLES
from xtra.suite.method import Leaf, configure, leaves, value_at
from xtra.suite.presets import PRESETS

BOUNDS = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}
SETTING_COLUMNS = ("setting", "default", "values", "meaning and source")
LARGE = 2**62
"""A bound beyond this is only what a column can hold."""

PACKAGES = {
    "xtra": "What the command line does, and agents that play; [how to use it](../python.md).",
    "xtra.search": "The batched tree search; [a worked example](../search.md).",
    "xtra_analysis": "Estimates, comparisons and reports, from rows alone; [with examples](../analysis.md#as-a-library).",
}
KINDS = {int: "integer", float: "number", bool: "`true` or `false`", str: "text", type(None): "`null`"}


def settings_page() -> str:
    """Every path that `set`, `grid` and `--set` take, by block, with its default, its values and its meaning."""
    owners: dict[str, dict[str, Leaf]] = {}
    for agent in AGENTS:
        for path, leaf in leaves(agent).items():
            owners.setdefault(path, {})[agent] = leaf
    blocks: dict[str, list[str]] = {}
    for path, by_agent in sorted(owners.items()):
        blocks.setdefault(path.rpartition(".")[0], []).append(setting_row(path, by_agent))
    return text(
        "# Settings",
        "Every path that a method's `set` and `grid`, a suite's `set` and `--set` take. The default is the one before protocol, "
        "preset and suite have spoken ([who wins](../../suites/README.md#who-wins)). Where agents differ, both are given; a "
        "setting that not every learning agent has names those that do. Sources: [P] is the paper, [E] EfficientZero's code, "
        "[C] XTRA's, [U] CURL's ([where we differ](../fidelity.md)).",
        *(f"## {block}\n\n{table(SETTING_COLUMNS, rows)}" for block, rows in blocks.items()),
    )


def setting_row(path: str, by_agent: Mapping[str, Leaf]) -> str:
    """One setting. by_agent: its field in the configuration of each agent that has it."""
    name, leaf = path.rpartition(".")[2], next(iter(by_agent.values()))
    agents_of = {shown(default_of(agent, path, field)): agent for agent, field in reversed(by_agent.items())}
    defaults = (f"`{value}`" if len(agents_of) == 1 else f"`{value}` ({agent})" for value, agent in agents_of.items())
    only = "" if set(by_agent) >= {"efficientzero", "curl"} else f" *({', '.join(by_agent)})*"
    when = f" *(if `{leaf.chosen_by}` is {' or '.join(sorted(leaf.names))})*" if leaf.chosen_by else ""
    head = f'<span id="{path}">`{name}`</span>{only}{when}'
    return row(head, " · ".join(defaults), values(leaf.info), cell(leaf.info.description))


def default_of(agent: str, path: str, leaf: Leaf) -> Any:
    """A setting's default: the agent's, or, where a name chooses whose setting it is, the field's own."""
    try:
        return value_at(configure(agent, {}), path)
    except AttributeError:
        return leaf.info.default


def protocols_page() -> str:
    """Protocols, presets and the versions of stages."""
    protocols = (
        f"### {name}\n\n{protocol.summary}\n\n{table(('setting', 'value'), settings(protocol.settings))}"
        for name, protocol in PROTOCOLS.items()
    )
    presets = []
    for name, preset in PRESETS.items():
        presets.append(f"### Preset {name}\n\n{preset.summary}")
        for agent, chosen in {"every agent": preset.settings, **preset.agents}.items():
            if chosen:
                presets.append(f"For {agent}:\n\n{table(('setting', 'value'), settings(chosen))}")
    stages = table(("stage", "version"), (row(f"`{name}`", str(stage.version)) for name, stage in STAGES.items()))
    return text(
        "# Protocols, presets and stages",
        "## Protocols\n\nA protocol fixes what is measured. Overriding one of its settings changes the label that rows carry.",
        *protocols,
        "## Presets\n\nA preset sets the size of networks and of learning; it never touches what a protocol fixes.",
        *presets,
        "## Stages\n\nA stage's version is part of the key of each of its jobs: when what it computes changes, its results are "
        f"computed anew.\n\n{stages}",
    )


def commands_page() -> str:
    """Every command of `xtra-bench` with its arguments and options."""
    root = typer.main.get_command(app)
    return text(
        "# Commands",
        "What `xtra-bench --help` says, on one page. Exit statuses: 0, all is well; 1, something failed; 2, the call or the "
        "suite is not in order.",
        *commands(root, root.context_class(root, info_name="xtra-bench")),
    )


def commands(group: Any, context: Any) -> Iterator[str]:
    """A section for each command of a group, groups within it included."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.context_class(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from commands(command, inner)
            continue
        usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
        records = [record for parameter in command.params if (record := parameter.get_help_record(inner)) is not None]
        rows = [row(f"`{option}`", cell(meaning)) for option, meaning in records]
        yield f"## {inner.command_path}\n\n{cell(command.help)}\n\n```text\n{usage}\n```"
        if rows:
            yield table(("argument", "meaning"), rows)


def rows_page() -> str:
    """Every table of rows that a run leaves, column by column."""
    sections = []
    for each in TABLES:
        columns = (
            row(f"`{name}`{' (key)' if name in each.key else ''}", values(field)) for name, field in each.row.model_fields.items()
        )
        sections.append(f"## {each.file_name}\n\n{cell(each.row.__doc__)}\n\n{table(('column', 'values'), columns)}")
    return text(
        "# Rows",
        "The tables that a run leaves under `results/runs/`, as the code defines them. [Results](../../results/README.md) says "
        "what they mean and what `run.json` holds. A row is known by its key.",
        *sections,
    )


def python_page() -> str:
    """What can be imported; mkdocstrings reads the code that the lines with `:::` name."""
    sections = [f"## {name}\n\n{says}\n\n{public(name)}" for name, says in PACKAGES.items()]
    return text("# Python", "Names that are not listed here may change without notice.", *sections)


def public(package: str) -> str:
    """A line for each public name of a package, by where it is defined."""
    module = import_module(package)
    lines = []
    for name in sorted(name for name in module.__all__ if not name.startswith("_")):
        home = getattr(getattr(module, name), "__module__", None)
        lines.append(f"::: {package}.{name}" if home is None else f"::: {home}.{name}")
    return "\n\n".join(lines)


def settings(chosen: Any) -> list[str]:
    return [row(f"[`{path}`](settings.md#{path})", f"`{shown(value)}`") for path, value in sorted(chosen.items())]


def values(info: FieldInfo) -> str:
    """What a field takes, in words."""
    bounds = [
        f"{sign} {getattr(bound, attribute):g}"
        for bound in info.metadata
        for kind, (attribute, sign) in BOUNDS.items()
        if isinstance(bound, kind) and getattr(bound, attribute) < LARGE
    ]
    return ", ".join([kind_of(info.annotation), *bounds])


def kind_of(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return values(FieldInfo.from_annotation(annotation))
    if origin is typing.Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind_of(argument) for argument in arguments))
    if origin is tuple:
        return f"list of {kind_of(arguments[0])}"
    if origin is dict:
        return f"{kind_of(arguments[1])} by {kind_of(arguments[0])}"
    return KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def shown(value: Any) -> str:
    """A value as it stands in a suite file."""
    return json.dumps(value, default=list, ensure_ascii=False)


def cell(prose: str | None) -> str:
    """Text in one line, as a cell of a table or a paragraph."""
    words = " ".join((prose or "").split()).replace("|", "\\|").split("`")
    # Between two backticks everything is meant as it stands.
    words[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in words[::2]]
    return "`".join(words)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def table(head: tuple[str, ...], rows: Iterable[str]) -> str:
    return "\n".join([row(*head), row(*("---" for _ in head)), *rows])


def text(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


PAGES = {
    "reference/settings.md": settings_page,
    "reference/protocols.md": protocols_page,
    "reference/commands.md": commands_page,
    "reference/rows.md": rows_page,
    "reference/python.md": python_page,
}
"""What makes each page, by its path in the site."""
