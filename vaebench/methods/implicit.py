"""Methods whose KL is estimated by a dual function."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.core import (
    Decoder,
    Key,
    Kit,
    Method,
    Net,
    Params,
    Phase,
    Player,
    Recipe,
    derive,
    mean,
)
from vaebench.errors import unknown
from vaebench.losses import adversarial
from vaebench.methods import geometry, models, posteriors, priors
from vaebench.methods.objectives import objective, scheduled_weight, starter
from vaebench.methods.posteriors import Posterior
from vaebench.ops import poincare

DRAWS = 16         # codes per example of the replicas
SIGNS = {'descend': -1., 'ascend': 1.}
"""Sign of E_p e^nu in the loss of a prior's own parameters: which way they go on the dual
estimate of the KL.
"""


class Duality(NamedTuple):
    """How dual functions learn, and what learns from them.

    Args:
      marginal: whether the model is trained with nu(z); both functions always learn.
      updates: dual updates per step.
      hidden: widths of the dual functions.
      direction: 'descend' moves the prior so as to lessen the dual estimate, as the ELBO wants;
        'ascend' is printed in APo-VAE's algorithm.
    """
    marginal: bool = False
    updates: int = 5
    hidden: Sequence[int] = (512, 512, 512)
    direction: str = 'descend'

    @property
    def used(self) -> str:
        """Name of the function that the model is trained with."""
        return 'nu_z' if self.marginal else 'nu_xz'


class DualFunctions(NamedTuple):
    """nu(z, x) and nu(z), by the names of their params, 'nu_xz' and 'nu_z'."""
    nets: Mapping[str, Net]
    view: Callable[[jax.Array], jax.Array]    # codes -> what the functions read of them

    def init(self, key: Key) -> dict[str, Any]:
        """Parameters of both."""
        return {n: f.init(derive(key, i)) for i, (n, f) in enumerate(self.nets.items())}

    def value(self, params: Params, name: str, z: jax.Array, last: jax.Array) -> jax.Array:
        """nu [B] at codes [B, Z] of examples with features [B, H]."""
        x = self.view(z)
        if name != 'nu_z':
            x = jnp.concatenate([x, jax.lax.stop_gradient(last)], -1)
        return self.nets[name].apply(params[name], x)[..., 0]

    def estimate(self, params: Params, name: str, z: jax.Array, drawn: jax.Array,
                 last: jax.Array) -> jax.Array:
        """The dual estimate [B] of a KL, nats, from codes and draws of the prior."""
        return adversarial.dual_kl(self.value(params, name, z, last),
                                   self.value(params, name, drawn, last))


def dual_functions(kit: Kit, hidden: Sequence[int],
                   view: Callable[[jax.Array], jax.Array]) -> DualFunctions:
    """`DualFunctions` made of the kit's `mlp`, their leaky units of PyTorch's slope."""
    def net(width):
        return kit.mlp((width, *hidden, 1), activation='leaky_relu_01')

    return DualFunctions({'nu_xz': net(kit.latent + kit.features), 'nu_z': net(kit.latent)},
                         view)


def dual_evals(kit: Kit, functions: DualFunctions, posterior: Posterior, prior: models.Prior,
               decoder: Decoder) -> dict[str, Callable]:
    """'replica' and 'dual_mi': the papers' figures, means over `DRAWS` codes per example."""
    enc = kit.encoder()

    def replicas(params, carry, batch, key):
        """The dual estimates by function and the reconstruction, [B]."""
        features = enc.apply(params['enc'], batch)
        q = posterior.apply(params, carry['posterior'], features)[0]

        def one(key):
            z = posterior.sample(params, q, derive(key, 0))
            drawn = prior.sample(params, derive(key, 1), len(features.last))
            out = {n: functions.estimate(params, n, z, drawn, features.last)
                   for n in functions.nets}
            return {**out, 'rec': -decoder.log_prob(params['dec'], z, batch)}

        return jax.tree.map(lambda x: x.mean(0), jax.vmap(one)(jax.random.split(key, DRAWS)))

    def replica(params, carry, batch, key):
        out = replicas(params, carry, batch, key)
        nats = out['rec'] + out['nu_xz']
        words = batch['length'].astype(nats.dtype) if 'length' in batch else jnp.ones_like(nats)
        return nats, words

    def dual_mi(params, carry, batch, key):
        out = replicas(params, carry, batch, key)
        return out['nu_xz'] - out['nu_z']

    return {'replica': replica, 'dual_mi': dual_mi}


def _dual_players(model: models.Model, prior: models.Prior, functions: DualFunctions,
                  duality: Duality) -> tuple[Player, ...]:
    """The player of the dual functions, and that of a prior with parameters."""
    def features_and_codes(params, carry, batch, ctx):
        _, z, features, _ = model.draw(params, carry['posterior'], batch,
                                       derive(ctx.step_key, 1), ctx.hp)
        return features.last, z

    def dual(params, carry, batch, ctx):
        last, z = features_and_codes(params, carry, batch, ctx)
        drawn = prior.sample(params, ctx.key, len(z))
        values = {n: mean(functions.estimate(params, n, z, drawn, last), batch)
                  for n in functions.nets}
        aux = {'dual': values['nu_xz'], 'dual_marginal': values['nu_z']}
        total: Any = sum(values.values())
        return -total, (carry, aux)

    def move(params, carry, batch, ctx):
        last, _ = features_and_codes(params, carry, batch, ctx)
        drawn = prior.sample(params, ctx.key, len(last))
        values = functions.value(params, duality.used, drawn, last)
        nats = mean(jnp.exp(jnp.minimum(values, adversarial.NU_MAX)), batch)
        return SIGNS[duality.direction] * nats, (carry, {})

    def adam(name):
        return lambda hp: optax.adam(hp[name])

    players = (Player('dual', dual, tuple(functions.nets), adam('nu_lr'), duality.updates),)
    if prior.names:
        players += (Player('prior', move, prior.names, adam('prior_lr')),)
    return players


def dual_autoencoder(kit: Kit, recipe: Recipe, posterior: Posterior, *,
                     prior: models.Prior | None = None, decoder: Decoder | None = None,
                     view: Callable[[jax.Array], jax.Array] = lambda z: z,
                     shown: Callable[..., Mapping] = lambda terms, batch: {},
                     **options: Any) -> Method:
    """Builds an autoencoder whose rate is a dual estimate of its KL by nu(z, x), or nu(z) for
    KL(q(z) || p(z)).

    Every step draws the codes once, for all players. The published formulas lack + 1; nu is
    capped at 20. Aux 'kl' is the true KL, exact or at one draw, and 'dual' the papers'.
    Evaluations know the paper's numbers too: 'replica' takes the dual estimate for the KL, over
    16 draws (the released code: 128), 'dual_mi' is the joint less the marginal estimate.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, nu_lr, prior_lr.

    Args:
      kit: the networks; `mlp` makes the dual functions.
      recipe: the protocol.
      posterior: a `posteriors.Posterior`.
      prior: a `models.Prior`; None is N(0, I). If it has parts, a player of their own moves
        them, not the model's.
      decoder: a `core.Decoder`; None is the kit's.
      view: codes [B, Z] -> what the dual functions read of them, [B, Z].
      shown: (terms, batch) -> more aux.
      **options: `marginal`, `updates`, `hidden`, `direction` of `Duality`.

    Returns:
      A `Method`: players 'dual', 'prior' if it has parts, and 'vae'.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527.
    """
    duality = Duality(**options)
    if duality.direction not in SIGNS:
        raise unknown('direction', duality.direction, SIGNS)
    prior = models.standard_normal(kit.latent) if prior is None else prior
    dec = kit.decoder() if decoder is None else decoder
    model, weight = models.model(kit, posterior, prior, decoder=dec), scheduled_weight(recipe)
    start, functions = starter(model, weight), dual_functions(kit, duality.hidden, view)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {**params, **functions.init(derive(key, 1))}, carry

    def dual_regularizer(params, terms, batch, ctx, key):
        values = functions.value(params, duality.used, terms.z, terms.features.last)
        return mean(jnp.minimum(values, adversarial.NU_MAX), batch), shown(terms, batch)

    loss = objective(model, dual_regularizer, weight, draws=lambda ctx: derive(ctx.step_key, 1))
    own = tuple(name for name in model.names if name not in prior.names)
    players = (*_dual_players(model, prior, functions, duality),
               Player('vae', loss, own, recipe.optimizer))
    return Method(init, (Phase('main', players, recipe.steps),),
                  {**model.evals, **dual_evals(kit, functions, posterior, prior, dec)})


def ivae(kit: Kit, recipe: Recipe, *, noise: int | None = None, noise_scale: float = .1,
         **options: Any) -> Method:
    """VAE with a dual estimate of its KL; with marginal=True the paper's iVAE_MI.

    The posterior called implicit is exactly Gaussian: `log_q`, `kl` and the aux 'kl' are exact.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, nu_lr.

    Args:
      kit: the networks.
      recipe: the protocol.
      noise: size of the encoder's noise; None for Z.
      noise_scale: bound of the noise weights at the start.
      **options: `marginal`, `updates`, `hidden` of `dual_autoencoder`.

    Returns:
      A `Method`.

    Equation:
      KL(q || p) = max_nu E_q nu(z, x) - E_p exp nu(z, x) + 1
      nu: a few steps up; encoder and decoder: minimize rec + beta_t E_q nu(z, x)
      z = W [h(x); e] + b, e ~ N(0, I)
      marginal: nu(z), for KL(q(z) || p(z))

    Deviations:
      The published formulas lack the + 1, and with it one nat of KL. nu is capped at 20. The
      true KL is reported; the papers' numbers, which are no bounds, are replicas, over 16 draws
      (the released code: 128).

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527.
    """
    return dual_autoencoder(kit, recipe, posteriors.linear_implicit(kit, noise, noise_scale),
                            **options)


def apo_vae(kit: Kit, recipe: Recipe, *, pseudo: int = 0, c: float = .1, updates: int = 1,
            **options: Any) -> Method:
    """Dual autoencoder in the Poincare ball, with gyroplanes before the decoder; with pseudo >
    0 APo-VAE+VP.

    Aux 'clipped' counts codes on the rim.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, nu_lr, prior_lr.

    Args:
      kit: the networks; `pseudo` is used if pseudo > 0.
      recipe: the protocol.
      pseudo: pseudo-inputs whose posteriors, mixed, are the prior; 0 for the wrapped normal at
        the origin.
      c: minus the curvature.
      updates: dual updates per step.
      **options: `marginal`, `hidden`, `direction` of `dual_autoencoder`; 'ascend' is the
      paper's algorithm as printed.

    Returns:
      A `Method`; params['dec'] is {'lift', 'dec'}.

    Equation:
      z = exp_mu((2 / lambda_mu) v), v ~ N(0, diag s^2), mu = exp_0(W h)
      KL(q || p) = max_nu E_q nu(x, log_0 z) - E_p exp nu(x, log_0 z) + 1
      encoder and decoder: minimize rec + beta_t E_q nu; pseudo-inputs: maximize E_p exp nu

    Deviations:
      The paper leaves the law of its noise G(x, xi) open: here it is a diagonal Gaussian, so
      that q and the prior have exact densities. Scales have no upper limit: large ones
      put draws on the rim, which aux 'clipped' counts. Its formulas lack the + 1, and its
      Algorithm 1 moves pseudo-inputs so that the dual estimate grows (direction='ascend'); the
      bound wants it to shrink. c, the number of pseudo-inputs, what nu reads and all rates are
      this suite's: no code was found.

    References:
      Dai et al., "APo-VAE: Text Generation in Hyperbolic Space", 2021, arXiv:2005.00054.
    """
    size, posterior = kit.latent, geometry.wrapped_normal(kit, c, 'apo')
    if pseudo:
        prior = priors.vamp(kit, posterior, pseudo)
    else:
        prior = geometry.wrapped_prior(size, c, 'apo')
    decoder = geometry.with_input_layer(kit.decoder(), geometry.gyroplanes(size, size, c))
    method = dual_autoencoder(kit, recipe, posterior, prior=prior, decoder=decoder,
                              view=lambda z: poincare.log0(poincare.project(z, c), c),
                              updates=updates, shown=geometry.boundary_share(c), **options)
    return geometry.reject_boundary(method, c)
