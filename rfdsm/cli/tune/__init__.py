"""`rfdsm tune`: the best numbers under constraints, of a law or of your own data."""

from typing import Any

import jax

from ... import tuning
from ...analysis.points import describe
from ...tuning import roads
from ...tuning.landscape import survey
from .. import options
from ..console import out, print_json, require_writable, save_figure, stages
from . import report as words, request, settings


@options.of_model(without=settings.WITHOUT, beside=settings.OPTIONS)
def tune(given: dict[str, Any], beside: dict[str, Any]) -> None:
    """The best numbers under constraints: a table, and if asked the landscape around them."""
    file, out_file, as_json = (beside[name] for name in ("file", "out_file", "as_json"))
    asked = settings.checked(given | beside)
    asked = settings.merged(settings.read(file) if file else {}, asked)
    require_writable(out_file)
    points = request.points(asked)
    plan = request.plan(asked, points)
    key = jax.random.key(plan.seed)

    if points is not None and not as_json:
        print("\n".join([points.about(), *describe(points.X).lines(), ""]), flush=True)
    with stages("tune") as report:
        moments = roads.measure_widths(plan.model, plan.widths, key, report)
        several = moments if len(moments) > 1 else moments[0] if moments else None
        best = tuning.tune(*plan.arguments, moments=several, report=report)
        d, trials = plan.verify or (None, 0)
        networks = best.verify(key, d, trials, report=report) if plan.verify else None
        results = networks, words.sampling(best, moments)
        around = survey(best, plan.shown, report) if out_file else None
    if as_json:
        print_json(words.report(plan, best, *results))
    else:
        for drawn in words.tables(best):
            out.print(drawn, "")
        print("\n".join(words.summary(best, *results)))
    if out_file:
        about = plan.about
        save_figure(lambda draw: draw.landscape_figure(best, around, about=about), out_file)
