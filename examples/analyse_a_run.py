"""The analysis as a library: rows of a run → estimates → a figure of one's own.

python examples/analyse_a_run.py results/runs/<suite>-<time>-<id>
"""

from __future__ import annotations

import sys

from xtra_analysis import compare, estimate, figures, load


def main() -> None:
    scores = load(sys.argv[1])  # one row per (method, game, seed), raw and normalized
    estimates = estimate(scores)
    print(estimates[estimates["statistic"] == "iqm"][["method", "estimate", "low", "high", "num_runs"]].to_string(index=False))
    methods = list(dict.fromkeys(scores["method"]))
    if len(methods) > 1:
        print(
            compare(scores, baseline=methods[0])[["method", "statistic", "estimate", "low", "high", "p_holm"]].to_string(
                index=False
            )
        )
    figures.aggregates(estimates).savefig("aggregates.svg")


if __name__ == "__main__":
    main()
