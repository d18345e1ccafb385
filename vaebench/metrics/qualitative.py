"""Sentences to look at: what a model says of its prior, along lines between codes, and of sums
of codes.
"""
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from vaebench.core import derive
from vaebench.metrics import sentences
from vaebench.metrics.draws import GENERATED
from vaebench.metrics.evaluator import Evaluator

PAD, START, END = range(3)

SHOWN = 16         # prior samples of each mode
LINES = 4          # lines between codes
SUMS = 6           # analogies
ENDS = 4           # tag of the key, after GENERATED: the ends of homotopies
MODES = 'greedy', 'sample', 'beam'
TITLES = {
    'greedy': 'Prior samples, greedy decoding', 'sample': 'Prior samples, sampled decoding',
    'beam': 'Prior samples, beam search',
    'interpolation': 'Interpolation between posterior means',
    'homotopy': 'Homotopy between prior samples', 'analogy': 'Analogies: s1 - s2 + s3'
}


def triples(view: Evaluator) -> np.ndarray:
    """Finds places [K, 3] of s1, s2, s3: s1 and s2 of the most frequent label and s3 of the
    next, else neighbours.
    """
    if 'label' in view.buckets[0]:
        label = view.field('label')
        kinds, count = np.unique(label, return_counts=True)
        if len(kinds) > 1:
            rows = [
                np.flatnonzero(label == k) for k in kinds[np.argsort(-count, kind='stable')[:2]]
            ]
            k = min(SUMS, len(rows[0]) // 2, len(rows[1]))
            return np.stack([rows[0][:2 * k:2], rows[0][1:2 * k:2], rows[1][:k]], 1)
    return np.arange(view.n)[:min(SUMS, view.n // 3) * 3].reshape(-1, 3)


def _ends(evals, params, carry, key, own):
    return evals['sample_prior'](params, carry, derive(key, GENERATED, ENDS), 2 * LINES)


def _homotopy(view):
    """Sentences [G, P, 11, L] on lines between draws from the prior; None where codes are no
    real numbers.
    """
    z = jax.device_get(view.jit(_ends)(()))
    if not all(x.dtype.kind == 'f' for x in jax.tree.leaves(z)):
        return None
    ends = (jax.tree.map(lambda x, i=i: x[:, i::2], z) for i in (0, 1))
    return sentences.say_between(view, *ends)[0]


def listings(view: Evaluator, modes: Sequence[str] = MODES[:2]) -> dict[str, np.ndarray]:
    """Makes sentences to look at, as far as the evals allow.

    Args:
      view: a trained group over a split of sentences.
      modes: of decoding prior samples.

    Returns:
      name -> int [G, ..., L] tokens; {} for images. 'listing/<mode>' [G, 16, L];
      'listing/interpolation' [G, P, 11, L] between posterior means of
      'listing/interpolation_of' [G, P, 2, L]; 'listing/homotopy' [G, P, 11, L];
      'listing/analogy' [G, K, L] of 'listing/analogy_of' [G, K, 3, L].
    """
    evals, out = view.evals, {}
    if 'tokens' not in view.buckets[0]:
        return out
    if 'sample' in evals:
        out |= {mode: sentences.drawn_chunk(view, mode, 0)[0][:, :SHOWN] for mode in modes}
    if 'sample_prior' in evals and 'decode' in evals:
        lines = _homotopy(view)
        out |= {} if lines is None else {'homotopy': lines}
    if 'encode' in evals and 'decode' in evals:
        tokens, length = sentences.split_sentences(view)
        of = lambda rows: np.repeat(tokens[rows][None], view.seeds, 0)
        codes, ends, sums = view.codes, sentences.pairs(length, LINES), triples(view)
        if len(ends):
            both = codes[:, ends[:, 0]], codes[:, ends[:, 1]]
            out['interpolation'] = sentences.say_between(view, *both)[0]
            out['interpolation_of'] = of(ends)
        if len(sums):
            a, b, c = (codes[:, i] for i in sums.T)
            out['analogy'] = sentences.decode(view, a - b + c, 'greedy')[0]
            out['analogy_of'] = of(sums)
    return {f'listing/{k}': np.asarray(v, np.int32) for k, v in out.items()}


def sentence(tokens: Sequence[int] | np.ndarray, vocab: Sequence[str]) -> str:
    """Writes the words of one sentence [L], without `<s>`, `</s>` and what follows.

    >>> sentence([1, 3, 2, 0], ('<pad>', '<s>', '</s>', 'word'))
    'word'
    """
    ids = [int(t) for t in tokens]
    ids = ids[:ids.index(END)] if END in ids else ids
    return ' '.join(vocab[t] for t in ids if t not in (PAD, START))


def render(arrays: Mapping[str, np.ndarray], vocab: Sequence[str] | None) -> str:
    """Writes the listings of one seed as text.

    Args:
      arrays: name -> [..., L], what `listings` gave without its leading axis; other names are
        passed over.
      vocab: words by id; None where there are no listings.

    Returns:
      str, one section per listing; '' without listings.

    >>> vocab = '<pad>', '<s>', '</s>', '<unk>', 'yes', 'no'
    >>> print(render({'listing/greedy': np.array([[1, 4, 2], [1, 5, 2]])}, vocab))
    Prior samples, greedy decoding
      yes
      no
    <BLANKLINE>
    """
    say, sections = lambda row: sentence(row, vocab or ()), []
    for name, title in TITLES.items():
        said, of = arrays.get(f'listing/{name}'), arrays.get(f'listing/{name}_of')
        if said is None:
            continue
        if name == 'analogy' and of is not None:
            rows = [[*(f's{i}    {say(s)}' for i, s in enumerate(three, 1)), f'say   {say(s)}']
                    for s, three in zip(said, of, strict=True)]
        elif np.ndim(said) == 3:
            rows = [[f'{i / (len(line) - 1):.1f}   {say(s)}' for i, s in enumerate(line)]
                    for line in said]
            if of is not None:
                rows = [[f'from  {say(a)}', *row, f'to    {say(b)}']
                        for row, (a, b) in zip(rows, of, strict=True)]
        else:
            rows = [[say(s) for s in said]]
        body = '\n\n'.join('\n'.join('  ' + line for line in row) for row in rows)
        sections.append(f'{title}\n{body}\n')
    return '\n'.join(sections)
