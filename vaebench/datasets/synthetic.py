"""A corpus whose exact log p*(x) is known for every sentence."""
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets.base import Dataset, Folder, text_dataset, whole
from vaebench.datasets.text_files import BOS, EOS, SPECIALS, pack

LONGEST, SHORTEST = 12, 4   # words


class Source(NamedTuple):
    """Discrete factors f drawn once per sentence, then a hidden Markov chain of slots that
    emits the words.

    The chain does not depend on f, the words do. Word t (from 0) is followed by another or by
    </s>: move[t].sum(-1) + end[t] = 1.
    """
    vocab: tuple[str, ...]   # [V], special ones first
    prior: np.ndarray        # [F]
    start: np.ndarray        # [S] slot of word 0
    move: np.ndarray         # [T, S, S] from the slot of word t to that of word t + 1
    end: np.ndarray          # [T, S]; 1 at T - 1: T words at most
    emit: np.ndarray         # [F, S, V]

    def sample(self, n: int,
               seed: int | Sequence[int]) -> tuple[list[np.ndarray], np.ndarray]:
        """Sentences.

        Made from raw uniform numbers alone, which numpy never changes; n sentences are the
        first n of more.

        Args:
          n: how many.
          seed: int or sequence of ints.

        Returns:
          (list of n int arrays of word ids, int32 [n] factors).
        """
        u = np.random.Generator(np.random.PCG64(seed)).random((n, 1 + 2 * len(self.end)))

        def pick(weights, u):   # inverse of the distribution function
            return (weights.cumsum(-1) <= u[:, None] * weights.sum(-1, keepdims=True)).sum(-1)

        f = pick(np.broadcast_to(self.prior, (n, len(self.prior))), u[:, 0])
        slot = pick(np.broadcast_to(self.start, (n, len(self.start))), u[:, 1])
        words, count, going = [], np.zeros(n, int), np.ones(n, bool)
        onward = np.concatenate([self.move, self.end[..., None]], -1)   # [T, S, S + 1]
        for t in range(len(self.end)):
            words.append(pick(self.emit[f, slot], u[:, 2 + 2 * t]))
            count += going
            if t + 1 == len(self.end):
                break
            after = pick(onward[t, slot], u[:, 3 + 2 * t])
            going &= after < len(self.start)
            slot = np.where(going, after, slot)
        rows = np.array(words, np.int32).T
        sentences = [row[:k] for row, k in zip(rows, count, strict=True)]
        return sentences, f.astype(np.int32)

    def _forward(self, tokens: np.ndarray) -> Iterator[np.ndarray]:
        """p(f, words 0..t, slot of word t) for t = 0, 1, ...: [N, F, S] each."""
        words = tokens[:, 1:]
        inside = (words >= 0) & (words < len(self.vocab))
        emit = np.moveaxis(self.emit, -1, 0)   # [V, F, S]
        alpha = self.prior[:, None] * self.start
        for t in range(min(len(self.end), words.shape[1])):
            seen = emit[np.where(inside[:, t], words[:, t], 0)]
            alpha = alpha * np.where(inside[:, t, None, None], seen, 0)
            yield alpha
            alpha = alpha @ self.move[t]

    def log_joint(self, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
        """log p*(f, x): the hidden slots summed out, the factors not.

        Args:
          tokens: int [N, L], <s> w1..wn </s> and anything after.
          length: int [N] = n + 1.

        Returns:
          float64 [N, F], nats; -inf where the source never says x.
        """
        tokens, length = np.asarray(tokens), np.asarray(length)
        p = np.zeros((len(tokens), len(self.prior)))
        for t, alpha in enumerate(self._forward(tokens)):
            p = np.where((length == t + 2)[:, None], (alpha * self.end[t]).sum(-1), p)
        last = np.take_along_axis(tokens,
                                  np.clip(length, 0, tokens.shape[1] - 1)[:, None], 1)[:, 0]
        framed = (tokens[:, 0] == BOS) & (last == EOS) & (length < tokens.shape[1])
        with np.errstate(divide='ignore'):
            return np.log(np.where(framed[:, None], p, 0))

    def log_p(self, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Exact log p*(x).

        Args:
          tokens: int [N, L], <s> w1..wn </s> and anything after.
          length: int [N] = n + 1.

        Returns:
          float64 [N], nats; -inf where the source never says x.
        """
        return np.logaddexp.reduce(self.log_joint(tokens, length), -1)

    def entropy_left(self, tokens: np.ndarray, length: np.ndarray,
                     words: int | None = None) -> np.ndarray:
        """H(f | x), or H(f | the first words of x).

        Args:
          tokens: int [N, L] sentences that the source can say.
          length: int [N].
          words: how many are seen, without </s>; None means the whole sentence.

        Returns:
          float64 [N], nats.
        """
        if words is None:
            p = np.exp(self.log_joint(tokens, length))
        else:
            p = [a.sum(-1) for a in self._forward(tokens[:, :words + 1])][-1]
        return entropy(p / p.sum(-1, keepdims=True))


def entropy(p: np.ndarray) -> np.ndarray:
    """Entropy of distributions.

    Args:
      p: [..., K].

    Returns:
      [...], nats.

    >>> float(np.exp(entropy(np.array([.25, .25, .25, .25]))).round(6))
    4.0
    """
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)


# Six topics: two nouns each, and rarely the first noun of the opposite topic; topics i and
# i - 1 share VERBS[i], so that subject and verb together settle the topic.
NOUNS = ('sailors', 'gulls', 'gardeners', 'roses', 'cooks', 'kettles', 'porters', 'trains',
         'fiddlers', 'drums', 'shepherds', 'goats')
VERBS = 'greet', 'follow', 'paint', 'count', 'watch', 'chase'
# Four tones: an opening, two adjectives and an adverb each.
OPENINGS = 'hurrah', 'alas', 'beware', 'hush'
ADJECTIVES = 'merry', 'bright', 'weary', 'pale', 'bitter', 'loud', 'quiet', 'gentle'
ADVERBS = 'gladly', 'sadly', 'fiercely', 'softly'
# Words of every tone and topic; those of BOTH are adjectives and adverbs alike, so that the
# slot is truly hidden.
PLAIN, BOTH, JOINING = ('today', 'then'), ('still', 'fast'), ('and', 'while')
TOPICS, TONES = len(VERBS), len(OPENINGS)

SLOTS = {   # slot -> successors; None is </s>
    'opening': {'adjective': .4, 'subject': .6},
    'adjective': {'subject': 1.},
    'subject': {'verb': 1.},
    'verb': {'quality': .55, 'adverb': .35, None: .1},
    'quality': {'object': 1.},
    'object': {'adverb': .3, 'joining': .2, None: .5},
    'adverb': {'joining': .2, None: .8},
    'joining': {'adjective': .4, 'subject': .6},
}


def _words(topic: int, tone: int) -> dict[str, dict[str, float]]:
    """Slot -> {word: probability} under one value of the factors."""
    noun, rare = NOUNS[2 * topic:2 * topic + 2], NOUNS[2 * ((topic + TOPICS // 2) % TOPICS)]
    adjectives = ADJECTIVES[2 * tone:2 * tone + 2]
    quality = {adjectives[0]: .5, adjectives[1]: .3, BOTH[0]: .1, BOTH[1]: .1}
    return {
        'opening': {OPENINGS[tone]: .75, OPENINGS[(tone + 1) % TONES]: .05,
                    PLAIN[0]: .1, PLAIN[1]: .1},
        'adjective': quality,
        'subject': {noun[0]: .55, noun[1]: .4, rare: .05},
        'verb': {VERBS[topic]: .6, VERBS[(topic + 1) % TOPICS]: .4},
        'quality': quality,
        'object': {noun[0]: .35, noun[1]: .6, rare: .05},
        'adverb': {ADVERBS[tone]: .8, BOTH[0]: .1, BOTH[1]: .1},
        'joining': {JOINING[0]: .6, JOINING[1]: .4},
    }


def _chain() -> tuple[np.ndarray, np.ndarray]:
    """move [T, S, S] and end [T, S] of `SLOTS`, kept between SHORTEST and LONGEST words."""
    names = list(SLOTS)
    need = dict.fromkeys(names, LONGEST)   # words that must still follow
    for _ in names:
        need = {s: min(0 if n is None else 1 + need[n] for n in after)
                for s, after in SLOTS.items()}
    move, end = np.zeros((LONGEST, len(names), len(names))), np.zeros((LONGEST, len(names)))
    for t in range(LONGEST):
        for i, s in enumerate(names):
            after = {n: p for n, p in SLOTS[s].items()
                     if (t + 1 >= SHORTEST if n is None else t + 1 + need[n] < LONGEST)}
            total = sum(after.values()) or 1.   # no successor: the slot cannot stand here
            for n, p in after.items():
                if n is None:
                    end[t, i] = p / total
                else:
                    move[t, i, names.index(n)] = p / total
    return move, end


def source() -> Source:
    """The source of the dataset `synthetic`: 6 topics x 4 tones, both uniform and independent.

    A sentence opens with a word of its tone, then its subject gives the topic away: after three
    words little of the factors is left to learn, so an autoregressive decoder does without a
    latent. Lengths are independent of the factors.

    Returns:
      A `Source` of F = 24 (topic * 4 + tone), S = 8, V = 44, T = 12.
    """
    vocab = (*SPECIALS, *OPENINGS, *PLAIN, *NOUNS, *VERBS, *ADJECTIVES, *BOTH, *ADVERBS,
             *JOINING)
    index = {w: i for i, w in enumerate(vocab)}
    emit = np.zeros((TOPICS * TONES, len(SLOTS), len(vocab)))
    for f in range(TOPICS * TONES):
        slots = _words(*divmod(f, TONES))
        for i, s in enumerate(SLOTS):
            for word, p in slots[s].items():
                emit[f, i, index[word]] = p
    prior = np.full(TOPICS * TONES, 1 / (TOPICS * TONES))
    return Source(vocab, prior, np.eye(len(SLOTS))[0], *_chain(), emit)


def log_p(tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Exact log p*(x) under the source of the dataset `synthetic`, for anybody's sentences.

    Args:
      tokens: int [N, L], <s> w1..wn </s> and anything after.
      length: int [N] = n + 1.

    Returns:
      float64 [N], nats; -inf where the source never says x.

    >>> log_p(np.array([[1, 4, 4, 4, 4, 2]]), np.array([5]))   # hurrah hurrah hurrah hurrah
    array([-inf])
    """
    return source().log_p(tokens, length)


def synthetic(data_dir: Folder = None, cache_dir: Folder = None, sentences: int = 4096,
              eval_sentences: int = 512, seed: int = 0) -> Dataset:
    """Sentences of a known source, with their exact log p*(x): see `source`.

    Args:
      data_dir, cache_dir: not needed.
      sentences: of train.
      eval_sentences: of valid, and of test.
      seed: of the draw; the source itself is fixed. Splits have streams of their own.

    Returns:
      A `Dataset` with columns 'log_p' (float32 [N], nats) and 'label' (int32 [N], topic * 4 +
      tone). source.facts['source'], in nats: 'factor_entropy' H(f); over the test split
      'posterior_entropy' H(f|x), exact sentence by sentence, 'information' H(f) - H(f|x), the
      KL that an honest VAE should reach, 'entropy' -mean log p*(x), and
      'posterior_entropy_after' H(f | first k words) for k = 1, 2, 3.
    """
    held_out = whole('eval_sentences', eval_sentences, 1)
    sizes = {'train': whole('sentences', sentences, 1), 'valid': held_out, 'test': held_out}
    seed, src, splits = whole('seed', seed, 0), source(), {}
    for i, (split, n) in enumerate(sizes.items()):
        words, factors = src.sample(n, [seed, i])
        columns = pack(words)
        exact = src.log_p(columns['tokens'], columns['length'])
        splits[split] = {**columns, 'log_p': exact.astype(np.float32), 'label': factors}
    test = splits['test']['tokens'], splits['test']['length']
    prior, posterior = float(entropy(src.prior)), float(src.entropy_left(*test).mean())
    columns = {'log_p': schema.Field('real', derived=True),
               'label': schema.label(TOPICS * TONES)}
    known = {
        'factor_entropy': prior,
        'posterior_entropy': posterior,
        'information': prior - posterior,
        'entropy': float(-src.log_p(*test).mean()),
        'seed': seed,
        'posterior_entropy_after': [
            float(src.entropy_left(*test, words=k).mean()) for k in (1, 2, 3)],
    }
    return text_dataset('synthetic', splits, src.vocab, columns, source=known)
