"""The rows of sentences rewritten to another style, as data: see `catalog`."""
from vaebench.experiment.rows import Rows, hp, options, row, sweep

ALONE = options(adversary='')              # without a critic

FLOORS: Rows = {
    'copy': row('copy', 'copy'),
    'random_target': row('random sentence of the target style', 'random_target'),
    'nearest_target': row('nearest sentence of the target style', 'nearest_target'),
}
GOLD: Rows = {'gold': row('gold', 'gold')}
"""The ceiling, for data whose references are the right answers."""

SPLIT: Rows = {
    'john_dae': row('John et al. (DAE)', 'john_dae'),
    'john_vae_none': row('John et al. (VAE), no heads', 'john_vae_none'),
    'john_vae_mul_s': row('John et al. (VAE), mul(s)', 'john_vae_mul_s'),
    'john_vae_adv_s': row('John et al. (VAE), adv(s)', 'john_vae_adv_s'),
    'john_vae_mul_adv_s': row('John et al. (VAE), mul(s) + adv(s)', 'john_vae_mul_adv_s'),
    'john_vae': row('John et al. (VAE)', 'john_vae'),
    'style_embedding': row('Style-Embedding', 'style_embedding'),
    'multi_decoder': row('Multi-Decoder', 'multi_decoder'),
    'arae_multi_decoder': row('ARAE, multi-decoder', 'arae_multi_decoder'),
    'cae': row('Cross-aligned AE', 'cae'),
    'bst_lite': row('BST-lite, denoising pivot', 'bst_lite'),
    'bst_lite_synthetic': row('BST-lite, invented pivot', 'bst_lite_synthetic'),
    'bst_lite_identity': row('BST-lite, no pivot', 'bst_lite_identity'),
}
"""Style and content apart."""
RAMPED = 'john_vae_none john_vae_mul_s john_vae_adv_s john_vae_mul_adv_s john_vae'
"""Rows whose weight of the KL grows, within ten epochs in the paper's way."""

WITH_CRITIC: Rows = {
    'aae_offset': row('AAE + offset ({k:g})', 'aae_offset', hp(k=2.)),
    **sweep('daae_offset', row('DAAE + offset ({k:g})', 'daae_offset'),
            k=(1., 1.5, 2., 2.5, 3.)),
    'laae_offset': row('LAAE + offset ({k:g})', 'laae_offset', hp(k=2.)),
}
"""A vector added to codes of autoencoders of their own, which have a critic."""
OFFSETS: Rows = {
    **sweep('offset', row('AE + offset ({k:g})', 'vector_offset'), k=(1., 1.5, 2., 2.5, 3.)),
    **WITH_CRITIC,
}
"""A vector added to codes."""
FEW_SENTENCES = {
    ' '.join(WITH_CRITIC): options(beta=.03, critic_lr=6e-3),
    'arae_multi_decoder': hp(critic_lr=1e-3), 'cae': hp(adversarial=.1),
    'style_embedding cae': options(style=8),
}
"""What differs from the papers where ten thousand sentences are all: the weights and rates of
critics, which empty codes of so few, and a narrower style. Chosen on the validation data of the
grammar `two_style`.
"""

MAPS: Rows = {
    'fgim': row('FGIM', 'fgim'),
    'emb2emb_mlp': row('Emb2Emb, MLP', 'emb2emb', options(form='mlp'), ALONE),
    'emb2emb_resnet': row('Emb2Emb, ResNet', 'emb2emb', options(form='resnet'), ALONE),
    **sweep('emb2emb', row('Emb2Emb, OffsetNet (style {style:g})', 'emb2emb', ALONE),
            style=(.1, .5, .9, .95, .99)),
    'emb2emb_adv': row('Emb2Emb, OffsetNet, adversary', 'emb2emb', hp(style=.9)),
    'emb2emb_fgim': row('Emb2Emb + FGIM', 'emb2emb_fgim', hp(style=.5)),
}
"""Maps of the codes of one autoencoder at rest."""
EMB2EMB = ' '.join(name for name in MAPS if name.startswith('emb2emb'))

PAIRS: Rows = {
    's2s_scratch': row('S2S-Scratch', 's2s_scratch'),
    's2s_pretrain': row('S2S-Pretrain', 's2s_pretrain'),
    's2s_mlp': row('S2S-MLP', 's2s_mlp'),
    's2s_freeze': row('S2S-Freeze', 's2s_freeze'),
    'emb2emb_mlp': row('Emb2Emb, MLP', 'emb2emb_supervised', options(form='mlp'), ALONE),
    'emb2emb_resnet': row('Emb2Emb, ResNet', 'emb2emb_supervised', options(form='resnet'),
                          ALONE),
    'emb2emb': row('Emb2Emb, OffsetNet', 'emb2emb_supervised', ALONE),
    'emb2emb_adv': row('Emb2Emb, OffsetNet, adversary', 'emb2emb_supervised'),
}
"""Learned from pairs of sentences."""

YELP = {
    'style_embedding': 'A12a/style_embedding/yelp_sentiment',
    'cae': 'A12a/cross_alignment/yelp_sentiment A12c/cae/yelp_sentiment',
    'arae_multi_decoder': 'A12a/multi_decoder/yelp_sentiment',
    'john_dae': 'A12a/dae/yelp_sentiment', 'john_vae': 'A12a/vae/yelp_sentiment',
    'john_vae_none': 'A12b/ae/yelp_sentiment', 'john_vae_mul_s': 'A12b/ae_mul/yelp_sentiment',
    'john_vae_adv_s': 'A12b/vae_adv/yelp_sentiment',
    'john_vae_mul_adv_s': 'A12b/vae_mul_adv/yelp_sentiment',
    'offset_1': 'A6b/offset/yelp_sentiment', 'fgim': 'A6b/fgim/yelp_sentiment',
    'emb2emb_2': 'A6b/emb2emb/yelp_sentiment',
    'emb2emb_fgim': 'A6b/emb2emb_fgim/yelp_sentiment',
}
SIMPLIFICATION = {
    's2s_scratch': 'A6a/s2s_scratch/wikilarge', 's2s_pretrain': 'A6a/s2s_pretrain/wikilarge',
    's2s_mlp': 'A6a/s2s_mlp/wikilarge', 's2s_freeze': 'A6a/s2s_freeze/wikilarge',
    'emb2emb': 'A6a/emb2emb/wikilarge',
}
"""Row -> the published numbers that it answers to."""


def styles() -> dict[str, dict]:
    """Every row of two styles without pairs."""
    return {**FLOORS, **SPLIT, **OFFSETS, **MAPS}


def simplification() -> dict[str, dict]:
    """Every row that learns from pairs, and the floors."""
    return {**FLOORS, **PAIRS}
