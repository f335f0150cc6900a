"""The demands of a method's settings of finetuning on one another: what would be ignored in silence, or fail after everything
else has run, is refused."""

from __future__ import annotations

from xtra.transfer.config import Component, TransferConfig

PRETRAINED_POLICY: dict[str, tuple[Component, ...]] = {
    "kickstarting": ("representation", "prediction"),
    "ewc": ("representation", "dynamics", "prediction"),
}
"""Components of what a method of retention measures before the first update: the policy; for EWC also the value, and what the
dynamics make of both."""


def check_retention(transfer: TransferConfig) -> None:
    """Refuses a penalty that would hold to what nobody has learned. Last layers of fresh heads are 0: their policy is uniform,
    and no gradient passes below them, so that all Fisher information there is 0."""
    method, start = transfer.retention.method, transfer.start
    needed = PRETRAINED_POLICY.get(method)
    if needed is None:
        return
    settings = {
        "components": (", ".join(start.components), not set(needed) <= set(start.components), f"at least {', '.join(needed)}"),
        "reset_heads": ("true", start.reset_heads, "false"),
        "retained": (f"{start.retained:g}", start.retained == 0.0, "more than 0"),
    }
    for name, (value, is_wrong, valid) in settings.items():
        if is_wrong:
            raise ValueError(
                f"transfer.start.{name} is {value}, but transfer.retention.method is {method}, which measures pretrained heads: "
                f"it needs {valid}; l2_sp holds whatever is loaded"
            )
