"""The floors and the ceiling of rewriting: sentences that are there already, and no network."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Batch, Fold, Kit, Method, Phase, Recipe
from vaebench.schema import field

CHUNK = 256        # training sentences that are compared at once


def width(kit: Kit) -> int:
    """Columns of tokens that decoders give: the longest sentence, `<s>` and `</s>`."""
    longest: Any = field(kit.schema, 'length').size
    return longest + 1


def resized(tokens: jax.Array, length: jax.Array, width: int) -> dict[str, jax.Array]:
    """Gives sentences as many columns as decoders give.

    Args:
      tokens: int [B, L], closed by `</s>`, then padded with 0.
      length: int [B], the place of `</s>`.
      width: columns wanted, at least 2.

    Returns:
      {'tokens': [B, width], 'length': [B]}; a longer sentence loses its last words.

    >>> out = resized(jnp.array([[1, 7, 8, 2], [1, 7, 2, 0]]), jnp.array([3, 2]), 3)
    >>> out['tokens'].tolist(), out['length'].tolist()
    ([[1, 7, 2], [1, 7, 2]], [2, 2])
    """
    end = jnp.take_along_axis(tokens, length[:, None], 1)
    short = jnp.minimum(length, width - 1)
    place = jnp.arange(width)
    wide = jnp.pad(tokens, ((0, 0), (0, max(width - tokens.shape[1], 0))))[:, :width]
    wide = jnp.where(place == short[:, None], end, wide)
    return {'tokens': jnp.where(place <= short[:, None], wide, 0), 'length': short}


def copy(kit: Kit, recipe: Recipe) -> Method:
    """Leaves every sentence as it is: the floor of style, and the ceiling of content.

    Args:
      kit: only its schema.
      recipe: unused.

    Returns:
      A `Method` without phases that offers 'transfer'.

    Equation:
      y = x

    Deviations:
      None: it is no method of a paper, but shows what metrics give to doing nothing.
    """
    columns = width(kit)

    def transfer(params, carry, batch, label, key, mode):
        return resized(batch['tokens'], batch['length'], columns)

    return Method(lambda key, data: ({}, {}), (), {'transfer': transfer})


def gold(kit: Kit, recipe: Recipe) -> Method:
    """Answers with the first reference: the ceiling, where references are right.

    Args:
      kit: only its schema; the data has a column 'reference'.
      recipe: unused.

    Returns:
      A `Method` without phases that offers 'transfer'. A sentence has references of the other
      style only: the label that is asked for is not read.

    Equation:
      y = the first of the references of x

    Deviations:
      None: it is no method of a paper. Of several references that people wrote the first is
      compared with all, itself among them, so that its scores are no bound on what people do.
    """
    if 'reference' not in kit.schema:
        field(kit.schema, 'reference')      # one clear line
    columns = width(kit)

    def transfer(params, carry, batch, label, key, mode):
        first = jax.tree.map(lambda x: x[:, 0], batch['reference'])
        return resized(first['tokens'], first['length'], columns)

    return Method(lambda key, data: ({}, {}), (), {'transfer': transfer})


def collected(size: int, columns: int, classes: int,
              read: Callable[[Batch], Batch] = lambda batch: batch
              ) -> tuple[Fold, Callable[[], dict[str, jax.Array]]]:
    """Keeps the training sentences, sorted by style.

    Args:
      size: N, how many there are.
      columns: L, of tokens.
      classes: K, styles.
      read: what of a batch is kept: its 'tokens', 'length' and 'label'.

    Returns:
      A `Fold`, and a function that makes what carry holds before it: 'tokens' [N, L],
      'length' [N], 'label' [N] in rising order, and 'count' [K], sentences of each style.
    """
    def empty():
        return {'tokens': jnp.zeros((size, columns), jnp.int32),
                'length': jnp.zeros(size, jnp.int32), 'label': jnp.zeros(size, jnp.int32)}

    def start():
        return {**empty(), 'count': jnp.zeros(classes, jnp.int32)}

    def update(found, params, carry, batch):
        kept, taken = found
        filled, seen = batch['weight'] > 0, read(batch)
        rows = jnp.where(filled, taken + jnp.cumsum(filled) - 1, size)    # the rest: dropped
        new = {**resized(seen['tokens'], seen['length'], columns), 'label': seen['label']}
        kept = jax.tree.map(lambda old, x: old.at[rows].set(x, mode='drop'), kept, new)
        return kept, taken + filled.sum(dtype=jnp.int32)

    def finish(found, params, carry):
        kept, taken = found
        there = jnp.arange(size) < taken
        order = jnp.argsort(jnp.where(there, kept['label'], classes))
        count = jnp.zeros(classes, jnp.int32).at[kept['label']].add(there.astype(jnp.int32))
        return {**carry, **jax.tree.map(lambda x: x[order], kept), 'count': count}

    return Fold(lambda: (empty(), jnp.int32(0)), update, finish), start


def chosen(carry: Any, rows: jax.Array) -> dict[str, jax.Array]:
    """Takes rows [B] of kept sentences."""
    return {'tokens': carry['tokens'][rows], 'length': carry['length'][rows]}


def after(fold: Fold, start: Callable[[], Any], evals: dict[str, Any]) -> Method:
    """Builds a method that only reads the training data."""
    phase = Phase('main', (), 0, select='', summary=fold)
    return Method(lambda key, data: ({}, start()), (phase,), evals)


def random_target(kit: Kit, recipe: Recipe) -> Method:
    """Answers with a training sentence of the target style, drawn at random: the ceiling of
    style, and the floor of content.

    Args:
      kit: only its schema; the data has labels.
      recipe: `examples` is used.

    Returns:
      A `Method` of a phase without players that offers 'transfer', which draws by the key in
      every mode. Its carry holds all training sentences.

    Equation:
      y uniform among the training sentences of the target style

    Deviations:
      None: it is no method of a paper, but shows what metrics give to sentences that have
      nothing to do with x.
    """
    fold, start = collected(recipe.examples, width(kit), kit.size('label'))

    def transfer(params, carry, batch, label, key, mode):
        count = carry['count']
        first = (jnp.cumsum(count) - count)[label]
        return chosen(carry, first + jax.random.randint(
            key, label.shape, 0, jnp.maximum(count[label], 1)))

    return after(fold, start, {'transfer': transfer})


def _words(tokens: jax.Array, length: jax.Array) -> jax.Array:
    """bool [..., L]: neither `<s>`, `</s>` nor padding."""
    place = jnp.arange(tokens.shape[-1])
    return (place > 0) & (place < length[..., None])


def _documents(tokens: jax.Array, length: jax.Array, vocab: int) -> jax.Array:
    """[V] sentences that hold each word, of tokens [N, L]."""
    same = tokens[:, :, None] == tokens[:, None, :]
    again = (same & jnp.tril(jnp.ones(same.shape[1:], bool), -1)).any(-1)
    first = _words(tokens, length) & ~again
    return jnp.zeros(vocab).at[tokens].add(first.astype(float))


def _norm(idf: jax.Array, tokens: jax.Array, length: jax.Array) -> jax.Array:
    """Norm of the TF-IDF vector of one sentence, tokens [L]."""
    worth = jnp.where(_words(tokens, length), idf[tokens], 0.)
    same = tokens[:, None] == tokens[None, :]
    return jnp.sqrt((same * worth[:, None] * worth[None, :]).sum())


def _query(idf: jax.Array, tokens: jax.Array, length: jax.Array) -> jax.Array:
    """What every word of a training sentence adds to its similarity to one sentence: [V]."""
    worth = jnp.where(_words(tokens, length), idf[tokens]**2, 0.)
    norm = _norm(idf, tokens, length)
    return jnp.zeros_like(idf).at[tokens].add(worth) / jnp.where(norm > 0, norm, 1.)


def nearest(carry: Any, batch: Batch, label: jax.Array, chunk: int = CHUNK) -> jax.Array:
    """Finds the training sentence of a style whose TF-IDF vector is nearest, by its cosine.

    Memory is in proportion to B chunk L: a chunk's words gather their weights.

    Args:
      carry: of `nearest_target`.
      batch: 'tokens' [B, L], 'length' [B].
      label: int [B], the style.
      chunk: training sentences that are compared at once.

    Returns:
      int32 [B], the row of carry; the first of equals.
    """
    size = len(carry['length'])
    queries = jax.vmap(lambda t, n: _query(carry['idf'], t, n))(batch['tokens'],
                                                                batch['length'])

    def compare(best, step):
        rows = step * chunk + jnp.arange(chunk, dtype=jnp.int32)
        at = jnp.minimum(rows, size - 1)
        tokens, inside = carry['tokens'][at], _words(carry['tokens'][at], carry['length'][at])
        dots = jnp.where(inside, queries[:, tokens], 0.).sum(-1)                # [B, chunk]
        norm = carry['norm'][at]
        cosine = dots / jnp.where(norm > 0, norm, 1.)
        right = (carry['label'][at] == label[:, None]) & (rows < size)
        cosine = jnp.where(right, cosine, -1.)
        top, value = cosine.argmax(1), cosine.max(1)
        better = value > best[0]
        return (jnp.where(better, value, best[0]), jnp.where(better, at[top], best[1])), None

    none = jnp.full(label.shape, -1., queries.dtype), jnp.zeros(label.shape, jnp.int32)
    return jax.lax.scan(compare, none, jnp.arange(-(-size // chunk), dtype=jnp.int32))[0][1]


def indexed(size: int, columns: int, classes: int, vocab: int,
            read: Callable[[Batch], Batch] = lambda batch: batch
            ) -> tuple[Fold, Callable[[], dict[str, jax.Array]]]:
    """`collected` training sentences with their TF-IDF: what `nearest` reads.

    Args:
      size, columns, classes, read: see `collected`.
      vocab: V.

    Returns:
      A `Fold`, and a function that makes what carry holds before it: that of `collected`, 'idf'
      [V] and 'norm' [N].
    """
    fold, start = collected(size, columns, classes, read)

    def update(found, params, carry, batch):
        kept, documents = found
        seen = read(batch)
        shown = jnp.where(batch['weight'] > 0, seen['length'], 0)
        return (fold.update(kept, params, carry, batch),
                documents + _documents(seen['tokens'], shown, vocab))

    def finish(found, params, carry):
        kept, documents = found
        carry = fold.finish(kept, params, carry)
        idf = 1. + jnp.log((1 + carry['count'].sum()) / (1 + documents))
        norm = jax.lax.map(lambda row: _norm(idf, *row), (carry['tokens'], carry['length']),
                           batch_size=CHUNK)
        return {**carry, 'idf': idf, 'norm': norm}

    def begin():
        return {**start(), 'idf': jnp.zeros(vocab), 'norm': jnp.zeros(size)}

    return Fold(lambda: (fold.init(), jnp.zeros(vocab)), update, finish), begin


def nearest_target(kit: Kit, recipe: Recipe) -> Method:
    """Answers with the training sentence of the target style that is nearest to x: retrieval by
    TF-IDF.

    Args:
      kit: only its schema; the data has labels.
      recipe: `examples` is used.

    Returns:
      A `Method` of a phase without players that offers 'transfer', alike in every mode. Its
      carry holds all training sentences.

    Equation:
      y = argmax over training sentences of the target style of cos(v(x), v(y))
      v_w = n_w (1 + ln((1 + N) / (1 + d_w)))
      n_w: how often the sentence holds w; d_w: how many of the N sentences do

    Deviations:
      None: it is no method of a paper. The weights are those of scikit-learn's TF-IDF, fitted
      to all training sentences; unknown words count as one word.
    """
    fold, start = indexed(recipe.examples, width(kit), kit.size('label'), kit.size('tokens'))

    def transfer(params, carry, batch, label, key, mode):
        return chosen(carry, nearest(carry, batch, label))

    return after(fold, start, {'transfer': transfer})
