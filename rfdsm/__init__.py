"""Exact theory and finite-size simulation of random-features denoising score matching.

What is public is imported when it is first asked for: `import rfdsm` alone loads nothing, and
the command can be stopped from its first moment on.
"""

import importlib

__version__ = "0.1.0"

_PUBLIC = {  # names by the modules that they are from
    "_files.cache": ("enable_cache",),
    "analysis": (
        "Advice",
        "Agreement",
        "Extrapolation",
        "Reproducibility",
        "SamplingError",
        "Timescales",
        "advise",
        "extrapolate",
        "measure",
        "measure_features",
        "model_of",
        "reproducibility",
        "sampling_error",
        "timescales",
    ),
    "asymptotics": ("Atom",),
    "errors": ("Baselines", "Errors", "NotConverged", "Sizes", "Solution", "Status"),
    "ingredients.activations": (
        "GELU",
        "AbstractActivation",
        "Activation",
        "Constants",
        "Cos",
        "Erf",
        "LeakyReLU",
        "Polynomial",
        "ReLU",
        "Sigmoid",
        "SiLU",
        "Sin",
        "Tanh",
    ),
    "ingredients.cross_moments": ("CrossMoments",),
    "ingredients.data": (
        "AbstractData",
        "AbstractSampler",
        "Gaussian",
        "Law",
        "Samples",
        "standardise",
    ),
    "ingredients.ensembles": ("AbstractEnsemble", "Ensemble", "Single"),
    "ingredients.filters": ("FilterNodes",),
    "ingredients.moments": ("Moments",),
    "ingredients.processes": (
        "AbstractProcess",
        "FlowMatching",
        "OrnsteinUhlenbeck",
        "Preconditioned",
        "VarianceExploding",
        "VariancePreserving",
    ),
    "ingredients.targets": (
        "AbstractTarget",
        "AngleTarget",
        "DataTarget",
        "LinearTarget",
        "NoiseTarget",
        "PreconditionedTarget",
        "ScoreTarget",
        "VelocityTarget",
        "implied_output",
        "implied_score",
        "preconditioned",
    ),
    "ingredients.training": ("AbstractTraining", "GradientDescent", "GradientFlow", "Ridge"),
    "model": ("RFDSM",),
    "overlaps": ("Overlap", "VarianceParts"),
    "parameters": ("number",),
    "simulation": ("Network",),
    "sweeps": ("check", "compare", "gradient", "open", "sweep", "tune_sweep", "zipped"),
    "tuning": (
        "Front",
        "Infeasible",
        "Tuned",
        "Verification",
        "at_least",
        "at_most",
        "over_times",
        "pareto",
        "tune",
    ),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
_BESIDE = {"sweeps": ("plotting",)}  # imported with it: a sweep's data set has figures
_MODULES = dict.fromkeys(("datasets", "images"), "ingredients.datasets")  # also by its old name
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str):
    """A public name, or a module of the package."""
    if name in _HOME:
        for module in _BESIDE.get(_HOME[name], ()):
            importlib.import_module(f".{module}", __name__)
        found = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = found
        return found
    module = _MODULES.get(name, name)
    try:
        return importlib.import_module(f".{module}", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{module}":
            raise  # of the extra `all`, which sweeps and plotting want
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
