"""Figures of curves: means over seeds, what is highlighted, set points, and numbers as CSV."""
import csv
import io

import numpy as np
import pytest
from test_results import fake, metric

from vaebench import files
from vaebench.experiment import results
from vaebench.report import drawing, figures, pictures, progress

STEPS = np.arange(1, 5) * 10


def curves(elbo, **more):
    elbo = np.array(elbo, float)
    return {'curve/step': STEPS[:len(elbo)], 'curve/valid/elbo': elbo,
            **{f'curve/{k.replace("_", "/", 2)}': np.array(v, float) for k, v in more.items()}}


def put(folder, row, order, *seeds, hp=None, **more):
    for s, arrays in enumerate(seeds):
        config = {'row': row, 'hp': hp or {}}
        results.write(folder, fake(row, s, order=order, metrics={'kl': metric(1.), 'elbo': metric(1.)}, config=config,
                                   **{'config_hash': files.config_hash(config), **more}), arrays)


def cells(folder):
    found, problems = pictures.collect([folder])
    assert problems == []
    return found['toy']


def read(drawn):
    return list(csv.DictReader(io.StringIO(drawn.files['csv'].decode())))


def test_means_end_with_the_shortest_seed():
    runs = [{'a': np.array([1., np.nan, 5.]), 'b': np.arange(3.)}, {'a': np.array([3., 4.]), 'b': np.arange(2.)}]
    np.testing.assert_array_equal(progress.mean(runs, 'b', 'a'), [[0.], [2.]])
    assert progress.mean(runs, 'c').shape == (1, 0) == progress.mean([], 'c').shape


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        put(tmp_path, f'r{i}', i, curves([9, 8, 7, 6 + i / 10]), curves([9, 8, 7, 7 + i / 10]))
    put(tmp_path, 'slow', 10, curves([30., 20.]), times={'train': 100., 'evaluate': 1., 'compile': 0.})
    put(tmp_path, 'bad', 11, curves([9.]), status='failed', reason='loss not finite')
    put(tmp_path, 'bare', 12, None)
    return tmp_path


def test_quality_against_time(folder):
    found = pictures.collect([folder])[0]['toy']
    (drawn,) = figures.of_cells(found)
    assert drawn.name == 'elbo-seconds' and '11 of 13 rows' in drawn.alt
    lines = read(drawn)
    assert [float(line['seconds']) for line in lines[:4]] == [3.125, 6.25, 9.375, 12.5]     # 12.5 s in all
    assert [float(line['elbo']) for line in lines[:4]] == [9., 8., 7., 6.5] and lines[0]['seeds'] == '2'
    assert [float(line['seconds']) for line in lines if line['row'] == 'slow'] == [50., 100.]
    traces = progress.traces(found)
    assert [t.number for t in traces] == list(range(1, 14)) and traces[11].reason == 'failed: loss not finite'
    curve = {t.number: v for t in traces if (v := progress.mean(t.runs, 'seconds', 'valid/elbo')).size}
    axes, beside = progress.figure(progress.LINES[0], 'title', 'nats/sentence', traces, curve).axes
    bold = [line for line in axes.lines if line.get_linewidth() == 1.6]
    assert [line.get_ydata()[-1] for line in bold] == pytest.approx([6.5 + i / 10 for i in range(8)])
    words = [t.get_text() for t in beside.texts]
    for text in ('lowest (bold)', 'R0: 6.50 at 12.5 s', 'others', 'R9', 'outside the axes', 'SLOW: 20.0',
                 'no such curve', 'BAD: failed: loss not finite', 'BARE'):
        assert text in words
    assert axes.get_xscale() == 'log' and axes.get_ylim()[1] < 10.
    assert progress.SHARE in axes.figure.texts[3].get_text()
    assert axes.get_ylabel() == '−ELBO on validation (nats/sentence)' and 'seconds' in axes.get_xlabel()


def test_measured_seconds_come_first(tmp_path):
    put(tmp_path, 'a', 0, {**curves([9, 8, 7, 6]), 'curve/seconds': np.array([1., 2., 4., 9.])})
    found = cells(tmp_path)
    assert [line['seconds'] for line in read(figures.of_cells(found)[0])] == ['1.0', '2.0', '4.0', '9.0']
    fig = progress.figure(progress.LINES[0], 't', '', progress.traces(found), {1: np.array([[1., 2.], [9., 8.]])})
    assert progress.MEASURED in fig.texts[3].get_text() and progress.SHARE not in fig.texts[3].get_text()


def test_numbers_of_rows_are_those_of_the_table(folder):
    results.write_manifest(folder, {'tables': [{'table': 'toy', 'title': 'T', 'rows': [
        {'row': 'none', 'label': 'NONE', 'order': 0, 'hash': '0' * 10},
        *({'row': r.row, 'label': r.label, 'order': r.order + 1, 'hash': r.config_hash}
          for r in results.read_all(folder)[0] if r.seed == 0)]}]})
    found, _ = pictures.collect([folder])
    assert {c.result.row: c.number for c in found['toy']}['r0'] == 2          # row 1 has no result yet
    from vaebench.report import tables
    (table,), _ = tables.collect([folder])
    assert {c.result.row: c.number for c in found['toy']} == {
        r.row: i for i, r in enumerate(table.rows, 1) if r.row != 'none'}


def test_terms_that_exist_are_drawn_against_steps(tmp_path):
    put(tmp_path, 'a', 0, curves([9, 8, 7, 6], valid_kl=[0, 1, 2, 3], valid_mi=[0, np.nan, 1, 1]))
    put(tmp_path, 'b', 1, curves([9, 8, 7, 6], valid_kl=[40, 30, 20, 15]))
    drawn = {d.name: d for d in figures.of_cells(cells(tmp_path))}
    assert list(drawn) == ['elbo-seconds', 'kl-steps', 'mi-steps']
    assert [(line['step'], line['mi']) for line in read(drawn['mi-steps'])] == [
        ('10.0', '0.0'), ('30.0', '1.0'), ('40.0', '1.0')]
    assert len(read(drawn['kl-steps'])) == 8


def test_weights_and_set_points(tmp_path):
    moving, still = [.1, .2, .3, .4], [1., 1., 1., 1.]
    kl = {'train_vae_kl': [4, 3, 2, 2], 'valid_kl': [5, 3, 2, 2]}
    put(tmp_path, 'anneal', 0, curves([9, 8, 7, 6], train_vae_beta=moving, **kl))
    put(tmp_path, 'fixed', 1, curves([9, 8, 7, 6], train_vae_beta=still, **kl))
    put(tmp_path, 'control', 2, *[curves([9, 8, 7, 6], train_vae_beta=moving, **kl)] * 2, hp={'target': 2.5})
    put(tmp_path, 'capacity', 3, curves([9, 8, 7, 6], train_vae_beta=still, train_vae_capacity=[1, 2, 3, 3], **kl))
    gone = np.nan
    put(tmp_path, 'two', 4, curves(
        [9, 8, 7, 6], train_dec_beta=[.5, .6, gone, gone], train_dec_kl=[1, 1, gone, gone],
        train_vae_beta=[gone, gone, .7, .8], train_vae_kl=[gone, gone, 2, 2]))
    put(tmp_path, 'gan', 5, {'curve/step': STEPS, 'curve/train/gen/loss': np.zeros(4)}, hp={'target': 1.})
    found = cells(tmp_path)
    rows = progress.steered(progress.traces(found))
    assert [t.row for t, _ in rows] == ['control', 'capacity', 'anneal', 'two']  # 'fixed' neither moves nor aims
    goals = [runs[0]['goal'] for _, runs in rows]
    np.testing.assert_array_equal(goals[0], [2.5] * 4)
    np.testing.assert_array_equal(goals[1], [1, 2, 3, 3])
    assert goals[2] is None
    np.testing.assert_array_equal(rows[3][1][0]['beta'], [.5, .6, .7, .8])       # one player after the other
    fig = progress.weights('title', 'nats', rows)
    assert len(fig.axes) == 8 and len(fig.axes[0].lines) == 6                    # KL twice and set point, two seeds
    np.testing.assert_array_equal(fig.axes[0].lines[2].get_ydata(), [2.5] * 4)
    np.testing.assert_array_equal(fig.axes[1].lines[0].get_ydata(), moving)
    drawn = figures.of_cells(found)[-1]
    assert drawn.name == 'weights' and '4 rows' in drawn.alt and '2 have a set point' in drawn.alt
    lines = [line for line in read(drawn) if line['row'] == 'control']
    assert len(lines) == 8 and [line['seed'] for line in lines[::4]] == ['0', '1']
    assert list(lines[0].values())[4:] == ['0', '10.0', '0.1', '4.0', '5.0', '2.5']
    assert list(lines[0])[4:] == ['seed', 'step', 'beta', 'kl_train', 'kl_valid', 'set_point']


def test_no_curves_no_figures(tmp_path):
    put(tmp_path, 'a', 0, {'nll': np.zeros(3)})
    assert figures.of_cells(cells(tmp_path)) == [] == figures.of_cells([])


@pytest.mark.parametrize('title', ['T', 'A table with a long title: 6,000 sentences of at most 20 words'])
def test_eighty_rows_fit_their_page(tmp_path, title):
    rng = np.random.default_rng(0)
    for i in range(80):
        put(tmp_path, f'r{i:02}', i, curves(10 + np.sort(rng.normal(size=4))[::-1], valid_kl=rng.gamma(2., 1., 4)),
            label='A method with quite a long name (at most 99 inner steps)', title=title)
    traces = progress.traces(cells(tmp_path))
    line = progress.LINES[2]
    drawn = {t.number: progress.mean(t.runs, 'step', 'valid/kl') for t in traces}
    with drawing.settings():
        fig = progress.figure(line, title, 'nats', traces, drawn)
        fig.canvas.draw()
        words = [t for a in fig.axes for t in a.texts] + list(fig.texts)
        boxes = np.array([t.get_window_extent().extents for t in words if t.get_text()])
    assert (boxes >= 0).all() and (boxes[:, 2] <= fig.bbox.width).all() and (boxes[:, 3] <= fig.bbox.height).all()
    numbers = {t.get_text() for t in fig.axes[0].texts}
    assert numbers == {str(t.number) for t in traces}                            # every line has its number
