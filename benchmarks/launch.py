"""Seconds that a table takes in one process and with `--launch=local`, one after the other.

    python benchmarks/launch.py [--workers=2] [--repeats=1] [--config=synthetic] [--config....]

Every run starts in a new folder with no compiled programs; the data are prepared once before.
Beside the seconds stand those of the processor, which a busy machine changes little. Further
flags go to `vaebench`.
"""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from vaebench.experiment import results


def run(flags: Sequence[str], folder: pathlib.Path) -> tuple[float, float]:
    """Runs the table to its end.

    Args:
      flags: of `vaebench`.
      folder: a new one, for results and compiled programs.

    Returns:
      (seconds, seconds of the processor of all its processes).
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, '-m', 'vaebench', *flags, f'--workdir={folder}',
                    f'--compilation_cache={folder / "programs"}', '--notables'],
                   check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def numbers(folder: pathlib.Path) -> dict:
    """Reads the metrics of every cell: {(row, seed): metrics}."""
    return {(r.row, r.seed): r.metrics for r in results.read_all(folder / 'results')[0]}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line a run, then the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=1)
    own, flags = parser.parse_known_args(argv)
    if not any(flag.startswith('--config=') for flag in flags):
        flags = ['--config=synthetic', *flags]
    ways = {'one process': [], f'{own.workers} workers': [
        '--launch=local', f'--workers={own.workers}']}
    taken = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as temporary:
        home = pathlib.Path(temporary)
        subprocess.run([sys.executable, '-m', 'vaebench', *flags, '--dry_run'], check=True,
                       stdout=subprocess.DEVNULL)
        for turn in range(own.repeats):
            for name, more in ways.items():
                folder = home / f'{turn} {name}'
                taken[name].append(run([*flags, *more], folder))
                wall, used = taken[name][-1]
                print(f'{name:12} {wall:8.1f} s, {used:8.1f} s of the processor', flush=True)
        cells, host = numbers(folder), results.read_all(folder / 'results')[0][0].host
        same = cells == numbers(home / '0 one process')
    one, several = (np.median([wall for wall, _ in runs]) for runs in taken.values())
    print(f'{one / several:.2f} times as fast with {own.workers} workers; {len(cells)} cells, '
          f'{"the same" if same else "OTHER"} numbers; {len(os.sched_getaffinity(0))} cores of '
          f'{host}')


if __name__ == '__main__':
    main()
