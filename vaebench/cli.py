"""Command line: trains the missing cells of a table, then prints it."""
import os
import pathlib
import re
import signal
import sys
import time

from absl import flags
from ml_collections import config_flags

from vaebench.errors import UserError

USAGE = """vaebench: trains the missing cells of a table, then prints it.

  vaebench --config=configs/quickstart.py
  vaebench --config=configs/ptb.py:small --workdir=runs/ptb --data_dir=DIR [--config.KEY=VALUE ...]

Exit code: 0 done, or stopped by --budget; 1 a cell failed; 2 bad input, said in one line; 128 + n stopped by signal n.
"""
FLAGS = flags.FLAGS
CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file of the table, such as configs/quickstart.py or configs/ptb.py:small; '
    '--config.KEY=VALUE sets one of its keys, --config.rows=a,b trains only some rows.', lock_config=True)
flags.DEFINE_string('workdir', None, 'Folder that owns the run; the same command goes on where it stopped. '
                    'Default: runs/<table>.')
flags.DEFINE_string('data_dir', None, 'Folder with the raw data that the config names. Default: $VAEBENCH_DATA.')
flags.DEFINE_string('budget', None, 'Stop, with everything saved and exit code 0, before this long: 90s, 8m, 1h30m.')
flags.DEFINE_bool('dry_run', False, 'Only list the cells: done, running or missing, with estimated time and memory.')
flags.DEFINE_string('compilation_cache', os.path.join(os.environ.get('XDG_CACHE_HOME', '~/.cache'), 'vaebench/jax'),
                    'Folder for compiled programs; "" keeps none.')
flags.DEFINE_bool('debug', False, 'Show the traceback of an error, and stop at the first NaN.')

CELLS_FAILED, BAD_INPUT = 1, 2


def _parse(argv):
    """Flags from the command line; anything odd is one line."""
    try:
        rest = FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        text = str(error).replace('\\n', '\n').strip()
        typo = re.search(r'Did you mean "(.+)" instead of "(.+)"', text)
        if typo:
            text = f'the config has no key {typo[2]}; did you mean {typo[1]}?'
        elif isinstance(error, AttributeError | KeyError):
            text = f'the config has no key {text.strip(chr(34) + chr(39))}; see its file for those it has'
        if 'Traceback' in text:                  # of a config file: its last line says it
            text = f'cannot read the config: {text.splitlines()[-1]}'
        raise UserError(' '.join(text.split())) from error
    if rest[1:]:
        raise UserError(f'unknown argument {rest[1]}; flags start with --')
    if not FLAGS['config'].present:
        raise UserError('which table? Name its config, for instance --config=configs/quickstart.py (see --help)')
    try:
        return CONFIG.value.to_dict(), config_flags.get_override_values(FLAGS['config'])
    except Exception as error:           # whatever a config file may do wrong
        path = config_flags.get_config_filename(FLAGS['config']).partition(':')[0]
        cause = error.__cause__ or error.__context__ or error
        reason = 'there is no such file' if not os.path.exists(path) else f'{type(cause).__name__}: {cause}'
        raise UserError(f'cannot read the config {path}: {" ".join(reason.split())}') from error


class Progress:
    """Bars on a terminal, silence elsewhere."""

    def __init__(self):
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
            self._bar = Bar(TextColumn('{task.description}'), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
                            TextColumn('{task.fields[text]}'), console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task, self._label = None, None

    def __call__(self, label, fraction, text):
        if self._bar is None:
            return
        if label != self._label:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._label = self._bar.add_task(label, total=1., text=text), label
        self._bar.update(self._task, completed=fraction, text=text)

    def close(self):
        if self._bar is not None:
            self._bar.stop()


def _cells(runner):
    """The dry run: one line per cell, then the sum."""
    cells = runner.plan()
    wide = max(len(c['row']) for c in cells)
    for c in cells:
        cost = f"  about {c['seconds'] / 60:.1f} min, {c['bytes'] / 2**20:.0f} MiB" if c['seconds'] else ''
        print(f"{c['row']:{wide}}  seed {c['seed']}  {c['state']:8}{cost}")
    count = {s: sum(c['state'] == s for c in cells) for s in ('done', 'trained', 'running', 'missing')}
    left = sum(c['seconds'] for c in cells) / 60
    print(', '.join(f'{n} {s}' for s, n in count.items() if n) + f'; about {left:.0f} min of training left, '
          'compilation and evaluation not counted')


def _work(config, given, workdir, deadline, stopped):
    from vaebench import report
    from vaebench.experiment import results, table
    from vaebench.experiment.runner import Runner
    found = table.tables(config, given)
    whole = {t.name: t for t in table.tables({**config, 'rows': ''}, {k: v for k, v in given.items() if k != 'rows'})}
    data_dir = FLAGS.data_dir or os.environ.get('VAEBENCH_DATA')
    progress = Progress()
    runners = [Runner(t, workdir, data_dir, deadline, stop=lambda: bool(stopped), report=progress) for t in found]
    try:
        if FLAGS.dry_run:
            for runner in runners:
                _cells(runner)
            return 0
        for runner in runners:
            runner.check_data()                # before the first file is written
        describe = lambda: results.write_manifest(
            workdir, {'tables': [r.describe(whole[r.table.name]) for r in runners]})
        describe()
        ends = []
        for runner in runners:
            ends.append(runner.run())
            if ends[-1]['out']:
                break
        describe()
    finally:
        progress.close()
    done, failed, lacking = (sum(x) for x in zip(*(r.status() for r in runners), strict=True))
    if done + failed:
        report.main(['vaebench-report', f'--results={workdir}'])
    busy, broken = (sum((e[k] for e in ends), []) for k in ('busy', 'broken'))
    notes = [f'{done} cells done'] + [f'{n} {what}' for n, what in ((failed, 'failed'), (lacking, 'missing')) if n]
    notes += [f'another process has {", ".join(busy)}'] if busy else []
    notes += ['time is up: the same command goes on'] if ends[-1]['out'] and not stopped else []
    notes += ['stopped: the same command goes on'] if stopped else []
    print(f"{'; '.join(notes)}. Everything is in {workdir}; "
          f'vaebench-report --results={workdir} --format=markdown prints the table again.')
    code = 128 + stopped[0] if stopped else CELLS_FAILED if failed or broken else 0
    if any(runner.compiling() for runner in runners):        # for a row that will not come: do not wait for it
        sys.stdout.flush()
        os._exit(code)
    return code


def _start(argv):
    begun = time.monotonic()
    config, given = _parse(argv)
    from vaebench.experiment.runner import duration
    deadline = begun + duration(FLAGS.budget) if FLAGS.budget else None
    import jax
    if FLAGS.compilation_cache:
        jax.config.update('jax_compilation_cache_dir', os.path.expanduser(FLAGS.compilation_cache))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.)
        jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)
    jax.config.update('jax_debug_nans', FLAGS.debug)
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, frame: os._exit(128 + n) if stopped else stopped.append(n))
    workdir = pathlib.Path(FLAGS.workdir or pathlib.Path('runs') / config['name'])
    return _work(config, given, workdir, deadline, stopped)


def main(argv=None):
    """Entry point of `vaebench`: returns the exit code that `USAGE` explains."""
    argv = list(sys.argv if argv is None else argv)
    if {'--help', '-help', '-h', '--helpfull'} & set(argv):
        print(USAGE + FLAGS.module_help(sys.modules[__name__]))
        return 0
    try:
        return _start(argv)
    except UserError as error:
        if '--debug' in argv:
            raise
        print(f'vaebench: {error}', file=sys.stderr)
    except OSError as error:
        if '--debug' in argv:
            raise
        where = f' {error.filename}' if error.filename else ''
        print(f'vaebench: {error.strerror or error}{where}; mend that and run the same command again', file=sys.stderr)
    return BAD_INPUT


if __name__ == '__main__':
    sys.exit(main())
