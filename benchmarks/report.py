"""Seconds that `vaebench-report` takes for each format, on copies of committed result files.

    python benchmarks/report.py [--tables=10] [--rows=120] [--seeds=5] [--folder=DIR]

The files are those of one committed table over and over, with other names, seeds and values.
They go to a temporary folder; with --folder=DIR they stay there, a folder for each table. Only
the seconds are printed: the numbers in the tables mean nothing.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from msgspec.structs import replace

from vaebench.experiment import results
from vaebench.experiment.records import Metric, Result

SOURCE = pathlib.Path(__file__).parent / 'results' / 'ptb-small'


def noisy(model: Result, rng: np.random.Generator, **changes: Any) -> Result:
    """Makes another result: values 2% away, and other fields."""
    def moved(m: Metric) -> Metric:
        factor = 1 + 0.02 * rng.standard_normal()
        return m if m.value is None else replace(m, value=m.value * factor)

    return replace(model, metrics={k: moved(m) for k, m in model.metrics.items()}, **changes)


def make(folder: str | pathlib.Path, tables: int = 10, rows: int = 120, seeds: int = 5,
         source: pathlib.Path = SOURCE) -> list[pathlib.Path]:
    """Writes `tables` folders of `rows` times `seeds` result files.

    Args:
      folder: where.
      tables, rows, seeds: how many.
      source: folder of results to copy.

    Returns:
      The folders.
    """
    known, rng, out = results.read_all(source)[0], np.random.default_rng(0), []
    names = list(dict.fromkeys(r.row for r in known))
    models = [next(r for r in known if r.row == name and r.status == 'done') for name in names]
    for t in range(tables):
        home = pathlib.Path(folder) / f't{t:02}'
        home.mkdir(parents=True, exist_ok=True)
        for i in range(rows):
            model = models[i % len(models)]
            again = f'_{i // len(models)}' * (i >= len(models))
            for seed in range(seeds):
                result = noisy(model, rng, table=f'{model.table}-{t}', row=model.row + again,
                               label=model.label + again.replace('_', ' '), order=i, seed=seed)
                # Not results.write: six thousand fsyncs are no part of what is timed.
                (home / results.filename(result)).write_bytes(results.dumped(result))
        out.append(home)
    return out


def measure(folders: list[pathlib.Path]) -> None:
    """Prints the seconds of reading and of each format."""
    from vaebench.report import cli, tables
    clock = lambda: np.array([time.perf_counter(), time.process_time()])

    def line(name: str, s: np.ndarray, more: str = '') -> None:
        print(f'  {name:<10} {s[0]:6.2f} s, {s[1]:6.2f} of one core{more}')

    start = last = clock()
    found, problems = tables.collect(folders)
    assert len(found) == len(folders) and not problems
    line('read', (last := clock()) - start)
    for name in cli.EXTENSIONS:
        text, before, last = cli.convert(found, name), last, clock()
        line(name, last - before, f' {len(text) / 1e6:7.2f} MB')
    line('all', last - start)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    for name, default in (('tables', 10), ('rows', 120), ('seeds', 5)):
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--folder')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = make(args.folder or temporary, args.tables, args.rows, args.seeds)
        print(f'{args.tables} tables of {args.rows} rows and {args.seeds} seeds')
        measure(folders)
        begun = time.perf_counter()
        flags = [*(f'--results={f}' for f in folders), '--format=all',
                 f'--out={pathlib.Path(temporary) / "out"}']
        subprocess.run([sys.executable, '-m', 'vaebench.report', *flags], check=True,
                       capture_output=True)
        print(f'  --format=all, as a command: {time.perf_counter() - begun:.2f} s')


if __name__ == '__main__':
    main()
