"""`vaebench-report`: tables and figures from result files, and from nothing else."""
import os
import sys

from absl import flags

from vaebench.errors import UserError

_USAGE = """vaebench-report: tables from result files.

  vaebench-report --results=DIR [--results=DIR2] [--format=FORMAT] [--out=FILE]
  vaebench-report --results=DIR --figures=OUTDIR
  vaebench-report --results=DIR --pictures=OUTDIR
  vaebench-report --readme=FILE [--check]

DIR is a workdir of vaebench or a folder of its result files. OUTDIR gets the rate-distortion figure of every table
(PNG and SVG) and its numbers (CSV); of pictures, <table>/<row>.s<seed>.<what>.png of every cell and <table>.samples.png
of every table, from the arrays that a run leaves beside its results. In FILE the tables go between the lines
<!-- vaebench:table results=PATH [table=ID] [columns=METRIC,METRIC] --> and <!-- vaebench:end -->.
Exit code: 0, 1 where --check finds a difference, 2 where the input cannot be used. Files that were left out
are named on standard error.
"""
_NAMES = ('terminal', 'markdown', 'latex', 'csv', 'json')


def _flags():
    values = flags.FlagValues()
    flags.DEFINE_multi_string('results', [], 'Folder of results; may be repeated.', flag_values=values)
    flags.DEFINE_enum('format', 'terminal', _NAMES, 'What to print.', flag_values=values)
    flags.DEFINE_string('out', None, 'File to write instead of standard output.', flag_values=values)
    flags.DEFINE_list('table', [], 'Tables to show, all by default.', flag_values=values)
    flags.DEFINE_list('columns', [], 'Metrics to show, in this order, all by default.', flag_values=values)
    flags.DEFINE_string('figures', None, 'Folder for rate-distortion figures, instead of a table.', flag_values=values)
    flags.DEFINE_string('pictures', None, 'Folder for samples, reconstructions, interpolations, traversals, codes and '
                        'training curves of every cell, instead of a table.', flag_values=values)
    flags.DEFINE_string('readme', None, 'Markdown file whose marked tables are to be written anew.', flag_values=values)
    flags.DEFINE_bool('check', False, 'With --readme: change nothing, exit 1 if the file differs.', flag_values=values)
    flags.DEFINE_bool('help', False, 'Show this help.', short_name='h', flag_values=values)
    return values


def render(folders, form='terminal', names=(), metrics=(), **options):
    """The tables of some result folders as text.

    Args:
      folders: workdirs or folders of result files.
      form: a key of `formats.FORMATS`.
      names: table ids; () for all.
      metrics: metric columns in order; () for all.
      **options: of the format's function, such as `colour` and `width` of the terminal's.

    Returns:
      (text, problems): the text is '' where there is no result; one line a file that was left out.
    """
    from vaebench.report import formats, tables
    found, problems = tables.collect(folders, metrics)
    if found and names:
        found = tables.select(found, names)
    return (formats.FORMATS[form](found, **options) if found else ''), problems


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
    from vaebench.report import figures, tables
    found, problems = tables.collect(args.results)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not found:
        raise _nothing(args)
    for path in figures.write(tables.select(found, args.table) if args.table else found, args.figures):
        print(f'written to {path}')


def _paint(args):
    from vaebench.report import pictures
    cells, problems = pictures.collect(args.results, args.table)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not cells:
        raise _nothing(args)
    for path in pictures.write(cells, args.pictures):
        print(f'written to {path}')


def _nothing(args):
    return UserError(f'no results in {", ".join(args.results)}; run vaebench --config=FILE --workdir=DIR first')


def _print(args):
    options = {}
    if args.format == 'terminal' and args.out is None and sys.stdout.isatty():
        import shutil
        options = {'colour': True, 'width': shutil.get_terminal_size().columns}
    text, problems = render(args.results, args.format, args.table, args.columns, **options)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not text:
        raise _nothing(args)
    if args.out is None:
        if hasattr(sys.stdout, 'reconfigure'):
            sys.stdout.reconfigure(errors='replace')
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        from vaebench import results
        results.write_bytes(args.out, text.encode())
        print(f'written to {args.out}')
    return 0


def main(argv=None):
    """The command line.

    Args:
      argv: list with the program's name first; None: that of the process.

    Returns:
      Exit code: 0, 1 where --check finds a difference, 2 for input that cannot be used.
    """
    args = _flags()
    try:
        rest = args(list(sys.argv if argv is None else argv))[1:]
        if args.help:
            print(_USAGE + args.get_help())
            return 0
        if rest:
            raise UserError(f'{rest[0]}: not a flag; did you mean --results={rest[0]}?')
        if args.check and not args.readme:
            raise UserError('--check goes with --readme=FILE')
        if args.readme:
            return _splice(args)
        if not args.results:
            raise UserError('no results named; give --results=DIR, a workdir of vaebench')
        if args.figures:
            _draw(args)
        if args.pictures:
            _paint(args)
        return 0 if args.figures or args.pictures else _print(args)
    except (UserError, flags.Error) as e:
        print(f'vaebench-report: {" ".join(str(e).split())}', file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (head, less) has left: the interpreter's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
