"""The floors of dialogue: training responses, found or drawn, and no network."""
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Batch, Fold, Kit, Method, Recipe
from vaebench.methods import copying
from vaebench.schema import field


def one_style(batch: Batch) -> dict[str, Any]:
    """The responses of a batch as `copying` reads them, all of one label."""
    return {**batch, 'label': jnp.zeros_like(batch['length'])}


def history(batch: Batch) -> dict[str, jax.Array]:
    """Everything said before the responses, as one sentence each.

    Args:
      batch: 'context' of U turns of L tokens.

    Returns:
      {'tokens': int32 [B, 2 + U L], 'length': int32 [B]}: `<s>`, the words of all turns in
      their order, `</s>`, padding.

    >>> told = {'tokens': jnp.array([[[1, 7, 2, 0], [1, 8, 9, 2], [5, 5, 5, 5]]]),
    ...         'length': jnp.array([[2, 3, 9]]), 'turns': jnp.array([2])}
    >>> out = history({'context': told})
    >>> out['tokens'][0, :6].tolist(), out['length'].tolist()
    ([1, 7, 8, 9, 2, 0], [4])
    """
    told: Any = batch['context']
    tokens, turns = told['tokens'], told['tokens'].shape[1]
    place = jnp.arange(tokens.shape[2])
    words = (place > 0) & (place < told['length'][..., None])
    words &= (jnp.arange(turns) < told['turns'][:, None])[..., None]
    words, tokens = (x.reshape(len(x), -1) for x in (words, tokens))
    count = words.sum(1)
    moved = jnp.take_along_axis(tokens, jnp.argsort(~words, axis=1, stable=True), 1)
    padded = jnp.pad(moved, ((0, 0), (1, 1))).at[:, 0].set(1)
    at = jnp.arange(padded.shape[1])
    padded = jnp.where(at == count[:, None] + 1, 2, jnp.where(at > count[:, None], 0, padded))
    return {'tokens': padded, 'length': count + 1}


def random_response(kit: Kit, recipe: Recipe) -> Method:
    """Answers with a training response, drawn at random: the floor of relevance, with the
    words, lengths and acts of real responses.

    Args:
      kit: only its schema.
      recipe: `examples` is used.

    Returns:
      A `Method` of a phase without players that offers 'respond', which draws by the key in
      every mode. Its carry holds all training responses.

    Equation:
      y uniform among the training responses

    Deviations:
      None: it is no method of a paper, but shows what metrics give to responses that have
      nothing to do with the context.
    """
    fold, start = copying.collected(recipe.examples, copying.width(kit), 1, one_style)

    def respond(params, carry, batch, key, mode):
        rows = jax.random.randint(key, batch['weight'].shape, 0, recipe.examples)
        return copying.chosen(carry, rows)

    return copying.after(fold, start, {'respond': respond})


def retrieval(kit: Kit, recipe: Recipe) -> Method:
    """Answers with the training response whose context is nearest, by TF-IDF.

    Args:
      kit: only its schema; the data has a column 'context'.
      recipe: `examples` is used.

    Returns:
      A `Method` of a phase without players that offers 'respond', alike in every mode. Its
      carry holds all training responses and their contexts.

    Equation:
      y = response of argmax over training contexts d of cos(v(c), v(d))
      v_w = n_w (1 + ln((1 + N) / (1 + d_w)))
      n_w: how often the turns of a context, all together, hold w; d_w: how many contexts do

    Deviations:
      None: it is no method of a paper. The weights are those of scikit-learn's TF-IDF, fitted
      to all training contexts; who speaks and the order of turns count for nothing.
    """
    if 'context' not in kit.schema:
        field(kit.schema, 'context')            # one clear line
    told: Any = kit.schema['context']
    turns, longest = told['length'].shape[0], told['length'].size
    answers, first = copying.collected(recipe.examples, copying.width(kit), 1, one_style)
    contexts, begin = copying.indexed(
        recipe.examples, 2 + turns * longest, 1, kit.size('tokens'),
        lambda batch: one_style(history(batch)))

    def update(found, params, carry, batch):
        return (answers.update(found[0], params, {}, batch),
                contexts.update(found[1], params, {}, batch))

    def finish(found, params, carry):
        return {'answers': answers.finish(found[0], params, {}),
                'contexts': contexts.finish(found[1], params, {})}

    def respond(params, carry, batch, key, mode):
        asked = history(batch)
        rows = copying.nearest(carry['contexts'], asked, jnp.zeros_like(asked['length']))
        return copying.chosen(carry['answers'], rows)

    both = Fold(lambda: (answers.init(), contexts.init()), update, finish)
    return copying.after(both, lambda: {'answers': first(), 'contexts': begin()},
                         {'respond': respond})
