"""Seconds that `vaebench-report` takes for each format, on result files made from committed ones.

    python benchmarks/report.py [--tables=10] [--rows=120] [--seeds=5] [--folder=DIR]

The files are those of one committed table over and over, with other names, seeds and values. They go to a temporary
folder; with --folder=DIR they stay there, a folder for each table. Only the seconds are printed: the numbers in the
tables mean nothing.
"""
import argparse
import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from vaebench.experiment import results

SOURCE = pathlib.Path(__file__).parent / 'results' / 'ptb-small'


def make(folder, tables=10, rows=120, seeds=5, source=SOURCE):
    """Writes `tables` folders of `rows` times `seeds` result files.

    Args:
      folder: where.
      tables, rows, seeds: how many.
      source: folder of results to copy.

    Returns:
      List of folders.
    """
    known, rng, out = results.read_all(source)[0], np.random.default_rng(0), []
    names = list(dict.fromkeys(r['row'] for r in known))
    models = [next(r for r in known if r['row'] == name and r['status'] == 'done') for name in names]
    for t in range(tables):
        home = pathlib.Path(folder) / f't{t:02}'
        home.mkdir(parents=True, exist_ok=True)
        for i in range(rows):
            model = models[i % len(models)]
            for seed in range(seeds):
                result = copy.deepcopy(model)
                again = f'_{i // len(models)}' * (i >= len(models))
                result |= {'table': f'{model["table"]}-{t}', 'row': model['row'] + again,
                           'label': model['label'] + again.replace('_', ' '), 'order': i, 'seed': seed}
                for metric in result['metrics'].values():
                    if isinstance(metric['value'], float):
                        metric['value'] *= 1 + 0.02 * rng.standard_normal()
                # Not results.write: six thousand fsyncs are no part of what is timed.
                (home / results.filename(result)).write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n')
        out.append(home)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (('tables', 10), ('rows', 120), ('seeds', 5)):
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--folder')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = make(args.folder or temporary, args.tables, args.rows, args.seeds)
        print(f'{args.tables} tables of {args.rows} rows and {args.seeds} seeds')
        from vaebench import report
        from vaebench.report import tables
        clock = lambda: np.array([time.perf_counter(), time.process_time()])
        line = lambda name, s, more='': print(f'  {name:<10} {s[0]:6.2f} s, {s[1]:6.2f} of one core{more}')
        start = last = clock()
        found, problems = tables.collect(folders)
        assert len(found) == args.tables and not problems
        line('read', (last := clock()) - start)
        for name in report.EXTENSIONS:
            text, before, last = report.convert(found, name), last, clock()
            line(name, last - before, f' {len(text) / 1e6:7.2f} MB')
        line('all', last - start)
        begun = time.perf_counter()
        command = [sys.executable, '-m', 'vaebench.report', *(f'--results={f}' for f in folders), '--format=all']
        subprocess.run([*command, f'--out={pathlib.Path(temporary) / "out"}'], check=True, capture_output=True)
        print(f'  --format=all, as a command: {time.perf_counter() - begun:.2f} s')


if __name__ == '__main__':
    main()
