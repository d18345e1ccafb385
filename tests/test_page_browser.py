"""The HTML page in a real browser, from disk and without a network.

Wants the extra `browser` (playwright, and axe for accessibility) and a Chromium of the system:
`pip install -e '.[test,browser]'` and, on Debian, `apt-get install chromium`.
"""
import contextlib
import pathlib
import shutil
import statistics

import pytest
from test_page import collect, lab, large
from test_results import fake

from vaebench.report import page, published, tables

sync_api = pytest.importorskip('playwright.sync_api',
                               reason="needs playwright: pip install -e '.[browser]'")
PROGRAMS = 'chromium', 'chromium-browser', 'google-chrome'
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    CHROMIUM is None, reason='needs a Chromium: apt-get install chromium')]

NEEDS_AXE = "needs axe: pip install -e '.[browser]'"

COMMITTED = pathlib.Path(__file__).parent.parent / 'benchmarks' / 'results'
QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
         '--disable-background-networking', '--disable-component-update']
PIXEL = (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
         b'<rect width="9" height="9"/></svg>')
CARDS = {'vae': {'title': 'Variational autoencoder', 'summary': 'The baseline.',
                 'body': ['Equation:\n  a = b'],
                 'source': 'Kingma and Welling, 2014', 'cite': '@misc{a}'}}
KEYS = '''([panel, name]) => {
    const table = document.getElementById(panel).querySelector('.grid');
    const k = [...table.tHead.rows[0].cells].find(th => th.dataset.name === name).cellIndex;
    const rows = [...table.tBodies[0].rows].filter(r => !r.hidden && r.dataset.i);
    return rows.map(r => r.cells[k].dataset.sort ?? null);
}'''


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """{name: page on disk}."""
    folder = tmp_path_factory.mktemp('pages')
    found = collect(lab(folder / 'lab'))
    quick, problems = tables.collect([COMMITTED / 'quickstart'])
    assert problems == []
    figures = {'toy': [('A figure', 'a black square', PIXEL, 'svg')]}
    pages = {'lab': page.render(found, figures, CARDS, [found[0]]),
             'large': page.render([large()]), 'quick': page.render(quick)}
    for name, text in pages.items():
        (folder / f'{name}.html').write_text(text, encoding='utf-8')
    return {name: folder / f'{name}.html' for name in pages}


@contextlib.contextmanager
def opened(browser, path, anchor='', script=None, **options):
    """A tab without a network; an error of the page, a console line or a request fails."""
    context = browser.new_context(offline=True, **options)
    wrong = []
    tab = context.new_page()
    tab.on('console', lambda m: wrong.append(m.text))
    tab.on('pageerror', lambda e: wrong.append(str(e)))
    ours = path.as_uri(), 'data:'
    tab.on('request', lambda r: None if r.url.startswith(ours) else wrong.append(r.url))
    if script:
        tab.add_init_script(script)
    tab.goto(path.as_uri() + anchor)
    yield tab
    assert wrong == []
    context.close()


def keys(tab, panel, name):
    """The sort keys of a column's visible rows: numbers, None for a gap."""
    return [None if key is None else float(key) for key in tab.evaluate(KEYS, [panel, name])]


def labels(tab, panel):
    rows = f'#{panel} .grid > tbody > tr[data-i]:not([hidden])'
    return [text.split('\n')[0] for text in tab.locator(f'{rows} > th').all_inner_texts()]


def header(tab, panel, name):
    return tab.locator(f'#{panel} .grid > thead th[data-name="{name}"] button')


def tip(tab):
    return tab.locator('#vb-pop').inner_text() if tab.locator('#vb-pop').is_visible() else None


def test_committed_results_open(browser, files):
    with opened(browser, files['quick']) as tab:
        names = tab.locator('[role=tab]').all_inner_texts()
        assert len(names) > 1
        for name in names:
            tab.get_by_role('tab', name=name, exact=True).click()
            (shown,) = [p for p in tab.locator('[role=tabpanel]').all() if p.is_visible()]
            assert shown.locator('tbody tr').count() > 3
            assert shown.get_attribute('id') == tab.url.split('#')[1]


def test_numbers_sort_both_ways_with_gaps_last(browser, files):
    other = {'ascending': 'descending', 'descending': 'ascending'}
    with opened(browser, files['large']) as tab:
        names = labels(tab, 'large')
        assert len(names) == 120
        for name, better in (('metric_0', 'lower'), ('metric_1', 'higher'), ('metric_2', None),
                             ('metric_3', 'lower')):
            start = keys(tab, 'large', name)
            numbers = sorted(x for x in start if x is not None)
            gaps = [None] * start.count(None)
            assert len(gaps) == (12 if name == 'metric_0' else 0)
            assert numbers != [x for x in start if x is not None]
            button = header(tab, 'large', name)
            first = 'descending' if better == 'higher' else 'ascending'     # the better end
            for state in (first, other[first]):
                button.click()
                assert button.locator('..').get_attribute('aria-sort') == state
                ordered = numbers if state == 'ascending' else numbers[::-1]
                assert keys(tab, 'large', name) == ordered + gaps
            button.click()
            assert labels(tab, 'large') == names
            assert button.locator('..').get_attribute('aria-sort') == 'none'


def test_names_sort_as_people_count(browser, files):
    with opened(browser, files['large']) as tab:
        header(tab, 'large', 'metric_1').click()
        header(tab, 'large', 'method').click()
        assert labels(tab, 'large') == [f'Method {i} (with a label)' for i in range(120)]
        header(tab, 'large', 'method').click()
        assert labels(tab, 'large')[0].startswith('Method 119 ')
        assert tab.locator('#large [aria-sort=descending]').count() == 1
        assert tab.locator('#large [aria-sort=ascending]').count() == 0


def test_a_large_page_is_small_and_sorts_at_once(browser, files):
    assert files['large'].stat().st_size < 5e6
    with opened(browser, files['large']) as tab:
        times = tab.evaluate('''() => [...document.querySelectorAll('#large thead button')].map(
          b => {
            const start = performance.now();
            b.click();
            document.body.offsetHeight;         // layout is part of it
            return performance.now() - start;
        })''')
        assert len(times) == 2 + 12 + 3 and 0 < statistics.median(times) < 1000


def test_filters(browser, files):
    with opened(browser, files['large']) as tab:
        box, count = tab.locator('#large input[type=search]'), tab.locator('#large output')
        sevens = sum('7' in str(i) for i in range(120))
        for text, wanted in [('method 7', sevens), ('ROW_11', 11), ('zz', 0),
                             ('metric_0>0', 108), ('seeds=5', 120), ('seeds<5', 0), ('', 120)]:
            box.fill(text)
            assert len(labels(tab, 'large')) == wanted, text
            assert count.inner_text() == (f'{wanted} of 120 rows' if text else '120 rows')
        values = keys(tab, 'large', 'metric_1')
        box.fill('METRIC_1>110.5 row_')
        assert keys(tab, 'large', 'metric_1') == [x for x in values if x > 110.5] != values
        box.fill('metric_1<=110.5')
        assert keys(tab, 'large', 'metric_1') == [x for x in values if x <= 110.5] != []


def test_columns_are_chosen(browser, files):
    with opened(browser, files['large']) as tab:
        visible = lambda: tab.locator('#large thead th:visible').all_inner_texts()
        first = visible()
        tab.locator('#large summary', has_text='Columns').click()
        tab.get_by_label('metric_3', exact=True).uncheck()
        tab.get_by_label('spread over seeds').uncheck()
        assert visible() == [x for x in first if not x.startswith('metric_3')]
        cells = tab.locator('#large tbody tr').nth(1).locator('td:visible')
        assert cells.count() == len(first) - 2
        assert tab.locator('#large .ci:visible').count() == 0
        assert tab.locator('#large em:visible').count() == 0
        tab.get_by_label('test set noise').check()
        assert tab.locator('#large em:visible').count() > 0
        tab.get_by_label('all of them').uncheck()
        assert visible() == first[:1]
        tab.get_by_label('all of them').check()
        assert visible() == first
        tab.keyboard.press('Escape')
        assert not tab.get_by_label('all of them').is_visible()


def test_columns_that_few_ask_for_wait_in_the_menu(browser, tmp_path):
    found, _ = tables.collect([COMMITTED / 'quickstart'], style='ranked')
    path = tmp_path / 'page.html'
    path.write_text(page.render(found))
    with opened(browser, path, '#text') as tab:
        visible = lambda: [x.split('\n')[0] for x in
                           tab.locator('#text thead th:visible').all_inner_texts()]
        assert [x.split()[0] for x in visible()] == ['method', 'rank', 'seeds', 'excess', 'nll_iw',
                                                    'kl', 'mi_full', 'au']
        assert labels(tab, 'text')[:3] == ['the source itself', 'VAE', 'LSTM-LM']
        tab.locator('#text summary').first.click()
        tab.locator('#text').get_by_label('elbo', exact=True).check()
        assert 'elbo' in [x.split()[0] for x in visible()]
        tab.locator('#text').get_by_label('all of them').check()
        assert {'steps', 'train', 'cu'} <= {x.split()[0] for x in visible()}


def ink(tab):
    """Lightness of the page's ground and of its text, 0 to 255."""
    return tab.evaluate('''() => ['backgroundColor', 'color'].map(k =>
        getComputedStyle(document.body)[k].match(/\\d+/g).slice(0, 3)
            .reduce((a, b) => a + Number(b), 0) / 3)''')


@pytest.mark.parametrize('system', ['light', 'dark'])
def test_theme_follows_the_system_until_chosen_and_is_remembered(browser, files, system):
    dark = lambda tab: ink(tab)[0] < 60 and ink(tab)[1] > 190
    light = lambda tab: ink(tab)[0] > 240 and ink(tab)[1] < 60
    before, after = (light, dark) if system == 'light' else (dark, light)

    def remembered():
        with opened(browser, files['lab'], color_scheme=system) as tab:
            assert before(tab)
            tab.locator('#vb-theme').click()
            assert after(tab)
            assert tab.locator('#vb-theme').inner_text() == f'{system.title()} theme'
            tab.reload()
            kept = after(tab)
            tab.locator('#vb-theme').click()
            assert (before if kept else after)(tab)
            return kept

    # Chromium itself forgets the storage of a page from disk in 1 to 3 of 100 fresh profiles
    assert any(remembered() for _ in range(3))


def test_a_refused_storage_is_no_error(browser, files):
    refuse = ('Object.defineProperty(window, "localStorage", '
              '{get() { throw new DOMException("no", "SecurityError"); }})')
    with opened(browser, files['lab'], script=refuse, color_scheme='light') as tab:
        tab.locator('#vb-theme').click()
        assert ink(tab)[0] < 60


def test_keyboard(browser, files):
    with opened(browser, files['lab']) as tab:
        active = lambda: tab.evaluate('document.activeElement.innerText')
        tab.get_by_role('tab').first.focus()
        for key, panel in [('ArrowRight', 'ptb'), ('End', 'vb-methods'), ('ArrowRight', 'toy'),
                           ('ArrowLeft', 'vb-methods'), ('Home', 'toy')]:
            tab.keyboard.press(key)
            assert tab.locator(f'#{panel}').is_visible() and tab.url.endswith(f'#{panel}')
            assert tab.locator('[role=tabpanel]:visible').count() == 1
        header(tab, 'toy', 'nll_iw').focus()
        tab.keyboard.press('Enter')
        assert labels(tab, 'toy') == ['FB', 'VAE', 'LM', 'BAD', 'GONE']
        tab.keyboard.press('Space')
        assert labels(tab, 'toy') == ['LM', 'VAE', 'FB', 'BAD', 'GONE']
        assert 'importance sampling, S=500' in tip(tab)    # of the header: the estimator
        tab.keyboard.press('ArrowDown')
        assert '101.335' not in tip(tab) and tip(tab).startswith('LM · nll_iw')
        tab.keyboard.press('ArrowDown')
        assert tip(tab).startswith('VAE · nll_iw')
        tab.keyboard.press('ArrowRight')
        assert tip(tab).startswith('VAE · kl')
        tab.keyboard.press('Escape')
        assert tip(tab) is None
        tab.keyboard.press('Home')
        assert active() == 'VAE'
        tab.keyboard.press('Enter')
        assert 'The baseline.' in tab.locator('#toy tr.more').inner_text()
        tab.keyboard.press('Enter')
        assert tab.locator('#toy tr.more').count() == 0
        # The cells are one stop.
        assert tab.locator('#toy .grid tbody [tabindex="0"]').count() == 1
        tab.keyboard.press('Shift+Tab')
        assert active() == 'train'
        tab.keyboard.press('ArrowDown')
        tab.keyboard.press('ArrowUp')
        assert active() == 'train'


def check_tip(text):
    config = fake('vae')['config_hash']
    for part in ['VAE · nll_iw', 'n = 3', 'standard error 0.5', 'Range\n100 to 101 over seeds',
                 'importance sampling, S=500 (10 examples, 500 samples)',
                 'Seed 0\n100\n', 'Seed 1\n101\n', 'Seed 2\n100.01\n',
                 'Seed 3\nfailed: non-finite rec at step 30',
                 '12.5 s', '1 x cpu', config, 'a' * 10, f'vae.s2.{config}.json']:
        assert part in text, (part, text)


def test_tooltip_by_pointer_and_by_focus(browser, files):
    with opened(browser, files['lab']) as tab:
        cell = tab.locator('#toy .grid tbody tr').nth(1).locator('td').nth(1)
        cell.hover()
        tab.locator('#vb-pop').wait_for(state='visible')
        check_tip(tip(tab))
        assert cell.get_attribute('aria-describedby') == 'vb-pop'
        tab.locator('#vb-pop').hover()
        tab.wait_for_timeout(350)
        check_tip(tip(tab))                                # stays while it is pointed at
        tab.mouse.move(2, 2)
        tab.locator('#vb-pop').wait_for(state='hidden')
        tab.locator('#toy .grid tbody tr').nth(3).locator('td').nth(2).click()
        assert 'failed: kl is nan' in tip(tab)
        tab.locator('h1').click()
        assert tip(tab) is None
        tab.goto(files['lab'].as_uri() + '#ptb')
        (theirs,) = [v for v in published.values('A9/fbp', 'ptb') if v.ours == 'rec']
        tab.locator('#ptb .grid tbody td').nth(1).click()
        text = f'{theirs.name} {theirs.text} (A9, same setting); ours − published +'
        assert f'Published\n{text}' in tip(tab)


def test_deep_links(browser, files):
    with opened(browser, files['lab']) as tab:
        for anchor, panel in [('#ptb', 'ptb'), ('#nowhere', 'toy'), ('', 'toy'),
                              ('#vb-methods', 'vb-methods')]:
            tab.goto(files['lab'].as_uri() + anchor)
            tab.reload()
            shown = tab.locator('[role=tabpanel]:visible').all()
            assert [p.get_attribute('id') for p in shown] == [panel]
            assert tab.evaluate('scrollY') == 0
            assert tab.locator('[role=tab][aria-selected=true]').count() == 1
        tab.evaluate('location.hash = "#toy-2"')
        tab.locator('#toy-2').wait_for(state='visible')


def test_an_opened_row_moves_and_hides_with_its_row(browser, files):
    with opened(browser, files['lab']) as tab:
        tab.locator('#toy .grid tbody th button').nth(1).click()
        runs = tab.locator('#toy tr.more .runs').inner_text()
        assert 'failed: non-finite rec at step 30' in runs
        header(tab, 'toy', 'nll_iw').click()
        name = 'r => r.previousSibling.cells[0].innerText.split("\\n")[0]'
        assert tab.locator('#toy tr.more').evaluate(name) == 'VAE'
        tab.locator('#toy input[type=search]').fill('fb')
        assert labels(tab, 'toy') == ['FB'] and not tab.locator('#toy tr.more').is_visible()
