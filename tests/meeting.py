"""Where theory and a simulation meet: in every error, to three standard errors and a little."""

FIELDS = (
    "score_error",
    "test_loss",
    "train_loss",
    "memorization_loss",
    "bias2",
    "variance",
)


def row(found, error, value):
    """(difference, standard error, allowance) of one error: the allowance is for O(1/d²)."""
    found, error, value = float(found), float(error), float(value)
    return found - value, error, max(0.005 * abs(value), 0.002)


def assert_meets(problem, rows):
    """The rows of a problem's errors, by name, are all near."""
    misses = [
        f"{name}: off by {difference:+.4f}, standard error {error:.4f}, allowance {allowed:.4f}"
        for name, (difference, error, allowed) in rows.items()
        if not abs(difference) <= 3 * error + allowed
    ]
    assert not misses, f"{problem}\n" + "\n".join(misses)
