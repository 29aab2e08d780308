"""Programs do not grow unseen: instructions against those that benchmarks/programs.json has.

Counted before XLA optimises, so every processor has the same number; nothing is compiled.
"""

import pytest

from benchmarks import programs

RECORD = programs.record()
MOST = 4 / 3
ANEW = "where that is meant, record it anew: python -m benchmarks programs"


def hold(name, size, recorded):
    assert size < MOST * recorded, f"{name} grew from {recorded} to {size} instructions; {ANEW}"
    assert recorded < MOST * size, f"{name} shrank from {recorded} to {size}; {ANEW}"


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_size(name):
    hold(name, programs.instructions(programs.lowered(name)), RECORD[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", programs.COMMANDS)
def test_size_of_command(name):
    found = programs.of_command(programs.COMMANDS[name])
    for what, size in found.items():
        hold(f"{what} of {name}", size, RECORD[name][what])


def test_what_is_recorded_is_what_is_measured():
    assert RECORD.keys() == programs.PROGRAMS.keys() | programs.COMMANDS.keys()


def test_a_called_function_counts_as_often_as_it_is_called():
    text = """
    module @jit_f {
      func.func public @main(%arg0: tensor<f64>) -> tensor<f64> {
        %0 = call @g(%arg0) : (tensor<f64>) -> tensor<f64>
        %1 = stablehlo.add %0, %arg0 : tensor<f64>
        %2 = call @g(%1) : (tensor<f64>) -> tensor<f64>
        return %2 : tensor<f64>
      }
      func.func private @g(%arg0: tensor<f64>) -> tensor<f64> {
        %0 = stablehlo.sine %arg0 : tensor<f64>
        %1 = stablehlo.multiply %0, %0 : tensor<f64>
        return %1 : tensor<f64>
      }
    }
    """
    assert programs.instructions(text) == 5
