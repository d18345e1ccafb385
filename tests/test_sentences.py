"""Listings of sentences: what is read of them, and the overview of a table."""
import numpy as np
from test_results import fake

from vaebench import files
from vaebench.experiment import results
from vaebench.metrics.qualitative import TITLES, render
from vaebench.report import pictures, sentences

VOCAB = '<pad>', '<s>', '</s>', '<unk>', 'yes', 'no|'


def tokens(*rows):
    return np.array([[1, *row, 2] for row in rows])


def listing():
    line = np.stack([tokens([4 + (i > 5)])[0] for i in range(11)])
    return render(
        {
            'listing/greedy': np.array([[1, 4, 2], [1, 2, 0], [1, 3, 2], [1, 5, 2]
                                        ]), 'listing/interpolation': np.stack([line, line]),
            'listing/interpolation_of': np.array(
                [[[1, 4, 2], [1, 5, 2]]] * 2), 'listing/analogy': tokens(
                    [5], [4]), 'listing/analogy_of': np.array([[[1, 4, 2]] * 3] * 2)
        }, VOCAB)


def test_sections_of_a_listing():
    found = sentences.parse(listing())
    assert list(found) == [TITLES[k] for k in ('greedy', 'interpolation', 'analogy')]
    # a sentence may have no word
    assert found[TITLES['greedy']] == [['yes', sentences.EMPTY, '<unk>', 'no|']]
    first, second = found[TITLES['interpolation']]
    assert first == second and len(first) == 13 and first[0].split() == [
        'from', 'yes'
    ] and first[-1].split()[0] == 'to'
    assert [b[0].split()[0] for b in found[TITLES['analogy']]] == ['s1', 's1']


def put(folder, row, order, seed=0, text=None, **more):
    """A workdir's result with its arrays and listing."""
    path = results.write(folder / 'results', fake(row, seed, order=order, metrics={}, **more),
                         {'nll': np.zeros(2)})
    if text is not None:
        files.write_bytes(folder / 'listings' / f'{path.stem}.txt', text.encode())


def test_overview_has_the_first_seed_of_every_row(tmp_path):
    put(tmp_path, 'vae', 0, 1, 'Samples\n  second\n', label='V*E')
    put(tmp_path, 'vae', 0, 0, listing(), label='V*E')
    put(tmp_path, 'lm', 1, 0, 'Prior samples, greedy decoding\n  a\n  b\n  c\n  d\n')
    put(tmp_path, 'gan', 2)
    cells, problems = pictures.collect([tmp_path])
    assert problems == []
    text = sentences.overview(cells['toy'])
    lines = text.splitlines()
    assert lines[0] == '# Toy table: sentences' and [
        x for x in lines if x.startswith('## ')
    ] == [f'## {TITLES[k]}' for k in ('greedy', 'interpolation', 'analogy')]
    assert '| 1 | V\\*E | yes<br>(empty)<br>\\<unk\\> |' in lines and '| 2 | LM | a<br>b<br>c |' in lines
    assert (
        '| 1 | V\\*E | from yes<br>0.0 yes<br>0.2 yes<br>0.5 yes<br>0.8 no\\|<br>1.0 no\\|<br>to no\\| |'
    ) in lines
    assert '| 1 | V\\*E | s1 yes<br>s2 yes<br>s3 yes<br>say no\\| |' in lines
    assert 'None: GAN.' in lines and 'None: LM, GAN.' in lines and 'second' not in text


def test_files(tmp_path):
    put(tmp_path, 'vae', 0, 0, listing())
    cells, _ = pictures.collect([tmp_path])
    names = {
        str(p.relative_to(tmp_path / 'out'))
        for p in pictures.write(cells, tmp_path / 'out')
    }
    assert names == {'toy/vae.s0.sentences.txt', 'toy.sentences.md'}
    assert (tmp_path / 'out/toy/vae.s0.sentences.txt').read_text() == listing()
    assert (tmp_path / 'out/toy.sentences.md').read_text() == sentences.overview(cells['toy'])


def test_tables_without_sentences(tmp_path):
    put(tmp_path, 'vae', 0)
    cells, _ = pictures.collect([tmp_path])
    assert sentences.overview(cells['toy']) == sentences.overview([]) == ''
