"""Ops and losses against SciPy, compiled and not, and what they say to wrong arguments."""
import importlib
import inspect
import pkgutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from scipy import cluster, spatial, special, stats

from vaebench import losses, ops
from vaebench.losses import adversarial, elbo, penalties
from vaebench.ops import (
    control,
    density_gap,
    distributions,
    divergences,
    fdivergence,
    flows,
    interpolate,
    kernels,
    lengths,
    poincare,
    quantize,
    recurrent,
    schedules,
    softmax,
    two_sample,
    vmf,
)


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


RNG = np.random.default_rng(0)
X, Y, CODES = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3)), RNG.normal(size=(7, 3))
MEAN, LOG_VAR, Z = RNG.normal(size=(3, 4, 3))
FACTOR = RNG.normal(size=(5, 3))
LOGITS, ONE_HOT = RNG.normal(size=(4, 6)), np.eye(6)[[3, 0, 5, 5]]
TARGETS = np.array([2, 0, 5, 1])
W, BIAS = RNG.normal(size=(3, 6)), RNG.normal(size=6)
TIME = np.linspace(0, 30, 7)
UNIT_X, UNIT_Y = X[0] / np.linalg.norm(X[0]), Y[0] / np.linalg.norm(Y[0])
SPHERE = CODES / np.linalg.norm(CODES, axis=1, keepdims=True)
BALL_X, BALL_Y = .3 * UNIT_X, .6 * UNIT_Y
SQUARES = spatial.distance.cdist(X, Y, 'sqeuclidean')
SCALES = np.array(kernels.SCALES)[:, None, None]
COUNTS = np.array([2., 0., 3., 0., 1.])

TABLE = {       # name: (function of arrays, arrays, what SciPy says)
    'normal_log_prob_dims': (distributions.normal_log_prob_dims, (Z, MEAN, LOG_VAR),
                             stats.norm(MEAN, np.exp(LOG_VAR / 2)).logpdf(Z)),
    'normal_log_prob': (distributions.normal_log_prob, (Z, MEAN, LOG_VAR),
                        stats.norm(MEAN, np.exp(LOG_VAR / 2)).logpdf(Z).sum(-1)),
    'linear_normal_log_prob': (
        distributions.linear_normal_log_prob, (Z, MEAN[0], FACTOR),
        stats.multivariate_normal(MEAN[0], FACTOR.T @ FACTOR).logpdf(Z)),
    'log_mixture': (
        density_gap.log_mixture, (LOGITS, np.array([1., 0., 3., 2.])),
        special.logsumexp(LOGITS, 0, b=np.array([1., 0., 3., 2.])[:, None] / 6)),
    'log_mixture of no weight': (density_gap.log_mixture, (LOGITS, np.zeros(4)),
                                 special.logsumexp(LOGITS, 0, b=1 / 4)),
    'vmf.log_prob': (lambda z, mean: vmf.log_prob(z, mean, 13.), (SPHERE, UNIT_X),
                     stats.vonmises_fisher(UNIT_X, 13.).logpdf(SPHERE)),
    'squared_distances': (kernels.squared_distances, (X, Y), SQUARES),
    'rbf': (kernels.rbf, (X, Y, 2.), np.exp(-SQUARES / 4)),
    'imq': (kernels.imq, (X, Y, 6.), (6 * SCALES / (6 * SCALES + SQUARES)).sum(0)),
    'rbf_mixture': (lambda x, y: kernels.rbf_mixture(x, y, (.5, 3.)), (X, Y),
                    np.exp(-SQUARES) + np.exp(-SQUARES / 6)),
    'rbf_mixture less one': (
        lambda x, y: kernels.rbf_mixture(x, y, (.5, 3.), less_one=True), (X, Y),
        np.expm1(-SQUARES) + np.expm1(-SQUARES / 6)),
    'rbf_mixture mean': (lambda x, y: kernels.rbf_mixture(x, y, (.5, 3.), mean=True), (X, Y),
                         (np.exp(-SQUARES) + np.exp(-SQUARES / 6)) / 2),
    'linear': (kernels.linear, (X, Y), X @ Y.T),
    'median': (kernels.median, (Y, Y < 1), np.sort(Y[Y < 1])[(Y < 1).sum() // 2]),
    'nll': (softmax.nll, (X, W, TARGETS, BIAS),
            -special.log_softmax(X @ W + BIAS, -1)[np.arange(4), TARGETS]),
    'lengths.log_prob': (lengths.log_prob, (COUNTS, np.arange(1, 6)),
                         np.log(np.array([3, 1, 4, 1, 2]) / 11)),
    'nearest': (quantize.nearest, (Y, CODES), cluster.vq.vq(Y, CODES)[0]),
    'slerp': (interpolate.slerp, (UNIT_X, UNIT_Y, TIME / 30),
              spatial.geometric_slerp(UNIT_X, UNIT_Y, TIME / 30)),
    'ramp': (lambda t: schedules.ramp(t, .2, 1., delay=5., length=10.), (TIME,),
             np.interp(TIME, [5, 15], [.2, 1])),
    'distance': (poincare.distance, (BALL_X, BALL_Y, 1.), np.arccosh(
        1 + 2 * ((BALL_X - BALL_Y)**2).sum() / ((1 - .09) * (1 - .36)))),
    'critic_loss': (adversarial.critic_loss, (X, MEAN),
                    -special.log_expit(X) - special.log_expit(-MEAN)),
    'least_squares': (adversarial.least_squares, (X, MEAN), (X - MEAN)**2 / 2),
    'code_information': (
        adversarial.code_information, (LOGITS, ONE_HOT),
        np.log(6) - stats.entropy(ONE_HOT, axis=1)
        - special.rel_entr(ONE_HOT, special.softmax(LOGITS, -1)).sum(-1)),
}


class TableTest(chex.TestCase):
    """Each row of the table."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters((name, *row) for name, row in TABLE.items())
    def test_value_is_scipys(self, f, arrays, want):
        got = self.variant(f)(*arrays)
        assert got.shape == np.shape(want)
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-13)


def test_assertions_leave_no_trace_in_a_program():
    def programs():
        return [str(jax.make_jaxpr(f)(*arrays)) for f, arrays, _ in TABLE.values()]

    want = programs()
    chex.disable_asserts()
    try:
        assert programs() == want
    finally:
        chex.enable_asserts()


ROW, RBF = np.ones(3), lambda x, y: kernels.rbf(x, y, 1.)
WRONG = {       # name: (call, part of what it says)
    'a gain per unit': (lambda: control.pi_step(control.PI(0., 0.), 1., ROW, 0., 0., 1.),
                        r'rank 1 \(shape \(3,\)\) but expected 0'),
    'weights of other components': (lambda: density_gap.log_mixture(X, ROW), 'prefixes'),
    'one draw without its axis': (lambda: density_gap.density_gap(
        {'mean': X}, X, lambda q, z: z, lambda z: z, np.ones(4)), 'rank 2'),
    'a scalar as a code': (lambda: distributions.normal_log_prob(1.), r'\(\.\.\., None\)'),
    'integers as codes': (lambda: distributions.normal_log_prob(TARGETS), 'type int64'),
    'variances of other units': (
        lambda: distributions.normal_sample(jax.random.key(0), X, ROW), 'different shapes'),
    'fewer factors than dimensions': (
        lambda: distributions.linear_normal_log_prob(X, X, np.ones((2, 3))), "axis '0'"),
    'broadcast variances': (lambda: divergences.normal_kl(X, ROW), 'different shapes'),
    'scores per example and per draw': (
        lambda: fdivergence.bound(fdivergence.DIVERGENCES['js'], X, ROW), 'different shapes'),
    'a flow of other width': (
        lambda: flows.coupling(4, 1, lambda *a: None).forward([], X), r'\(4, 3\)'),
    'times as a table': (lambda: interpolate.lerp(X, X, X), 'rank 2'),
    'ends of other widths': (lambda: interpolate.slerp(X, Y, ROW), 'different shapes'),
    'dimensions as floats': (
        lambda: interpolate.traversal(X, ROW, np.array([0., 1.])), 'type float64'),
    'one row without its axis': (lambda: kernels.rbf(ROW, X, 1.), 'rank 1'),
    'kernel width per dimension': (lambda: kernels.rbf(X, X, ROW), 'rank 1'),
    'rows of other widths': (lambda: kernels.linear(X, LOGITS), 'suffixes'),
    'a mask of other shape': (lambda: kernels.median(X, ROW > 0), 'different shapes'),
    'weights of other rows': (lambda: kernels.mmd(X, X, RBF, ROW), r'shape \(3,\)'),
    'lengths as floats': (lambda: lengths.count(COUNTS, ROW, ROW), 'type float64'),
    'one batch of histograms': (lambda: lengths.mean(X), 'rank 2'),
    'points of other dimension': (lambda: poincare.distance(X, LOGITS, 1.), r'\(4, 6\)'),
    'a curvature per point': (lambda: poincare.project(X, ROW), 'rank 1'),
    'one code without its axis': (lambda: quantize.nearest(X, ROW), 'rank 1'),
    'codes that are not of their vectors': (
        lambda: quantize.straight_through(X, ROW), 'different shapes'),
    'gates of other width': (lambda: recurrent.cell(np.ones((2, 9)), np.ones((2, 3))), '12'),
    'one sentence without its axis': (
        lambda: recurrent.lstm(np.ones((2, 12)), np.ones(12), np.ones((3, 12)), X, X),
        'rank 2'),
    'a schedule per seed': (lambda: schedules.ramp(1., ROW, 1.), 'rank 1'),
    'targets without classes': (lambda: softmax.nll(X, W, ROW.astype(int)), r'\(4, 3\)'),
    'one-hot targets': (lambda: softmax.nll(X, W, np.ones(4)), 'type float64'),
    'a kernel that is not square': (lambda: two_sample.hollow(X), r'\(4, 3\)'),
    'kernels of other examples': (lambda: two_sample.hsic(X[None]), r'\(1, 4, 3\)'),
    'a negative concentration': (lambda: vmf.kl(-1., 3), 'must be'),
    'the sphere of a line': (lambda: vmf.log_area(1), 'must be'),
    'a table of angles cut short': (
        lambda: vmf.sample(jax.random.key(0), X, ROW), '4097'),
    'scores of other batches': (lambda: adversarial.critic_loss(X, ROW), 'different shapes'),
    'a target that broadens': (lambda: adversarial.least_squares(ROW, X), 'broadcast'),
    'codes as indices': (lambda: adversarial.code_information(LOGITS, TARGETS), 'rank 1'),
    'rates of other examples': (lambda: elbo.free_bits(ROW, X, 1.), 'broadcast'),
    'a critic of one number': (lambda: penalties.gradient_penalty(jnp.sum, 1.), 'shape'),
    'weights of other codes': (lambda: penalties.pulling_away(X, ROW), 'prefixes'),
}


@pytest.mark.parametrize('call, says', WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused_in_words(call, says):
    with pytest.raises(AssertionError, match=says):
        call()


def public():
    """Every public function of ops and losses."""
    for package in (ops, losses):
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):
            module = importlib.import_module(found.name)
            for name, f in vars(module).items():
                own = inspect.isfunction(f) and f.__module__ == module.__name__
                if own and not name.startswith('_'):
                    yield f


def test_every_signature_is_annotated():
    functions = list(public())
    assert len(functions) > 60
    for f in functions:
        signature = inspect.signature(f)
        kinds = [p.annotation for p in signature.parameters.values()]
        where = f'{f.__module__}.{f.__name__}'
        assert inspect.Signature.empty not in (*kinds, signature.return_annotation), where
