"""Command line: trains the missing cells of a table, then prints it."""
import contextlib
import os
import pathlib
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from vaebench.errors import UserError

USAGE = """vaebench: trains the missing cells of a table, then prints it.

  vaebench --config=quickstart
  vaebench --config=ptb:small --workdir=runs/ptb --data_dir=DIR [--config.KEY=VALUE ...]

Exit code: 0 done, or stopped by --budget; 1 a cell failed; 2 bad input, said in one line;
128 + n stopped by signal n.
"""
CELLS_FAILED, BAD_INPUT = 1, 2
SIGNALS = signal.SIGTERM, signal.SIGINT
QUOTES = '\'"'


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    cache = os.path.join(os.environ.get('XDG_CACHE_HOME', '~/.cache'), 'vaebench/jax')

    def text(name: str, default: str | None, help: str) -> None:
        flags.DEFINE_string(name, default, help, flag_values=values)

    text('config', None, 'The table: the name of a config, such as quickstart or ptb:small, or '
         'the path of a config file. --config.KEY=VALUE sets one of its keys, '
         '--config.rows=a,b trains only some rows.')
    text('workdir', None, 'Folder that owns the run; the same command goes on where it '
         'stopped. Default: runs/<table>.')
    text('data_dir', None, 'Folder with the raw data that the config names. Default: '
         '$VAEBENCH_DATA.')
    text('budget', None, 'Stop, with everything saved and exit code 0, before this long: 90s, '
         '8m, 1h30m.')
    text('compilation_cache', cache, 'Folder for compiled programs; "" keeps none.')
    flags.DEFINE_bool('dry_run', False, 'Only list the cells: done, running or missing, with '
                      'estimated time and memory.', flag_values=values)
    flags.DEFINE_bool('debug', False, 'Show the traceback of an error, and stop at the first '
                      'NaN.', flag_values=values)
    values.set_gnu_getopt()
    return values


def _help() -> str:
    from vaebench.experiment import config_keys, configs
    return (f'{USAGE}{_flags().module_help(sys.modules[__name__])}\n\n'
            f'Configs: {", ".join(configs.names())}.\n\n'
            f'Keys of a table, for --config.KEY=VALUE:\n{config_keys.described()}')


def _parse(argv: Sequence[str]) -> tuple[flags.FlagValues, dict[str, Any], dict[str, Any]]:
    """(flags, the config as a dict, dotted keys that the command line set)."""
    from vaebench.experiment import configs
    args = _flags()
    try:
        rest = args(argv, known_only=True)
        if args.config is None:
            raise UserError('which table? Name its config: --config=NAME or --config=PATH; '
                            f'there are {", ".join(configs.names())} (see --help)')
        config = configs.load(args.config)
        delattr(args, 'config')                  # its keys become flags now
        config_flags.DEFINE_config_dict('config', config, flag_values=args, sys_argv=rest)
        rest = args(rest)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(_odd(error)) from error
    if rest[1:]:
        raise UserError(f'unknown argument {rest[1]}; flags start with --')
    return args, args.config.to_dict(), config_flags.get_override_values(args['config'])


def _odd(error: Exception) -> str:
    """What is wrong with a flag, in one line."""
    text = ' '.join(str(error).replace('\\n', '\n').split())
    if typo := re.search(r'Did you mean "(.+)" instead of "(.+)"', text):
        return f'the config has no key {typo[2]}; did you mean {typo[1]}?'
    if isinstance(error, AttributeError | KeyError):
        return f'the config has no key {text.strip(QUOTES)}; see its file for those it has'
    return text


class Progress:
    """Bars on a terminal, silence elsewhere."""

    def __init__(self):
        self._bar = None
        if sys.stderr.isatty():
            from rich import progress as bars
            from rich.console import Console
            self._bar = bars.Progress(
                bars.TextColumn('{task.description}'), bars.BarColumn(),
                bars.TaskProgressColumn(), bars.TimeRemainingColumn(),
                bars.TextColumn('{task.fields[text]}'), console=Console(stderr=True),
                transient=True)
            self._bar.start()
            self._task, self._label = None, None

    def __call__(self, label: str, fraction: float, text: str) -> None:
        """Shows how far a row is."""
        if self._bar is None:
            return
        if self._task is None or label != self._label:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._label = self._bar.add_task(label, total=1., text=text), label
        self._bar.update(self._task, completed=fraction, text=text)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Yields a list that the first signal is put into; a second one ends the process."""
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():     # which alone has signals
        yield stopped
        return
    catch = lambda number, frame: os._exit(128 + number) if stopped else stopped.append(number)
    before = {number: signal.signal(number, catch) for number in SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _jax_settings(cache: str, debug: bool) -> Iterator[None]:
    """JAX with a folder of compiled programs, '' for none; afterwards as it was before."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache
    wanted = {'jax_debug_nans': debug}
    if cache:
        wanted |= {'jax_compilation_cache_dir': os.path.expanduser(cache),
                   'jax_persistent_cache_min_compile_time_secs': 0.,
                   'jax_persistent_cache_min_entry_size_bytes': 0}
    before = {name: getattr(jax.config, name) for name in wanted}

    def update(settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            jax.config.update(name, value)
        if cache:
            compilation_cache.reset_cache()      # JAX looks for the folder once

    update(wanted)
    try:
        yield
    finally:
        update(before)


def _list_cells(runner) -> None:
    """The dry run: one line per cell, then the sum."""
    cells = runner.plan()
    wide = max(len(c['row']) for c in cells)
    for c in cells:
        need = ''
        if c['seconds']:
            need = f"  about {c['seconds'] / 60:.1f} min, {c['bytes'] / 2**20:.0f} MiB"
        print(f"{c['row']:{wide}}  seed {c['seed']}  {c['state']:8}{need}")
    states = 'done', 'trained', 'running', 'missing'
    count = {s: sum(c['state'] == s for c in cells) for s in states}
    left = sum(c['seconds'] for c in cells) / 60
    print(', '.join(f'{n} {s}' for s, n in count.items() if n) + f'; about {left:.0f} min of '
          'training left, compilation and evaluation not counted')


def _train(runners: Sequence, whole: dict[str, Any], workdir: pathlib.Path) -> list[dict]:
    """Trains and evaluates what is missing; how each runner ended whose turn came."""
    from vaebench.experiment import results
    for runner in runners:
        runner.check_data()                # before the first file is written

    def describe() -> None:
        tables = [runner.describe(whole[runner.table.name]) for runner in runners]
        results.write_manifest(workdir, {'tables': tables})

    describe()
    ends = []
    for runner in runners:
        ends.append(runner.run())
        if ends[-1]['out']:
            break
    describe()
    return ends


def _tell(runners: Sequence, ends: list[dict], stopped: list[int],
          workdir: pathlib.Path) -> int:
    """Prints the tables and what became of the run; the exit code."""
    from vaebench.report import cli as report
    done, failed, lacking = (sum(x) for x in zip(*(r.status() for r in runners), strict=True))
    if done + failed:
        report.main(['vaebench-report', f'--results={workdir}'])
    busy, broken = (sum((e[k] for e in ends), []) for k in ('busy', 'broken'))
    notes = [f'{done} cells done']
    notes += [f'{n} {what}' for n, what in ((failed, 'failed'), (lacking, 'missing')) if n]
    notes += [f'another process has {", ".join(busy)}'] if busy else []
    notes += ['time is up: the same command goes on'] if ends[-1]['out'] and not stopped else []
    notes += ['stopped: the same command goes on'] if stopped else []
    print(f"{'; '.join(notes)}. Everything is in {workdir}; "
          f'vaebench-report --results={workdir} --format=markdown prints the table again.')
    return 128 + stopped[0] if stopped else CELLS_FAILED if failed or broken else 0


def _run(argv: Sequence[str], stopped: list[int]) -> tuple[int, bool]:
    """(exit code, whether a program is still being compiled, which nothing can interrupt)."""
    begun = time.monotonic()
    args, config, given = _parse(argv)
    from vaebench.experiment import runner as running
    from vaebench.experiment import table
    deadline = begun + running.duration(args.budget) if args.budget else None
    workdir = pathlib.Path(args.workdir or pathlib.Path('runs') / config['name'])
    data_dir = args.data_dir or os.environ.get('VAEBENCH_DATA')
    unfiltered = {k: v for k, v in given.items() if k != 'rows'}
    whole = {t.name: t for t in table.tables({**config, 'rows': ''}, unfiltered)}
    progress = Progress()
    try:
        with _jax_settings(args.compilation_cache, args.debug):
            runners = [running.Runner(t, workdir, data_dir, deadline,
                                      stop=lambda: bool(stopped), report=progress)
                       for t in table.tables(config, given)]
            if args.dry_run:
                for runner in runners:
                    _list_cells(runner)
                return 0, False
            ends = _train(runners, whole, workdir)
    finally:
        progress.close()
    return _tell(runners, ends, stopped, workdir), any(runner.compiling() for runner in runners)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; leaves flags, signal handlers and JAX's settings as before.

    Args:
      argv: the program's name, then the arguments; None: those of the process, which may end
        here.

    Returns:
      The exit code that `USAGE` explains.
    """
    alone, argv = argv is None, list(sys.argv if argv is None else argv)
    try:
        if {'--help', '-help', '-h', '--helpfull'} & set(argv):
            print(_help(), flush=True)
            return 0
        with _signals() as stopped:
            code, compiling = _run(argv, stopped)
    except BrokenPipeError:            # the reader (head, less) has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        if '--debug' in argv:
            raise
        print(f'vaebench: {_said(error)}', file=sys.stderr)
        return BAD_INPUT
    if alone and compiling:            # for a row that will not come: do not wait for it
        sys.stdout.flush()
        os._exit(code)
    return code


def _said(error: UserError | OSError) -> str:
    if isinstance(error, UserError):
        return str(error)
    where = f' {error.filename}' if error.filename else ''
    return f'{error.strerror or error}{where}; mend that and run the same command again'


if __name__ == '__main__':
    sys.exit(main())
