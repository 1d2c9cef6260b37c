"""Check of the weight in an F measure."""

import math


def checked_beta_squared(beta_squared):
    """`beta_squared` as a float, finite and at least 0."""
    try:
        number = float(beta_squared)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(
            f"`beta_squared` must be a finite number of at least 0. Received: beta_squared={beta_squared!r}"
        )
    return number
