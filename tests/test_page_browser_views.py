"""The page's views in a real browser: by family, samples, what changed; for every reader."""
import numpy as np
import pytest
from test_page_browser import CHROMIUM, NEEDS_AXE, header, keys, labels, opened, tip
from test_page_browser import browser as browser  # the fixture
from test_page_browser_access import violations
from test_report import put
from test_report_boards import planned
from test_results import fake, metric

from vaebench import report
from vaebench.experiment import results

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    CHROMIUM is None, reason='needs a Chromium: apt-get install chromium')]

VALUES = {'vae': 5., 'fb': 4., 'fb_max': 6., 'iwae': 1., 'gan': 7., 'wgan': 3.}
"""{row: value}; seeds differ by far less. Families: plain, free bits (2), bound, GAN (2)."""


@pytest.fixture(scope='module')
def page_of_images(tmp_path_factory):
    """A page of images with ranks, and what changed against results that were worse by 1."""
    folder = tmp_path_factory.mktemp('views')
    rng = np.random.default_rng(0)
    for name, worse in (('new', 0.), ('old', 1.)):
        for order, (row, value) in enumerate(VALUES.items()):
            for seed in range(3):
                own = {m: metric(scale * value + worse + seed * (order + 1) / 100)
                       for m, scale in (('nll_iw', 1.), ('rec', -1.))}
                results.write(folder / name, fake(row, seed, order=order, metrics=own), {
                    'sample/x': rng.uniform(size=(9, 28, 28, 1)),
                    'real/x': rng.uniform(size=(9, 28, 28, 1))})
        put(folder / name, *(fake('lm', seed, 2. + seed / 100, order=9) for seed in range(3)))
        planned(folder / name)
    text, problems = report.render([folder / 'new'], 'html', against=[folder / 'old'])
    assert problems == []
    path = folder / 'page.html'
    path.write_text(text, encoding='utf-8')
    return path


def groups(tab):
    """{family: labels of its rows that are seen} of the table, in order."""
    return dict(tab.evaluate('''() => {
        const out = [];
        for (const row of document.querySelectorAll('#toy .grid > tbody > tr')) {
            if (row.hidden || row.className === 'more') continue;
            if (row.className === 'kin') out.push([row.querySelector('span').firstChild.data, []]);
            else out.at(-1)[1].push(row.cells[0].innerText.split('\\n')[0]);
        }
        return out;
    }'''))


RANKED = ['IWAE', 'WGAN', 'FB', 'VAE', 'FB_MAX', 'GAN']


def test_rows_by_family(browser, page_of_images):
    with opened(browser, page_of_images) as tab:
        order = labels(tab, 'toy')
        assert [x for x in order if x != 'LM'] == RANKED
        by = lambda name: tab.locator('#toy').get_by_label(name, exact=True).check()
        by('by family')
        found = groups(tab)
        assert [x for own in found.values() for x in own if x != 'LM'] == [
            'IWAE', 'WGAN', 'GAN', 'FB', 'FB_MAX', 'VAE']
        assert found['free bits'] == ['FB', 'FB_MAX'] and found['other'] == ['LM']
        header(tab, 'toy', 'rec').click()            # sorts within families
        assert groups(tab)['free bits'] == ['FB_MAX', 'FB']
        assert list(groups(tab)['GAN']) == ['GAN', 'WGAN']
        tab.locator('#toy .grid tbody th button').nth(0).click()
        assert tab.locator('#toy tr.more').count() == 1
        tab.locator('#toy input[type=search]').fill('fb')
        assert groups(tab) == {'free bits': ['FB_MAX', 'FB']}
        tab.locator('#toy input[type=search]').fill('')
        by('by rank')
        numbers = keys(tab, 'toy', 'rec')
        known = [x for x in numbers if x is not None]
        assert known == sorted(known) and tab.locator('#toy tr.kin').count() == 0
        for _ in range(2):
            header(tab, 'toy', 'rec').click()
        assert labels(tab, 'toy') == order


def test_ranks_sort_and_are_explained(browser, page_of_images):
    with opened(browser, page_of_images) as tab:
        header(tab, 'toy', 'rank').click()
        ranked = keys(tab, 'toy', 'rank')
        known = [x for x in ranked if x is not None]
        assert known == sorted(known) and len(known) == len(VALUES)
        tab.locator('#toy .grid tbody tr td').nth(0).click()
        assert 'cannot be told' in tip(tab)
        tab.locator('#toy .grid tbody tr td').nth(2).click()        # the metrics are not moved
        assert tip(tab).startswith('IWAE · nll_iw') and 'Seed 0\n1\n' in tip(tab)


def test_keys_move_over_families_and_samples(browser, page_of_images):
    with opened(browser, page_of_images) as tab:
        tab.locator('#toy').get_by_label('by rank').focus()
        tab.keyboard.press('ArrowRight')
        assert 'GAN' in groups(tab)
        header(tab, 'toy', 'nll_iw').focus()
        for name in ('IWAE', 'LM', 'WGAN', 'GAN'):      # of three families
            tab.keyboard.press('ArrowDown')
            assert tip(tab).startswith(f'{name} · nll_iw')
        tab.keyboard.press('End')
        assert tip(tab).split('\n')[0].endswith('samples')
        tab.keyboard.press('PageUp')
        tab.keyboard.press('ArrowUp')               # its header has no button: nothing breaks


def test_samples_are_seen(browser, page_of_images):
    with opened(browser, page_of_images) as tab:
        images = tab.locator('#toy .grid img')
        assert images.count() == len(VALUES) + 1
        sizes = images.evaluate_all('all => all.map(i => [i.naturalWidth, i.width, i.height])')
        assert all(natural == shown and high == 28 for natural, shown, high in sizes)


def test_what_changed(browser, page_of_images):
    with opened(browser, page_of_images, '#changes-toy') as tab:
        assert 'nll_iw: 6 better, 1 identical' in tab.locator('#changes-toy').inner_text()
        heads = tab.locator('#changes-toy thead th:visible').all_inner_texts()
        assert [h.split('\n')[0].split(' ↓')[0] for h in heads][2:5] == [
            'nll_iw A', 'nll_iw B', 'nll_iw A − B']
        assert tab.locator('#changes-toy td.better').first.is_visible()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('anchor', ['#toy', '#changes-toy'])
def test_accessibility(browser, page_of_images, anchor, scheme):
    pytest.importorskip('axe_playwright_python', reason=NEEDS_AXE)
    with opened(browser, page_of_images, anchor, color_scheme=scheme) as tab:
        if anchor == '#toy':
            tab.get_by_label('by family').check()
            tab.locator('#toy .grid tbody td').nth(0).focus()
        assert violations(tab) == {}


def test_on_a_phone(browser, page_of_images):
    phone = {'viewport': {'width': 360, 'height': 640}, 'has_touch': True, 'is_mobile': True}
    with opened(browser, page_of_images, '#changes-toy', **phone) as tab:
        assert tab.evaluate('document.documentElement.scrollWidth') == 360
        box = tab.locator('[role=tab][aria-selected=true]').bounding_box()
        assert box['x'] >= 0 and box['x'] + box['width'] <= 360       # the tab is in sight
        tab.evaluate('location.hash = "#toy"')
        tab.get_by_label('by family').tap()
        assert tab.evaluate('document.documentElement.scrollWidth') == 360
        tab.locator('#toy .wrap').first.evaluate('w => { w.scrollLeft = 150; }')
        name = tab.locator('#toy tr.kin span').first.bounding_box()
        assert 0 <= name['x'] < 60                                    # so is the family
