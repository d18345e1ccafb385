"""The flags of `vaebench-report`, and which of them go together."""
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from vaebench.errors import UserError

READ = 'terminal', 'markdown', 'latex'
"""Formats for readers: without named columns they show a board."""
PATHS = 'results', 'against', 'out', 'figures', 'pictures', 'cards', 'readme'
"""Flags that name files or folders."""
ALL = 'all'
EXTENSIONS = {'terminal': 'txt', 'markdown': 'md', 'latex': 'tex', 'csv': 'csv', 'json': 'json',
              'html': 'html'}
"""Formats, and what their files are called."""
_FLAGS: tuple[tuple[Callable[..., Any], str, Any, str], ...] = (
    (flags.DEFINE_multi_string, 'results', [], 'Folder of results; may be repeated.'),
    (flags.DEFINE_multi_string, 'against', [],
     'Folder of other results that --results are compared with; may be repeated.'),
    (flags.DEFINE_string, 'out', None,
     'File to write instead of standard output; with --format=all a folder.'),
    (flags.DEFINE_list, 'table', [], 'Tables to show, all by default.'),
    (flags.DEFINE_list, 'columns', [], 'Metrics to show, in this order, or all; by default '
     'those that a reader needs. With --aggregate, in order of preference.'),
    (flags.DEFINE_bool, 'stderr', False, 'Show the standard error over test examples in each '
     'cell, apart from the spread over seeds.'),
    (flags.DEFINE_bool, 'aggregate', False, 'One table over all tables, instead of each.'),
    (flags.DEFINE_string, 'baseline', None, 'Row that an aggregate compares the others with; '
     'by default the one that the manifests name.'),
    (flags.DEFINE_string, 'figures', None,
     'Folder for figures of every table, instead of a table.'),
    (flags.DEFINE_string, 'pictures', None,
     'Folder for pictures of every cell and table, instead of a table.'),
    (flags.DEFINE_bool, 'sweeps', False,
     'What the spread of each score comes from, instead of a table.'),
    (flags.DEFINE_bool, 'tuning', False, 'What tuning changed in the ranking of the rows.'),
    (flags.DEFINE_string, 'cards', None,
     'Markdown file for cards of the methods shown, instead of a table.'),
    (flags.DEFINE_bool, 'cite', False,
     'BibTeX of the rows and of the published numbers beside them, instead of a table.'),
    (flags.DEFINE_string, 'readme', None,
     'Markdown file whose marked tables are to be written anew.'),
    (flags.DEFINE_bool, 'check', False,
     'With --readme or --cards: change nothing, exit 1 if the file differs.'),
)


def define() -> flags.FlagValues:
    """Defines the flags."""
    values = flags.FlagValues()
    for define, name, default, what in _FLAGS:
        define(name, default, what, flag_values=values)
    flags.DEFINE_enum('format', None, (*EXTENSIONS, 'all'),
                      'What to print: terminal, if nothing is named.', flag_values=values)
    flags.DEFINE_bool('help', False, 'Show this help.', short_name='h', flag_values=values)
    return values


def check(args: flags.FlagValues, rest: Sequence[str]) -> None:
    """Refuses flags that do not go together.

    Args:
      args: the flags.
      rest: arguments that are none.

    Raises:
      UserError: what does not go together, in one line.
    """
    if rest:
        meant = shlex.quote(f'--results={rest[0]}')
        raise UserError(f'{rest[0]}: not a flag; did you mean {meant}?')
    if args.check and not (args.readme or args.cards):
        raise UserError('--check goes with --readme=FILE or --cards=FILE')
    if not (args.readme or args.results):
        raise UserError('no results named; give --results=DIR, a workdir of vaebench')
    for name in ('out', 'figures', 'pictures', 'cards', 'readme'):
        if args[name].value == '':
            raise UserError(f'--{name}= names nothing; give a path')
    other = (args.figures or args.pictures or args.cards or args.cite or args.readme
             or args.sweeps)
    if other and args.format:
        raise UserError('--format goes with a table, not with --figures, --pictures, --cards, '
                        '--cite, --sweeps or --readme')
    if other and args.out and not (args.cite or args.sweeps):
        raise UserError('--out goes with a table, with --sweeps or with --cite')
    if args.readme and args.results:
        raise UserError('--readme has its results named in its marks; leave --results out')
    if args.stderr and (other or args.format not in (None, ALL, *READ)):
        raise UserError('--stderr goes with --format=terminal, markdown or latex; the others '
                        'have it always')
    if args.tuning and (args.against or args.aggregate or args.columns or other):
        raise UserError('--tuning goes with a table: --format, --table, --out')
    if args.against and (args.aggregate or other):
        raise UserError('--against goes with a table: --format, --columns, --table, --out')
    if args.format == 'all' and not args.out:
        raise UserError('--format=all needs a folder: give --out=FOLDER')


def expand(args: flags.FlagValues) -> None:
    """Puts the home folder for ~ in every path, as a shell does only at the start of a word."""
    for name in PATHS:
        value = args[name].value
        if value:
            one = isinstance(value, str)
            args[name].value = os.path.expanduser(value) if one else list(
                map(os.path.expanduser, value))
