"""What cross-tasks did: task weights over time and gradient similarity."""

from __future__ import annotations

from xtra_analysis import figures
from xtra_analysis.content import Picture, Section
from xtra_analysis.findings import Findings


def transfer(findings: Findings) -> Section | None:
    """For each method with cross-tasks: weights over updates, and similarity of source and target."""
    table = findings.study.tables["task_weights"]
    blocks = []
    for number, (method, part) in enumerate(table.groupby("method", sort=False)):
        blocks.append(
            Picture(
                f"task_weights_{number}",
                figures.task_weights(part),
                f"Line charts of {method}, one per target game: weight of each source game over updates.",
                f"{method}: how much each source game counts while finetuning, from 0 to 1; mean over seeds.",
                folded=number > 0,
            )
        )
        if part["gradient_similarity"].notna().any():
            blocks.append(
                Picture(
                    f"gradient_similarity_{number}",
                    figures.gradient_similarity(part),
                    f"Heat map of {method}: mean cosine similarity of gradients, source games by target games.",
                    f"{method}: cosine of the gradients of source and target game, mean over seeds and updates. "
                    "Orange pulls the same way, purple against.",
                    folded=number > 0,
                )
            )
    return Section("transfer", "Cross-tasks", blocks) if blocks else None
