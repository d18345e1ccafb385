"""Command line: trains the missing cells of a table, then prints it."""
import contextlib
import io
import os
import pathlib
import re
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from vaebench import command_flags, console, files
from vaebench.errors import LostError, UserError
from vaebench.experiment import machine

USAGE = """vaebench: trains the missing cells of a table, then prints it.

  vaebench --config=quickstart
  vaebench --config=ptb:small --workdir=runs/ptb --data_dir=DIR [--config.KEY=VALUE ...]

Exit code: 0 done, or stopped by --budget; 1 a cell failed; 2 bad input, said in one line;
3 another process of the run is lost: the same command goes on; 128 + n stopped by signal n.
"""
CELLS_FAILED, BAD_INPUT, LOST = 1, 2, 3
QUOTES = '\'"'


def _help() -> str:
    from vaebench.experiment import config_keys, configs
    return (f'{USAGE}{command_flags.flag_values().module_help(command_flags)}\n\n'
            f'Configs: {", ".join(configs.names())}.\n\n'
            f'Keys of a table, for --config.KEY=VALUE:\n{config_keys.described()}')


def _parse(argv: Sequence[str]) -> tuple[flags.FlagValues, dict[str, Any], dict[str, Any]]:
    """(flags, the config as a dict, dotted keys that the command line set)."""
    from vaebench.experiment import configs
    args = command_flags.flag_values()
    try:
        rest = args(argv, known_only=True)
        if args.config is None and args.status:
            rest = args(argv)
            if rest[1:]:
                raise UserError(f'unknown argument {rest[1]}; flags start with --')
            return args, {}, {}
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
    given = config_flags.get_override_values(args['config'])
    return args, args.config.to_dict() | _set(args), given


def _set(args: flags.FlagValues) -> dict[str, Any]:
    """Keys of the config that flags of their own set."""
    return {} if args.tune is None else {'tune': args.tune}


def _odd(error: Exception) -> str:
    """What is wrong with a flag, in one line."""
    text = ' '.join(str(error).replace('\\n', '\n').split())
    if typo := re.search(r'Did you mean "(.+)" instead of "(.+)"', text):
        return f'the config has no key {typo[2]}; did you mean {typo[1]}?'
    if isinstance(error, AttributeError | KeyError):
        return f'the config has no key {text.strip(QUOTES)}; see its file for those it has'
    return text


def _list_cells(runner) -> None:
    """The dry run: one line per cell, then the sum."""
    cells = runner.plan()
    wide = max((len(c['row']) for c in cells), default=0)
    for c in cells:
        need = ''
        if c['seconds']:
            need = f"  about {c['seconds'] / 60:.1f} min, {c['bytes'] / 2**20:.0f} MiB"
        print(f"{c['row']:{wide}}  seed {c['seed']}  {c['state']:8}{need}")
    states = 'done', 'trained', 'running', 'missing', 'broken'
    count = {s: sum(c['state'] == s for c in cells) for s in states}
    left = sum(c['seconds'] for c in cells) / 60
    print(', '.join(f'{n} {s}' for s, n in count.items() if n) + f'; about {left:.0f} min of '
          'training left, compilation and evaluation not counted')


def _tell(runners: Sequence, ends: list[dict], stopped: list[int], workdir: pathlib.Path,
          tables: bool = True) -> int:
    """Prints the tables and what became of the run; the exit code."""
    from vaebench.report import cli as report
    done, failed, lacking = (sum(x) for x in zip(*(r.status() for r in runners), strict=True))
    if tables and done + failed:
        report.main(['vaebench-report', f'--results={workdir}'])
    busy, broken = (sum((e[k] for e in ends), []) for k in ('busy', 'broken'))
    notes = [f'{done} cells done']
    notes += [f'{n} {what}' for n, what in ((failed, 'failed'), (lacking, 'missing')) if n]
    notes += [f'another process has {", ".join(busy)}'] if busy else []
    notes += ['time is up: the same command goes on'] if ends[-1]['out'] and not stopped else []
    notes += ['stopped: the same command goes on'] if stopped else []
    named = shlex.quote(f'--results={workdir}')
    print(f"{'; '.join(notes)}. Everything is in {workdir}; to print the tables again:\n"
          f'  vaebench-report {named}')
    return 128 + stopped[0] if stopped else CELLS_FAILED if failed or broken else 0


def _run(argv: Sequence[str], stopped: console.Stopped) -> int:
    """The exit code."""
    begun = time.monotonic()
    args, config, given = _parse(argv)
    if args.status:
        return _status(args, config)
    from vaebench.experiment import config_keys
    from vaebench.experiment import runner as running
    if args.mesh is not None:
        config, given = config_keys.everywhere(config, given, 'mesh', args.mesh)
    asked, tables = _asked(args, config, given)
    workdir = _workdir(args, config)
    if asked.launch:
        return _launch(asked, tables, workdir, argv, stopped)
    from vaebench.engine import hosts, profiling
    hosts.start(hosts.Start(args.distributed, args.coordinator, args.processes, args.process,
                            args.lost_after))
    machine.check_devices()
    stopped.silent = not hosts.leader()
    from vaebench.experiment import trackers, work
    deadline = begun + running.duration(args.budget) if args.budget else None
    traced = profiling.steps(args.profile) if args.profile else None
    data_dir = args.data_dir or os.environ.get('VAEBENCH_DATA')
    if os.environ.get('JAX_ENABLE_X64', '').lower() in ('1', 'true', 'yes', 'on'):
        _say('JAX_ENABLE_X64 is set; vaebench computes in 32 bits all the same')
    leads = hosts.leader()
    profile = (profiling.Profile(*traced, workdir / 'profile', _say) if traced and leads
               else None)
    tracker = trackers.make(args.track if leads else '', workdir, _say)
    progress = console.Progress(silent=not leads)
    try:
        with machine.settings(args.compilation_cache, args.debug):
            runners = [running.Runner(t, workdir, data_dir, deadline,
                                      stop=lambda: bool(stopped), report=progress,
                                      interruptible=stopped.interruptible, say=_say,
                                      finished=progress.finished, spent=progress.spent,
                                      tracker=tracker, profile=profile) for t in tables]
            todo = work.ready(runners)
            progress.left = lambda: work.left(runners)
            if args.dry_run or args.plan:
                with stopped.interruptible():
                    _plan((*work.trials(runners), *runners), args.plan)
                return CELLS_FAILED if any(runner.check() for runner in runners) else 0
            progress.expect(*todo)
            ends = work.run(runners, work.everything(config, given))
    except work.OutOfTime:
        ends = [work.OUT]
    finally:
        progress.close()
        tracker.close()
    if profile and not profile.done:
        _say(f'--profile={args.profile}: no group took these train steps in this run, so there '
             'is no trace')
    return hosts.led(_tell, runners, ends, stopped, workdir, args.tables)


def _plan(runners, measured):
    """Lists what there is to do: groups with measured costs, or cells with estimated ones."""
    from vaebench.engine import hosts
    if measured and hosts.count() > 1:
        raise UserError('--plan measures in one process: run it without --distributed')
    if measured:
        from vaebench.jobs import plan
        return plan.tell(runners, _say)
    for runner in runners:
        hosts.led(_list_cells, runner)


# ---- who works on a table, and on which part of it -------------------------------------------


def _workdir(args, config):
    return files.user_path(args.workdir or pathlib.Path('runs') / config['name'])


def _status(args, config):
    """Tells from files what is done, running and missing."""
    from vaebench.jobs import status
    if not (args.workdir or config):
        raise UserError('--status of which folder? Name it: --workdir=DIR')
    print(status.text(_workdir(args, config)))
    return 0


def _asked(args, config, given):
    """(what is asked for beside the table, the tables, or the shard's part of them)."""
    from vaebench.experiment import table
    from vaebench.jobs import requests, shards
    asked = requests.request(args.flag_values_dict())
    tables = table.tables(config, given)
    return asked, shards.share(tables, asked.shard) if asked.shard else tables


def _launch(asked, tables, workdir, argv, stopped):
    """Has others work on the tables; prints them where it waits for the end."""
    from vaebench.experiment.cells import Cells, usable
    from vaebench.jobs import local
    cells = [Cells(table, usable(workdir)) for table in tables]
    if asked.launch == 'slurm':
        from vaebench.jobs import slurm
        if slurm.launch(asked, cells, argv, _say):
            print(f'To see how far they are:\n  vaebench --status '
                  f'{shlex.quote(f"--workdir={workdir}")}')
            return 0
        return _tell(cells, [{'busy': [], 'broken': [], 'out': False}], stopped, workdir)
    codes = local.run([local.command(argv)] * asked.workers, stopped, _say)
    if set(codes) == {BAD_INPUT}:
        return BAD_INPUT
    broken = ['?'] if CELLS_FAILED in codes else []
    end = {'busy': [], 'broken': broken, 'out': False}
    code, lacking = _tell(cells, [end], stopped, workdir), sum(c.status()[2] for c in cells)
    return code or (CELLS_FAILED if lacking and any(codes) else 0)


def _leads() -> bool:
    """Whether this process is the one that speaks."""
    hosts = sys.modules.get('vaebench.engine.hosts')
    return hosts is None or hosts.leader()


def _say(text: str) -> None:
    """Says something that every process would say."""
    if _leads():
        _say_alone(text)


def _say_alone(text: str) -> None:
    print(f'vaebench: {files.one_line(text)}', file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; leaves flags, signal handlers and JAX's settings as before.

    Args:
      argv: the program's name, then the arguments; None: those of the process, which may end
        here.

    Returns:
      The exit code that `USAGE` explains.
    """
    alone, argv = argv is None, list(sys.argv if argv is None else argv)
    if alone:                          # a letter that the locale lacks is no reason to stop
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors='backslashreplace')
    try:
        code = _code(argv, alone)
    except LostError as error:
        _say_alone('another process of the run is lost; the same command goes on where it '
                   f'stopped ({files.one_line(str(error.__cause__), 200)})')
        code = LOST
    else:
        _leave()
    if alone and (code in (BAD_INPUT, LOST) or _compiling()):
        # libraries below end with tracebacks where a thread still compiles or a disk is full
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    return code


def _leave() -> None:
    """Waits for the other processes, if there are any: one that ends first looks lost."""
    if hosts := sys.modules.get('vaebench.engine.hosts'):
        hosts.stop()


def _compiling() -> bool:
    """Whether a program is still being compiled, for a row that will not come."""
    return any(thread.name == machine.AHEAD for thread in threading.enumerate())


def _code(argv: Sequence[str], alone: bool) -> int:
    """The exit code; what is wrong is said in one line."""
    stopped = console.Stopped()
    try:
        if {'--help', '-help', '-h', '--helpfull'} & set(argv):
            print(_help(), flush=True)
            return 0
        with console.signals() as stopped:
            return _run(argv, stopped)
    except BrokenPipeError:            # the reader (head, less) has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:          # in work that could not look whether it should stop
        if not stopped and _leads():
            raise
        _say('stopped: the same command goes on')
        return 128 + (stopped or [signal.SIGINT])[0]
    except (UserError, OSError, SystemExit) as error:
        if '--debug' in argv and not alone:
            raise
        if '--debug' in argv:
            traceback.print_exc()
        _say(_said(error))
        _meet(error)
        return BAD_INPUT


def _meet(error: UserError | OSError | SystemExit) -> None:
    """Makes sure that every process ends with an error, which one of them has said."""
    if hosts := sys.modules.get('vaebench.engine.hosts'):
        try:
            hosts.meet(error)
        except LostError:
            if not _leads():
                _say_alone(_said(error))
            raise


def _said(error: UserError | OSError | SystemExit) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, SystemExit):
        return f'the config or a package ended the process: sys.exit({error.code!r})'
    where = f' {error.filename}' if error.filename else ''
    return f'{error.strerror or error}{where}; mend that and run the same command again'


if __name__ == '__main__':
    sys.exit(main())
