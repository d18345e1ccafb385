"""Generators that learn by matching kernel means: of data, of codes, or of features that learn
against them.
"""
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Batch, Kit, Method, Net, Phase, Player, Recipe, couples, derive, mean
from vaebench.methods import energy_gans, models, objectives, posteriors, regularizers
from vaebench.methods.adversarial_game import (
    NOISE,
    Critic,
    adversarial_game,
    clip_parameters,
    critic_updates,
    generator_evals,
    source,
)
from vaebench.ops import kernels

GMMN = (2., 5., 10., 20., 40., 80.)       # variances of the kernels, for 784 pixels
MMD_GAN = (1., 4., 16., 64., 256.)        # for features


def scaled(variances: Sequence[float], x: jax.Array, base: int) -> tuple[float, ...]:
    """Scales variances meant for rows of `base` entries to rows of x [B, ...]; leaves them as
    they are where base is 0.

    >>> scaled((2., 80.), jnp.zeros((5, 14, 14, 1)), 784)
    (0.5, 20.0)
    """
    share = x[0].size / base if base else 1.
    return tuple(v * share for v in variances)


def discrepancy(x: jax.Array, y: jax.Array, batch: Batch,
                variances: Sequence[float]) -> jax.Array:
    """Computes the root of the biased squared MMD between two sets of rows; couples the batch.

    Args:
      x: [B, ...].
      y: [B, ...], each row as heavy as the row of x in its slot.
      batch: with 'weight' [B].
      variances: of the Gaussian kernels, which are summed.

    Returns:
      [], at least 1e-6: below that there is no gradient.

    >>> x = jnp.array([[0.], [2.]])
    >>> round(float(discrepancy(x, x[::-1], {'weight': jnp.ones(2)}, (1.,))), 6)
    1e-06
    """
    weight, x, y = batch['weight'], x.reshape(len(x), -1), y.reshape(len(y), -1)
    center = jax.lax.stop_gradient(posteriors.batch_moments(x, weight)[0])

    def kernel(a, b):
        # far from 0 digits are lost
        return kernels.rbf_mixture(a - center, b - center, variances, less_one=True)

    return jnp.sqrt(jnp.maximum(kernels.mmd(x, y, kernel, weight, weight, biased=True), 1e-12))


def gmmn(kit: Kit, recipe: Recipe, *, variances: Sequence[float] = GMMN,
         base: int = 784) -> Method:
    """Generative moment matching network: samples made from uniform noise learn to have the
    kernel means of the data.

    Args:
      kit: `gen` is used.
      recipe: the protocol.
      variances: of the Gaussian kernels, which are summed.
      base: entries of x that the variances are meant for; 0 takes them as they are.

    Returns:
      A `Method`.

    Equation:
      minimize sqrt(MMD^2(x, G(z))), biased, z uniform on [-1, 1]
      k(x, y) = sum_s exp(-|x - y|^2 / (2 s)), s = 2, 5, 10, 20, 40, 80 for 784 pixels

    Deviations:
      The paper's loss is 1000 times as large, for its plain gradient descent, and its batches
      hold 1000 examples: small ones blur what they compare. Variances are scaled to the number
      of pixels.

    References:
      Li et al., "Generative Moment Matching Networks", 2015, arXiv:1502.02761.
    """
    net, draw = origin = source(kit, 'uniform')

    def init(key, data):
        params, stats = net.init(key)
        return {'gen': params}, {'gen': stats}

    @couples
    def loss(params, carry, batch, ctx):
        x, weight = batch['x'], batch['weight']
        fake, stats = net.apply(params['gen'], carry['gen'], draw(ctx.key, len(weight)), weight,
                                train=True)
        return discrepancy(x, fake, batch, scaled(variances, x, base)), ({'gen': stats}, {})

    player = Player('gen', loss, ('gen',), recipe.optimizer)
    return Method(init, (Phase('main', (player,), recipe.steps, select=''),),
                  generator_evals(origin))


def squashed(kit: Kit) -> posteriors.Posterior:
    """`posteriors.delta` in (0, 1): a code of sigmoid units."""
    base = posteriors.delta(kit)

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features, weight, hp)
        return {'mean': jax.nn.sigmoid(q['mean'])}, carry

    return base._replace(apply=apply)


def generated(kit: Kit, noise: int, hidden: Sequence[int]) -> models.Prior:
    """A prior that can only be sampled: sigmoid outputs of a stack of linear layers, fed with
    noise uniform on [-1, 1].

    Args:
      kit: `mlp` is used.
      noise: dimensions of the noise.
      hidden: widths of the layers.

    Returns:
      A `models.Prior` with the part 'gen'.
    """
    net = kit.mlp((noise, *hidden, kit.latent))

    def sample(params, key, n):
        return jax.nn.sigmoid(net.apply(params['gen'], NOISE['uniform'](key, (n, noise))))

    return models.Prior(('gen',), lambda key, data, params: {'gen': net.init(key)}, None,
                        sample)


def gmmn_ae(kit: Kit, recipe: Recipe, *, noise: int = 10,
            hidden: Sequence[int] = (64, 256, 256, 1024), variances: Sequence[float] = (1.,),
            base: int = 32, corrupt: float = 0.) -> Method:
    """GMMN of codes that match those of an autoencoder, which is trained first and then
    frozen.

    Args:
      kit: `encoder`, `head`, `decoder` and `mlp` are used.
      recipe: the protocol; both phases take `recipe.steps`.
      noise: dimensions of the generator's uniform noise.
      hidden: the generator's widths.
      variances: of the Gaussian kernels on codes in (0, 1), which are summed.
      base: dimensions of a code that the variances are meant for; 0 takes them as they are.
      corrupt: share of the pixels that the encoder does not see in its training.

    Returns:
      A `Method` of phases 'ae' and 'main'; nothing chooses among the generator's parameters:
      the last count.

    Equation:
      first minimize rec(x, z), z = sigmoid(W h(x))
      then, the autoencoder frozen, minimize sqrt(MMD^2(z, G(u))), u uniform on [-1, 1]
      k(x, y) = exp(-|x - y|^2 / (2 s)), s = 1 for 32 dimensions

    Deviations:
      The paper's autoencoder is pretrained layer by layer, and drops half of its hidden units
      besides a fifth of its pixels, which is `corrupt` 0.2 here. The variance is scaled to the
      number of dimensions.

    References:
      Li et al., "Generative Moment Matching Networks", 2015, arXiv:1502.02761.
    """
    prior, weight = generated(kit, noise, hidden), objectives.constant_weight(0.)
    model = models.model(kit, squashed(kit), prior, corrupt=corrupt)

    @couples
    def loss(params, carry, batch, ctx):
        codes = model.evals['encode'](params, carry, batch)
        fake = prior.sample(params, ctx.key, len(codes))
        return discrepancy(codes, fake, batch, scaled(variances, codes, base)), (carry, {})

    first = Player('ae', objectives.objective(model, regularizers.none, weight),
                   tuple(n for n in model.names if n not in prior.names), recipe.optimizer)
    return Method(objectives.starter(model, weight),
                  (Phase('ae', (first,), recipe.steps, select='rec'),
                   Phase('main', (Player('gen', loss, prior.names, recipe.optimizer),),
                         recipe.steps, select='')), model.evals)


def features(kit: Kit, size: int) -> Net:
    """Builds a critic that maps to features, and reconstructs from them.

    Args:
      kit: `critic` and `gen` are used; neither is normalized.
      size: of the description.

    Returns:
      A `Net`: (params, x [B, ...], weight=None) -> (reconstruction [B, ...], features [B,
      size]).
    """
    enc, dec = kit.critic(n_out=size), kit.gen(latent=size)

    def init(key):
        return {'enc': enc.init(derive(key, 0)), 'dec': dec.init(derive(key, 1))[0]}

    def apply(params, x, weight=None, key=None):
        seen = enc.apply(params['enc'], x, weight)
        return dec.apply(params['dec'], {}, seen)[0], seen

    return Net(init, apply)


def mmd_gan(kit: Kit, recipe: Recipe, *, n_critic: int = 5, boost: int = 0,
            size: int | None = None, variances: Sequence[float] = MMD_GAN,
            noise: str = 'normal', norm: bool = False) -> Method:
    """Moment matching in features that learn to tell samples from data, and from which both can
    be reconstructed.

    Hyperparameters:
      rank, rec, clip.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      n_critic: critic updates per generator update, each on data and noise of its own.
      boost: critic updates in the first 25 steps and in every 500th, 100 in the published code;
        0 never.
      size: number of features; None is Z.
      variances: of the Gaussian kernels on features, which are summed.
      noise: 'normal' or 'uniform'.
      norm: whether the generator is batch-normalized; the published critic is too.

    Returns:
      A `Method`; aux 'mmd' is the root of the discrepancy of the features, 'rank' their mean
      violation of the order, which is not positive, 'rec' the squared error per pixel, that of
      data plus that of samples.

    Equation:
      M = sqrt(MMD^2(f(x), f(G(z)))), R = mean_j min(E f_j(x) - E f_j(G(z)), 0)
      critic: maximize M + rank R - rec (|x - f'(f(x))|^2 + |G(z) - f'(f(G(z)))|^2)
        (per pixel), f' a decoder of features, f clipped by clip
      generator: minimize M + rank R

    Deviations:
      The encoder is clipped after each of its updates; the published code does so before, so
      that its generator sees one update beyond the bound. Both players of a step meet the same
      first batch. Pixels lie in [0, 1], for which a squared error is a quarter of the paper's.
      The published code has 100 critic updates in its first 25 steps and in every 500th
      (`boost`).

    References:
      Li et al., "MMD GAN: Towards Deeper Understanding of Moment Matching Network", 2017,
      arXiv:1705.08584.
    """
    origin, net = source(kit, noise, norm), features(kit, size or kit.latent)

    def compared(turn):
        """sqrt(MMD^2) + rank * R, which the critic raises and the generator lowers, and both
        reconstructions.
        """
        (copy, real), (again, fake) = (turn.score(x) for x in (turn.batch['x'], turn.fake))
        rank = jnp.minimum(posteriors.batch_moments(real - fake, turn.batch['weight'])[0],
                           0.).mean()
        value = discrepancy(real, fake, turn.batch, variances)
        return value + turn.hp['rank'] * rank, {'mmd': value, 'rank': rank}, (copy, again)

    @couples
    def critic(turn, key):
        value, aux, copies = compared(turn)
        rec = sum(mean(energy_gans.squared(x, copy), turn.batch)
                  for x, copy in zip((turn.batch['x'], turn.fake), copies, strict=True))
        return turn.hp['rec'] * rec - value, (turn.state, {**aux, 'rec': rec})

    @couples
    def generator(turn):
        value, aux, _ = compared(turn)
        return value, (turn.state, aux)

    def tx(hp):
        clip = clip_parameters(optax.identity(), hp['clip'])
        return optax.chain(recipe.optimizer(hp),
                           optax.masked(clip, {'critic': {'enc': True, 'dec': False}}))

    player = Critic(net, critic, tx, **critic_updates(n_critic, boost))
    return energy_gans.with_reconstruct(adversarial_game(recipe, origin, player, generator),
                                        net)
