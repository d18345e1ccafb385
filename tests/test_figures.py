"""Two metrics against each other: what is drawn where, its numbers, and its bytes."""
import csv
import io
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
from scipy import stats
from test_results import fake, metric

from vaebench import report
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import drawing, figures, tables, tradeoffs

RATE, UNITS, INFORMATION = tradeoffs.PLANES


def put(folder, rows, seeds=2, **more):
    """Results with given {row: {metric: mean}}; seed s is s - 1/2 away from it in Rec."""
    for order, (row, means) in enumerate(rows.items()):
        for s in range(seeds):
            shift = {'rec': s - .5, 'elbo': s - .5} if seeds == 2 else {}
            many = {m: metric(x + shift.get(m, 0.), better=None) for m, x in means.items()}
            results.write(folder, fake(row, s, order=order, metrics=many, **more))
    return folder


def row(kl, rec, further=0.):
    return {'kl': kl, 'rec': rec, 'elbo': kl + rec + further}


ROWS = {'lm': {'elbo': 101.}, 'ae': row(176., 60.), 'vae': row(.01, 101.), 'fb': row(4., 99.), 'bn': row(6., 98.),
        'davam': row(3., 97., 2.), 'beta': row(1., 100.), 'far': row(2., 130.), 'wae': {'rec': 99.}}


@pytest.fixture
def table(tmp_path):
    (found,), problems = tables.collect([put(tmp_path / 'r', ROWS)])
    assert problems == []
    return found


def test_places(table):
    found = {p.row: p for p in tradeoffs.points(table, RATE)}
    assert [p.number for p in found.values()] == list(range(1, 10)) and list(found) == list(ROWS)
    assert {r: p.place for r, p in found.items()} == {
        'lm': 'line', 'ae': 'outside', 'vae': 'inside', 'fb': 'inside', 'bn': 'inside', 'davam': 'inside',
        'beta': 'inside', 'far': 'outside', 'wae': 'missing'}
    assert [r for r, p in found.items() if p.extra] == ['davam']          # its bound has a third term
    assert found['fb'].y[::3] == (99., 2) and found['fb'].bars == ((4., 4.), (98.5, 99.5)) and found['lm'].level == 101.


@pytest.mark.parametrize(('values', 'outside'), [
    ([0., .1, 3., 4., 6., 12., 176.], [176.]), ([1., 2., 3.], []), ([1., 1., 500.], []),
    ([0., 0., 0., 0., 0., 5.], []), ([0., 0., 0., 0., 0., 7.], [7.]),
    ([100.] * 6 + [60., 130.], [60., 130.]), (list(np.linspace(0., 90., 40)), []),
    ([0.] * 20 + list(np.linspace(1., 16., 40)) + [80., 176.], [80., 176.])])
def test_fence(values, outside):
    low, high = drawing.fence(values)
    assert [v for v in values if not low <= v <= high] == outside


def files(table, plane=RATE):
    return tradeoffs.render(table, plane).files


def read(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_numbers_as_csv(table):
    lines = read(files(table)['csv'])
    assert [line['row'] for line in lines] == list(ROWS)
    fb = lines[3]
    assert list(fb) == ['table', 'number', 'row', 'label', 'seeds', 'kl', 'kl_low', 'kl_high', 'rec', 'rec_low',
                        'rec_high', 'elbo', 'place', 'footnotes']
    assert [fb[k] for k in fb if k not in ('rec_low', 'rec_high')] == [
        'toy', '4', 'fb', 'FB', '2', '4.0', '4.0', '4.0', '99.0', '103.0', 'inside', '']
    reach = stats.t.interval(.95, 1, 99., .5)                 # two seeds, half a nat from their mean
    np.testing.assert_allclose([float(fb['rec_low']), float(fb['rec_high'])], reach)
    assert lines[0]['kl'] == lines[0]['rec_low'] == '' and float(lines[0]['elbo']) == 101.
    by_row = {r.row: r.cells for r in table.rows}
    for line in lines:
        for m in ('kl', 'rec'):
            if line[m]:
                assert float(line[m]) == by_row[line['row']][m].summary.mean


def draw(table):
    return tradeoffs.figure(table, RATE, tradeoffs.points(table, RATE))


def test_what_is_drawn(table):
    axes, beside = draw(table).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < .01 and 6. < right < 10. and bottom < 97. and 101. < top < 105.       # not squashed by 'ae' and 'far'
    marks = {tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() != 'None'}
    assert marks == {(.01, 101.), (4., 99.), (6., 98.), (3., 97.), (1., 100.)}
    numbers = [t.get_text() for t in axes.texts if t.get_color().startswith('#') and t.get_fontsize() == 6.5]
    assert sorted(numbers) == ['1', '3', '4', '5', '6', '7']
    bars = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata()) == 2 and line.get_alpha()]
    assert [[4., 98.5], [4., 99.5]] in bars and [[6., 97.5], [6., 98.5]] in bars
    dashed = [line.get_xydata() for line in axes.lines if line.get_linestyle() == '--']
    assert len(dashed) == 1
    np.testing.assert_allclose(dashed[0].sum(1), 101.)
    grey = [line.get_xydata().sum(1) for line in axes.lines if line.get_color() == '#d0d0d0']
    assert len(grey) > 3 and all(abs(a - b) < 1e-9 for a, b in grey)
    words = [t.get_text() for t in beside.texts]
    for text in ('outside the axes', 'AE: KL 176.0, Rec 60.0', 'FAR: KL 2.0, Rec 130.0', 'DAVAM *', 'LM: 101.00', 'WAE',
                 'no rate, −ELBO as a dashed line', 'no Rec or no KL', '* −ELBO is not Rec + KL alone'):
        assert text in words


def test_one_seed_has_no_bars(tmp_path):
    (found,), _ = tables.collect([put(tmp_path, {'a': row(1., 2.), 'b': row(2., 1.)}, seeds=1)])
    fig = draw(found)
    assert not [line for line in fig.axes[0].lines if line.get_alpha()]
    assert not any('bars' in t.get_text() for t in fig.texts)


def test_many_rows_have_marks_of_their_own_and_room(tmp_path):
    rng = np.random.default_rng(0)
    rows = {f'r{i:02}': row(float(abs(rng.normal(0, .01)) if i % 2 else rng.gamma(2., 3.)), 100. + float(rng.normal()))
            for i in range(75)}
    name = 'A method with quite a long name (at most 99 inner steps)'
    (found,), _ = tables.collect([put(tmp_path, rows, label=name)])
    assert len({drawing.style(p.number) for p in tradeoffs.points(found, RATE)}) == 75
    fig = draw(found)
    fig.canvas.draw()
    boxes = np.array([t.get_window_extent().extents for t in fig.axes[0].texts if t.get_fontsize() == 6.5])
    inner = boxes + (2, 2, -2, -2)                                           # glyphs are smaller than their boxes
    wide = np.minimum(inner[:, None, 2], inner[:, 2]) - np.maximum(inner[:, None, 0], inner[:, 0])
    tall = np.minimum(inner[:, None, 3], inner[:, 3]) - np.maximum(inner[:, None, 1], inner[:, 1])
    clash = np.triu((wide > 0) & (tall > 0), 1).sum()
    assert len(boxes) > 60 and clash <= 3
    right = fig.bbox.width
    assert all(t.get_window_extent().x1 < right for t in fig.axes[1].texts)      # long labels are cut, not lost
    assert all(t.get_window_extent().y0 > 0 for t in fig.axes[1].texts)


def test_labels_avoid_each_other():
    sizes = [(10., 8.)] * 30
    at = drawing.arrange(np.full((30, 2), 300.), sizes, (0, 0, 600, 600), np.array([[296., 296., 304., 304.]]))
    rect = np.concatenate([at - (5, 4), at + (5, 4)], -1)
    for i in range(30):
        assert not (rect[i, 0] < 304 and rect[i, 2] > 296 and rect[i, 1] < 304 and rect[i, 3] > 296)
        for j in range(i):
            overlap = np.minimum(rect[i, 2:], rect[j, 2:]) - np.maximum(rect[i, :2], rect[j, :2])
            assert max(overlap.min(), 0) * max(overlap.max(), 0) < 4.
    assert np.hypot(*(at - 300).T).max() < 80.
    corner = drawing.arrange(np.array([[2., 2.]]), [(10., 8.)], (0, 0, 600, 600), np.zeros((0, 4)))
    assert (corner > (5, 4)).all()


# Other planes.

@pytest.fixture
def likelihoods(tmp_path):
    """Five seeds; an exact NLL without a code, a degenerate estimate, one far outside and a collapsed row."""
    spread = np.array([-.2, -.1, 0., .1, .2])
    for order, (row, (nll, au)) in enumerate({
            'lm': (100., None), 'vae': (100.5, 0.), 'fb': (100.2, 8.), 'ae': (150., 8.), 'iw': (101., 8.),
            'bn': (100.4, 8.), 'bn2': (100.6, 8.), 'none': (None, 3.)}.items()):
        for s in range(5):
            many = {} if nll is None else {'nll_iw': metric(
                nll + spread[s], 'exact' if au is None else 'importance sampling',
                warning='weights degenerate' if row == 'iw' else None)}
            many |= {} if au is None else {'au': metric(au, 'variance', unit='units', better=None)}
            results.write(tmp_path / 'nll', fake(row, s, order=order, metrics=many))
    (found,), problems = tables.collect([tmp_path / 'nll'])
    assert problems == []
    return found


def test_likelihood_against_units(likelihoods):
    found = {p.row: p for p in tradeoffs.points(likelihoods, UNITS)}
    assert {r: p.place for r, p in found.items()} == {
        'lm': 'line', 'vae': 'inside', 'fb': 'inside', 'ae': 'outside', 'iw': 'inside', 'bn': 'inside',
        'bn2': 'inside', 'none': 'missing'}                # a collapsed row is never outside
    assert [r for r, p in found.items() if p.notes] == ['lm', 'iw']
    assert found['fb'].x.mean == 8. and found['fb'].y.mean == pytest.approx(100.2) and not found['fb'].extra
    np.testing.assert_allclose(found['fb'].bars[1], stats.t.interval(.95, 4, 100.2, np.std(
        [-.2, -.1, 0., .1, .2], ddof=1) / 5**.5))                            # five seeds are enough for an interval
    axes, beside = tradeoffs.figure(likelihoods, UNITS, list(found.values())).axes
    dashed = [line.get_ydata() for line in axes.lines if line.get_linestyle() == '--']
    np.testing.assert_allclose(dashed, [[100., 100.]])
    hollow = [line.get_xydata()[0] for line in axes.lines
              if line.get_marker() != 'None' and line.get_markerfacecolor() == 'white']
    np.testing.assert_allclose(hollow, [[8., 101.]])
    assert not [line for line in axes.lines if line.get_color() == '#d0d0d0']       # nothing is equal along a slope
    assert axes.get_xlabel().endswith('(units)') and axes.get_ylabel() == 'NLL (nats/sentence)'
    words = [t.get_text() for t in beside.texts]
    for text in ('no AU, NLL as a dashed line', 'LM: 100.00', 'AE: AU 8.0, NLL 150.0', 'no NLL or no AU', 'NONE',
                 'hollow: with a footnote in the table'):
        assert text in words
    assert 'bars: 95% interval over seeds' in axes.figure.texts[3].get_text()
    lines = {line['row']: line for line in read(files(likelihoods, UNITS)['csv'])}
    assert list(lines['iw'])[5:] == ['au', 'au_low', 'au_high', 'nll_iw', 'nll_iw_low', 'nll_iw_high', 'place',
                                     'footnotes']
    assert 'weights degenerate' in lines['iw']['footnotes'] and float(lines['iw']['nll_iw']) == pytest.approx(101.)


def test_figures_of_a_table(likelihoods, table):
    (drawn,) = figures.of_table(likelihoods)
    assert drawn.name == 'nll-au' and drawn.files.keys() == {'png', 'svg', 'csv'}
    assert 'a point for each of 5 of 8 rows. Of those without a footnote FB has the lowest NLL, 100.20' in drawn.alt
    assert [d.name for d in figures.of_table(table)] == ['rate-distortion']
    assert tradeoffs.render(table, INFORMATION) is None


# Bytes

def test_bytes_are_the_same_whatever_the_settings(table, tmp_path):
    import matplotlib
    first = files(table)
    assert first.keys() == {'png', 'svg', 'csv'} and first['png'][:4] == b'\x89PNG'
    before = matplotlib.rcParams['font.size']
    with matplotlib.rc_context({'font.size': 20, 'axes.facecolor': 'red', 'svg.fonttype': 'none'}):
        assert files(table) == first and matplotlib.rcParams['font.size'] == 20
    assert matplotlib.rcParams['font.size'] == before
    xml.etree.ElementTree.fromstring(first['svg'])
    text = first['svg'].decode()
    assert '<dc:date>' not in text and 'matplotlib.org' not in text.split('</metadata>')[0].split('<metadata>')[-1]
    for word in (b'Software', b'Creation', b'tEXt', b'tIME'):
        assert word not in first['png']


def test_another_process_gives_the_same_bytes(table, tmp_path):
    command = [sys.executable, '-m', 'vaebench.report', f'--results={tmp_path / "r"}', f'--figures={tmp_path / "f"}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, '')
    names = [f'toy.rate-distortion.{form}' for form in ('png', 'svg', 'csv')]
    assert done.stdout == ''.join(f'written to {tmp_path / "f" / n}\n' for n in names)
    assert [(tmp_path / 'f' / n).read_bytes() for n in names] == list(files(table).values())


# The command

def test_command(tmp_path, capsys):
    put(tmp_path / 'r', {'a': row(1., 2.), 'b': row(2., 1.)}, table='one')
    put(tmp_path / 'r', {'c': row(1., 2.)}, table='two')
    put(tmp_path / 'r', {'d': {'nll_iw': 3.}}, table='three')
    assert report.main(['x', f'--results={tmp_path / "r"}', f'--figures={tmp_path / "f"}', '--table=two']) == 0
    names = sorted(p.name for p in (tmp_path / 'f').iterdir())
    assert names == [f'two.rate-distortion.{form}' for form in ('csv', 'png', 'svg')]
    assert report.main(['x', f'--results={tmp_path / "r"}', f'--figures={tmp_path / "f"}']) == 0
    assert len(list((tmp_path / 'f').iterdir())) == 6                        # 'three' has nothing to draw
    capsys.readouterr()
    for arguments, message in [
            ([f'--results={tmp_path / "r"}', '--table=three'], 'no row has both metrics of a figure'),
            ([f'--results={tmp_path / "r"}', '--table=tow'], "did you mean 'two'"),
            ([f'--results={tmp_path}'], f'no results in {tmp_path}'), ([], 'no results named')]:
        assert report.main(['x', f'--figures={tmp_path / "f"}', *arguments]) == 2
        err = capsys.readouterr().err
        assert err.startswith('vaebench-report: ') and err.count('\n') == 1 and message in err


def test_nothing_to_draw(tmp_path):
    (found,), _ = tables.collect([put(tmp_path, {'d': {'rec': 3.}})])
    assert figures.of_table(found) == []
    with pytest.raises(UserError, match='no row has both metrics of a figure .rec and kl, nll_iw and au'):
        figures.write([found], tmp_path / 'f')
    assert not (tmp_path / 'f').exists()


def test_matplotlib_is_for_figures_only():
    code = ('import sys, vaebench.report.figures, vaebench.report.progress, vaebench.report.formats; '
            'assert not {"matplotlib", "jax"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
