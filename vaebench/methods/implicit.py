"""Methods whose KL is estimated by a dual function."""
import jax
import jax.numpy as jnp
import optax

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.losses import adversarial
from vaebench.methods import parts, posteriors


def ivae(kit, plan, *, marginal=False, updates=5, hidden=(512, 512, 512), noise=None, noise_scale=.1):
    """VAE trained with a dual estimate of its KL by a function nu(z, x), or nu(z) for KL(q(z) || p(z)).

    hp: those of `vae`; `nu_lr`, of the dual functions' Adam, which no decay touches. Every step draws the codes
    once: they serve the updates of nu and the model's. The posterior called implicit is exactly Gaussian:
    `log_q`, `kl` and the aux 'kl' are exact, and the dual estimate, what the paper reports, is aux 'dual'. nu is
    capped at 20. The paper's formula lacks + 1.

    Args:
      kit: the networks; `mlp` makes the dual functions.
      plan: the protocol.
      marginal: whether the model is trained with nu(z), the paper's iVAE_MI; both functions always learn.
      updates: dual updates per step.
      hidden: widths of the dual functions.
      noise: size of the encoder's noise; None for Z.
      noise_scale: bound of the noise weights at the start.

    Returns:
      A `Method`.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019, arXiv:1908.11527.
    """
    model = parts.model(kit, posteriors.linear_implicit(kit, noise, noise_scale))
    weight = parts.scheduled(plan)
    start = parts.starter(model, weight)
    nets = {'nu_xz': kit.mlp((kit.latent + kit.features, *hidden, 1), activation='leaky_relu'),
            'nu_z': kit.mlp((kit.latent, *hidden, 1), activation='leaky_relu')}

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {**params, **{n: f.init(derive(key, 1, i)) for i, (n, f) in enumerate(nets.items())}}, carry

    def nu(params, name, z, last):
        x = z if name == 'nu_z' else jnp.concatenate([z, jax.lax.stop_gradient(last)], -1)
        return nets[name].apply(params[name], x)[..., 0]

    def dual(params, carry, batch, ctx):
        _, z, features, _ = model.draw(params, carry['posterior'], batch, derive(ctx.step_key, 1), ctx.hp)
        prior = jax.random.normal(ctx.key, z.shape, z.dtype)
        values = {n: mean(adversarial.dual_kl(nu(params, n, z, features.last), nu(params, n, prior, features.last)),
                          batch) for n in nets}
        return -sum(values.values()), (carry, {'dual': values['nu_xz'], 'dual_marginal': values['nu_z']})

    def autoencoder(params, carry, batch, ctx):
        terms, posterior = model.terms(params, carry['posterior'], batch, derive(ctx.step_key, 1), ctx.hp)
        values = jnp.minimum(nu(params, 'nu_z' if marginal else 'nu_xz', terms.z, terms.features.last), adversarial.NU_MAX)
        rec, kl, rate = mean(terms.rec, batch), mean(terms.kl, batch), mean(values, batch)
        beta, state = weight.apply(carry['weight'], kl, ctx)
        return rec + beta * rate, ({**carry, 'posterior': posterior, 'weight': state},
                                   {'rec': rec, 'kl': kl, 'beta': beta})

    players = (Player('dual', dual, tuple(nets), lambda hp: optax.adam(hp['nu_lr']), updates),
               Player('vae', autoencoder, model.parts, plan.tx))
    return Method(init, (Phase('main', players, plan.steps),), model.evals)
