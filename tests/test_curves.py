"""Figures of curves: means over seeds, what is highlighted, set points, and their numbers."""
import csv
import io

import numpy as np
import pytest
from test_results import fake, metric

from vaebench import files
from vaebench.experiment import results
from vaebench.report import figures, tables
from vaebench.report.figures import curves, kl_weights, style
from vaebench.report.figures.curves import LINES, Run, Trace

STEPS = np.arange(1, 5) * 10
ELBO_SECONDS, _, KL_STEPS, MI_STEPS, _ = LINES


@pytest.fixture(autouse=True)
def context():
    with style.context():
        yield


def arrays(elbo, **more):
    """Curves as a run leaves them: {name with _ for /: values}."""
    return {'curve/step': STEPS[:len(elbo)], 'curve/valid/elbo': np.array(elbo, float),
            **{f'curve/{k.replace("_", "/", 2)}': np.array(v, float) for k, v in more.items()}}


def put(folder, row, order, *seeds, hp=None, **more):
    for s, kept in enumerate(seeds):
        config = {'row': row, 'hp': hp or {}}
        measured = {'kl': metric(1.), 'elbo': metric(1.)}
        results.write(folder, fake(row, s, order=order, metrics=measured, config=config, **{
            'config_hash': files.config_hash(config), **more}), kept)


def cells(folder, without=0):
    """The cells of a folder, of which so many have no arrays."""
    found, problems = figures.collect_cells([folder])
    assert [f': {without} of ' in problem for problem in problems] == [True] * bool(without)
    return found['toy']


def trace(number, *seeds, seconds=True, measured=False, **more):
    """The `Trace` of a row: {name with _ for /: values} of each seed; a second is 10 steps."""
    runs = []
    for seed, own in enumerate(seeds):
        own = {k.replace('_', '/', 2): np.array(v, float) for k, v in own.items()}
        step = STEPS[:len(next(iter(own.values())))]
        own |= {'step': step} | ({'seconds': step / 10} if seconds else {})
        runs.append(Run(seed, own, measured))
    return Trace(number, f'r{number}', more.pop('label', f'R{number}'), tuple(runs), **more)


def read(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_means_end_with_the_shortest_seed():
    runs = [{'a': np.array([1., np.nan, 5.]), 'b': np.arange(3.)},
            {'a': np.array([3., 4.]), 'b': np.arange(2.)}]
    np.testing.assert_array_equal(curves.mean_over_seeds(runs, 'b', 'a'), [[0.], [2.]])
    assert curves.mean_over_seeds(runs, 'c').shape == (1, 0)
    assert curves.mean_over_seeds([], 'c').shape == (1, 0)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Ten rows of two seeds, one slow row, a failed one and one without curves."""
    folder = tmp_path_factory.mktemp('curves')
    for i in range(10):
        put(folder, f'r{i}', i, arrays([9, 8, 7, 6 + i / 10]), arrays([9, 8, 7, 7 + i / 10]))
    times = {'train': 100., 'evaluate': 1., 'compile': 0.}
    put(folder, 'slow', 10, arrays([30., 20.]), times=times)
    put(folder, 'bad', 11, arrays([9.]), status='failed', reason='loss not finite')
    put(folder, 'bare', 12, None)
    return folder


def test_an_epoch_has_its_share_of_the_seconds(folder):
    found = curves.traces(cells(folder, without=1))
    assert [t.number for t in found] == list(range(1, 14))
    assert found[11].reason == 'failed: loss not finite'
    assert found[11].runs == found[12].runs == ()
    seconds = [run.curves['seconds'].tolist() for run in (*found[0].runs, *found[10].runs)]
    assert seconds == [[3.125, 6.25, 9.375, 12.5]] * 2 + [[50., 100.]]     # 12.5 s in all


def test_what_is_selected(folder):
    shown = curves.select(ELBO_SECONDS, curves.traces(cells(folder, without=1)))
    assert shown.values == pytest.approx(
        {**{i + 1: min(6.5 + i / 10, 7.) for i in range(10)}, 11: 20.})
    assert shown.bold == tuple(range(1, 9)) and shown.inside == tuple(range(1, 11))
    text = curves.caption(shown)
    assert text == f'Mean over 2 seeds; {curves.SHARE}'
    words = [(entry.number, entry.text, entry.mark) for entry in curves.legend(shown)]
    assert words[0] == (None, 'lowest (bold)', '')
    assert words[1] == (1, 'R0: 6.50 at 12.5 s', 'full')
    assert words[9:] == [
        (None, '', ''), (None, 'others', ''), (9, 'R8', 'full'), (10, 'R9', 'full'),
        (None, '', ''), (None, 'outside the axes', ''), (11, 'SLOW: 20.0', 'full'),
        (None, '', ''), (None, 'no such curve', ''),
        (12, 'BAD: failed: loss not finite', ''), (13, 'BARE', '')]


def test_what_is_drawn(folder):
    shown = curves.select(ELBO_SECONDS, curves.traces(cells(folder, without=1)))
    axes, beside = curves.figure(shown, 'title', 'nats/sentence').axes
    bold = [line for line in axes.lines if line.get_linewidth() == 1.6]
    assert [line.get_ydata()[-1] for line in bold] == pytest.approx(
        [6.5 + i / 10 for i in range(8)])
    assert axes.get_xscale() == 'log' and axes.get_ylim()[1] < 10.
    assert axes.get_ylabel() == '−ELBO on validation (nats/sentence)'
    assert 'seconds' in axes.get_xlabel()
    texts = [text.get_text() for text in beside.texts]
    assert {'lowest (bold)', 'R0: 6.50 at 12.5 s', 'BARE'} <= set(texts)


def test_measured_seconds_come_first(tmp_path):
    seconds = np.array([1., 2., 4., 9.])
    put(tmp_path, 'a', 0, {**arrays([9, 8, 7, 6]), 'curve/seconds': seconds})
    shown = curves.select(ELBO_SECONDS, curves.traces(cells(tmp_path)))
    np.testing.assert_array_equal(shown.curves[1], [seconds, [9, 8, 7, 6]])
    assert curves.caption(shown) == f'One seed; {curves.MEASURED}'


def test_numbers_of_rows_are_those_of_the_table(folder):
    listed = [{'row': r.row, 'label': r.label, 'order': r.order + 1, 'hash': r.config_hash}
              for r in results.read_all(folder)[0] if r.seed == 0]
    listed += [{'row': 'none', 'label': 'NONE', 'order': 0, 'hash': '0' * 10}]
    results.write_manifest(folder, {'tables': [{'table': 'toy', 'title': 'T', 'rows': listed}]})
    numbers = {c.row: c.number for c in figures.collect_cells([folder])[0]['toy']}
    (folder / results.MANIFEST).unlink()
    assert numbers['r0'] == 2                                       # row 1 has no result yet
    (table,), _ = tables.collect([folder])
    assert numbers == {r.row: i for i, r in enumerate(table.rows, 2)}


def test_terms_that_exist_are_drawn_against_steps():
    found = [trace(1, {'valid_kl': [0, 1, 2, 3], 'valid_mi': [0, np.nan, 1, 1]}),
             trace(2, {'valid_kl': [40, 30, 20, 15]})]
    names = [line.name for line in LINES if curves.select(line, found)]
    assert names == ['kl-steps', 'mi-steps']
    header, lines = curves.numbers(curves.select(MI_STEPS, found), 'toy')
    assert header == ('table', 'number', 'row', 'label', 'seeds', 'step', 'mi')
    assert lines == [('toy', 1, 'r1', 'R1', 1, *at) for at in [(10., 0.), (30., 1.), (40., 1.)]]
    assert len(curves.numbers(curves.select(KL_STEPS, found), 'toy')[1]) == 8


def test_seconds_are_left_out_where_nobody_knows_them():
    found = [trace(1, {'valid_elbo': [2, 1]}, seconds=False)]
    assert curves.select(ELBO_SECONDS, found) is None


@pytest.mark.parametrize(('last', 'scale'), [
    ([1., 2., 3.], 'linear'), ([.1, .1, .1, .2, 1.], 'symlog')])
def test_a_few_large_values_make_the_axis_logarithmic(last, scale):
    found = [trace(i, {'valid_kl': [0., x]}) for i, x in enumerate(last, 1)]
    shown = curves.select(KL_STEPS, found)
    assert shown.bold == () and len(shown.inside) == len(last)
    axes = curves.figure(shown, 'title', 'nats').axes[0]
    assert axes.get_yscale() == scale and axes.get_xscale() == 'linear'


# Weights and set points.

MOVING, STILL, GONE = [.1, .2, .3, .4], [1., 1., 1., 1.], np.nan
KL = {'train_vae_kl': [4, 3, 2, 2], 'valid_kl': [5, 3, 2, 2]}


@pytest.fixture
def steered():
    """Rows of which all but 'fixed' and 'gan' move or steer their weight."""
    return [
        trace(1, {'train_vae_beta': MOVING, **KL}, label='anneal'),
        trace(2, {'train_vae_beta': STILL, **KL}, label='fixed'),
        trace(3, *[{'train_vae_beta': MOVING, **KL}] * 2, label='control', target=2.5),
        trace(4, {'train_vae_beta': STILL, 'train_vae_capacity': [1, 2, 3, 3], **KL},
              label='capacity'),
        trace(5, {'train_dec_beta': [.5, .6, GONE, GONE], 'train_dec_kl': [1, 1, GONE, GONE],
                  'train_vae_beta': [GONE, GONE, .7, .8], 'train_vae_kl': [GONE, GONE, 2, 2]},
              label='two'),
        trace(6, {'train_gen_loss': np.zeros(4)}, label='gan', target=1.)]


def test_rows_with_a_set_point_come_first(steered):
    rows = kl_weights.select(steered)
    assert [t.label for t, _ in rows] == ['control', 'capacity', 'anneal', 'two']
    goals = [runs[0].goal for _, runs in rows]
    np.testing.assert_array_equal(goals[0], [2.5] * 4)
    np.testing.assert_array_equal(goals[1], [1, 2, 3, 3])
    assert goals[2] is None
    beta = rows[3][1][0].beta                                      # one player after the other
    np.testing.assert_array_equal(beta, [.5, .6, .7, .8])


def test_weights_are_drawn_below_the_kl(steered):
    fig = kl_weights.figure('title', 'nats', kl_weights.select(steered))
    assert len(fig.axes) == 8
    upper, lower = fig.axes[:2]
    assert len(upper.lines) == 6                          # KL twice and set point, of two seeds
    np.testing.assert_array_equal(upper.lines[2].get_ydata(), [2.5] * 4)
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), MOVING)


def test_numbers_of_weights(steered):
    header, lines = kl_weights.numbers(kl_weights.select(steered), 'toy')
    assert header[4:] == ('seed', 'step', 'beta', 'kl_train', 'kl_valid', 'set_point')
    own = [line for line in lines if line[3] == 'control']
    assert len(own) == 8 and [line[4] for line in own[::4]] == [0, 1]
    assert own[0] == ('toy', 3, 'r3', 'control', 0, 10., .1, 4., 5., 2.5)
    assert [line[8:] for line in lines if line[3] == 'two'] == [(None, None)] * 4


# Files.

def test_figures_of_cells(tmp_path):
    put(tmp_path, 'a', 0, arrays([9, 8, 7, 6], train_vae_beta=MOVING, **KL), hp={'target': 2.})
    put(tmp_path, 'b', 1, arrays([9, 8, 7, 6]))
    drawn = {d.name: d for d in figures.of_cells(cells(tmp_path))}
    assert list(drawn) == ['elbo-seconds', 'kl-steps', 'weights']
    assert all(list(d.files) == ['png', 'svg', 'csv'] for d in drawn.values())
    assert drawn['elbo-seconds'].title == 'Toy table – bound against training time'
    assert 'a line for each of 1 of 2 rows' in drawn['kl-steps'].alt
    assert '1 rows' in drawn['weights'].alt and '1 have a set point' in drawn['weights'].alt
    assert len(read(drawn['elbo-seconds'].files['csv'])) == 8
    line = read(drawn['weights'].files['csv'])[0]
    assert list(line.values())[4:] == ['0', '10.0', '0.1', '4.0', '5.0', '2.0']


def test_no_curves_no_figures(tmp_path):
    put(tmp_path, 'a', 0, {'nll': np.zeros(3)})
    assert figures.of_cells(cells(tmp_path)) == [] == figures.of_cells([])


def test_eighty_rows_fit_their_page():
    rng = np.random.default_rng(2)
    label = 'A method with quite a long name (at most 99 inner steps)'
    found = [trace(i, {'valid_kl': rng.gamma(2., 1., 4)}, label=label) for i in range(1, 81)]
    title = 'A table with a long title: 6,000 sentences of at most 20 words'
    fig = curves.figure(curves.select(KL_STEPS, found), title, 'nats')
    fig.draw_without_rendering()
    words = [text for axes in fig.axes for text in axes.texts] + list(fig.texts)
    boxes = np.array([text.get_window_extent().extents for text in words if text.get_text()])
    assert (boxes >= 0).all() and (boxes[:, 2] <= fig.bbox.width).all()
    assert (boxes[:, 3] <= fig.bbox.height).all()
    numbers = {text.get_text() for text in fig.axes[0].texts}
    assert numbers == {str(t.number) for t in found}               # every line has its number
