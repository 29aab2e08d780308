"""Long simulations in steps: the same errors, progress, an end in between."""

import importlib

import jax
import numpy as np
import pytest

import rfdsm

road = importlib.import_module("rfdsm.simulation.trial")
KEY = jax.random.key(0)
MODEL = rfdsm.RFDSM(psi_n=20.0, psi_p=1.5, m=40, t=0.2, lam=1e-2)


@pytest.mark.parametrize("psi_n", [20.0, 0.2])
def test_steps_give_the_same(monkeypatch, psi_n):
    """Blocks of pairs, of which there are 6400 to a trial, and whole trials."""
    model, said = MODEL.replace(psi_n=psi_n, m=40 if psi_n > 1 else 1), []
    whole = model.simulate(KEY, 8, 2)
    assert not said
    monkeypatch.setattr(road, "LONG", 0.0)
    steps = model.simulate(KEY, 8, 2, report=said.append)
    for x, y in zip(jax.tree.leaves(whole), jax.tree.leaves(steps), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9)
    first, *rest = said
    assert "2 trials of d = 8" in first and "GB" in first
    assert (rest[-1].done, rest[-1].total) == (12800, 12800) if psi_n > 1 else (2, 2)
    assert "left" in rest[0].pace


def test_an_interrupt_ends_it(monkeypatch):
    monkeypatch.setattr(road, "LONG", 0.0)

    def interrupt(progress):
        if progress.total is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MODEL.simulate(KEY, 8, 2, report=interrupt)


def test_lines_go_to_the_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(road, "LONG", 0.0)
    MODEL.replace(m=1).simulate(KEY, 8)
    assert "simulating 1 trial of d = 8, p = 12: about 0 s" in capsys.readouterr().err


def test_traced_ones_are_one_program(monkeypatch):
    monkeypatch.setattr(road, "LONG", 0.0)
    monkeypatch.setattr(road, "in_steps", None)
    run = jax.jit(lambda lam: MODEL.replace(m=1, lam=lam).simulate(KEY, 8).test_loss)
    assert np.isfinite(run(0.1)).all()
