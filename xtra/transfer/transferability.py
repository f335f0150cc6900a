"""Transferability: measures of features, pictures and actions that foretell, before any finetuning, how well a network transfers.

Each is a function of arrays alone, and larger where more transfer is expected. In the shapes: N observations of the target game,
D features of each, the latents that a pretrained network makes of them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

RIDGE = 0.1
"""Penalty of the linear probes, for features scaled so that an observation's squares sum to 1 on average. [ours]"""

EVIDENCE_STEPS = 200
"""Fixed-point steps of LogME at most; it stops as soon as nothing changes any more."""


def log_evidence(features: Float64, labels: Float64) -> float:
    """Returns LogME (You et al., 2021): the log evidence per observation of a Bayesian linear model of `labels` `[N]` on
    `features` `[N, D]`, at the prior and noise precisions that make it largest.

    labels ~ N(features w, 1 / beta), w ~ N(0, 1 / alpha). Neither is centred, as in the paper. Constant labels are explained
    without noise by any feature that is constant, so that their evidence has no bound: NaN.
    """
    count, size = features.shape
    if np.ptp(labels) == 0.0:
        return float("nan")
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    variances, along = singular**2, (left.T @ labels) ** 2
    outside = max(float(labels @ labels - along.sum()), 0.0)  # of the labels, what no weights can reach
    alpha, beta = 1.0, 1.0
    for _ in range(EVIDENCE_STEPS):
        precisions = alpha + beta * variances
        effective = float((beta * variances / precisions).sum())
        weights = float((beta**2 * variances * along / precisions**2).sum())
        residual = float((alpha**2 * along / precisions**2).sum()) + outside
        before = alpha, beta
        alpha, beta = effective / max(weights, 1e-12), (count - effective) / max(residual, 1e-12)
        if np.allclose(before, (alpha, beta), rtol=1e-6):
            break
    precisions = alpha + beta * variances
    weights = float((beta**2 * variances * along / precisions**2).sum())
    residual = float((alpha**2 * along / precisions**2).sum()) + outside
    log_determinant = float(np.log(precisions).sum()) + (size - len(variances)) * np.log(alpha)
    evidence = size * np.log(alpha) + count * np.log(beta / (2 * np.pi)) - log_determinant - beta * residual - alpha * weights
    return float(evidence / (2 * count))


def linear_cka(features: Float64, others: Float64) -> float:
    """Returns linear centred kernel alignment (Kornblith et al., 2019), in [0, 1], of two descriptions `[N, D]` and `[N, E]` of
    the same observations; 0 where one of them tells no observations apart.

    By Gram matrices `[N, N]`, for pictures have far more features than there are observations.
    """
    one, other = (centred @ centred.T for centred in (features - features.mean(0), others - others.mean(0)))
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum() / scale) if scale > 0.0 else 0.0


def regression_probe(features: Float64, labels: Float64) -> float:
    """Returns the share of the variance of `labels` `[N]` that a linear model of `features` `[N, D]` explains.

    Fitted to the first half of the observations, judged on the second: at most 1, 0 for what is no better than the first half's
    mean, negative for what is worse. Where the second half's labels do not differ there is nothing to explain: 0.
    """
    half = len(labels) // 2
    fitted = _ridge(features[:half], labels[:half, None], features[half:])[:, 0]
    errors, spread = (labels[half:] - fitted) ** 2, (labels[half:] - labels[:half].mean()) ** 2
    return 1.0 - float(errors.sum() / spread.sum()) if np.ptp(labels[half:]) > 0.0 else 0.0


def classification_probe(features: Float64, classes: NDArray[np.int64]) -> float:
    """Returns how often a linear model of `features` `[N, D]` names the right one of `classes` `[N]`, in [0, 1].

    Fitted by least squares on one-hot classes to the first half of the observations, judged on the second.
    """
    half = len(classes) // 2
    known = np.unique(classes[:half])
    scores = _ridge(features[:half], (classes[:half, None] == known).astype(np.float64), features[half:])
    return float((known[scores.argmax(1)] == classes[half:]).mean())


def picture_similarity(frames: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Returns minus the root mean square difference, in [-1, 0], of the mean pictures of two games' frames `[N, H, W, C]`."""
    difference = (frames.mean(0) - others.mean(0)) / 255
    return -float(np.sqrt((difference**2).mean()))


def action_overlap(actions: Collection[int], others: Collection[int]) -> float:
    """Returns the share, in [0, 1], of the actions of either of two games that both have."""
    return len(set(actions) & set(others)) / len(set(actions) | set(others))


def _ridge(features: Float64, labels: Float64, unseen: Float64) -> Float64:
    """Returns predictions `[M, L]` for `unseen` `[M, D]` by ridge regression of labels `[N, L]` on features `[N, D]`, both
    centred; in its dual form, for there are more features than observations."""
    centre, middle = features.mean(0), labels.mean(0)
    known, new = features - centre, unseen - centre
    scale = max(float((known**2).sum(1).mean()), 1e-12)
    gram = known @ known.T / scale + RIDGE * np.eye(len(known))
    predictions: Float64 = new @ known.T / scale @ np.linalg.solve(gram, labels - middle) + middle
    return predictions
