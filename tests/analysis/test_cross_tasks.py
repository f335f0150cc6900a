"""Task weights: the last of each run, summed up over seeds, and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xtra_analysis import figures
from xtra_analysis.cross_tasks import final_weights


def weights_table() -> pd.DataFrame:
    rows = [
        ("XTRA", "T", seed, source, updates, weight)
        for seed, last in ((0, 0.2), (1, 0.6))
        for source, weights in (("A", (1.0, last)), ("B", (0.5, 0.5)))
        for updates, weight in zip((500, 1000), weights, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["method", "game", "seed", "source_game", "updates", "weight"])
    return frame.assign(gradient_similarity=frame["weight"] / 10)


def test_final_weights_are_each_runs_last_by_hand() -> None:
    final = final_weights(weights_table()).set_index("source_game")
    assert final.loc["A", ["weight", "weight_std", "lowest", "highest", "num_runs"]].tolist() == pytest.approx(
        [0.4, 0.2828427, 0.2, 0.6, 2]
    )
    assert final.loc["A", "gradient_similarity"] == pytest.approx(0.04)
    assert (final.loc["B", "weight"], final.loc["B", "weight_std"]) == (0.5, 0.0)


def test_a_panel_draws_the_mean_of_each_source_and_a_band_over_all_seeds() -> None:
    axes = figures.task_weights(weights_table()).axes[0]
    means = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert means == [pytest.approx([1.0, 0.4]), pytest.approx([0.5, 0.5])]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.2, 1.0))


def test_the_report_has_weights_similarities_and_a_table_of_final_weights(small_report: Path) -> None:
    table = pd.read_csv(small_report / "tables" / "final_task_weights.csv")
    assert set(table["method"]) == {"XTRA", "XTRA, constant task weights"}
    page = (small_report / "report.html").read_text(encoding="utf-8")
    assert "Final task weights of XTRA<" in page
    assert (small_report / "figures" / "task_weights_0.svg").exists()
    assert (small_report / "figures" / "gradient_similarity_0.svg").exists()
