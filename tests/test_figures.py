"""Two metrics against each other: what is drawn where, its numbers, and its bytes."""
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
from vaebench.report import figures, statistics, tables
from vaebench.report.figures import labels, rate_distortion, style

RATE, UNITS, INFORMATION, _ = rate_distortion.PLANES


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


ROWS = {'lm': {'elbo': 101.}, 'ae': row(176., 60.), 'vae': row(.01, 101.), 'fb': row(4., 99.),
        'bn': row(6., 98.), 'davam': row(3., 97., 2.), 'beta': row(1., 100.),
        'far': row(2., 130.), 'wae': {'rec': 99.}}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return put(tmp_path_factory.mktemp('rate') / 'r', ROWS)


@pytest.fixture(scope='module')
def table(folder):
    (found,), problems = tables.collect([folder])
    assert problems == []
    return found


def test_places(table):
    found = {p.row: p for p in rate_distortion.points(table, RATE)}
    assert [p.number for p in found.values()] == list(range(1, 10))
    assert list(found) == list(ROWS)
    assert {r: p.place for r, p in found.items()} == {
        'lm': 'line', 'ae': 'outside', 'vae': 'inside', 'fb': 'inside', 'bn': 'inside',
        'davam': 'inside', 'beta': 'inside', 'far': 'outside', 'wae': 'missing'}
    assert [r for r, p in found.items() if p.extra] == ['davam']    # its bound has a third term
    assert found['fb'].y[::3] == (99., 2) and found['lm'].level == 101.
    assert found['fb'].bars == ((4., 4.), (98.5, 99.5))


@pytest.mark.parametrize(('values', 'outside'), [
    ([0., .1, 3., 4., 6., 12., 176.], [176.]), ([1., 2., 3.], []), ([1., 1., 500.], []),
    ([0., 0., 0., 0., 0., 5.], []), ([0., 0., 0., 0., 0., 7.], [7.]),
    ([100.] * 6 + [60., 130.], [60., 130.]), (list(np.linspace(0., 90., 40)), []),
    ([0.] * 20 + list(np.linspace(1., 16., 40)) + [80., 176.], [80., 176.])])
def test_fences(values, outside):
    low, high = style.tukey_fences(values)
    assert [v for v in values if not low <= v <= high] == outside


def numbers(table, plane=RATE):
    """The numbers of a figure, {row: {column: value}}."""
    header, lines = rate_distortion.numbers(table, plane, rate_distortion.points(table, plane))
    return {line[2]: dict(zip(header, line, strict=True)) for line in lines}


def test_numbers(table):
    lines = numbers(table)
    assert list(lines) == list(ROWS)
    fb = lines['fb']
    assert list(fb) == ['table', 'number', 'row', 'label', 'seeds', 'kl', 'kl_low', 'kl_high',
                        'rec', 'rec_low', 'rec_high', 'elbo', 'place', 'footnotes']
    assert [fb[k] for k in fb if k not in ('rec_low', 'rec_high')] == [
        'toy', 4, 'fb', 'FB', 2, 4., 4., 4., 99., 103., 'inside', '']
    assert (fb['rec_low'], fb['rec_high']) == (98.5, 99.5)     # of two seeds their range
    assert lines['lm']['kl'] is lines['lm']['rec_low'] is None and lines['lm']['elbo'] == 101.
    by_row = {r.row: r.cells for r in table.rows}
    for name, line in lines.items():
        for m in ('kl', 'rec'):
            if line[m] is not None:
                assert line[m] == by_row[name][m].summary.mean


def test_numbers_read_back_from_csv():
    lines = [('a', 1 / 3, None), ('b, "c"', 1e-300, 2)]
    data = style.encode_table(('x', 'y', 'z'), lines)
    assert data == b'x,y,z\na,0.3333333333333333,\n"b, ""c""",1e-300,2\n'


def test_legend(table):
    found = rate_distortion.points(table, RATE)
    assert [(e.number, e.text, e.mark) for e in rate_distortion.legend(RATE, found)] == [
        (3, 'VAE', 'full'), (4, 'FB', 'full'), (5, 'BN', 'full'), (6, 'DAVAM *', 'full'),
        (7, 'BETA', 'full'), (None, '', ''),
        (None, 'no rate, −ELBO as a dashed line', ''), (1, 'LM: 101.00', ''),
        (None, '', ''), (None, 'outside the axes', ''),
        (2, 'AE: KL 176.0, Rec 60.0', 'full'), (8, 'FAR: KL 2.0, Rec 130.0', 'full'),
        (None, '', ''), (None, 'no Rec or no KL', ''), (9, 'WAE', ''),
        (None, '', ''), (None, '* −ELBO is not Rec + KL alone', '')]


def draw(table, plane=RATE):
    return rate_distortion.figure(table, plane, rate_distortion.points(table, plane))


def test_what_is_drawn(table):
    axes, beside = draw(table).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < .01 and 6. < right < 10.                  # not squashed by 'ae' and 'far'
    assert bottom < 97. and 101. < top < 105.
    marks = {tuple(x.get_xydata()[0]) for x in axes.lines if x.get_marker() != 'None'}
    assert marks == {(.01, 101.), (4., 99.), (6., 98.), (3., 97.), (1., 100.)}
    numbers = [t.get_text() for t in axes.texts
               if t.get_color().startswith('#') and t.get_fontsize() == 6.5]
    assert sorted(numbers) == ['1', '3', '4', '5', '6', '7']
    bars = [x.get_xydata().tolist() for x in axes.lines
            if len(x.get_xydata()) == 2 and x.get_alpha()]
    assert [[4., 98.5], [4., 99.5]] in bars and [[6., 97.5], [6., 98.5]] in bars
    dashed = [x.get_xydata() for x in axes.lines if x.get_linestyle() == '--']
    assert len(dashed) == 1
    np.testing.assert_allclose(dashed[0].sum(1), 101.)
    grey = [x.get_xydata().sum(1) for x in axes.lines if x.get_color() == '#d0d0d0']
    assert len(grey) > 3 and all(abs(a - b) < 1e-9 for a, b in grey)
    entries = rate_distortion.legend(RATE, rate_distortion.points(table, RATE))
    words = {t.get_text() for t in beside.texts}
    assert words >= {entry.text for entry in entries}


def test_one_seed_has_no_bars(tmp_path):
    (found,), _ = tables.collect([put(tmp_path, {'a': row(1., 2.), 'b': row(2., 1.)}, seeds=1)])
    fig = draw(found)
    assert not [line for line in fig.axes[0].lines if line.get_alpha()]
    assert not any('bars' in t.get_text() for t in fig.texts)


def test_many_rows_have_marks_of_their_own_and_room(table):
    rng, name = np.random.default_rng(0), 'A method with quite a long name (at most 99 steps)'
    points = [(float(abs(rng.normal(0, .01)) if i % 2 else rng.gamma(2., 3.)),
               100. + float(rng.normal())) for i in range(75)]
    summary = lambda mean: statistics.Summary(mean, None, None, 1)
    point = rate_distortion.Point
    found = [point(i, '', name, 1, summary(x), summary(y), x + y, 'inside', False, (),
                   (None, None)) for i, (x, y) in enumerate(points, 1)]
    assert len({style.color_and_marker(p.number) for p in found}) == 75
    fig = rate_distortion.figure(table, RATE, found)
    fig.draw_without_rendering()
    numbers = [t for t in fig.axes[0].texts if t.get_fontsize() == 6.5]
    boxes = np.array([t.get_window_extent().extents for t in numbers])
    inner = boxes + (2, 2, -2, -2)                         # glyphs are smaller than their boxes
    clash = np.triu(labels._overlaps(inner, inner) > 0, 1).sum()
    assert len(boxes) > 60 and clash <= 3
    right = fig.bbox.width                                   # long labels are cut, not lost
    assert all(t.get_window_extent().x1 < right for t in fig.axes[1].texts)
    assert all(t.get_window_extent().y0 > 0 for t in fig.axes[1].texts)


def test_labels_avoid_each_other():
    sizes, anchors = [(10., 8.)] * 30, np.full((30, 2), 300.)
    at = labels.place_labels(anchors, sizes, (0, 0, 600, 600),
                             np.array([[296., 296., 304., 304.]]))
    rect = np.concatenate([at - (5, 4), at + (5, 4)], -1)
    assert not ((rect[:, :2] < 304) & (rect[:, 2:] > 296)).all(1).any()
    assert np.triu(labels._overlaps(rect, rect), 1).max() < 4.
    assert np.hypot(*(at - 300).T).max() < 80.
    corner = labels.place_labels(np.array([[2., 2.]]), [(10., 8.)], (0, 0, 600, 600),
                                 np.zeros((0, 4)))
    assert (corner > (5, 4)).all()


# Other planes.

@pytest.fixture(scope='module')
def likelihoods(tmp_path_factory):
    """Five seeds: an exact NLL without a code, a degenerate one, an outlier, a collapse."""
    spread, folder = np.array([-.2, -.1, 0., .1, .2]), tmp_path_factory.mktemp('nll')
    for order, (row, (nll, au)) in enumerate({
            'lm': (100., None), 'vae': (100.5, 0.), 'fb': (100.2, 8.), 'ae': (150., 8.),
            'iw': (101., 8.), 'bn': (100.4, 8.), 'bn2': (100.6, 8.),
            'none': (None, 3.)}.items()):
        for s in range(5):
            many = {} if nll is None else {'nll_iw': metric(
                nll + spread[s], 'exact' if au is None else 'importance sampling',
                warning='weights degenerate' if row == 'iw' else None)}
            many |= {} if au is None else {
                'au': metric(au, 'variance', unit='units', better=None)}
            results.write(folder, fake(row, s, order=order, metrics=many))
    (found,), problems = tables.collect([folder])
    assert problems == []
    return found


def test_likelihood_against_units(likelihoods):
    found = {p.row: p for p in rate_distortion.points(likelihoods, UNITS)}
    assert {r: p.place for r, p in found.items()} == {
        'lm': 'line', 'vae': 'inside', 'fb': 'inside', 'ae': 'outside', 'iw': 'inside',
        'bn': 'inside', 'bn2': 'inside', 'none': 'missing'}    # a collapse is never outside
    assert [r for r, p in found.items() if p.notes] == ['lm', 'iw']
    fb = found['fb']
    assert fb.x.mean == 8. and fb.y.mean == pytest.approx(100.2) and not fb.extra
    error = np.std([-.2, -.1, 0., .1, .2], ddof=1) / 5**.5     # five seeds allow an interval
    np.testing.assert_allclose(fb.bars[1], stats.t.interval(.95, 4, 100.2, error))
    texts = [entry.text for entry in rate_distortion.legend(UNITS, list(found.values()))]
    assert {'no AU, NLL as a dashed line', 'LM: 100.00', 'AE: AU 8.0, NLL 150.0',
            'no NLL or no AU', 'NONE', 'hollow: with a footnote in the table'} <= set(texts)
    line = numbers(likelihoods, UNITS)['iw']
    assert list(line)[5:] == ['au', 'au_low', 'au_high', 'nll_iw', 'nll_iw_low', 'nll_iw_high',
                              'place', 'footnotes']
    assert 'weights degenerate' in line['footnotes'] and line['nll_iw'] == pytest.approx(101.)


def test_likelihood_as_a_figure(likelihoods):
    axes = draw(likelihoods, UNITS).axes[0]
    dashed = [line.get_ydata() for line in axes.lines if line.get_linestyle() == '--']
    np.testing.assert_allclose(dashed, [[100., 100.]])
    hollow = [line.get_xydata()[0] for line in axes.lines
              if line.get_marker() != 'None' and line.get_markerfacecolor() == 'white']
    np.testing.assert_allclose(hollow, [[8., 101.]])
    assert '#d0d0d0' not in [line.get_color() for line in axes.lines]   # no equal sums
    assert axes.get_xlabel().endswith('(units)') and axes.get_ylabel() == 'NLL (nats/sentence)'
    assert 'bars: 95% interval over seeds' in axes.figure.texts[3].get_text()


def test_figures_of_a_table(likelihoods, table):
    (drawn,) = figures.of_table(likelihoods, ('csv',))
    assert drawn.name == 'nll-au' and drawn.files.keys() == {'csv'}
    assert ('a point for each of 5 of 8 rows. Of those without a footnote FB has the lowest '
            'NLL, 100.20') in drawn.alt
    assert [d.name for d in figures.of_table(table, ('csv',))] == ['rate-distortion']
    assert rate_distortion.render(table, INFORMATION) is None


# Bytes and the command.

@pytest.fixture(scope='module')
def rendered(table):
    """Files of the figure of `table`."""
    return rate_distortion.render(table, RATE).files


def test_bytes_are_the_same_whatever_the_settings(table, rendered):
    import matplotlib
    assert list(rendered) == ['png', 'svg', 'csv'] and rendered['png'][:4] == b'\x89PNG'
    before = matplotlib.rcParams['font.size']
    own = {'font.size': 20, 'axes.facecolor': 'red', 'svg.fonttype': 'none'}
    with matplotlib.rc_context(own):
        again = rate_distortion.render(table, RATE).files
        assert again == rendered and matplotlib.rcParams['font.size'] == 20
    assert matplotlib.rcParams['font.size'] == before
    xml.etree.ElementTree.fromstring(rendered['svg'])
    text = rendered['svg'].decode()
    metadata = text.split('</metadata>')[0].split('<metadata>')[-1]
    assert '<dc:date>' not in text and 'matplotlib.org' not in metadata
    for word in (b'Software', b'Creation', b'tEXt', b'tIME'):
        assert word not in rendered['png']


def test_a_picture_for_the_page_is_small(table, rendered):
    from PIL import Image
    data = rate_distortion.render(table, RATE, ('page',)).files['page']
    size, colors = Image.open(io.BytesIO(data)).size, Image.open(io.BytesIO(data)).getcolors()
    assert size == (1070, 700) and len(colors) <= 64 and len(data) < len(rendered['png']) / 2


def test_another_process_gives_the_same_bytes(folder, rendered, tmp_path):
    command = [sys.executable, '-m', 'vaebench.report', f'--results={folder}',
               f'--figures={tmp_path}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, '')
    names = [f'toy.rate-distortion.{form}' for form in ('png', 'svg', 'csv')]
    assert done.stdout == ''.join(f'written to {tmp_path / n}\n' for n in names)
    assert [(tmp_path / n).read_bytes() for n in names] == list(rendered.values())


def test_command(tmp_path, capsys):
    source = put(tmp_path / 'r', {'c': row(1., 2.)}, table='two')
    put(source, {'a': row(1., 2.), 'b': row(2., 1.)}, table='one')
    put(source, {'d': {'nll_iw': 3.}}, table='three')
    call = lambda *more: report.main(['x', f'--figures={tmp_path / "f"}', *more])
    assert call(f'--results={source}', '--table=two,three') == 0         # 'three' has no figure
    names = sorted(p.name for p in (tmp_path / 'f').iterdir())
    assert names == [f'two.rate-distortion.{form}' for form in ('csv', 'png', 'svg')]
    capsys.readouterr()
    for arguments, message in [
            ([f'--results={source}', '--table=three'], 'no row has both metrics of a figure'),
            ([f'--results={source}', '--table=tow'], "did you mean 'two'"),
            ([f'--results={tmp_path / "f"}'], f'no results in {tmp_path / "f"}'),
            ([], 'no results named')]:
        assert call(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith('vaebench-report: ') and err.count('\n') == 1 and message in err


def test_nothing_to_draw(tmp_path):
    (found,), _ = tables.collect([put(tmp_path, {'d': {'rec': 3.}})])
    assert figures.of_table(found) == []
    message = 'no row has both metrics of a figure .rec and kl, nll_iw and au'
    with pytest.raises(UserError, match=message):
        figures.write_figures([found], tmp_path / 'f')
    assert not (tmp_path / 'f').exists()


def test_matplotlib_is_imported_only_to_draw():
    code = ('import sys; from vaebench.report import figures, formats, page; '
            'from vaebench.report.figures import performance_profiles; '
            'assert not {"matplotlib", "jax", "sklearn", "scipy", "jinja2", "rich"} '
            '& set(sys.modules), sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
