"""The benchmark of scaling, and the model of what a set of tables costs."""
import itertools
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.engine import cost

ROOT = pathlib.Path(__file__).parent.parent
sys.path.append(str(ROOT / 'benchmarks'))

import budget  # noqa: E402

CHIP = budget.Accelerator('chip', 'f32', 1e12, 1e9, 'nobody')
HALF = budget.Assumed(.5, .1, 1e-3)


# ---- the model -------------------------------------------------------------------------------


@pytest.mark.parametrize('work, slowest, seconds', [
    (budget.Work(1e12, 1., 1.), 'products', 10.),          # 5e12 FLOPs at 5e11 a second
    (budget.Work(1., 1e9, 1.), 'bytes', 50.),              # 5e9 bytes at 1e8 a second
    (budget.Work(1., 1., 1e5), 'launches', 100.),          # shared by the seeds
])
def test_the_slowest_of_three_things_decides(work, slowest, seconds):
    found = budget.bounds(work, CHIP, HALF, 5)
    assert max(found, key=found.get) == slowest and found[slowest] == pytest.approx(seconds)
    nothing = budget.Work(0., 0., 0.)
    assert budget.seconds(budget.Cell('r', work, nothing), CHIP, HALF, 5) == pytest.approx(seconds)
    assert budget.seconds(budget.Cell('r', work, work), CHIP, HALF, 5) == pytest.approx(2 * seconds)


def test_more_seeds_pay_for_products_but_not_for_launches():
    cell = budget.Cell('r', budget.Work(1e12, 0., 3e3), budget.Work(0., 0., 0.))
    one, five = (budget.seconds(cell, CHIP, HALF, seeds) for seeds in (1, 5))
    assert (one, five) == (3., 10.)                        # launches, then products


def test_groups_on_machines_end_between_the_bounds_of_every_schedule():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5):
        lengths = rng.exponential(size=7).tolist()
        best = min(max(sum(x for x, m in zip(lengths, on, strict=True) if m == k) for k in range(n))
                   for on in itertools.product(range(n), repeat=7)) if n < 5 else 0.
        ends = budget.makespan(lengths, n)
        least = max(max(lengths), sum(lengths) / n, best)
        assert least - 1e-9 <= ends <= 4 / 3 * max(least, best) + 1e-9 or n == 5
        assert n != 1 or ends == pytest.approx(sum(lengths))
    assert budget.makespan(lengths, 7) == max(lengths)     # the longest group bounds it


def test_rows_seen_stand_for_all_rows_of_their_table():
    zero = budget.Work(0., 0., 0.)
    tables = {'a': [budget.Cell(r, zero, zero) for r in 'xyz'], 'b': [budget.Cell('u', zero, zero)]}
    assert ''.join(c.row for c in budget.groups(tables, rows=4)) == 'xyzxuuuu'


def test_the_measured_costs_are_of_fifteen_tables_with_a_baseline_each(tmp_path):
    found = budget.costs()
    assert len(found) == 15 and all(len(cells) >= 3 for cells in found.values())
    path = tmp_path / 'costs.csv'
    path.write_text('table,row,flops,products,iw_flops,iw_products,bytes_per_flop,kernels_per_product\n'
                    't,ae,10,2,0,0,,\nt,vae,20,4,30,5,0.5,3\n')
    zero = budget.Work(0., 0., 0.)
    assert budget.costs(path) == {'t': [
        budget.Cell('ae', budget.Work(10., 5., 6.), zero),
        budget.Cell('vae', budget.Work(20., 10., 12.), budget.Work(30., 15., 15.))]}


def test_the_document_shows_what_the_data_make():
    text = (ROOT / 'docs' / 'scaling.md').read_text()
    assert set(budget.MARK.findall(text)) and budget.spliced(text) == text
    assert {name for _, name, _ in budget.MARK.findall(text)} == set(budget.SHOWN)
    assert budget.spliced('a\n<!-- scaling:set -->\nold\n<!-- scaling:end -->\nb') == (
        f'a\n<!-- scaling:set -->\n\n{budget.show_set()}\n<!-- scaling:end -->\nb')


# ---- what is measured ------------------------------------------------------------------------


def test_products_are_counted_in_every_turn_of_a_loop():
    def f(x, w):
        turned = jax.lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=7)[0]
        return turned @ w

    jaxpr = jax.make_jaxpr(f)(jnp.ones((2, 3)), jnp.ones((3, 3)))
    one = 2 * 2 * 3 * 3
    assert cost.work(jaxpr) == 8 * one
    assert cost.total(jaxpr, lambda eqn: eqn.primitive.name == 'dot_general') == 8


@pytest.fixture(scope='module')
def costs():
    import costs
    return costs


def test_bytes_of_a_loop_are_those_of_its_turns(costs):
    """XLA counts one: a loop of seven reads its matrix seven times."""
    n, turns = 128, 7
    loop = jax.make_jaxpr(lambda x, w: jax.lax.scan(
        lambda c, _: (jnp.tanh(c @ w), None), x, None, length=turns)[0])
    every, once = costs.moved(loop(jnp.ones((4, n)), jnp.ones((n, n))))
    matrix = 4 * n * n
    assert turns * matrix < every < 1.3 * turns * matrix and once < 2 * matrix


def test_costs_are_linear_in_the_length_between_the_ends(costs):
    buckets = [{'tokens': jnp.zeros((5, n), jnp.int32), 'length': jnp.zeros(5)} for n in (3, 4, 8)]
    w = jnp.ones((4, 4))

    def trace(data):
        x = jnp.ones((2, 4))
        return jax.make_jaxpr(lambda x: jax.lax.scan(
            lambda c, _: (c @ w, None), x, None, length=data['tokens'].shape[1])[0] @ w)(x)

    one = 2 * 2 * 4 * 4
    found = costs.over_buckets(trace, buckets, [1., 10., 100.])
    assert found.tolist() == [(4 + 50 + 900) * one, 4 + 50 + 900]
    assert costs.over_buckets(trace, buckets[:1], [3.]).tolist() == [12 * one, 12]


def test_a_corpus_of_random_words_has_the_published_sizes(costs, monkeypatch):
    monkeypatch.setattr(costs.corpora, 'SIZES', {'train': 400, 'valid': 100, 'test': 2000})
    made, known = costs.stand_in('yahoo'), costs.corpora.CORPORA['yahoo']
    assert made.source.sizes == {'train': 400, 'valid': 100, 'test': 2000}
    assert made.schema['tokens'].size == known.vocab and made.schema['label'].size == known.labels
    length = made.splits['test']['length']
    assert length.mean() == pytest.approx(known.words, abs=3 * length.std() / np.sqrt(2000))


def test_gain_and_efficiency_are_over_the_first_line():
    import scaling
    found = {'examples': 640, 'program': 2**21, 'peak': 2**30}
    text = scaling.line('4', {**found, 'seconds': [1., 1.]}, {**found, 'seconds': [2., 2.]}, 4.)
    assert text == '| 4 | 640 examples/s (640 - 640) | 2.00 | 0.50 | 2.0 MiB | 1024 MiB |'
    assert scaling.line('8', {'missing': '4 devices here'}, found, 8.).startswith('| 8 | 4 devices here |')


@pytest.mark.slow
def test_one_line_of_the_scaling_benchmark_is_measured():
    import scaling
    found = scaling.measured('lstm', 2, 1, 1)
    assert found['examples'] == 2 * 10 * 64 and len(found['seconds']) == 1
    assert found['program'] > cost.size(scaling.WORKLOADS['lstm'][1]().data) and found['peak'] > 0
    assert scaling.measured('lstm', 1, 99, 1) == {'missing': f'{len(jax.devices())} devices here'}
