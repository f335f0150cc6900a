"""Numbers known beforehand: provenance, published aggregates, and the exact expectation of a random agent on Catch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from xtra_analysis.aggregates import interquartile_mean, mean, median

from xtra.protocol.scores import PublishedAggregate, PublishedScore, published_aggregates, published_scores, reference_scores

CATCH_COLUMNS = 5
FALLS = 9
"""Rows the ball falls; as many actions an episode has."""


def test_published_aggregates_of_efficientzero_follow_from_its_game_scores() -> None:
    references = reference_scores()
    scores = [references[one.game].normalize(one.score) for one in published_scores() if one.method == "EfficientZero"]
    matrix = np.array([scores])

    assert len(scores) == 26
    published = {
        one.statistic: one.value for one in published_aggregates() if one.method == "EfficientZero" and one.value != 1.904
    }
    assert round(float(mean(matrix)), 3) == published["mean_human_normalized_score"] == 1.943
    assert round(float(median(matrix)), 3) == 1.090
    assert round(float(interquartile_mean(matrix)), 3) == published["iqm_human_normalized_score"] == 1.047


def test_the_median_of_ders_transcribed_scores_is_the_one_published_with_them() -> None:
    references = reference_scores()
    scores = [references[one.game].normalize(one.score) for one in published_scores() if one.method.startswith("DER")]
    assert len(scores) == 26
    assert round(float(median(np.array([scores]))), 3) == 0.161


def test_a_random_agent_on_catch_expects_the_score_in_the_table() -> None:
    """Dynamic programming over the paddle's column; the ball's column is fixed from the start and independent of it."""
    paddle = [Fraction(column == CATCH_COLUMNS // 2) for column in range(CATCH_COLUMNS)]
    for _ in range(FALLS):
        after = [Fraction(0)] * CATCH_COLUMNS
        for column, chance in enumerate(paddle):
            for move in (0, 1, -1):
                after[min(max(column + move, 0), CATCH_COLUMNS - 1)] += chance / 3
        paddle = after
    caught = sum(chance * Fraction(1, CATCH_COLUMNS) for chance in paddle)

    assert float(2 * caught - 1) == reference_scores()["Catch"].random
    assert reference_scores()["Catch"].reference == 1.0


def test_a_normalized_score_is_zero_for_random_and_one_for_the_reference() -> None:
    for reference in reference_scores().values():
        assert reference.normalize(reference.random) == 0.0
        assert reference.normalize(reference.reference) == 1.0


def test_every_number_says_where_it_comes_from_and_recollections_say_so() -> None:
    rows: list[PublishedScore | PublishedAggregate] = [*published_scores(), *published_aggregates()]
    assert all(row.source for row in rows)
    for row in rows:
        assert (row.trust == "recollected") == row.source.startswith("recollection")
    assert {row.trust for row in published_scores() if row.method == "XTRA"} == {"recollected"}


def test_the_recollected_pairs_agree_with_the_published_headline() -> None:
    scores = {(one.method, one.game): one.score for one in published_scores()}
    games = [game for method, game in scores if method == "XTRA"]
    ratios = [scores["XTRA", game] / scores["EfficientZero (as reported in XTRA)", game] for game in games]

    headline = {one.statistic: one.value for one in published_aggregates() if one.method == "XTRA"}
    assert np.mean(ratios) == pytest.approx(headline["mean_ratio_to_efficientzero"], abs=0.005)
    assert max(ratios) == pytest.approx(headline["max_ratio_to_efficientzero"], abs=0.005)
