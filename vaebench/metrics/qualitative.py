"""Sentences to look at: what a model says of its prior, along lines between codes, of sums of
codes, in another style, and in a dialogue.
"""
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from vaebench.core import derive
from vaebench.metrics import latent_arithmetic, responses, rewritten, sentences
from vaebench.metrics.draws import GENERATED
from vaebench.metrics.evaluator import Evaluator

PAD, START, END = range(3)

SHOWN = 16         # prior samples of each mode
LINES = 4          # lines between codes
SUMS = 6           # analogies
REWRITTEN = 4      # rewritten sentences of each label
AWAY = 2           # so far beyond its ends a line is followed
ENDS = 4           # tag of the key, after GENERATED: the ends of homotopies
MODES = 'greedy', 'sample', 'beam'
TITLES = {
    'greedy': 'Prior samples, greedy decoding', 'sample': 'Prior samples, sampled decoding',
    'beam': 'Prior samples, beam search',
    'interpolation': 'Interpolation between posterior means',
    'extrapolation': 'Extrapolation beyond posterior means, which are at 0 and 1',
    'homotopy': 'Homotopy between prior samples', 'analogy': 'Analogies: s1 - s2 + s3',
    'transfer': 'Rewritten to the next label',
    'response': 'Sampled responses (say) to they and self, who responds; ref: valid ones'
}
FIRST = {'extrapolation': -AWAY}
"""Where a line begins, if not at 0; it ends as far beyond 1."""
NAMED = {'analogy': ('s1', 's2', 's3', 'ref'), 'transfer': ('from', 'ref')}
"""What the sentences are that one is made of, or compared with."""
WHO = {responses.THEY: 'they', responses.SELF: 'self', responses.REFERENCE: 'ref'}
"""Whose a sentence beside responses is."""


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


def _every(view, tokens):
    """[G, ...] the same for every seed."""
    return np.repeat(tokens[None], view.seeds, 0)


def _lines(view):
    """Between and beyond posterior means of neighbors of one length."""
    tokens, length = sentences.split_sentences(view)
    ends = sentences.pairs(length, LINES)
    if not len(ends):
        return {}
    a, b = view.codes[:, ends[:, 0]], view.codes[:, ends[:, 1]]
    out = {'interpolation': sentences.say_between(view, a, b)[0]}
    if a.dtype.kind == 'f':
        out['extrapolation'] = sentences.say_between(
            view, a - AWAY * (b - a), b + AWAY * (b - a))[0]
    return out | {f'{k}_of': _every(view, tokens[ends]) for k in out}


def _stacked(*parts):
    """Sentences [K, L] of several widths -> [K, parts, L]."""
    wide = max(x.shape[1] for x in parts)
    return np.stack([np.pad(x, ((0, 0), (0, wide - x.shape[1]))) for x in parts], 1)


def _sums(view):
    """Analogies: those that the data hold, with their references, or sums of its sentences."""
    tokens = sentences.split_sentences(view)[0]
    if {latent_arithmetic.SECOND, latent_arithmetic.THIRD} <= set(view.buckets[0]):
        said, names = latent_arithmetic.analogies(view), ('second', 'third', 'reference')
        more = [rewritten.references(view, k)[0][:SUMS] for k in names if k in view.buckets[0]]
        of = [tokens[:SUMS], *(x if x.ndim == 2 else x[:, 0] for x in more)]
        return {} if said is None else {'analogy': said[0][:, :SUMS],
                                        'analogy_of': _every(view, _stacked(*of))}
    sums, codes = triples(view), view.codes
    if not len(sums):
        return {}
    a, b, c = (codes[:, i] for i in sums.T)
    return {'analogy': sentences.decode(view, a - b + c, 'greedy')[0],
            'analogy_of': _every(view, tokens[sums])}


def _transfer(view):
    """The first sentences of every label, what became of them, and their first references."""
    label = view.field('label')
    rows = np.concatenate([np.flatnonzero(label == k)[:REWRITTEN] for k in np.unique(label)])
    of = [sentences.split_sentences(view)[0][rows]]
    if 'reference' in view.buckets[0]:
        of.append(rewritten.references(view)[0][rows, 0])
    return {'transfer': rewritten.transferred(view)[0][:, rows],
            'transfer_of': _every(view, _stacked(*of))}


def listings(view: Evaluator, modes: Sequence[str] = MODES[:2]) -> dict[str, np.ndarray]:
    """Makes sentences to look at, as far as the evals allow.

    Args:
      view: a trained group over a split of sentences.
      modes: of decoding prior samples.

    Returns:
      name -> int [G, ..., L] tokens; {} for images. 'listing/<mode>' [G, 16, L];
      'listing/interpolation' [G, P, 11, L] between posterior means of
      'listing/interpolation_of' [G, P, 2, L], and 'listing/extrapolation' [G, P, 11, L] beyond
      them, t = -2, ..., 3; 'listing/homotopy' [G, P, 11, L]; 'listing/analogy' [G, K, L] of
      'listing/analogy_of' [G, K, 3 or with a reference 4, L]; 'listing/transfer' [G, K, L] of
      'listing/transfer_of' [G, K, 1 or with a reference 2, L], greedy rewritings; and what
      `responses.listed` makes.
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
        out |= _lines(view) | _sums(view)
    if 'transfer' in evals and 'label' in view.buckets[0]:
        out |= _transfer(view)
    if 'respond' in evals and 'context' in view.buckets[0]:
        out |= responses.listed(view)
    return {f'listing/{k}': np.asarray(v, np.int32) for k, v in out.items()}


def sentence(tokens: Sequence[int] | np.ndarray, vocab: Sequence[str]) -> str:
    """Writes the words of one sentence [L], without `<s>`, `</s>` and what follows.

    >>> sentence([1, 3, 2, 0], ('<pad>', '<s>', '</s>', 'word'))
    'word'
    """
    ids = [int(t) for t in tokens]
    ids = ids[:ids.index(END)] if END in ids else ids
    return ' '.join(vocab[t] for t in ids if t not in (PAD, START))


def _one(names, sentences, said):
    """Lines of one sentence beside those that it is made of, its reference last."""
    rows = [f'{name:6}{text}' for name, text in zip(names, sentences, strict=False)]
    return [*rows[:len(names) - 1], f'say   {said}', *rows[len(names) - 1:]]


def _dialogue(say, who, sentences, said):
    """Lines of a dialogue: its last turns, what is valid, what is said."""
    rows = [(WHO[int(k)], say(s)) for k, s in zip(who, sentences, strict=True) if s.any()]
    return [f'{name:6}{text}' for name, text in [*rows, *(('say', say(s)) for s in said)]]


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
        said, of, who = (arrays.get(f'listing/{name}{end}') for end in ('', '_of', '_who'))
        if said is None:
            continue
        if who is not None and of is not None:
            rows = [_dialogue(say, *one) for one in zip(who, of, said, strict=True)]
        elif name in NAMED and of is not None:
            rows = [_one(NAMED[name], [*map(say, every)], say(s))
                    for s, every in zip(said, of, strict=True)]
        elif np.ndim(said) == 3:
            first = FIRST.get(name, 0.)
            rows = [[f'{t:.1f}   {say(s)}' for t, s in zip(
                np.linspace(first, 1 - first, len(line)), line, strict=True)] for line in said]
            if of is not None:
                rows = [[f'from  {say(a)}', *row, f'to    {say(b)}']
                        for row, (a, b) in zip(rows, of, strict=True)]
        else:
            rows = [[say(s) for s in said]]
        body = '\n\n'.join('\n'.join('  ' + line for line in row) for row in rows)
        sections.append(f'{title}\n{body}\n')
    return '\n'.join(sections)
