"""`rfdsm tune`: the best numbers under constraints, of a law or of your own data."""

from functools import partial
from typing import Any

from ... import tuning
from ...analysis.points import describe
from ...progress import Progress
from ...tuning import roads
from ...tuning.landscape import survey
from .. import options
from ..console import out, print_json, require_writable, save_figure, stages
from . import report as words, request, settings

EXAMPLE = (
    "tune points.csv --free psi-p=1:6 --free lam --psi-n 4 --m 4 --t 0.1 "
    "--budget parameters=5 --out tuned.png"
)


@options.of_model(without=settings.WITHOUT, beside=settings.OPTIONS)
def tune(given: dict[str, Any], beside: dict[str, Any]) -> None:
    """The best numbers under constraints: a table, and if asked the landscape around them."""
    file, out_file, as_json = (beside[name] for name in ("file", "out_file", "as_json"))
    asked = settings.checked(given | beside)
    asked = settings.merged(settings.read(file) if file else {}, asked)
    require_writable(out_file)
    points = request.points(asked)
    plan = request.plan(asked, points)

    if points is not None and not as_json:
        print("\n".join([points.about(), *describe(points.X).lines(), ""]), flush=True)
    with stages("tune") as report:
        moments = []
        if plan.widths:
            moments = roads.measure_widths(plan.model, plan.widths, plan.key, report)
        if estimate := plan.estimate(moments):
            report(Progress(estimate))
        several = moments if len(moments) > 1 else moments[0] if moments else None
        best = tuning.tune(*plan.arguments, moments=several, report=report)
    # Every result is printed when it is there: what follows may take longer.
    say = (lambda *_: None) if as_json else partial(print, flush=True)
    if not as_json:
        for drawn in words.tables(best):
            out.print(drawn, "")
    with stages("tune") as report:  # dear, and so after the tables
        report(Progress("error bar of finitely many points", 0, 1))
        sampled = words.sampling(best, moments)
        told = words.summary(best, sampled=sampled)
    say("\n".join(told))
    networks = None
    if plan.verify:
        with stages("tune") as report:
            d, trials = plan.verify
            networks = best.verify(plan.key, d, trials, report=report)
        say(f"\n{networks!r}")
    if as_json:
        print_json(words.report(plan, best, networks, sampled))
    if out_file:
        with stages("tune") as report:
            around = survey(best, plan.shown, report)
        about = plan.about
        save_figure(lambda draw: draw.landscape_figure(best, around, about=about), out_file)
