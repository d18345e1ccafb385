"""The HTML page for every reader: accessibility, a telephone, paper, no scripts."""
import pytest
from test_page_browser import CHROMIUM, COMMITTED, NEEDS_AXE, check_tip, ink, opened, tip
from test_page_browser import browser as browser  # the fixtures
from test_page_browser import files as files

from vaebench.report import page, tables

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    CHROMIUM is None, reason='needs a Chromium: apt-get install chromium')]


def violations(tab):
    from axe_playwright_python.sync_playwright import Axe
    found = Axe().run(tab).response['violations']
    return {v['id']: [node['html'] for node in v['nodes']] for v in found}


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize(('name', 'anchor'), [
    ('lab', '#toy'), ('lab', '#ptb'), ('lab', '#vb-methods'), ('quick', '')])
def test_accessibility(browser, files, name, anchor, scheme):
    pytest.importorskip('axe_playwright_python', reason=NEEDS_AXE)
    with opened(browser, files[name], anchor, color_scheme=scheme) as tab:
        if anchor == '#toy':
            tab.locator('#toy .grid tbody th button').nth(1).click()
            tab.locator('#toy .menu summary').click()
            tab.locator('#toy .grid tbody td').nth(1).focus()
        assert violations(tab) == {}


def test_the_accessibility_check_can_fail(browser, files):
    pytest.importorskip('axe_playwright_python', reason=NEEDS_AXE)
    with opened(browser, files['lab']) as tab:
        tab.evaluate('''() => {
            document.querySelector('.top p').style.color = '#999';
            const input = document.querySelector('.bar input');
            document.querySelector('.bar label').replaceWith(input);
            input.placeholder = '';
        }''')
        assert violations(tab).keys() == {'color-contrast', 'label'}


@pytest.mark.slow
def test_accessibility_of_all_committed_results(browser, tmp_path):
    folders = [p for p in sorted(COMMITTED.iterdir()) if p.is_dir() and list(p.glob('*.json'))]
    found, problems = tables.collect(folders)
    path = tmp_path / 'all.html'
    path.write_text(page.render(found), encoding='utf-8')
    assert problems == [] and path.stat().st_size < 5e6
    for table in found:
        with opened(browser, path, f'#{table.table}') as tab:
            assert tab.locator(f'#{table.table} .grid').is_visible() and violations(tab) == {}


@pytest.mark.parametrize('width', [320, 360])
def test_on_a_phone(browser, files, width):
    phone = {'viewport': {'width': width, 'height': 640}, 'has_touch': True, 'is_mobile': True}
    with opened(browser, files['lab'], **phone) as tab:
        assert tab.evaluate('document.documentElement.scrollWidth') == width
        first = tab.locator('#toy .grid tbody th').first
        left = first.bounding_box()['x']
        tab.locator('#toy .wrap').first.evaluate('w => { w.scrollLeft = 150; }')
        assert first.bounding_box()['x'] == left                   # the names stay in sight
        tab.locator('#toy .grid tbody tr').nth(1).locator('td').nth(1).tap()
        check_tip(tip(tab))
        box, cell = (tab.locator(q).bounding_box()
                     for q in ('#vb-pop', '#toy td[aria-describedby]'))
        assert box['x'] >= 0 and box['x'] + box['width'] <= width
        assert box['y'] + box['height'] <= 641
        assert cell['y'] + cell['height'] <= box['y'] or cell['y'] >= box['y'] + box['height']
        tab.locator('h1').tap()
        assert tip(tab) is None
        for anchor in ('#ptb', '#vb-methods'):
            tab.evaluate(f'location.hash = "{anchor}"')
            assert tab.evaluate('document.documentElement.scrollWidth') == width


def test_on_paper(browser, files):
    dark = {'color_scheme': 'dark', 'viewport': {'width': 1000, 'height': 700}}
    with opened(browser, files['lab'], **dark) as tab:
        tab.emulate_media(media='print', color_scheme='dark')
        assert all(tab.locator(f'#{p}').is_visible() for p in ('toy', 'ptb', 'toy-2'))
        assert ink(tab)[0] > 240
        assert not any(tab.locator(q).first.is_visible()
                       for q in ('nav', '#vb-theme', '.bar', '#vb-methods'))
    with opened(browser, files['large']) as tab:
        visible = lambda: [[th.get_attribute('data-name')
                            for th in table.locator('thead th:visible').all()]
                           for table in tab.locator('#large .grid').all()]
        (once,) = visible()
        tab.evaluate('dispatchEvent(new Event("beforeprint"))')
        parts = visible()
        assert len(parts) > 1 and all(p[0] == 'method' and len(p) <= 10 for p in parts)
        assert [name for p in parts for name in p[1:]] == once[1:]
        tab.evaluate('dispatchEvent(new Event("afterprint"))')
        assert visible() == [once]
        assert tab.pdf().startswith(b'%PDF') and visible() == [once]


def test_without_scripts_everything_is_still_there(browser, files):
    with opened(browser, files['lab'], java_script_enabled=False) as tab:
        assert all(tab.locator(f'#{p}').is_visible()
                   for p in ('toy', 'ptb', 'toy-2', 'vb-methods'))
        assert not tab.locator('.bar').first.is_visible()
        assert not tab.locator('#vb-theme').is_visible()
