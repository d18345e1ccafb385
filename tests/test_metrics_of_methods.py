"""Every metric of every kind of method: a number, or nothing; never an error."""
import jax
import numpy as np
import pytest
import test_contract as contract
import toys

from vaebench import schema
from vaebench.experiment import evaluate
from vaebench.judges import text
from vaebench.metrics import METRICS, Settings, measure

FEW = Settings(samples=4, chunk=2, batch=12, block=8, points=16, images=8, drawn=16, generated=8,
               unigrams=32, refine=2, factor_train=24, factor_test=20, pairs=4)
SEEDS = 2
TRUTH = {'style_words': np.array([4]), 'stop_words': np.array([5]), 'exact': True}


@pytest.fixture(autouse=True, scope='module')
def short():
    """A small judge of style: whether there are numbers does not depend on how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ('EMBED', 'CHANNELS', 'LEAST'):
            patch.setattr(text, name, 4)
        yield


@pytest.mark.slow
@pytest.mark.parametrize('name, kit', contract.DISTINCT, ids=lambda v: v)
def test_every_metric_is_numbers_or_undefined(name, kit):
    columns = {k: jax.tree.map(np.asarray, v) for k, v in contract.data(kit, 48).items()
               if k not in ('weight', 'partner') and not isinstance(v, schema.Rows)}
    state = contract.begun(name, kit)[-1]
    state = jax.tree.map(lambda x: np.stack([np.asarray(x)] * SEEDS), (state.params, state.carry))
    m = contract.method(name, kit)
    keys = evaluate.keys(SEEDS)
    view = toys.evaluator(m.evals, *state, [columns], keys, FEW, train=columns,
                          valid=columns, given=m.given, truth=TRUTH)
    out = measure(view, METRICS)
    assert any(out.values())
    for metric, value in out.items():
        assert value is None or np.shape(value.value) == (SEEDS,), metric
