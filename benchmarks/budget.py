"""What a set of tables costs on accelerators: a model on paper, from what `costs.py` measured.

    python benchmarks/budget.py [--doc=docs/scaling.md] [--check]

It writes the tables between the marks of the document; with --check it only says whether they
are those that the data make. A part of a group's work, training or importance sampling, takes
as long as the slowest of three things: the products at a share of the accelerator's peak, the
bytes at a share of its bandwidth, and one launch a kernel. The seeds of a group run side by
side, so that they share launches, and nothing else. Groups go to accelerators one by one, the
longest first; none is split.
"""
import argparse
import csv
import heapq
import itertools
import pathlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
ROWS, SEEDS, ACCELERATORS = 150, 5, (1, 8, 64)     # rows of a table, seeds of a row
MARK = re.compile(r'(<!-- scaling:(\w+) -->\n).*?(<!-- scaling:end -->)', re.S)
CHECKED = 'mnist-static', 'vae'    # a row that was trained at paper size: its results are there


class Accelerator(NamedTuple):
    """Published peaks."""
    name: str
    precision: str
    flops: float            # FLOP/s
    bandwidth: float        # bytes/s
    source: str


class Assumed(NamedTuple):
    """What is not measured here."""
    products: float         # share of the peak that products reach
    bandwidth: float        # share of the bandwidth
    launch: float           # seconds a kernel takes at least


ASSUMPTIONS: Mapping[str, Assumed] = {
    'favorable': Assumed(.5, .8, 2e-6),
    'assumed': Assumed(.3, .6, 5e-6),
    'cautious': Assumed(.1, .3, 10e-6),
}


class Work(NamedTuple):
    """One part of a cell's work."""
    flops: float
    bytes: float
    kernels: float


class Cell(NamedTuple):
    """What a cell of a row needs."""
    row: str
    training: Work
    sampling: Work          # importance sampling; zeros where there is none


def accelerators(path: pathlib.Path = HERE / 'accelerators.csv') -> list[Accelerator]:
    """Reads the published peaks."""
    with path.open(newline='') as file:
        return [Accelerator(x['name'], x['precision'], 1e12 * float(x['tflops']),
                            1e9 * float(x['gb_per_s']), x['source'])
                for x in csv.DictReader(file)]


def costs(path: pathlib.Path = HERE / 'costs.csv') -> dict[str, list[Cell]]:
    """Reads what `costs.py` measured: table -> its cells, with the bytes a FLOP and the kernels
    a product of its baseline.
    """
    with path.open(newline='') as file:
        lines = list(csv.DictReader(file))
    found: dict[str, list[Cell]] = {}
    for name in dict.fromkeys(line['table'] for line in lines):
        own = [line for line in lines if line['table'] == name]
        base = next(line for line in own if line['bytes_per_flop'])
        each, per = float(base['bytes_per_flop']), float(base['kernels_per_product'])
        found[name] = [
            Cell(line['row'], *(Work(float(line[f]), each * float(line[f]),
                                     per * float(line[p]))
                                for f, p in (('flops', 'products'),
                                             ('iw_flops', 'iw_products'))))
            for line in own]
    return found


# ---- the model -------------------------------------------------------------------------------


def bounds(work: Work, chip: Accelerator, assumed: Assumed, seeds: int) -> dict[str, float]:
    """Gives the seconds that each thing takes at least, for the seeds of a group at once.

    >>> bounds(Work(1e9, 1e6, 10), Accelerator('', '', 1e12, 1e9, ''), Assumed(.5, 1., 1e-3), 5)
    {'products': 0.01, 'bytes': 0.005, 'launches': 0.01}
    """
    return {'products': seeds * work.flops / (chip.flops * assumed.products),
            'bytes': seeds * work.bytes / (chip.bandwidth * assumed.bandwidth),
            'launches': work.kernels * assumed.launch}


def seconds(cell: Cell, chip: Accelerator, assumed: Assumed, seeds: int = SEEDS) -> float:
    """Gives the seconds of a group: its training, then its importance sampling."""
    return sum(max(bounds(work, chip, assumed, seeds).values())
               for work in (cell.training, cell.sampling))


def makespan(groups: Iterable[float], machines: int) -> float:
    """Gives when the last of several machines ends, if each takes the longest group left.

    >>> makespan([3., 3., 2., 2., 2.], 2)
    7.0
    """
    ends = [0.] * machines
    for length in sorted(groups, reverse=True):
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def groups(tables: Mapping[str, Sequence[Cell]], rows: int = ROWS) -> list[Cell]:
    """Gives a group for every row of the set: the rows looked at stand for all of a table."""
    return [cell for cells in tables.values()
            for cell in itertools.islice(itertools.cycle(cells), rows)]


# ---- what the document shows -----------------------------------------------------------------


def duration(seconds: float) -> str:
    """Says seconds in the unit that they are read in.

    >>> duration(7200), duration(3e6), duration(1e9)
    ('2.0 h', '35 days', '32 years')
    """
    for unit, length, least in (('years', 365.25 * 86400, 2.), ('days', 86400., 2.),
                                ('h', 3600., 1.), ('min', 60., 1.)):
        if seconds >= least * length:
            value = seconds / length
            return f'{value:.{int(value < 10)}f} {unit}'
    return f'{seconds:.0f} s'


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Makes a table; the columns after the first are numbers."""
    every = [head, ['---', *['---:'] * (len(head) - 1)], *lines]
    return '\n'.join(f'| {" | ".join(line)} |' for line in every) + '\n'


def show_assumptions() -> str:
    """Shows what is assumed, and the published peaks."""
    assumed = markdown(
        ['assumption', *ASSUMPTIONS],
        [[what, *(say(getattr(a, field)) for a in ASSUMPTIONS.values())]
         for what, field, say in (
             ('share of the peak that products reach', 'products', '{:.0%}'.format),
             ('share of the bandwidth', 'bandwidth', '{:.0%}'.format),
             ('a kernel takes at least', 'launch', lambda x: f'{1e6 * x:.0f} µs'))])
    peaks = markdown(['accelerator', 'precision', 'TFLOP/s', 'GB/s', 'source'], [
        [c.name, c.precision, f'{c.flops / 1e12:g}', f'{c.bandwidth / 1e9:g}', c.source]
        for c in accelerators()])
    return f'{assumed}\n{peaks}'


def show_tables() -> str:
    """Shows what the rows looked at need, table by table."""
    chip, assumed, lines = accelerators()[0], ASSUMPTIONS['assumed'], []
    total = sum(seconds(cell, chip, assumed) for cell in groups(costs()))
    for name, cells in costs().items():
        mean = lambda of, cells=cells: sum(of(c) for c in cells) / len(cells)
        taken: dict[str, float] = {}
        for work in (w for c in cells for w in (c.training, c.sampling)):
            found = bounds(work, chip, assumed, SEEDS)
            slowest = max(found, key=lambda k, found=found: found[k])
            taken[slowest] = taken.get(slowest, 0.) + found[slowest]
        some = max((c.training for c in cells), key=lambda work: work.flops)
        own = sum(seconds(cell, chip, assumed) for cell in groups({name: cells}))
        lines.append([
            name, str(len(cells)), f'{mean(lambda c: c.training.flops):.1e}',
            f'{mean(lambda c: c.sampling.flops):.1e}', f'{some.bytes / some.flops:.2f}',
            f'{mean(lambda c: c.training.kernels):.1e}',
            duration(own), f'{own / total:.1%}',
            max(taken, key=lambda k: taken[k])])
    return markdown(['table', 'rows seen', 'FLOPs, training', 'importance sampling',
                     'bytes/FLOP', 'kernels', f'{ROWS} rows x {SEEDS} seeds', 'of the set',
                     'mostly'], lines)


def show_set() -> str:
    """Shows what the whole set takes."""
    work, lines = groups(costs()), []
    for chip in accelerators():
        each = {k: [seconds(cell, chip, a) for cell in work] for k, a in ASSUMPTIONS.items()}
        line = [chip.name, chip.precision]
        for n in ACCELERATORS:
            span = {k: duration(makespan(v, n)) for k, v in each.items()}
            line.append(f'{span["assumed"]} ({span["favorable"]} - {span["cautious"]})')
        lines.append([*line, duration(max(each['assumed']))])
    return markdown(['accelerator', 'precision', *map(str, ACCELERATORS), 'longest group'],
                    lines)


def achieved() -> tuple[float, float, str]:
    """Gives what training and importance sampling reached at paper size, FLOP/s, and where."""
    from vaebench.experiment import results
    name, row = CHECKED
    found = [r for r in results.read_all(HERE / 'results' / name)[0] if r.row == row]
    cell = next(cell for cell in costs()[name] if cell.row == row)
    mean = lambda of: sum(of(r.times) for r in found) / len(found)
    return (cell.training.flops / mean(lambda t: t.train),
            cell.sampling.flops / mean(lambda t: t.evaluate), str(found[0].host))


def show_check() -> str:
    """Shows what the same count says of the machine that results were computed on."""
    train, sample, host = achieved()
    total = sum(SEEDS * (cell.training.flops / train + cell.sampling.flops / sample)
                for cell in groups(costs()))
    return markdown(
        ['machine', 'training', 'importance sampling', 'the whole set at these speeds'],
        [[f'{host}, two cores', f'{train / 1e9:.0f} GFLOP/s', f'{sample / 1e9:.0f} GFLOP/s',
          duration(total)]])


SHOWN = {'assumptions': show_assumptions, 'tables': show_tables, 'set': show_set,
         'check': show_check}
"""Name of a mark -> what stands between it and the end."""


def spliced(text: str) -> str:
    """Gives a document with its tables written anew; every other letter stays."""
    return MARK.sub(lambda found: f'{found[1]}\n{SHOWN[found[2]]()}\n{found[3]}', text)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--doc', type=pathlib.Path,
                        default=HERE.parent / 'docs' / 'scaling.md')
    parser.add_argument('--check', action='store_true')
    given = parser.parse_args(argv)
    old = given.doc.read_text()
    new = spliced(old)
    if not given.check:
        given.doc.write_text(new)
    print(f'{given.doc}: {"as the data say" if new == old else "changed"}')
    return int(given.check and new != old)


if __name__ == '__main__':
    sys.exit(main())
