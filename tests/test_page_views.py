"""The page's views: ranks, families, samples of every row, what changed, and what does not fit."""
import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from test_page import Tree
from test_report import put, toy
from test_report_boards import planned
from test_results import fake, metric

from vaebench import report
from vaebench.experiment import results
from vaebench.report import formats, page, tables
from vaebench.report.figures import strips
from vaebench.report.formats import html

GREYS = {'vae': 0., 'fb': .5, 'gan': 1.}


def images(folder, shape=(10, 28, 28, 1)):
    """A table of images: every sample of a row is of one grey, test data are white."""
    for order, (row, grey) in enumerate(GREYS.items()):
        for seed in range(2):
            results.write(folder, fake(row, seed, order=order, value=order + seed / 10), {
                'sample/x': np.full(shape, grey), 'real/x': np.ones(shape), 'ess': np.ones(3)})
    put(folder, fake('lm', order=5, value=9.), fake('lm', 1, order=5, value=9.1))
    return planned(folder)


def rendered(folder, **more):
    text = report.render([folder], 'html', **more)[0]
    return text, Tree(text)


def pixels(attributes):
    data = base64.b64decode(attributes['src'].removeprefix('data:image/png;base64,'))
    return np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))


# Ranks and families


def test_ranks_stand_beside_the_rows_in_order(tmp_path):
    rows = {'vae': [1., 2., 3.], 'fb': [1.5, 1.9, 3.2], 'iwae': [9., 9.1, 9.2]}
    put(tmp_path, *(fake(row, s, v, order=-i) for i, (row, own) in enumerate(rows.items())
                    for s, v in enumerate(own)))
    put(tmp_path, *(fake('flat', s, metrics={'nll_iw': metric(.1, **IW), 'kl': metric(0.)})
                    for s in range(3)))
    text, tree = rendered(planned(tmp_path))
    assert [tree.row(name)[1] for name in ('FLAT', 'VAE', 'FB', 'IWAE')] == [
        ({}, '—'), ({'data-sort': '1'}, '1–2'), ({'data-sort': '1'}, '1–2'), ({'data-sort': '3'}, '3')]
    labels = [node[2].split(': ')[0] for node in tree.all if node[1].get('scope') == 'row']
    assert labels == ['FLAT', 'VAE', 'FB', 'IWAE']
    assert 'rankby nll_iw' in [node[2] for node in tree.find('th')]
    assert tree.find('p', 'By nll_iw the best 2 of the 3 ranked rows cannot be told apart')
    panel = tree.data()['tables']['toy']
    assert panel['lead'] == 3 and [r['family'] for r in panel['rows'][:3]] == [
        'other', 'plain', 'free bits']
    assert text.count('by family') == 1


IW = {'estimator': 'importance sampling, S=500', 'samples': 500}


def test_without_a_primary_metric_there_is_no_column_of_ranks(tmp_path):
    toy(tmp_path)
    tree = Tree(page.render(tables.collect([tmp_path])[0]))
    assert tree.data()['tables']['toy']['lead'] == 2
    assert not [n for n in tree.find('th') if n[1].get('data-name') == 'rank']


def test_floors_are_a_family(tmp_path):
    row = lambda x: {'frechet': metric(x), 'frechet_floor': metric(8., better=None)}
    put(tmp_path, fake('vae', metrics=row(30.)), fake('gan', order=1, metrics=row(20.)))
    _, tree = rendered(planned(tmp_path, primary='frechet'))
    families = {r['id']: r['family'] for r in tree.data()['tables']['toy']['rows']}
    assert families == {tables.DATA: 'floor', 'vae': 'plain', 'gan': 'GAN'}
    assert tree.row(tables.DATA)[1][1] == '—' and tree.row('GAN')[1][1] == '1'


# Samples


def test_samples_of_every_row(tmp_path):
    text, tree = rendered(images(tmp_path))
    shown = {node[1]['alt']: node[1] for node in tree.find('img')
             if 'samples' in node[1]['alt'] or node[1]['alt'].endswith('test data')}
    count = strips.IMAGES
    assert set(shown) == {f'{count} test data', *(f'{count} samples of {row.upper()}, seed 0'
                                                  for row in GREYS)}
    for row, grey in GREYS.items():
        attributes = shown[f'{count} samples of {row.upper()}, seed 0']
        picture = pixels(attributes)
        assert picture.shape == (28, 28 * count + strips.GAP * (count - 1), 3)
        assert (int(attributes['height']), int(attributes['width'])) == picture.shape[:2]
        assert (picture[:, :28] == round(255 * grey)).all()
        assert (picture[:, 28:28 + strips.GAP] == 128).all()
    assert (pixels(shown[f'{count} test data'])[:, :28] == 255).all()
    assert tree.row('LM')[-1] == ({'class': 'gap text'}, '—')
    assert len(text) < 4e5 and text == rendered(tmp_path)[0]


@pytest.mark.parametrize(('shape', 'size'), [
    ((3, 8, 8, 1), (32, 32)), ((3, 64, 32, 3), (32, 16)), ((3, 33, 33, 1), (32, 32)),
    ((3, 28, 28, 4), (28, 28))])
def test_images_of_any_size_make_a_small_strip(shape, size):
    made = strips.strip(np.random.default_rng(0).uniform(size=shape))
    assert (made.height, made.width) == (size[0], 3 * size[1] + 2 * strips.GAP) and made.count == 3
    assert len(made.png) < 12_000


def test_points_and_odd_arrays_make_no_strip(tmp_path):
    for x in (np.zeros((5, 2)), np.zeros((0, 4, 4, 1)), np.full((2, 4, 4, 1), 'a')):
        assert strips.strip(x) is None
    _, tree = rendered(images(tmp_path, (10, 2)))
    assert not [n for n in tree.find('th') if n[1].get('data-name') == 'samples']


def test_damaged_arrays_are_said(tmp_path, capsys):
    first = sorted(images(tmp_path).glob('fb.s0.*.npz'))[0]
    first.write_bytes(b'no arrays')
    _, tree = rendered(tmp_path)
    assert capsys.readouterr().err.count(f'{first}: not readable as arrays') == 1
    assert [n for n in tree.find('img') if n[1]['alt'].endswith('samples of FB, seed 1')]


def earlier(folder, width=1800):
    folder.mkdir(parents=True)
    Image.new('RGB', (width, 90), (0, 0, 255)).save(folder / 'toy.samples.png')
    Image.new('RGB', (width, 90), (0, 0, 255)).save(folder / 'other.samples.png')


@pytest.mark.parametrize('place', ['a/figures', 'figures', 'a/pictures'])
def test_samples_that_were_drawn_before(tmp_path, place):
    planned(put(tmp_path / 'a', fake(), fake('fb', order=1)))
    earlier(tmp_path / place)
    _, tree = rendered(tmp_path / 'a')
    (drawn,) = [n[1] for n in tree.find('img') if n[1]['alt'].startswith('Samples of every row')]
    picture = pixels(drawn)
    assert picture.shape == (45, strips.WIDTH, 3) and (picture == (0, 0, 255)).all()
    where = f'{place.rpartition("/")[2]}/toy.samples.png'
    assert tree.find('figcaption', f'Samples of every row, drawn before ({where})')


def test_strips_take_the_place_of_an_earlier_picture(tmp_path):
    earlier(images(tmp_path / 'a') / 'figures')
    assert 'drawn before' not in rendered(tmp_path / 'a')[0]


def test_an_earlier_picture_that_is_none_is_said(tmp_path, capsys):
    planned(put(tmp_path / 'a', fake(), fake('fb', order=1)))
    earlier(tmp_path / 'figures')
    (tmp_path / 'figures' / 'toy.samples.png').write_bytes(b'x')
    assert 'drawn before' not in rendered(tmp_path / 'a')[0]
    said = capsys.readouterr().err
    assert 'not readable as a picture' in said and said.count('\n') == 1


# Size


def test_pictures_that_do_not_fit_are_left_out_and_said(tmp_path, monkeypatch):
    images(tmp_path / 'a')
    both = {'rec': metric(9.), 'kl': metric(3.)}        # of rows with the names of the others
    put(tmp_path / 'b', fake(table='plane', metrics=both), fake('fb', table='plane', metrics=both))
    folders = [tmp_path / 'a', tmp_path / 'b']
    whole = report.render(folders, 'html')[0]
    title = 'rate and distortion'
    assert 'Left out' not in whole and 'samples of VAE, seed 0' in whole
    (figure,) = [n for n in Tree(whole).find('img') if n[1]['src'].startswith('data:image/png')
                 and 'samples' not in n[1]['alt'] and 'test data' not in n[1]['alt']]
    for excess, strips_stay in ((1, True), (len(figure[1]['src']) + 500, False)):
        monkeypatch.setattr(html, 'MOST', len(whole.encode()) - excess)
        text = report.render(folders, 'html')[0]
        lines = [' '.join(node[2].split()) for node in Tree(text).find('p', 'Left out, for')]
        assert title in lines[-1] and 'larger than 5 MB' in lines[-1]
        assert ('samples of VAE, seed 0' in text) == strips_stay
        assert len(lines) == 2 - strips_stay and len(text) < len(whole) and figure[1]['src'] not in text
    assert 'samples of every row' in lines[0]


# What changed


def test_what_changed_is_in_tabs_of_its_own(tmp_path):
    old, new = planned(toy(tmp_path / 'old', 3)), tmp_path / 'new'
    put(new, *(r for r in results.read_all(old)[0] if r.row != 'fb'))
    for seed, value in enumerate((90., 90.2, 90.1)):
        both = {'nll_iw': metric(value, **IW, stderr=.5),
                'au': metric(8., 'variance of means', unit='units', better='higher')}
        put(new, fake('fb', seed, order=2, metrics=both))
    text, tree = rendered(planned(new), against=[old])
    tabs = [(node[1]['href'], node[2].strip()) for node in tree.find('a')]
    assert tabs[:2] == [('#toy', 'toy'), ('#changes-toy', 'Changes of toy')]
    assert '1 table, 3 methods' in text and text.count('What changed:') == 1
    said = [node[2] for node in tree.find('li', 'nll_iw: ')]
    assert said == ['nll_iw: 2 identical, 1 better']
    cells = tree.row('FB', 1)
    heads = [n[1] for n in tree.find('th') if n[1].get('scope') == 'col' and ' A' in n[1]['data-name']
             or n[1].get('data-name', '').endswith(' B')]
    assert [h['data-name'] for h in heads][:3] == ['nll_iw A', 'nll_iw B', 'nll_iw A − B']
    shown = {h['data-name'] for h in heads if 'data-off' not in h}
    assert {'nll_iw A', 'nll_iw B', 'nll_iw A − B'} <= shown and 'au A' not in shown
    better = [c for c in cells if c[0].get('class') == 'better']
    assert len(better) == 1 and better[0][1].endswith('better ')
    both, _ = report.cli.collect([new], against=[old], form='html')
    assert [t.against for t in both] == [False, True]
    assert formats.read_json(formats.to_json(both)) == both
    assert re.findall(r'A: fb\.s0', text)
