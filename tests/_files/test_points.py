"""Files of data points."""

import numpy as np
import pytest

from rfdsm._files import points as tables


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n5,7\n",
        "a,b\n1,2\n3,4\n5,7\n",
        "# x\n\n1;2\n3; 4\n5;7",
        "1 2\n 3  4\n5 7",
    ],
)
def test_csv_variants(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    np.testing.assert_array_equal(tables.read(tmp_path / "x.csv"), [[1, 2], [3, 4], [5, 7]])


def test_arrays_of_every_kind(tmp_path):
    images = np.arange(24).reshape(4, 2, 3).astype(np.uint8)
    np.savez(tmp_path / "one.npz", anything=images)
    np.savez(tmp_path / "named.npz", X=images, y=np.zeros(4))
    np.save(tmp_path / "images.npy", images)
    for name in ("one.npz", "named.npz", "images.npy"):
        np.testing.assert_array_equal(tables.read(tmp_path / name), images.reshape(4, 6))
