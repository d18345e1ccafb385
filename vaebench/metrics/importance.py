"""The marginal likelihood by importance sampling, in chunks that may be interrupted."""
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vaebench.engine import hosts
from vaebench.engine.placement import SEED, divide
from vaebench.metrics import proposal
from vaebench.metrics.draws import FIRST, REFINE, Columns, Evals, draw, fold_group

if TYPE_CHECKING:
    from vaebench.metrics.evaluator import Evaluator

DEGENERATE = 'importance weights degenerate: median effective sample size {:.1f} of {}'


def log_weights(evals: Evals, params: Any, carry: Any, q: Any, batch: Columns,
                keys: jax.Array) -> jax.Array:
    """Computes ln p(x|z) p(z) / q(z|x) at draws from q, with the probability of the number of
    latents where it tells the length.

    Args:
      evals: with WEIGHTS.
      params, carry: of one seed.
      q: leaves [B, ...].
      batch: leaves [B, ...].
      keys: [S, B] typed keys.

    Returns:
      [S, B] nats.
    """
    def one(keys):
        z = draw(evals, params, carry, q, keys)
        return (evals['log_lik'](params, carry, z, batch) + evals['log_prior'](params, carry, z)
                - evals['log_q'](params, carry, q, z))

    log_w = jax.vmap(one)(keys)
    return log_w + evals['log_length'](params, carry, batch) if 'log_length' in evals else log_w


def importance(log_w: Any) -> tuple[np.ndarray, np.ndarray]:
    """Computes the marginal likelihood and the effective sample size of importance weights.

    Both are in float64: nll = -ln (1/S) sum_s w_s, ess = (sum w)^2 / sum w^2.

    Args:
      log_w: [..., S] nats.

    Returns:
      nll [...] nats, ess [...] between 1 and S.

    >>> nll, ess = importance(np.log(np.array([1., 1., 2.])))
    >>> round(float(np.exp(-nll)), 6), round(float(ess), 6)
    (1.333333, 2.666667)
    """
    # one order of summation, whatever the strides
    log_w = np.ascontiguousarray(log_w, np.float64)
    top = log_w.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.)
    w = np.exp(log_w - top)
    with np.errstate(divide='ignore', invalid='ignore'):
        return -(np.log(w.mean(-1)) + top[..., 0]), w.sum(-1)**2 / (w**2).sum(-1)


def _weigh(evals, refined, params, carry, key, own, batch):
    q, keys = own
    used = {**evals, **(proposal.EVALS if refined else {})}
    return log_weights(used, params, carry, q, batch, keys)


def _refine(evals, steps, params, carry, key, own, batch):
    q, keys = own
    return proposal.refine(evals, params, carry, q, batch, keys, steps)


class ImportanceSampler:
    """Importance sampling over a split from q or, where it has no density, from `proposal`'s.

    Args:
      view: the `Evaluator` of the group.
      partial: path of an .npz that keeps what is done when the evaluation is stopped; None
        keeps nothing.
    """

    def __init__(self, view: 'Evaluator', partial: Any = None):
        settings = view.settings
        self.view, self.partial, self.samples = view, partial, settings.samples
        self.calls = -(-self.samples // max(1, min(settings.chunk, self.samples)))
        # equal chunks: at most calls - 1 draws to spare
        self.size = -(-self.samples // self.calls)
        self.place = np.argsort(view.order)                  # bucket order -> split's order
        self.states = proposal.start(view.codes) if view.refines else view.states
        self.weigh = view.jit(_weigh, view.refines)
        self.refine = view.jit(_refine, settings.refine)

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples batch by batch, from where an earlier attempt has stopped.

        Returns:
          (nll [G, N] nats, ess [G, N]), in the split's order.
        """
        nll, ess = hosts.led(self._kept)
        total = sum(1 for _ in self.view.batches())
        for done, (batch, index, rows) in enumerate(self.view.batches(), 1):
            if done <= len(nll):
                continue
            a, b = importance(np.moveaxis(self._batch(batch, index, rows), 1, 2))
            nll.append(a)
            ess.append(b)
            try:
                self.view.pause((done, total))
            except BaseException:            # time is up: the next attempt goes on from here
                hosts.led(self._keep, nll, ess)
                raise
        hosts.led(self._keep, nll, ess)     # the metrics after this one may be stopped too
        return (np.concatenate(nll, 1)[:, self.view.order],
                np.concatenate(ess, 1)[:, self.view.order])

    def _batch(self, batch, index, rows):
        """Log weights [G, S, B] of a batch's examples."""
        keys, filled, parts = self.view.keys, int((rows >= 0).sum()), []
        at = self.place[np.maximum(rows, 0)]
        q = jax.device_put(jax.tree.map(lambda x: x[:, at], self.states))
        mesh, lead = self.view.mesh, (SEED,)
        q, batch = divide(q, mesh, 1, lead), divide(batch, mesh, 0)
        if self.view.refines:
            own = fold_group(keys, index, FIRST, REFINE)[:, 0]
            q = self.refine((q, divide(own, mesh, 1, lead)), batch)
        for start in range(0, self.calls * self.size, self.size):
            chunk = np.arange(start, start + self.size, dtype=np.int32)
            own = divide(fold_group(keys, index, chunk), mesh, 2, lead)
            parts.append(self.weigh((q, own), batch))
        return np.concatenate(jax.device_get(parts), 1)[:, :self.samples, :filled]

    def _keep(self, nll, ess):
        if self.partial is not None:
            pathlib.Path(self.partial).parent.mkdir(parents=True, exist_ok=True)
            np.savez(self.partial, sizes=np.array([x.shape[1] for x in nll]),
                     nll=np.concatenate(nll, 1), ess=np.concatenate(ess, 1))

    def _kept(self):
        """Batches of (nll, ess) that an earlier attempt has left; what cannot be read is done
        again.
        """
        try:
            with np.load(self.partial) as kept:
                cuts = np.cumsum(kept['sizes'])[:-1]
                return [list(np.split(kept[k], cuts, 1)) for k in ('nll', 'ess')]
        except (TypeError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return [], []
