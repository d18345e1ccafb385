"""Listings of sentences: what is read of them, and the overview of a table."""
import numpy as np
from test_results import fake

from vaebench import files
from vaebench.experiment import results
from vaebench.metrics.qualitative import TITLES, render
from vaebench.report import figures
from vaebench.report.figures import texts

VOCAB = '<pad>', '<s>', '</s>', '<unk>', 'yes', 'no|'


def tokens(*rows):
    return np.array([[1, *row, 2] for row in rows])


def listing():
    line = np.stack([tokens([4 + (i > 5)])[0] for i in range(11)])
    return render({
        'listing/greedy': np.array([[1, 4, 2], [1, 2, 0], [1, 3, 2], [1, 5, 2]]),
        'listing/interpolation': np.stack([line, line]),
        'listing/interpolation_of': np.array([[[1, 4, 2], [1, 5, 2]]] * 2),
        'listing/analogy': tokens([5], [4]),
        'listing/analogy_of': np.array([[[1, 4, 2]] * 3] * 2)}, VOCAB)


def test_sections_of_a_listing():
    found = texts.parse(listing())
    assert list(found) == [TITLES[k] for k in ('greedy', 'interpolation', 'analogy')]
    # A sentence may have no word.
    assert found[TITLES['greedy']] == [['yes', texts.EMPTY, '<unk>', 'no|']]
    first, second = found[TITLES['interpolation']]
    assert first == second and len(first) == 13 and first[0].split() == ['from', 'yes']
    assert first[-1].split()[0] == 'to'
    assert [b[0].split()[0] for b in found[TITLES['analogy']]] == ['s1', 's1']


def put(folder, row, order, seed=0, text=None, **more):
    """A workdir's result with its arrays and listing."""
    result = fake(row, seed, order=order, metrics={}, **more)
    path = results.write(folder / 'results', result, {'nll': np.zeros(2)})
    if text is not None:
        files.write_bytes(folder / 'listings' / f'{path.stem}.txt', text.encode())


def test_overview_has_the_first_seed_of_every_row(tmp_path):
    put(tmp_path, 'vae', 0, 1, 'Samples\n  second\n', label='V*E')
    put(tmp_path, 'vae', 0, 0, listing(), label='V*E')
    put(tmp_path, 'lm', 1, 0, 'Prior samples, greedy decoding\n  a\n  b\n  c\n  d\n')
    put(tmp_path, 'gan', 2)
    cells, problems = figures.collect_cells([tmp_path])
    assert problems == []
    text = texts.overview(cells['toy'])
    lines = text.splitlines()
    assert lines[0] == '# Toy table: sentences'
    assert [line for line in lines if line.startswith('## ')] == [
        f'## {TITLES[k]}' for k in ('greedy', 'interpolation', 'analogy')]
    assert '| 1 | V\\*E | yes<br>(empty)<br>\\<unk\\> |' in lines
    assert '| 2 | LM | a<br>b<br>c |' in lines
    assert ('| 1 | V\\*E | from yes<br>0.0 yes<br>0.2 yes<br>0.5 yes<br>0.8 no\\|<br>'
            '1.0 no\\|<br>to no\\| |') in lines
    assert '| 1 | V\\*E | s1 yes<br>s2 yes<br>s3 yes<br>say no\\| |' in lines
    assert 'None: GAN.' in lines and 'None: LM, GAN.' in lines and 'second' not in text


def test_what_all_rows_begin_with_stands_above_them(tmp_path):
    def answer(*said):
        return render({
            'listing/response': np.stack([tokens(*([i] for i in said))] * 2),
            'listing/response_of': np.array([[[1, 4, 2], [1, 5, 2], [0, 0, 0], [1, 4, 2]]] * 2),
            'listing/response_who': np.array([[0, 1, 2, 2]] * 2)}, VOCAB)

    for order, (row, said) in enumerate({'vae': (4, 5), 'lm': (4, 4)}.items()):
        put(tmp_path, row, order, 0, answer(*said))
    cells, _ = figures.collect_cells([tmp_path])
    lines = texts.overview(cells['toy']).splitlines()
    at = lines.index(f'## {TITLES["response"]}')
    assert lines[at + 1:] == ['', 'they yes<br>self no\\|<br>ref yes', '',
                              '| | method | sentences |', '| ---: | --- | --- |',
                              '| 1 | VAE | say yes<br>say no\\| |', '| 2 | LM | say yes<br>say yes |']


def test_files(tmp_path):
    put(tmp_path, 'vae', 0, 0, listing())
    cells, _ = figures.collect_cells([tmp_path])
    out = tmp_path / 'out'
    names = {str(path.relative_to(out)) for path in figures.write_pictures(cells, out)}
    assert names == {'toy/vae.s0.sentences.txt', 'toy.sentences.md'}
    assert (tmp_path / 'out/toy/vae.s0.sentences.txt').read_text() == listing()
    assert (tmp_path / 'out/toy.sentences.md').read_text() == texts.overview(cells['toy'])


def test_tables_without_sentences(tmp_path):
    put(tmp_path, 'vae', 0)
    cells, _ = figures.collect_cells([tmp_path])
    assert texts.overview(cells['toy']) == texts.overview([]) == ''
