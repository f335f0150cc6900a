"""The figure of the README: `python docs/site/figure.py` draws our rows of suite `catch_transfer`."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "results" / "ours" / "catch_transfer"
PICTURE = ROOT / "docs" / "images" / "catch_transfer.svg"
COLORS = {"XTRA": "#b9770e", "EfficientZero": "#3567b3"}
LABELS = {"XTRA": "XTRA, from three variants of the game", "EfficientZero": "EfficientZero, from scratch"}
PLACES = {"XTRA": (900, 1.07), "EfficientZero": (2500, -0.2)}
THRESHOLD = 0.8


def main() -> None:
    curves = pd.read_csv(STUDY / "curves.csv")
    # Letters stay letters, and equal rows give equal bytes.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "xtra", "font.family": "sans-serif", "font.size": 11}
    figure, axes = plt.subplots(figsize=(7.6, 3.2), layout="constrained")
    for method, color in COLORS.items():
        own = curves[curves["method"] == method].pivot(index="env_steps", columns="seed", values="score")
        axes.plot(own.index, own, color=color, alpha=0.3, linewidth=0.9)
        axes.plot(own.index, own.mean(axis=1), color=color, linewidth=2.4, marker="os"[method == "XTRA"], markersize=4)
        axes.annotate(LABELS[method], PLACES[method], color=color, weight="bold")
    axes.axhline(THRESHOLD, color="#777", linewidth=0.9, linestyle="--")
    axes.set(xlabel="env steps on the target", ylabel="score of Catch", ylim=(-1.05, 1.25), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
