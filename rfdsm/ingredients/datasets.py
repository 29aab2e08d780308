"""Real data at hand: scikit-learn's handwritten digits, and patches of its two photographs."""

import numpy as np

from .data import standardise


def digits() -> np.ndarray:
    """The 1,797 handwritten digits of 8×8 pixels, standardised, shape (1797, 64).

    Effective dimension 13; three pixels are constant.
    """
    from sklearn.datasets import load_digits

    return standardise(load_digits().data)


def patches(
    count: int = 100_000, size: int = 8, *, remove_mean: bool = False, seed: int = 0
) -> np.ndarray:
    """Grey patches of two photographs at random places, standardised, (count, size²).

    Args:
        count: how many, half of them from each photograph.
        size: pixels on a side.
        remove_mean: take each patch's own mean out of it.
        seed: of the places.
    """
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    rng = np.random.default_rng(seed)
    cut = []
    for photograph, number in zip(photographs, (count - count // 2, count // 2), strict=True):
        grey = photograph.mean(axis=2)
        windows = np.lib.stride_tricks.sliding_window_view(grey, (size, size))
        at = (rng.integers(0, length, number) for length in windows.shape[:2])
        cut.append(windows[tuple(at)].reshape(number, size**2))
    X = np.concatenate(cut)
    if remove_mean:
        X = X - X.mean(axis=1, keepdims=True)
    return standardise(X)
