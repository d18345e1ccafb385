"""Tables as one HTML page, with what they come to together, figures and model cards."""
import contextlib
from collections.abc import Sequence

from vaebench.errors import UserError
from vaebench.report.tables import Table


def to_html(tables: Sequence[Table]) -> str:
    """Writes tables as a page, each with its rate and distortion.

    Tables of the same rows come together in a further table, see `aggregates.families`.
    """
    from vaebench.report import aggregates, cards, figures, page
    from vaebench.report.figures.rate_distortion import PLANES
    overall = []
    for family in aggregates.families(tables):
        with contextlib.suppress(UserError):    # no baseline, or tables of another kind
            if len(family) > 1:
                name = ' + '.join(table.table for table in family)
                overall.append(aggregates.overall(family)._replace(table=name))
    drawn = {table.table: figures.of_table(table, ('page',), PLANES[:1]) for table in tables}
    pictures = {name: [(one.title, one.alt, one.files['page'], 'png') for one in own]
                for name, own in drawn.items()}
    return page.render(tables, pictures, cards.blocks(tables), overall)
