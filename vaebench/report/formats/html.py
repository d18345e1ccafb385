"""Tables as one HTML page, with what they come to together, figures and model cards."""
import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vaebench.errors import UserError
from vaebench.report.folders import homes
from vaebench.report.tables import Table

if TYPE_CHECKING:           # what draws takes long to import, and other formats need it not
    from vaebench.report.figures.strips import Strips

MOST = 4_900_000
"""Bytes of a page, for 5 MB with what it says of the pictures that it leaves out."""

STRIPS = 'samples of every row'


class _Pictures(NamedTuple):
    """What is drawn of a table."""
    figures: dict[str, tuple[str, bytes, str]]     # {title: (in words, contents, kind)}
    strips: 'Strips'
    samples: str = ''                              # the title of those drawn before
    left_out: tuple[str, ...] = ()                 # titles


def to_html(tables: Sequence[Table], folders: Iterable[str | os.PathLike] = ()) -> str:
    """Writes tables as a page, each with its rate and distortion.

    Tables of the same rows come together in a further table, see `aggregates.families`; those
    that compare two sets of results stand in tabs of their own.

    Args:
      tables: the tables.
      folders: where their results are. Of tables of images the page shows samples of every row,
        from the arrays beside the results, or as they were drawn before.

    Returns:
      HTML, of at most about `MOST` bytes if its tables allow it.
    """
    from vaebench.report import cards, page
    shown = [table for table in tables if not table.against]
    changed = [_brief(new, table) for table in shown for new in tables
               if new.against and new.table == table.table]
    overall, texts, places = _overall(shown), cards.blocks(tables), homes(folders)

    def drawn(pictures: Mapping[str, _Pictures]) -> str:
        figures = {name: [(title, *rest) for title, rest in own.figures.items()]
                   for name, own in pictures.items()}
        return page.render(shown, figures, texts, overall, changed=changed,
                           strips={name: own.strips for name, own in pictures.items()},
                           left_out={name: own.left_out for name, own in pictures.items()})

    pictures = {table.table: _pictures(table, places) for table in shown}
    text = drawn(pictures)
    over = len(text.encode()) - MOST
    return drawn(_fewer(pictures, over)) if over > 0 else text


def _overall(tables: Sequence[Table]) -> list[Table]:
    """What tables of the same rows come to together."""
    from vaebench.report import aggregates
    out = []
    for family in aggregates.families(tables):
        with contextlib.suppress(UserError):    # no baseline, or tables of another kind
            if len(family) > 1:
                name = ' + '.join(table.table for table in family)
                out.append(aggregates.overall(family)._replace(table=name))
    return out


def _brief(changed: Table, table: Table) -> Table:
    """A comparison that shows the differences of what its table shows, and of the first metric
    both sides too; the others wait in the menu.
    """
    there = {c.name: c for c in changed.columns}
    told = [c.name for c in table.columns if c.shown and f'{c.name} A' in there]
    kept = [f'{name} {what}' for i, name in enumerate(told)
            for what in (('A − B',) if i else ('A', 'B', 'A − B'))]
    columns = [there[name] for name in kept] + [
        c._replace(shown=not kept) for c in changed.columns if c.name not in kept]
    return changed._replace(columns=tuple(columns))


def _pictures(table, places):
    """Figures of a table and samples of its rows."""
    from vaebench.report import figures
    from vaebench.report.figures import strips
    from vaebench.report.figures.rate_distortion import PLANES
    drawn = {one.title: (one.alt, one.files['page'], 'png')
             for one in figures.of_table(table, ('page',), PLANES[:1])}
    made = strips.of_rows(table, [results for _, results in places])
    before = None if made.rows else strips.earlier(table, [home for home, _ in places])
    first = {before[0]: before[1:]} if before else {}
    return _Pictures(first | drawn, made, before[0] if before else '')


def _fewer(pictures: Mapping[str, _Pictures], over: int) -> dict[str, _Pictures]:
    """Pictures without the largest ones, so that so many bytes are gone; samples go last."""
    out = dict(pictures)
    sizes = [(title == own.samples, len(rest[1]), name, title)
             for name, own in pictures.items() for title, rest in own.figures.items()]
    sizes += [(True, own.strips.size, name, STRIPS)
              for name, own in pictures.items() if own.strips.rows]
    for _, size, name, title in sorted(sizes, key=lambda one: (one[0], -one[1])):
        if over <= 0:
            break
        own = out[name]
        out[name] = own._replace(
            figures={k: v for k, v in own.figures.items() if k != title},
            strips=type(own.strips)({}) if title == STRIPS else own.strips,
            left_out=(*own.left_out, title))
        over -= size * 4 // 3                   # in base 64
    return out
