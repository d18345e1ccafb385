"""Methods whose KL is estimated by a dual function."""
import jax
import jax.numpy as jnp
import optax

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.errors import unknown
from vaebench.losses import adversarial
from vaebench.methods import geometry, models, objectives, posteriors, priors
from vaebench.ops import poincare

DRAWS = 16         # codes per example of the replicas
SIGNS = {'descend': -1., 'ascend': 1.}
"""Sign of E_p e^nu in the loss of a prior's own parameters: which way they go on the dual
estimate of the KL.
"""


def dual_autoencoder(kit, recipe, posterior, *, prior=None, decoder=None, view=lambda z: z,
                     marginal=False, updates=5, hidden=(512, 512, 512), direction='descend',
                     shown=lambda terms, batch: {}):
    """An autoencoder whose rate is a dual estimate of its KL by nu(z, x), or nu(z) for KL(q(z)
    || p(z)).

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
      marginal: whether the model is trained with nu(z); both functions always learn.
      updates: dual updates per step.
      hidden: widths of the dual functions.
      direction: 'descend' moves the prior so as to lessen the dual estimate, as the ELBO wants;
        'ascend' is printed in APo-VAE's algorithm.
      shown: (terms, batch) -> more aux.

    Returns:
      A `Method`: players 'dual', 'prior' if it has parts, and 'vae'.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527.
    """
    if direction not in SIGNS:
        raise unknown('direction', direction, SIGNS)
    prior = models.standard_normal(kit.latent) if prior is None else prior
    enc, dec = kit.encoder(), kit.decoder() if decoder is None else decoder
    model, weight = models.model(kit, posterior, prior,
                                 decoder=dec), objectives.scheduled_weight(recipe)
    start, used = objectives.starter(model, weight), 'nu_z' if marginal else 'nu_xz'
    nets = {'nu_xz': kit.mlp((kit.latent + kit.features, *hidden, 1), activation='leaky_relu'),
            'nu_z': kit.mlp((kit.latent, *hidden, 1), activation='leaky_relu')}

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {
            **params, **{n: f.init(derive(key, 1, i))
                         for i, (n, f) in enumerate(nets.items())}
        }, carry

    def nu(params, name, z, last):
        x = view(z) if name == 'nu_z' else jnp.concatenate(
            [view(z), jax.lax.stop_gradient(last)], -1)
        return nets[name].apply(params[name], x)[..., 0]

    def estimate(params, name, z, drawn, last):
        return adversarial.dual_kl(nu(params, name, z, last), nu(params, name, drawn, last))

    def dual(params, carry, batch, ctx):
        _, z, features, _ = model.draw(params, carry['posterior'], batch, derive(
            ctx.step_key, 1), ctx.hp)
        drawn = prior.sample(params, ctx.key, len(z))
        values = {n: mean(estimate(params, n, z, drawn, features.last), batch) for n in nets}
        return -sum(values.values()), (carry, {
            'dual': values['nu_xz'], 'dual_marginal': values['nu_z']
        })

    def move(params, carry, batch, ctx):
        features = model.draw(params, carry['posterior'], batch, derive(ctx.step_key, 1),
                              ctx.hp)[2]
        values = nu(params, used, prior.sample(params, ctx.key, len(features.last)),
                    features.last)
        return SIGNS[direction] * mean(jnp.exp(jnp.minimum(values, adversarial.NU_MAX)),
                                       batch), (carry, {})

    def dual_regularizer(params, terms, batch, ctx, key):
        values = jnp.minimum(nu(params, used, terms.z, terms.features.last), adversarial.NU_MAX)
        return mean(values, batch), shown(terms, batch)

    loss = objectives.objective(model, dual_regularizer, weight,
                                draws=lambda ctx: derive(ctx.step_key, 1))

    def replicas(params, carry, batch, key):
        """The dual estimates by function and the reconstruction, means over DRAWS codes,
        [B]."""
        features = enc.apply(params['enc'], batch)
        q = posterior.apply(params, carry['posterior'], features)[0]

        def one(key):
            z = posterior.sample(params, q, derive(key, 0))
            drawn = prior.sample(params, derive(key, 1), len(features.last))
            out = {n: estimate(params, n, z, drawn, features.last) for n in nets}
            return {**out, 'rec': -dec.log_prob(params['dec'], z, batch)}

        return jax.tree.map(lambda x: x.mean(0), jax.vmap(one)(jax.random.split(key, DRAWS)))

    def replica(params, carry, batch, key):
        out = replicas(params, carry, batch, key)
        nats = out['rec'] + out['nu_xz']
        return nats, batch['length'].astype(
            nats.dtype) if 'length' in batch else jnp.ones_like(nats)

    def dual_mi(params, carry, batch, key):
        out = replicas(params, carry, batch, key)
        return out['nu_xz'] - out['nu_z']

    def adam(name):
        return lambda hp: optax.adam(hp[name])

    players = (Player('dual', dual, tuple(nets), adam('nu_lr'), updates),
               *([Player('prior', move, prior.names, adam('prior_lr'))] if prior.names else []),
               Player('vae', loss, tuple(p for p in model.names if p not in prior.names),
                      recipe.optimizer))
    return Method(init, (Phase('main', players, recipe.steps),),
                  {**model.evals, 'replica': replica, 'dual_mi': dual_mi})


def ivae(kit, recipe, *, noise=None, noise_scale=.1, **options):
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
      nu: a few steps up; encoder and decoder: minimise rec + beta_t E_q nu(z, x), z = W [h(x);
        e] + b, e ~ N(0, I)
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


def apo_vae(kit, recipe, *, pseudo=0, c=.1, updates=1, **options):
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
      encoder and decoder: minimise rec + beta_t E_q nu; pseudo-inputs: maximise E_p exp nu

    Deviations:
      The paper leaves the law of its noise G(x, xi) open: here it is a diagonal Gaussian, so
      that q and the prior have exact densities. Its formulas lack the + 1, and its Algorithm 1
      moves pseudo-inputs so that the dual estimate grows (direction='ascend'); the bound wants
      it to shrink. c, the number of pseudo-inputs, what nu reads and all rates are this
      suite's: no code was found.

    References:
      Dai et al., "APo-VAE: Text Generation in Hyperbolic Space", 2021, arXiv:2005.00054.
    """
    z, posterior = kit.latent, geometry.wrapped_normal(kit, c, 'apo')
    prior = priors.vamp(kit, posterior, pseudo) if pseudo else geometry.wrapped_prior(
        z, c, 'apo')
    method = dual_autoencoder(
        kit, recipe, posterior, prior=prior, decoder=geometry.lifted(
            kit.decoder(), geometry.gyroplanes(z, z, c)),
        view=lambda z: poincare.log0(poincare.project(z, c), c), updates=updates,
        shown=geometry.clipped(c), **options)
    return geometry.off_rim(method, c)
