"""`rfdsm spectrum`: bulks, atom and eigenvalues of networks; table, figure and data files."""

import os

import numpy as np
import pytest
import results
import xarray as xr
from command import call

from rfdsm.analysis import spectrum as eigenvalues

MODEL = "--psi-n 2 --psi-p 8 --m inf --t 0.1"


@pytest.fixture
def spectrum():
    return results.spectrum()


def test_the_command(capsys, tmp_path, spectrum):
    figure, data = tmp_path / "new" / "spectrum.pdf", tmp_path / "new" / "spectrum.nc"
    code, out, err = call(
        capsys, *f"spectrum {MODEL} --simulate d=16,trials=2 --seed 3".split(),
        "--out", str(figure), "--data", str(data),
    )  # fmt: skip
    assert code == 0 and err == ""
    for text in ("atom", "in networks", "the theory's bulks", "real networks smear"):
        assert text in out
    assert f"tau_gen = {spectrum.attrs['tau_gen']:.4g}" in out
    assert figure.read_bytes().startswith(b"%PDF")
    with xr.open_dataset(data) as stored:
        np.testing.assert_array_equal(stored.low, spectrum.low)
        assert f"distance {stored.attrs['bulks_kolmogorov']:.3g}" in out
        # A smeared atom of mass .625 is at least half of that away from a sharp one; with it
        # counted off, less than half of the distance may be left.
        assert stored.attrs["kolmogorov"] >= 0.625 / 2
        assert stored.attrs["bulks_kolmogorov"] < stored.attrs["kolmogorov"] / 2
        low, high = stored.attrs["atom_low"], stored.attrs["atom_high"]
        assert low < stored.attrs["atom_position"] < high


def test_theory_is_where_the_networks_are(capsys):
    code, out, err = call(
        capsys, *"spectrum --psi-n 2.03 --psi-p 8 --m inf --t 0.1".split(),
        *"--simulate d=16 --features gaussian".split(),
    )  # fmt: skip
    assert code == 0 and err == "" and "real networks" not in out
    bulk = next(line.split() for line in out.splitlines() if line.split()[:1] == ["1"])
    assert float(bulk[3]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--psi-n -1 --psi-p 8 --m inf --t 0.1", "psi_n"),
        ("--psi-n 2 --psi-p 8 --m 0.5 --t 0.1", "m, the number"),
        (f"{MODEL} --activation relux", "unknown"),
        (f"{MODEL} --eigenvalues 1,x", "--eigenvalues"),
        (f"{MODEL} --weights .5,.5", "one weight"),
        (f"{MODEL} --features images", "--features"),
        (f"{MODEL} --simulate 16", "--simulate"),
        (f"{MODEL} --simulate d=16.5", "--simulate"),
        (f"{MODEL} --simulate d=0", "--simulate"),
        (f"{MODEL} --simulate d=-3", "d must be at least 1, got -3"),
        (f"{MODEL} --simulate d=16,points=2", "'points' is none of these"),
        ("--psi-n .01 --psi-p 8 --m inf --t 0.1 --simulate d=16", "leaves no n"),
        ("--psi-n 2 --psi-p 8 --m 2.5 --t 0.1 --simulate d=16", "integer m"),
        (f"{MODEL} --out a.jpg", ".png or .svg or .pdf"),
        (f"{MODEL} --data a.json", ".nc or .csv"),
        (f"{MODEL} --data taken/a.nc", "taken"),
    ],
)
def test_bad_input_is_one_line_before_the_work(
    capsys, tmp_path, monkeypatch, arguments, message
):
    def works(*_, **__):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eigenvalues, "spectrum_of", works)
    (tmp_path / "taken").write_text("")
    code, out, err = call(capsys, "spectrum", *arguments.split())
    assert code == 2 and out == ""
    assert err.startswith("rfdsm: ") and err.count("\n") == 1 and message in err
    assert os.listdir(tmp_path) == ["taken"]
