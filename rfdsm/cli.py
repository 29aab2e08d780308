"""The command line: `rfdsm demo`, `point`, `curve`, `train`, `spectrum`, `predict`, `tune`,
`doctor`.

Bad input is one line on standard error and exit code 2, a failed solve one line and 1.
"""

import json
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import canary, options
from .errors import FIELDS, NotConverged
from .model import RFDSM
from .simulation import FEATURES
from .training import GradientFlow

Activation = Annotated[
    str, typer.Option(help=f"One of {', '.join(options.ACTIVATIONS)}, leakyrelu:SLOPE.")
]
Eigenvalues = Annotated[str, typer.Option(help="Eigenvalues of the data's covariance, a,b,...")]
Weights = Annotated[str | None, typer.Option(help="Their shares, a,b,..., summing to 1.")]
FigureFile = Annotated[Path | None, typer.Option("--out", help="Figure: .png, .svg or .pdf.")]
DataFile = Annotated[Path | None, typer.Option("--data", help="The whole result: .nc or .csv.")]
LogY = Annotated[bool, typer.Option("--log-y", help="A logarithmic ordinate.")]
Seed = Annotated[int, typer.Option(help="Seed of the simulation.")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Exact theory and simulation of random-features denoising score matching.",
)
out, err = Console(), Console(stderr=True)


def run() -> None:
    """Run the application with float64 on, and turn failures into one line."""
    jax.config.update("jax_enable_x64", True)
    warnings.showwarning = _show_warning
    try:
        app()
    except (ValueError, TypeError) as error:
        _fail(error, 2)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename}", 2)
    except NotConverged as error:
        _fail(error, 1)


def _fail(message: Any, code: int) -> None:
    text = " ".join(str(message).split())
    print(f"rfdsm: {text}", file=sys.stderr)
    sys.exit(code)


def _show_warning(message, *_: Any, **__: Any) -> None:
    print(f"rfdsm: warning: {message}", file=sys.stderr)


def _note(text: str) -> None:
    """A line on the work, above a progress bar where there is one."""
    err.print(f"rfdsm: {text}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal and nothing in a pipe; call it once for each step."""
    with _bars() as bars:
        task = bars.add_task(title, total=total)

        def advance(step: str) -> None:
            bars.update(task, advance=1, description=f"{title}: {step}")

        yield advance


@contextmanager
def stages(title: str) -> Iterator[Callable[[Any], None]]:
    """The same of work in stages; call it with a `tuning.Progress`."""
    with _bars() as bars:
        task = bars.add_task(title, total=None)

        def report(at: Any) -> None:
            told = f"{title}: {at.stage}"
            bars.update(task, completed=at.done, total=at.total, description=told)

        yield report


def _bars() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _require_writable(figure: Path | None, data: Path | None) -> None:
    """Refuse files that could not be written later."""
    from . import files, plotting, storage

    if figure:
        files.require_writable(figure, plotting.SUFFIXES)
    if data:
        files.require_writable(data, storage.SUFFIXES)


@app.command()
def demo(
    directory: Annotated[
        Path, typer.Option("--out", help="Folder for the figures and the summary.")
    ] = Path("rfdsm-demo"),
) -> None:
    """Theory and simulation side by side, on Gaussian data and on real images."""
    from . import demo as _demo

    with progress("demo", _demo.steps()) as advance:
        summary = _demo.run(directory, advance)
    print(summary)


@app.command()
def point(
    psi_n: Annotated[float, typer.Option(help="Data points per dimension, n/d.")],
    psi_p: Annotated[float, typer.Option(help="Features per dimension, p/d.")],
    m: Annotated[float, typer.Option(help="Noises per data point; inf is allowed.")],
    t: Annotated[float, typer.Option(help="Diffusion time (Ornstein-Uhlenbeck).")],
    lam: Annotated[float, typer.Option(help="Ridge λ.")],
    activation: Activation = "tanh",
    eigenvalues: Eigenvalues = "1",
    weights: Weights = None,
    simulate: Annotated[
        str | None,
        typer.Option(help="Simulate too: d=80 or d=80,160 (extrapolated), trials=32."),
    ] = None,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Every error at one point, from theory and, if asked, from simulation."""
    from . import point as _point

    model = RFDSM(
        psi_n=psi_n,
        psi_p=psi_p,
        m=m,
        t=t,
        lam=lam,
        activation=options.activation(activation),
        data=options.data(eigenvalues, weights),
    )
    dimensions, trials = options.simulation_request(simulate)
    runs = []
    with progress("simulate", len(dimensions)) as advance:
        for d in dimensions:
            key = jax.random.fold_in(jax.random.key(seed), d)
            runs.append(model.simulate(key, d, trials))
            advance(f"d = {d}")
    # Rounding to integers moves the ratios: theory is compared where the simulation was.
    compared = model.at(runs[-1].sizes) if runs else model
    report = _point.report(compared, runs)
    if as_json:
        print(json.dumps(_point.plain(report), indent=2))
        return
    out.print(_point.table(report))
    for line in _point.summary(report):
        out.print(line)


@app.command()
def curve(
    swept: Annotated[
        list[str],
        typer.Argument(
            metavar="PARAMETER=START:STOP:COUNT",
            help="The parameter to sweep (psi_n, psi_p, m, t or lam) and its grid.",
        ),
    ],
    psi_n: Annotated[float | None, typer.Option(help="Data points per dimension, n/d.")] = None,
    psi_p: Annotated[float | None, typer.Option(help="Features per dimension, p/d.")] = None,
    m: Annotated[
        list[str] | None,
        typer.Option(help="Noises per data point, a line each: 1,4,inf, or given repeatedly."),
    ] = None,
    t: Annotated[float | None, typer.Option(help="Diffusion time.")] = None,
    lam: Annotated[float | None, typer.Option(help="Ridge λ.")] = None,
    activation: Activation = "tanh",
    eigenvalues: Eigenvalues = "1",
    weights: Weights = None,
    linear: Annotated[bool, typer.Option("--linear", help="A linear, not a log grid.")] = False,
    simulate: Annotated[
        str | None, typer.Option(help="Simulate too: d=48,trials=8,points=6.")
    ] = None,
    seed: Seed = 0,
    errors: Annotated[
        str, typer.Option(help=f"Errors to show, of {', '.join(FIELDS)}.")
    ] = "test_loss,train_loss,memorization_loss",
    out_file: FigureFile = None,
    data_file: DataFile = None,
    log_y: LogY = False,
) -> None:
    """The errors over one parameter: a table, and if asked a figure and the data."""
    from . import curve as _curve, family, plotting, storage

    # Everything that can be refused is refused here, before the work.
    if len(swept) > 1:
        raise ValueError(f"one parameter is swept at a time, got {' and '.join(swept)}.")
    grid = _curve.parse(swept[0], log=not linear)
    given = {"psi_n": psi_n, "psi_p": psi_p, "m": m or None, "t": t, "lam": lam}
    options.require_all_but(grid.parameter, given)
    lines = options.lists(m, "--m")
    numbers = given | {"m": lines[0] if lines else None} | {grid.parameter: grid.x[0]}
    model = RFDSM(
        **numbers,
        activation=options.activation(activation),
        data=options.data(eigenvalues, weights),
    )
    names = options.error_names(errors)
    request = options.networks(simulate, d=48, trials=8, points=6)
    markers = ()
    if request:
        markers = _curve.markers(grid, request["d"], request["points"], lines)
    _require_writable(out_file, data_file)

    steps = 1 + max(1, len(lines)) * len(markers)
    with progress("curve", steps) as advance:
        result = _curve.sweep(model, grid, lines)
        advance("theory")
        runs = None
        if request:
            d, trials = request["d"], request["trials"]
            runs = _curve.simulate(result, markers, d, trials, seed, advance)
    if message := family.failures(result.status):
        _show_warning(message)
    data = _curve.dataset(result, runs) if data_file else None
    if out_file:
        plotting.save(_curve.figure(result, runs, names, log_y=log_y), out_file)
    if data_file:
        storage.save(data, data_file)
    out.print(_curve.table(result, names))
    print("\n".join(["", *_curve.summary(result, runs, names)]))


@app.command()
def train(
    psi_n: Annotated[
        list[str], typer.Option(help="Data points per dimension, a line each: 4,8,16.")
    ],
    psi_p: Annotated[float, typer.Option(help="Features per dimension, p/d.")],
    m: Annotated[
        list[str],
        typer.Option(help="Noises per data point, a line each (not both): 1,4,inf."),
    ],
    t: Annotated[float, typer.Option(help="Diffusion time.")],
    lam: Annotated[float, typer.Option(help="Ridge λ.")] = 0.0,
    tau: Annotated[
        str, typer.Option(metavar="START:STOP:COUNT", help="Training times, a log grid.")
    ] = "0.1:1e5:100",
    activation: Activation = "tanh",
    eigenvalues: Eigenvalues = "1",
    weights: Weights = None,
    simulate: Annotated[
        str | None, typer.Option(help="Simulate too: d=48,trials=8,points=10.")
    ] = None,
    seed: Seed = 0,
    errors: Annotated[
        str, typer.Option(help=f"Errors to show, of {', '.join(FIELDS)}.")
    ] = "score_error,test_loss,train_loss,memorization_loss",
    out_file: FigureFile = None,
    data_file: DataFile = None,
    log_y: LogY = False,
) -> None:
    """The errors over training time, by gradient flow: when it generalises and memorises."""
    from . import curve as _curve, family, plotting, storage, train as _train

    # Everything that can be refused is refused here, before the work.
    psi_ns, ms = options.lists(psi_n, "--psi-n"), options.lists(m, "--m")
    grid = family.range_of("tau", tau)
    model = RFDSM(
        psi_n=psi_ns[0],
        psi_p=psi_p,
        m=ms[0],
        t=t,
        training=GradientFlow(1.0, lam),
        activation=options.activation(activation),
        data=options.data(eigenvalues, weights),
    )
    asked = _train.lines(model, psi_ns, ms)
    names = options.error_names(errors)
    request = options.networks(simulate, d=48, trials=8, points=10)
    if request:
        d, trials = request["d"], request["trials"]
        taus = _curve.markers(grid, d, request["points"], ms)
        _train.require_networks(asked, d)
    _require_writable(out_file, data_file)

    steps = (3 if request else 2) * len(asked.models)
    with progress("train", steps) as advance:
        result = _train.solve(asked, grid, advance)
        runs = None
        if request:
            runs = _train.simulate(result, taus, d, trials, seed, advance)
    if message := family.failures(result.theory.status):
        _show_warning(message)
    data = _train.dataset(result, runs) if data_file else None
    if out_file:
        plotting.save(_train.figure(result, runs, names, log_y=log_y), out_file)
    if data_file:
        storage.save(data, data_file)
    out.print(family.table(result.theory, names))
    print("\n".join(["", *_train.summary(result, runs, names)]))


@app.command()
def spectrum(
    psi_n: Annotated[float, typer.Option(help="Data points per dimension, n/d.")],
    psi_p: Annotated[float, typer.Option(help="Features per dimension, p/d.")],
    m: Annotated[float, typer.Option(help="Noises per data point; inf is allowed.")],
    t: Annotated[float, typer.Option(help="Diffusion time.")],
    activation: Activation = "tanh",
    eigenvalues: Eigenvalues = "1",
    weights: Weights = None,
    simulate: Annotated[str | None, typer.Option(help="Simulate too: d=100,trials=2.")] = None,
    features: Annotated[
        str, typer.Option(help="Simulated: network, or gaussian for the surrogate.")
    ] = "network",
    seed: Seed = 0,
    out_file: FigureFile = None,
    data_file: DataFile = None,
) -> None:
    """The eigenvalues of the features' second moments: bulks, atom and learning times."""
    from . import eigenvalues as _eigenvalues, plotting, storage

    # Everything that can be refused is refused here, before the work.
    model = RFDSM(
        psi_n=psi_n,
        psi_p=psi_p,
        m=m,
        t=t,
        training=GradientFlow(1.0),
        activation=options.activation(activation),
        data=options.data(eigenvalues, weights),
    )
    request = options.networks(simulate, d=100, trials=2)
    if features not in FEATURES:
        raise ValueError(f"--features takes {' or '.join(FEATURES)}, got {features!r}.")
    if request:
        # Rounding to integers moves the ratios: theory is where the simulation is.
        model = model.at(_eigenvalues.realised(model, request["d"], features))
    _require_writable(out_file, data_file)

    with progress("spectrum", 3 if request else 2) as advance:
        result = _eigenvalues.solve(model, advance)
        sample = None
        if request:
            d, trials = request["d"], request["trials"]
            sample = _eigenvalues.simulate(result, d, trials, features, seed)
            advance("networks")
    if message := _eigenvalues.failures(result):
        _show_warning(message)
    data = _eigenvalues.dataset(result, sample) if data_file else None
    if out_file:
        plotting.save(_eigenvalues.figure(result, sample), out_file)
    if data_file:
        storage.save(data, data_file)
    out.print(_eigenvalues.table(result, sample))
    print("\n".join(["", *_eigenvalues.summary(result, sample)]))


@app.command()
def predict(
    points: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help=".npy, .npz or .csv, a row per point; without: scikit-learn's digits.",
        ),
    ] = None,
    against: Annotated[
        str, typer.Option(help="n, m or lam, with a log grid if asked: n=32:512:24.")
    ] = "n",
    psi_p: Annotated[float, typer.Option(help="Features per dimension, p/d.")] = 3.0,
    m: Annotated[
        list[str] | None,
        typer.Option(help="Noises per data point, a line each; 1,4,inf unless told."),
    ] = None,
    n: Annotated[
        int | None, typer.Option(help="Training points, where not swept; 2 d unless told.")
    ] = None,
    t: Annotated[float, typer.Option(help="Diffusion time.")] = 0.1,
    lam: Annotated[float | None, typer.Option(help="Ridge λ; 0.01 unless told.")] = None,
    activation: Activation = "tanh",
    noises: Annotated[
        int | None, typer.Option(help="Noises per point to measure with; exact where cheap.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Classes of points; as many as needed unless told.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of the features' weights: a band.")] = 1,
    verify: Annotated[
        bool, typer.Option("--verify", help="Train networks on the data, and compare.")
    ] = False,
    trials: Annotated[int, typer.Option(help="Networks at each point of --verify.")] = 12,
    marks: Annotated[int, typer.Option("--points", help="Points of --verify, a line.")] = 4,
    seed: Seed = 0,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Neither centre nor scale the data.")
    ] = False,
    out_file: FigureFile = None,
    data_file: DataFile = None,
    log_y: LogY = False,
) -> None:
    """The losses on your own data, from theory, and if asked from trained networks."""
    from . import family, plotting, predict as _predict, storage, tables

    _require_writable(out_file, data_file)
    data = _predict.load(points, as_is=as_is)
    plan = _predict.plan(
        data,
        against,
        m=options.lists(m, "--m"),
        n=n,
        psi_p=psi_p,
        t=t,
        lam=lam,
        activation=options.activation(activation),
        draws=draws,
        noises=noises,
        classes=classes,
        verify=(trials, marks) if verify else None,
        seed=seed,
    )
    print("\n".join([data.about(), *tables.describe(data.X).lines(), ""]), flush=True)
    if line := _predict.estimate(plan):
        _note(line)
    with progress("predict", _predict.steps(plan)) as advance:
        prediction, trust = _predict.run(plan, _note, advance)
    for theory in (prediction.measured, prediction.gaussian):
        if message := family.failures(theory.status):
            _show_warning(message)
    result = _predict.dataset(prediction) if data_file else None
    if out_file:
        plotting.save(_predict.figure(prediction, log_y=log_y), out_file)
    if data_file:
        storage.save(result, data_file)
    out.print(_predict.table(prediction))
    if verify:
        out.print("\ntheory against trained networks:", _predict.deviations(prediction))
    print("\n".join(["", *_predict.summary(prediction), *trust]))


@app.command()
def tune(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help=".npy, .npz or .csv, a row per point, or digits (scikit-learn's); without: "
            "Gaussian data.",
        ),
    ] = None,
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH",
            help="A number to tune and its bounds (may be left out): psi_n, psi_p, m, t, lam, "
            "tau. Repeatable.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="The error to make small: score_error; with DATA test_loss."),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="An error that must not be below. Repeatable."
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="An error that must not be above. Repeatable."
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="samples (psi_n m), parameters (psi_p) or flops (over d³). Repeatable.",
        ),
    ] = None,
    over_times: Annotated[
        str | None, typer.Option(help="Sum the objective over diffusion times, a,b,...")
    ] = None,
    psi_n: Annotated[float | None, typer.Option(help="Data points per dimension, n/d.")] = None,
    psi_p: Annotated[float | None, typer.Option(help="Features per dimension, p/d.")] = None,
    m: Annotated[float | None, typer.Option(help="Noises per data point; or inf.")] = None,
    t: Annotated[float | None, typer.Option(help="Diffusion time.")] = None,
    lam: Annotated[float | None, typer.Option(help="Ridge λ.")] = None,
    tau: Annotated[float | None, typer.Option(help="Training time of gradient flow.")] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(options.ACTIVATIONS)}, leakyrelu:SLOPE; tanh unless told."
        ),
    ] = None,
    eigenvalues: Annotated[
        str | None, typer.Option(help="Eigenvalues of the data's covariance, a,b,...; or 1.")
    ] = None,
    weights: Weights = None,
    starts: Annotated[int | None, typer.Option(help="Starts of the search; 256.")] = None,
    widths: Annotated[
        int | None, typer.Option(help="Values of a free psi_p that DATA are measured at; 5.")
    ] = None,
    verify: Annotated[
        str | None,
        typer.Option(help="Train networks there and beside: d=64,trials=8; DATA: trials=8."),
    ] = None,
    landscape: Annotated[
        str | None, typer.Option(help="One or two free numbers for the figure: psi_p,lam.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A TOML file of options by their names; options override."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    as_is: Annotated[
        bool | None, typer.Option("--as-is", help="Neither centre nor scale the data.")
    ] = None,
    out_file: FigureFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The best numbers under constraints: a table, and if asked the landscape around them."""
    from . import landscape as _landscape, optimum, plotting, request, settings, tables

    given = {name: value for name, value in locals().items() if name in settings.READERS}
    asked = settings.merged(settings.read(file) if file else {}, settings.checked(given))
    _require_writable(out_file, None)
    points = _points(asked)
    plan = request.plan(asked, points)
    if points is not None and not as_json:
        print("\n".join([points.about(), *tables.describe(points.X).lines(), ""]), flush=True)
    with stages("tune") as report:
        moments = request.moments(plan, _note, report)
        tuned = request.run(plan, moments, report)
        results = request.verify(plan, tuned, report), optimum.sampling(tuned, moments)
        if out_file:
            around = _landscape.survey(plan, tuned, report)
    if out_file:
        plotting.save(_landscape.figure(plan, tuned, around), out_file)
    if as_json:
        print(json.dumps(optimum.report(plan, tuned, *results), indent=2))
        return
    for drawn in optimum.tables(plan, tuned):
        out.print(drawn, "")
    print("\n".join(optimum.summary(plan, tuned, *results)))


def _points(asked: dict[str, Any]) -> Any:
    """The points that `tune` is asked about; None for Gaussian data."""
    from . import predict as _predict

    name = asked.get("data")
    if name is None:
        if asked.get("as_is"):
            raise ValueError("--as-is is of DATA, and none was given.")
        return None
    path = None if name == "digits" else Path(name)
    return _predict.load(path, as_is=asked.get("as_is", False))


@app.command()
def doctor() -> None:
    """Versions, devices, precision, and whether the backend computes right numbers."""
    out.print(f"python    {platform.python_version()} on {platform.machine()}")
    for package in ("rfdsm", "jax", "jaxlib", "equinox", "numpy"):
        out.print(f"{package:<9} {metadata.version(package)}")
    for device in jax.devices():
        out.print(f"device    {device.platform}:{device.id} {device.device_kind}")
    out.print(f"x64       {'on' if jax.config.jax_enable_x64 else 'off'}")
    results = canary.checks()
    for result in results:
        verdict = "right" if result.ok else "WRONG"
        out.print(f"canary    {verdict}: {result.name}, deviation {result.deviation:.1e}")
    if not all(result.ok for result in results):
        _fail(
            f"jax {jax.__version__} computes wrong numbers on this machine: install "
            "another version, such as 0.10.1.",
            1,
        )
