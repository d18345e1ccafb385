"""`vaebench-report`: tables, figures and a page from result files, and from nothing else."""
import gc
import os
import pathlib
import sys

from absl import flags

from vaebench import files
from vaebench.errors import UserError

_USAGE = """vaebench-report: tables, figures and a page from result files.

  vaebench-report --results=DIR [--results=DIR2] [--format=FORMAT] [--out=FILE]
  vaebench-report --results=DIR --format=html --out=page.html
  vaebench-report --results=DIR --format=all --out=FOLDER
  vaebench-report --results=DIR [--results=DIR2] --aggregate [--baseline=ROW] [--columns=METRIC,METRIC]
  vaebench-report --results=NEW --against=OLD [--columns=METRIC,METRIC]
  vaebench-report --results=DIR --figures=OUTDIR
  vaebench-report --results=DIR --pictures=OUTDIR
  vaebench-report --results=DIR --cards=FILE.md [--check]
  vaebench-report --results=DIR --cite [--out=FILE.bib]
  vaebench-report --readme=FILE [--check]

DIR is a workdir of vaebench or a folder of its result files.

--format=html makes one file that needs nothing beside it: a tab for each table and for what tables with the same rows
come to together, figures and model cards. --format=all writes a file of every format into the folder --out.
--aggregate puts the tables into one: Borda points, interquartile mean and probability of an improvement over a row.
--against shows, row by row and metric by metric, what --results have, what --against has and the difference with an
interval paired by seed; rows whose data, training protocol or estimator differ are listed with the reason.
--figures: rate against distortion, likelihood against active units and information (PNG, SVG and their numbers as CSV);
with --aggregate, performance profiles and probabilities of improvement.
--pictures: samples, reconstructions, interpolations, traversals, codes, aggregated posteriors, curves and sentences of
every cell (<table>/<row>.s<seed>.<what>), and of every table samples and sentences side by side, quality against time,
KL, information and active units against steps, weights with their set points, from the arrays that a run leaves.
--cards: what every method shown is, its equation, our deviations, numbers and paper; --cite: BibTeX of the rows, of the
published numbers beside them, and of vaebench.
--readme: in FILE tables go between the lines <!-- vaebench:table results=PATH [table=ID] [columns=METRIC,METRIC] -->
and <!-- vaebench:end -->.

Exit code: 0, 1 where --check finds a difference, 2 where the input cannot be used. Files that were left out
are named on standard error.
"""
EXTENSIONS = {'terminal': 'txt', 'markdown': 'md', 'latex': 'tex', 'csv': 'csv', 'json': 'json', 'html': 'html'}
"""Formats, and what their files are called."""


def _flags():
    values = flags.FlagValues()
    flags.DEFINE_multi_string('results', [], 'Folder of results; may be repeated.', flag_values=values)
    flags.DEFINE_multi_string('against', [], 'Folder of other results that --results are compared with; may be '
                              'repeated.', flag_values=values)
    flags.DEFINE_enum('format', None, (*EXTENSIONS, 'all'), 'What to print: terminal, if nothing is named.',
                      flag_values=values)
    flags.DEFINE_string('out', None, 'File to write instead of standard output; with --format=all a folder.',
                        flag_values=values)
    flags.DEFINE_list('table', [], 'Tables to show, all by default.', flag_values=values)
    flags.DEFINE_list('columns', [], 'Metrics to show, in this order, all by default; with --aggregate, in order of '
                      'preference.', flag_values=values)
    flags.DEFINE_bool('aggregate', False, 'One table over all tables, instead of each.', flag_values=values)
    flags.DEFINE_string('baseline', 'vae', 'Row that an aggregate compares the others with.', flag_values=values)
    flags.DEFINE_string('figures', None, 'Folder for figures of every table, instead of a table.', flag_values=values)
    flags.DEFINE_string('pictures', None, 'Folder for pictures of every cell and table, instead of a table.',
                        flag_values=values)
    flags.DEFINE_string('cards', None, 'Markdown file for cards of the methods shown, instead of a table.',
                        flag_values=values)
    flags.DEFINE_bool('cite', False, 'BibTeX of the rows and of the published numbers beside them, instead of a '
                      'table.', flag_values=values)
    flags.DEFINE_string('readme', None, 'Markdown file whose marked tables are to be written anew.', flag_values=values)
    flags.DEFINE_bool('check', False, 'With --readme or --cards: change nothing, exit 1 if the file differs.',
                      flag_values=values)
    flags.DEFINE_bool('help', False, 'Show this help.', short_name='h', flag_values=values)
    return values


def collect(folders, names=(), metrics=(), against=(), baseline=None):
    """The tables of some result folders.

    Args:
      folders: workdirs or folders of result files.
      names: table ids; () for all.
      metrics: metric columns in order, of an aggregate in order of preference; () for all.
      against: folders that the results are compared with; () for the tables themselves.
      baseline: row that an aggregate over the tables compares with; None for the tables themselves.

    Returns:
      (list of `tables.Table`, empty where there is no result; problems, a line for each file that was left out).
    """
    from vaebench.report import aggregates, compare, tables
    if against:
        found, problems = compare.compare(folders, against, metrics)
    else:
        found, problems = tables.collect(folders, () if baseline else metrics)
    found = tables.select(found, names) if found and names else found
    return ([aggregates.overall(found, metrics, baseline)] if found and baseline else found), problems


def render(folders, form='terminal', names=(), metrics=(), against=(), baseline=None, **options):
    """The tables of some result folders as text.

    Args:
      folders, names, metrics, against, baseline: of `collect`.
      form: a key of `EXTENSIONS`.
      **options: of the format's function, such as `color` and `width` of the terminal's.

    Returns:
      (text, problems): the text is '' where there is no result; one line a file that was left out.
    """
    found, problems = collect(folders, names, metrics, against, baseline)
    return (convert(found, form, **options) if found else ''), problems


def convert(found, form, **options):
    """Tables in a format, as text."""
    from vaebench.report import formats
    function = formats.to_html if form == 'html' else formats.FORMATS[form]
    return function(found, **options)


def _told(found, problems, args):
    """`found`, where there is something; problems go to standard error."""
    for problem in problems:
        print(problem, file=sys.stderr)
    if not found:
        raise UserError(f'no results in {", ".join(args.results)}; run vaebench --config=FILE --workdir=DIR first')
    return found


def _found(args):
    """The tables that the flags ask for."""
    return _told(*collect(args.results, args.table, args.columns, args.against,
                          args.baseline if args.aggregate else None), args)


def _splice(args):
    from vaebench.report import splice
    same, problems = splice.splice(args.readme, args.check)
    for problem in problems:
        print(problem, file=sys.stderr)
    if args.check and not same:
        print(f'{args.readme}: tables differ from the results; run vaebench-report --readme={args.readme}',
              file=sys.stderr)
        return 1
    print(f'{args.readme}: {"up to date" if same else "written"}')
    return 0


def _draw(args):
    from vaebench.report import aggregates, figures
    from vaebench.report.figures import performance_profiles
    if args.aggregate:
        pool = aggregates.pool(_told(*collect(args.results, args.table), args), args.columns, args.baseline)
        table = aggregates.tabulate(pool)
        return figures.save(table.table, performance_profiles.render(pool, table), args.figures)
    return figures.write_figures(_found(args), args.figures)


def _paint(args):
    from vaebench.report import figures
    cells = _told(*figures.collect_cells(args.results, args.table), args)
    return figures.write_pictures(cells, args.pictures)


def _emit(text, out):
    """Prints a text, or writes it to a file."""
    if out is not None:
        files.write_bytes(out, text.encode())
        print(f'written to {out}')
        return
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='replace')
    sys.stdout.write(text)
    sys.stdout.flush()


def _print_all(args, argv):
    """A file of every format; a process of its own makes the page, which takes as long as all the others."""
    import subprocess
    paths = {form: pathlib.Path(args.out) / f'tables.{extension}' for form, extension in EXTENSIONS.items()}
    page = subprocess.Popen([sys.executable, '-m', 'vaebench.report', *argv[1:], '--format=html',
                             f'--out={paths["html"]}'], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with page:
        found = _found(args)
        for form, path in paths.items():
            if form != 'html':
                _emit(convert(found, form), path)
        said = page.communicate()[1]
    if page.returncode:
        raise UserError((said.strip().splitlines() or ['the page was not made'])[-1].removeprefix('vaebench-report: '))
    print(f'written to {paths["html"]}')


def _print(args):
    found = _found(args)
    form, options = args.format or 'terminal', {}
    if form == 'terminal' and args.out is None and sys.stdout.isatty():
        import shutil
        options = {'color': True, 'width': shutil.get_terminal_size().columns}
    _emit(convert(found, form, **options), args.out)


def _explain(args):
    from vaebench.report import cards
    found = _found(args)
    if args.cards and args.check:
        path, text = pathlib.Path(args.cards), cards.markdown(found).encode()
        if not path.is_file() or path.read_bytes() != text:
            print(f'{path}: not the cards of these methods; write it anew without --check', file=sys.stderr)
            return 1
        print(f'{path}: up to date')
    elif args.cards:
        _emit(cards.markdown(found), args.cards)
    if args.cite:
        _emit(cards.cite(found), args.out)
    return 0


def _check(args, rest):
    """UserError where flags do not go together."""
    if rest:
        raise UserError(f'{rest[0]}: not a flag; did you mean --results={rest[0]}?')
    if args.check and not (args.readme or args.cards):
        raise UserError('--check goes with --readme=FILE or --cards=FILE')
    if not (args.readme or args.results):
        raise UserError('no results named; give --results=DIR, a workdir of vaebench')
    for name in ('out', 'figures', 'pictures', 'cards', 'readme'):
        if args[name].value == '':
            raise UserError(f'--{name}= names nothing; give a path')
    other = args.figures or args.pictures or args.cards or args.cite or args.readme
    if other and args.format:
        raise UserError('--format goes with a table, not with --figures, --pictures, --cards, --cite or --readme')
    if other and args.out and not args.cite:
        raise UserError('--out goes with a table or with --cite')
    if args.readme and args.results:
        raise UserError('--readme has its results named in its marks; leave --results out')
    if args.against and (args.aggregate or args.figures or args.pictures or args.readme or args.cards or args.cite):
        raise UserError('--against goes with a table: --format, --columns, --table, --out')
    if args.format == 'all' and not args.out:
        raise UserError('--format=all needs a folder: give --out=FOLDER')


def main(argv=None):
    """The command line.

    Args:
      argv: list with the program's name first; None: that of the process.

    Returns:
      Exit code: 0, 1 where --check finds a difference, 2 for input that cannot be used.
    """
    args, argv = _flags(), list(sys.argv if argv is None else argv)
    gc.disable()        # thousands of results that all live to the end: looking for garbage is a third of the time
    try:
        rest = args(argv)[1:]
        if args.help:
            print(_USAGE + args.get_help())
            return 0
        _check(args, rest)
        if args.readme:
            return _splice(args)
        for asked, make in ((args.figures, _draw), (args.pictures, _paint)):
            for path in make(args) if asked else ():
                print(f'written to {path}')
        if args.cards or args.cite:
            return _explain(args)
        if args.format == 'all':
            _print_all(args, argv)
        elif not (args.figures or args.pictures):
            _print(args)
        return 0
    except (UserError, flags.Error) as e:
        print(f'vaebench-report: {" ".join(str(e).split())}', file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (head, less) has left: the interpreter's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        gc.enable()
