"""The rows of dialogue, as data: see `catalog`."""
from vaebench.experiment.rows import Rows, hp, options, row

RAMP = hp(warmup=10.)                       # epochs in which the weight of the KL term grows

FLOORS: Rows = {
    'random': row('random training response', 'random_response'),
    'retrieval': row('response of the nearest context', 'retrieval'),
}
MODELS: Rows = {
    'seq2seq': row('seq2seq', 'seq2seq'),
    'cvae': row('CVAE', 'cvae', options(hidden=400)),
    'cvae_anneal': row('CVAE + annealing', 'cvae', RAMP, options(hidden=400)),
    'cvae_fb': row('CVAE + FB ({target:g})', 'cvae_fb', RAMP, hp(target=8.)),
    'cvae_bow': row('CVAE (BOW)', 'cvae_bow', RAMP),
    'bn_cvae': row('BN-CVAE ({gamma:g}), prior N(0, I)', 'bn_cvae'),
    'bn_cvae_learned': row('BN-CVAE ({gamma:g}), learned prior, no bound', 'bn_cvae_learned'),
}
"""Of one decoder and one reader of contexts."""
ANNEALED = 'cvae_anneal cvae_fb cvae_bow'
"""Rows whose weight of the KL grows, in the code of the CVAE within 10,000 batches."""
BATCH_NORMALIZED = 'bn_cvae bn_cvae_learned'
CONDITIONAL = f'cvae {ANNEALED} {BATCH_NORMALIZED}'
"""Rows with a latent."""

SWITCHBOARD = {
    'cvae': 'A11b/cvae A11c/cvae', 'cvae_bow': 'A11b/cvae_bow A11c/cvae_bow',
    'bn_cvae': 'A11b/bn_vae A11c/bn_cvae',
}
"""Row -> the published numbers beside it, which are of other conversations."""


def dialogues() -> dict[str, dict]:
    """Every row that answers."""
    return {**FLOORS, **MODELS}
