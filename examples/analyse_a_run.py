"""The analysis as a library: rows of a run → estimates → a figure of one's own.

python examples/analyse_a_run.py results/runs/<suite>-<time>-<id>
"""

from __future__ import annotations

from argparse import ArgumentParser

from xtra_analysis import InputError, compare, estimate, figures, load


def main() -> None:
    parser = ArgumentParser(description="Prints what a run found, and draws its aggregates.")
    parser.add_argument("run", metavar="RUN", help="a directory in results/runs")
    try:
        scores = load(parser.parse_args().run)  # one row per (method, game, seed), raw and normalized
    except InputError as error:
        parser.error(str(error))
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
