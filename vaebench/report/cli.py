"""`vaebench-report`: tables, figures and a page from result files, and from nothing else."""
from __future__ import annotations

import gc
import io
import os
import pathlib
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

from vaebench import files
from vaebench.errors import UserError
from vaebench.report import arguments
from vaebench.report.arguments import ALL, EXTENSIONS, READ

if TYPE_CHECKING:           # what `--help` need not wait for
    from vaebench.report.tables import Style, Table

T = TypeVar('T')
_USAGE = """vaebench-report: tables, figures and a page from result files.

  vaebench-report --results=DIR [--results=DIR2] [--format=FORMAT] [--out=FILE]
  vaebench-report --results=DIR --format=html --out=page.html
  vaebench-report --results=DIR --format=all --out=FOLDER
  vaebench-report --results=DIR --aggregate [--baseline=ROW] [--columns=METRIC,METRIC]
  vaebench-report --results=NEW --against=OLD [--columns=METRIC,METRIC]
  vaebench-report --results=DIR --figures=OUTDIR
  vaebench-report --results=DIR --pictures=OUTDIR
  vaebench-report --results=DIR --tuning [--format=FORMAT]
  vaebench-report --results=DIR --sweeps [--columns=METRIC,METRIC] [--out=FILE.md]
  vaebench-report --results=DIR --cards=FILE.md [--check]
  vaebench-report --results=DIR --cite [--out=FILE.bib]
  vaebench-report --readme=FILE [--check]

DIR is a workdir of vaebench, a folder of workdirs or one of result files; --results may be
repeated. A table shows the columns that a reader needs, the best rows on top;
--columns=all has every one, --stderr adds the standard error over test examples to each cell.

--format=html makes one file that needs nothing beside it: a tab for each table and for what
tables with the same rows come to together, figures, samples of images and model cards; with
--against also what changed. --format=all writes a file of every format into the folder --out.
--aggregate puts the tables into one: Borda points, interquartile mean and probability of an
improvement over a row, by the metric that each table's manifest names as its primary one.
--against shows, row by row and metric by metric, what --results have, what --against has and
the difference with an interval paired by seed; rows whose data, training protocol or estimator
differ are listed with the reason.
--figures: rate against distortion, likelihood against active units and information (PNG, SVG
and their numbers as CSV); with --aggregate, performance profiles and probabilities of
improvement.
--tuning: of rows that vaebench --tune has tuned, what that changed in their ranking.
--sweeps: of tables with several rows a method that differ in its numbers alone, how much of
each score's variance is method, strength and seed, and how scores move with the strength.
--pictures: samples, reconstructions, interpolations, traversals, codes, aggregated posteriors,
curves and sentences of every cell (<table>/<row>.s<seed>.<what>), and of every table samples
and sentences side by side, quality against time, KL, information and active units against
steps, weights with their set points, from the arrays that a run leaves.
--cards: what every method shown is, its equation, our deviations, numbers and paper; --cite:
BibTeX of the rows, of the published numbers beside them, and of vaebench.
--readme: in FILE tables go between the lines
<!-- vaebench:table results=PATH [table=ID] [columns=METRIC,..] [rows=ROW,..] [notes=no]
[form=compact] -->
and <!-- vaebench:end -->; vaebench:sweeps in its place writes what --sweeps does;
<!-- vaebench:tracks results=PATH --> writes a line for each track (systems of the papers, rows,
data, configs, results), vaebench:systems in its place every system.

Exit code: 0, 1 where --check finds a difference, 2 where the input cannot be used. Files that
were left out are named on standard error.
"""
WIDTH = 100
"""Columns of what is printed where there is no screen to measure."""


def _style(form: str, metrics: Sequence[str]) -> Style:
    """How the tables of a format are made, where these columns are named."""
    if form in READ and not metrics:
        return 'board'
    return 'ranked' if form in (*READ, 'html') else 'all'


def collect(folders: Sequence[Any], names: Sequence[str] = (), metrics: Sequence[str] = (),
            against: Sequence[Any] = (), aggregate: bool = False,
            baseline: str | None = None, form: str = 'json') -> tuple[list[Table], list[str]]:
    """Makes the tables of some result folders.

    Args:
      folders: workdirs, folders of workdirs, or folders of result files.
      names: table ids; () for all.
      metrics: metric columns in order, ('all',) for all, () for those that the format shows; of
        an aggregate in order of preference.
      against: folders to compare with; () for the tables themselves, which a page always has.
      aggregate: whether to put the tables into one.
      baseline: row that an aggregate compares with; None for the one that the manifests name.
      form: a key of `EXTENSIONS`. For readers the best rows stand on top.

    Returns:
      (tables, none where there is no result; problems, a line for each file that was left out).
    """
    from vaebench.report import aggregates, compare, tables
    wanted = () if list(metrics) == [ALL] else metrics
    found, problems = [], []
    if not against or form == 'html':
        style = 'all' if aggregate else _style(form, metrics)
        found, problems = tables.collect(folders, () if aggregate else wanted, style)
    if against:
        changed, more = compare.compare(folders, against, wanted)
        found, problems = [*found, *changed], list(dict.fromkeys([*problems, *more]))
    found = tables.select(found, names) if found and names else found
    if found and aggregate:
        found = [aggregates.overall(found, wanted, baseline)]
    return found, problems


def render(folders: Sequence[Any], form: str = 'terminal', names: Sequence[str] = (),
           metrics: Sequence[str] = (), against: Sequence[Any] = (), aggregate: bool = False,
           baseline: str | None = None, **options: Any) -> tuple[str, list[str]]:
    """Gives the tables of some result folders as text.

    Args:
      folders, names, metrics, against, aggregate, baseline: of `collect`.
      form: a key of `EXTENSIONS`.
      **options: of the format's function, such as `color` and `width` of the terminal's.

    Returns:
      (text, problems): '' where there is no result; one line for each file that was left out.
    """
    found, problems = collect(folders, names, metrics, against, aggregate, baseline, form)
    options |= {'folders': folders} if form == 'html' else {}
    return (convert(found, form, **options) if found else ''), problems


def convert(found: Sequence[Table], form: str, **options: Any) -> str:
    """Writes tables in a format, as text."""
    from vaebench.report import formats
    function = formats.to_html if form == 'html' else formats.FORMATS[form]
    return function(found, **options)


def _told(found: T, problems: Iterable[str], args: flags.FlagValues) -> T:
    """`found`, where there is something; problems go to standard error."""
    for problem in problems:
        print(problem, file=sys.stderr)
    if not found:
        raise UserError(f'no results in {", ".join(args.results)}; run vaebench --config=NAME '
                        '--workdir=DIR first')
    return found


def _found(args: flags.FlagValues, form: str = 'json') -> list[Table]:
    """The tables that the flags ask for."""
    if args.tuning:
        from vaebench.report import tuning
        return _told(*tuning.collect(args.results, args.table), args)
    return _told(*collect(args.results, args.table, args.columns, args.against, args.aggregate,
                          args.baseline, form), args)


def _splice(args: flags.FlagValues) -> int:
    from vaebench.report import splice
    same, problems = splice.splice(args.readme, args.check)
    for problem in problems:
        print(problem, file=sys.stderr)
    if args.check and not same:
        print(f'{args.readme}: tables differ from the results; run vaebench-report '
              f'{shlex.quote("--readme=" + args.readme)}', file=sys.stderr)
        return 1
    print(f'{args.readme}: {"up to date" if same else "written"}')
    return 0


def _draw(args: flags.FlagValues) -> Iterable[pathlib.Path]:
    from vaebench.report import aggregates, figures
    from vaebench.report.figures import performance_profiles
    if args.aggregate:
        found = _told(*collect(args.results, args.table), args)
        wanted = () if args.columns == [ALL] else args.columns
        pool = aggregates.pool(found, wanted, args.baseline)
        table = aggregates.tabulate(pool)
        return figures.save(table.table, performance_profiles.render(pool, table), args.figures)
    return figures.write_figures(_found(args), args.figures)


def _paint(args: flags.FlagValues) -> Iterable[pathlib.Path]:
    from vaebench.report import figures
    cells = _told(*figures.collect_cells(args.results, args.table), args)
    return figures.write_pictures(cells, args.pictures)


def _sweeps(args: flags.FlagValues) -> None:
    from vaebench.report import sweeps
    wanted = () if args.columns == [ALL] else args.columns
    found = _found(args, 'markdown')
    _emit('\n'.join(sweeps.markdown(table, wanted) for table in found), args.out)


def _emit(text: str, out: str | os.PathLike | None) -> None:
    """Prints a text, or writes it to a file."""
    if out is not None:
        files.write_bytes(out, text.encode())
        print(f'written to {out}')
        return
    sys.stdout.write(text)
    sys.stdout.flush()


def _options(args: flags.FlagValues, form: str) -> dict[str, Any]:
    """What the flags and the screen ask of a format's function."""
    options: dict[str, Any] = {'noise': args.stderr} if form in READ else {}
    options |= {'folders': args.results} if form == 'html' else {}
    if form == 'terminal':
        import shutil
        plain = os.environ.get('NO_COLOR') or os.environ.get('TERM') == 'dumb'
        screen = args.out is None and sys.stdout.isatty()
        wide = shutil.get_terminal_size((WIDTH, 24)).columns if args.out is None else None
        options |= {'color': screen and not plain, 'width': wide}
    return options


def _print_all(args: flags.FlagValues, argv: Sequence[str]) -> None:
    """A file of every format; a process of its own makes the page, which takes the longest."""
    import subprocess
    paths = {form: pathlib.Path(args.out) / f'tables.{end}' for form, end in EXTENSIONS.items()}
    command = [sys.executable, '-m', 'vaebench.report', *argv[1:], '--format=html',
               f'--out={paths["html"]}']
    page = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True)
    with page:
        made: dict[Style, list[Table]] = {}
        for form, path in paths.items():
            style = _style(form, args.columns)
            if form != 'html':
                if style not in made:
                    made[style] = _found(args, form)
                _emit(convert(made[style], form, **_options(args, form)), path)
        said = page.communicate()[1]
    if page.returncode:
        last = (said.strip().splitlines() or ['the page was not made'])[-1]
        raise UserError(last.removeprefix('vaebench-report: '))
    print(f'written to {paths["html"]}')


def _print(args: flags.FlagValues) -> None:
    form = args.format or 'terminal'
    _emit(convert(_found(args, form), form, **_options(args, form)), args.out)


def _explain(args: flags.FlagValues) -> int:
    from vaebench.report import cards
    found = _found(args)
    if args.cards and args.check:
        path, text = pathlib.Path(args.cards), cards.markdown(found).encode()
        if not path.is_file() or path.read_bytes() != text:
            print(f'{path}: not the cards of these methods; write it anew without --check',
                  file=sys.stderr)
            return 1
        print(f'{path}: up to date')
    elif args.cards:
        _emit(cards.markdown(found), args.cards)
    if args.cite:
        _emit(cards.cite(found), args.out)
    return 0


def _said(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, OSError):
        where = f'{error.filename}: ' if error.filename else ''
        return f'{where}{error.strerror or error}; mend that and run the same command again'
    return ' '.join(str(error).split())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      argv: arguments with the program's name first; None: those of the process.

    Returns:
      Exit code: 0, 1 where --check finds a difference, 2 for input that cannot be used.
    """
    args, argv = arguments.define(), list(sys.argv if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):     # what they cannot spell must not end the run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='replace')
    # Thousands of results live to the end: looking for garbage is a third of the time.
    gc.disable()
    try:
        rest = args(argv)[1:]
        arguments.expand(args)
        if args.help:
            print(_USAGE + args.get_help())
            return 0
        arguments.check(args, rest)
        if args.readme:
            return _splice(args)
        for asked, make in ((args.figures, _draw), (args.pictures, _paint)):
            for path in make(args) if asked else ():
                print(f'written to {path}')
        if args.cards or args.cite:
            return _explain(args)
        if args.sweeps:
            _sweeps(args)
            return 0
        if args.format == 'all':
            _print_all(args, argv)
        elif not (args.figures or args.pictures):
            _print(args)
        return 0
    except BrokenPipeError:
        # The reader (head, less) has left: the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, flags.Error, OSError) as e:
        print(f'vaebench-report: {_said(e)}', file=sys.stderr)
        return 2
    finally:
        gc.enable()
