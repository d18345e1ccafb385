"""Methods without latents: a language model, a classifier and the source of a corpus."""
import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Phase, Player, Recipe, derive, mean
from vaebench.schema import field


def language_model(kit: Kit, recipe: Recipe) -> Method:
    """The decoder alone, with no latent: an exact likelihood.

    Args:
      kit: `decoder(latent=0)` is used.
      recipe: the protocol.

    Returns:
      A `Method` that offers 'score' and 'sample'.

    Equation:
      minimize -sum_t log p(x_t | x_<t), over the words and </s>

    Deviations:
      Learning rate and its decay are the table's, as for every row; Li et al.'s language model
      has a larger rate and no least number of epochs before a decay.

    References:
      Bowman et al., "Generating Sentences from a Continuous Space", 2016, arXiv:1511.06349 (its
      baseline).
    """
    dec = kit.decoder(latent=0)

    def loss(params, carry, batch, ctx):
        rec = -mean(dec.log_prob(params['dec'], None, batch, ctx.key), batch)
        return rec, (carry, {'rec': rec})

    def score(params, carry, batch):
        return dec.log_prob(params['dec'], None, batch)

    def sample(params, carry, key, n, mode):
        return dec.generate(params['dec'], jnp.zeros((n, 0)), key, mode)

    player = Player('lm', loss, ('dec',), recipe.optimizer)
    return Method(lambda key, data: ({'dec': dec.init(key)}, {}),
                  (Phase('main', (player,), recipe.steps),),
                  {'score': score, 'sample': sample})


def classifier(kit: Kit, recipe: Recipe) -> Method:
    """Supervised classifier: an encoder and a linear layer that see every label.

    Args:
      kit: `encoder` and `head` are used; the data has labels.
      recipe: the protocol.

    Returns:
      A `Method` that offers 'classify' and 'error', the cross-entropy of an example, nats.

    Equation:
      minimize -log softmax(W h(x))_y

    Deviations:
      None: it is no method of a paper, but what labels alone can do with these networks.
    """
    enc, head = kit.encoder(), kit.head(kit.size('label'))

    def init(key, data):
        return {'enc': enc.init(derive(key, 0)), 'head': head.init(derive(key, 1))}, {}

    def classify(params, batch, key=None):
        features = enc.apply(params['enc'], batch, key)
        return jax.nn.log_softmax(head.apply(params['head'], features.last))

    def entropies(log_p, batch):
        return -jnp.take_along_axis(log_p, batch['label'][:, None], 1)[:, 0]

    def loss(params, carry, batch, ctx):
        log_p = classify(params, batch, ctx.key)
        entropy = mean(entropies(log_p, batch), batch)
        right = mean((log_p.argmax(1) == batch['label']).astype(log_p.dtype), batch)
        return entropy, (carry, {'cross_entropy': entropy, 'accuracy': right})

    def error(params, carry, batch):
        return entropies(classify(params, batch), batch)

    player = Player('classifier', loss, ('enc', 'head'), recipe.optimizer)
    return Method(init, (Phase('main', (player,), recipe.steps, select='error'),),
                  {'classify': lambda params, carry, batch: classify(params, batch),
                   'error': error})


def source(kit: Kit, recipe: Recipe) -> Method:
    """The process that made a synthetic corpus: its exact log probability, and nothing to
    train.

    Args:
      kit: only its schema: the data must hold 'log_p'.
      recipe: unused.

    Returns:
      A `Method` without phases; batches must hold 'log_p' [B].

    Equation:
      log p(x), exact: nothing is minimized

    Deviations:
      None: it is no method of a paper, but the best that any row can reach.
    """
    field(kit.schema, 'log_p')             # or one clear line
    return Method(lambda key, data: ({}, {}), (),
                  {'score': lambda params, carry, batch: batch['log_p']})
