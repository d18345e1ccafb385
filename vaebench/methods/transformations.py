"""Representations learned by telling how an image was moved."""
import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Phase, Player, Recipe, coupled, couples, derive, mean
from vaebench.errors import UserError, unknown
from vaebench.methods import posteriors
from vaebench.ops import homography
from vaebench.schema import field

FIXED = 4          # maps, the same for every image, of which validation takes the mean


def avt(kit: Kit, recipe: Recipe, *, form: str = 'projective',
        variational: bool = True) -> Method:
    """Autoencoding variational transformations: from the codes of an image and of the image
    moved, what moved it is told, as a Gaussian of the map's numbers.

    That bounds the information between the map and the code of the moved image, given the code
    of the image. Without variational codes and variances it is the older AET, whose loss is the
    squared error.

    Args:
      kit: `encoder`, `head` and `mlp` are used; 'x' are square images.
      recipe: the protocol.
      form: key of `ops.homography.DRAWS`: 'projective' or 'affine'.
      variational: whether codes are drawn from Gaussians and numbers have variances.

    Returns:
      A `Method` that offers 'encode', posterior means, and 'error', what it loses on an image
      at posterior means and a few fixed maps, nats (of AET half a squared error).

    Equation:
      z ~ q(z | t(x)), z' ~ q(z' | x), (m, s) = W [z'; z]
      minimize (1/2) sum_k (s_k + (t_k - m_k)^2 e^-s_k), t of about one scale
      AET: minimize (1/2) sum_k (t_k - m_k)^2

    Deviations:
      Both outputs are linear in the codes of the kit's networks, not in those of a network in
      network. Published code adds 1e-4 to the variances, divides their logarithms by 1000 and
      draws codes with a thousandth of their spread; none of that here. No crops and flips.

    References:
      Qi et al., "AVT: Unsupervised Learning of Transformation Equivariant Representations by
      Autoencoding Variational Transformations", 2019, arXiv:1903.10863.
      Zhang et al., "AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
      Transformations rather than Data", 2019, arXiv:1901.04596.
    """
    if form not in homography.DRAWS:
        raise unknown('form', form, homography.DRAWS)
    shape = tuple(n or 0 for n in field(kit.schema, 'x').shape)
    if len(shape) != 3 or shape[0] != shape[1]:
        raise UserError(f'a map of the plane moves square images, and x is {shape}: choose '
                        'other rows with --config.rows, or other data')
    side, (draw, size) = shape[0], homography.DRAWS[form]
    enc, posterior = kit.encoder(), (posteriors.gaussian if variational else posteriors.delta)(
        kit)
    told = kit.mlp((2 * kit.latent, 2 * size if variational else size))

    def init(key, data):
        params, carry = posterior.init(derive(key, 1))
        return {'enc': enc.init(derive(key, 0)), **params, 'told': told.init(derive(key, 2))}, (
            carry)

    def code(params, batch, key=None):
        features = enc.apply(params['enc'], batch, None if key is None else derive(key, 0))
        q, _ = posterior.apply(params, {}, features, batch.get('weight'))
        return (posterior.mean(params, q) if key is None
                else posterior.sample(params, q, derive(key, 1)))

    def losses(params, batch, maps, key=None):
        moved = {**batch, 'x': jax.vmap(homography.warp)(batch['x'], maps)}
        keys = (None, None) if key is None else (derive(key, 0), derive(key, 1))
        codes = [code(params, b, k) for b, k in zip((batch, moved), keys, strict=True)]
        said = told.apply(params['told'], jnp.concatenate(codes, -1))
        error = homography.standardized(maps, side)[:, :size] - said[:, :size]
        if not variational:
            return (error**2).sum(-1) / 2
        spread = said[:, size:]
        return (spread + error**2 * jnp.exp(-spread)).sum(-1) / 2

    def drawn(key, n):
        return jax.vmap(lambda k: draw(k, side))(jax.random.split(key, n))

    def loss(params, carry, batch, ctx):
        maps = drawn(derive(ctx.key, 0), len(batch['weight']))
        value = mean(losses(params, batch, maps, derive(ctx.key, 1)), batch)
        return value, (carry, {'told': value})

    def error(params, carry, batch):
        def one(t):
            return losses(params, batch, jnp.broadcast_to(t, (len(batch['x']), t.shape[-1])))

        return jax.lax.map(one, drawn(jax.random.key(0), FIXED)).mean(0)

    player = Player('avt', couples(loss, coupled(enc.apply, posterior.apply)),
                    ('enc', *posterior.names, 'told'), recipe.optimizer)
    return Method(init, (Phase('main', (player,), recipe.steps, select='error'),),
                  {'encode': lambda params, carry, batch: code(params, batch), 'error': error})
