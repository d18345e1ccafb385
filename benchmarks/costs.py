"""What a cell of the committed configs costs at paper size: FLOPs, bytes and kernels.

    python benchmarks/costs.py [--data_dir=DIR] [--only=ptb,sprites] [--rows=6]
                               [--out=benchmarks/costs.csv]

Nothing is trained. Of each table some rows are looked at, spread evenly over it, and of each
row every phase is traced and its products counted (`engine.cost`), every turn of a loop among
them.
The table's baseline is compiled too: bytes per FLOP and kernels per product are those of its
step, from the compiled program's own analysis, with the bodies of loops counted once a turn.
Corpora whose files are not at hand are random words of the size and length that their papers
tell: what a step costs does not depend on which words it reads. A row is added to the file as
soon as it is known, and one that stands there is left as it is.
"""
import argparse
import collections
import csv
import functools
import os
import pathlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from evaluation import SHAPE

from vaebench import core, datasets, metrics, schema
from vaebench.datasets import base, corpora
from vaebench.engine import cost
from vaebench.engine.trainer import Trainer
from vaebench.experiment import configs
from vaebench.experiment import table as tables
from vaebench.experiment.prepared import Prepared
from vaebench.experiment.table import Row, Table
from vaebench.metrics import importance

TABLES = {
    'ptb': 'ptb', 'snli': 'snli', 'short_yelp': 'short_yelp', 'yahoo': 'yahoo', 'yelp': 'yelp',
    'yelp-resplit': 'yelp_resplit', 'two-style': 'two_style', 'dailydialog': 'dialog',
    'simplify-turk': 'simplify', 'mnist-static': 'mnist', 'mnist-grey': 'mnist',
    'gan-stress': 'gan_stress', 'sprites': 'sprites', 'rotmnist-classes': 'rotmnist',
    'nbody': 'nbody',
}
"""Fifteen tables -> their configs."""
FIELDS = ('table', 'row', 'flops', 'products', 'iw_flops', 'iw_products', 'bytes_per_flop',
          'kernels_per_product')
"""Of a line: a cell's training and importance sampling; the last two of the baseline alone."""
WEIGHTS = 'posterior', 'sample_q', 'log_lik', 'log_q', 'log_prior'
PRODUCTS = 'dot_general', 'conv_general_dilated'
KERNEL = re.compile(r' (fusion|dot|convolution|custom-call|reduce|sort|scatter|gather)\(')


# ---- data that are not at hand ---------------------------------------------------------------


def stand_in(name: str, data_dir: Any = None, cache_dir: Any = None,
             **options: Any) -> base.Dataset:
    """Makes a corpus of random words with the sizes and the mean length of `corpora.CORPORA`;
    lengths are spread as those of PTB.
    """
    known, rng, splits = corpora.CORPORA[name], np.random.default_rng(0), {}
    for split, n in corpora.SIZES.items():
        drawn = rng.gamma(SHAPE, (known.words - 1) / SHAPE, n).round()
        splits[split] = drawn.clip(1, None).astype(np.int32) + 1
    longest = int(max(length.max() for length in splits.values()))
    words = tuple(map(str, range(known.vocab)))
    columns = schema.text(words, longest - 1)
    made = {}
    for split, length in splits.items():
        tokens = rng.integers(4, known.vocab, (len(length), longest + 1), dtype=np.int32)
        made[split] = {'tokens': tokens, 'length': length}
        if known.labels:
            made[split]['label'] = rng.integers(known.labels, size=len(length)).astype(np.int32)
    labels = {'label': schema.label(known.labels)} if known.labels else {}
    return base.make(name, made, {**columns, **labels}, item='sentence')


def prepared(name: str, data_dir: str | None) -> Prepared:
    """Reads a table of `TABLES` with its data, or with a stand-in for them."""
    every = tables.tables(configs.load(TABLES[name]).to_dict(), {})
    chosen = next(table for table in every if table.name == name)
    corpus = chosen.config['dataset']['name']
    folder = pathlib.Path(data_dir or '.')
    if corpus in corpora.CORPORA and not any(folder.rglob(f'{corpus}.train.txt')):
        datasets.DATASETS[corpus] = functools.partial(stand_in, corpus)
    return Prepared(chosen, pathlib.Path(tempfile.gettempdir()), data_dir)


# ---- traced ----------------------------------------------------------------------------------


def products(eqn: Any) -> float:
    """Counts an equation that is a product: a kernel, whatever its size."""
    return float(eqn.primitive.name in PRODUCTS)


def over_buckets(trace: Callable[[Any], Any], buckets: Sequence[Mapping[str, Any]],
                 steps: Sequence[float]) -> np.ndarray:
    """Adds FLOPs and products of steps over length classes.

    Only the first and the last class are traced: both numbers are linear in the length.

    Args:
      trace: bucket -> jaxpr of a step that reads it.
      buckets: data by length class.
      steps: how many steps read each.

    Returns:
      [2], FLOPs and products.
    """
    width = [sum(x.shape[1] for x in jax.tree.leaves(b) if jnp.ndim(x) == 2) for b in buckets]
    ends = list({0: None, len(buckets) - 1: None})
    found = [np.array([cost.total(jaxpr, of) for of in (cost.operations, products)])
             for jaxpr in (trace(buckets[i]) for i in ends)]
    at = np.array(width, float)
    share = (at - at[0]) / (at[-1] - at[0]) if at[-1] != at[0] else 0. * at
    every = found[0] + share[:, None] * (found[-1] - found[0])
    return (np.array(steps)[:, None] * every).sum(0)


def training(trainer: Trainer, hp: Mapping[str, float]) -> np.ndarray:
    """Counts FLOPs and products of training a cell, [2]."""
    batch = trainer.settings.batch
    share = np.array([-(-rows // batch) for rows in trainer.sizes]) / trainer.epoch_steps
    return sum((over_buckets(lambda data, n=n: cost.step(trainer, hp, n, data),
                             trainer.columns(n),
                             phase.steps * share)
                for n, phase in enumerate(trainer.method.phases) if phase.steps), np.zeros(2))


def sampling(trainer: Trainer, row: Row, hp: Mapping[str, float],
             parts: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Counts FLOPs and products of a cell's importance samples, [2]; 0 where it has none."""
    evals = trainer.method.evals
    if 'nll_iw' not in row.config['metrics'] or not set(WEIGHTS) <= set(evals):
        return np.zeros(2)
    settings = metrics.Settings(**row.config['evaluation'])
    calls = -(-settings.samples // settings.chunk)
    state = trainer.shapes(hp, len(trainer.method.phases))
    params, carry = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                                 (state.params, state.carry))
    keys = jax.eval_shape(lambda: jax.random.split(
        jax.random.key(0), (-(-settings.samples // calls), settings.batch)))

    def weigh(params, carry, keys, data):
        batch = core.take(data, jnp.arange(settings.batch), trainer.decode)
        q = evals['posterior'](params, carry, batch)
        return importance.log_weights(evals, params, carry, q, batch, keys)

    dispatches = [calls * -(-schema.count(b) // settings.batch) for b in parts]
    return over_buckets(lambda data: jax.make_jaxpr(weigh)(params, carry, keys, data), parts,
                        dispatches)


# ---- compiled --------------------------------------------------------------------------------


def scans(jaxpr: Any) -> Iterator[Any]:
    """Gives the loops of a traced program that are in no other loop."""
    for eqn in getattr(jaxpr, 'jaxpr', jaxpr).eqns:
        if eqn.primitive.name == 'scan':
            yield eqn
            continue
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, 'eqns') or hasattr(inner, 'jaxpr'):
                    yield from scans(inner)


def compiled(jaxpr: Any) -> Any:
    """Compiles a closed jaxpr."""
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in jaxpr.in_avals]
    return jax.jit(jax.extend.core.jaxpr_as_fun(jaxpr)).lower(*shapes).compile()


def moved(jaxpr: Any, program: Any = None) -> tuple[float, float]:
    """Gives the bytes that a compiled program reads and writes: (with every turn of its loops,
    with one turn of each, which is what XLA says).
    """
    once = float((program or compiled(jaxpr)).cost_analysis()['bytes accessed'])
    found = once
    for eqn in scans(jaxpr):
        every, one = moved(eqn.params['jaxpr'])
        found += eqn.params['length'] * every - one
    return found, once


def kernels(program: Any) -> int:
    """Counts the kernels in a compiled program's text, those of a loop once."""
    inside, count = False, 0
    text = program.as_text()
    fused = set(re.findall(r'(?:calls|to_apply)=%?([\w.-]+)', text))
    for line in text.splitlines():
        if head := re.match(r'(?:ENTRY )?%?([\w.-]+) .*\{$', line):
            inside = head[1] not in fused
        count += bool(inside and KERNEL.search(line))
    return count


def baseline(trainer: Trainer, hp: Mapping[str, float]) -> tuple[float, float]:
    """Gives bytes per FLOP and kernels per product, of the last phase's step on the middle
    length class.
    """
    number = max(n for n, phase in enumerate(trainer.method.phases) if phase.steps)
    columns = trainer.columns(number)
    jaxpr = cost.step(trainer, hp, number, columns[len(columns) // 2])
    program = compiled(jaxpr)
    once = sum(products(eqn) for eqn in equations(jaxpr))
    return moved(jaxpr, program)[0] / cost.work(jaxpr), kernels(program) / once


def equations(jaxpr: Any) -> Iterator[Any]:
    """Gives every equation of a traced program, those of a loop once."""
    for eqn in getattr(jaxpr, 'jaxpr', jaxpr).eqns:
        yield eqn
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, 'eqns') or hasattr(inner, 'jaxpr'):
                    yield from equations(inner)


# ---- the command line ------------------------------------------------------------------------


def chosen(table: Table, rows: int) -> list[Row]:
    """Picks rows spread evenly over a table, and its baseline."""
    at = np.linspace(0, len(table.rows) - 1, min(rows, len(table.rows))).round().astype(int)
    names = {table.rows[i].name for i in at} | {table.config['baseline']}
    return [row for row in table.rows if row.name in names]


def measured(own: Prepared, row: Row) -> list[Any]:
    """Gives the numbers of a line of the file."""
    trainer, hp = own.trainer(row, 1), own.numbers(row)
    found = [*training(trainer, hp), *sampling(trainer, row, hp, own.dataset(row)[1]['test'])]
    last = baseline(trainer, hp) if row.name == own.table.config['baseline'] else ('', '')
    return [*(f'{x:.4g}' for x in found), *(x if x == '' else f'{x:.3g}' for x in last)]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--data_dir', default=os.environ.get('VAEBENCH_DATA'))
    parser.add_argument('--only', type=lambda text: text.split(','), default=list(TABLES))
    parser.add_argument('--rows', type=int, default=6)
    parser.add_argument('--out', type=pathlib.Path,
                        default=pathlib.Path(__file__).with_name('costs.csv'))
    given = parser.parse_args(argv)
    known = collections.defaultdict(set)
    if given.out.exists():
        with given.out.open(newline='') as file:
            for line in csv.DictReader(file):
                known[line['table']].add(line['row'])
    else:
        given.out.write_text(','.join(FIELDS) + '\n')
    for name in given.only:
        own = prepared(name, given.data_dir)
        for row in chosen(own.table, given.rows):
            if row.name in known[name]:
                continue
            start = time.perf_counter()
            line = [name, row.name, *measured(own, row)]
            with given.out.open('a', newline='') as file:
                csv.writer(file, lineterminator='\n').writerow(line)
            print(*line, f'{time.perf_counter() - start:.1f} s', flush=True)


if __name__ == '__main__':
    main()
