"""Entries of the registry: models that take style and content apart."""
from vaebench.methods import cross_alignment, pivots, style_decoders, style_transfer
from vaebench.methods.entry import Entry

AUTOENCODER = 'encoder', 'head', 'decoder'
DUAL = *AUTOENCODER, 'mlp'
BAG, EMBEDDED = (*DUAL, 'tokens'), (*DUAL, 'label_context')
PIVOT = *AUTOENCODER, 'decoder.unroll', 'cnn', 'tokens'
ALIGNED = *DUAL, 'decoder.unroll', 'cnn', 'label_context'

HEADS = {'multitask_style': 10., 'adversary_style': 1., 'multitask_content': 3.,
         'adversary_content': .03}
RATES = {'kl_style': .03, 'kl_content': .03, 'warmup': 10.}
JOHN, BACK = ('john2019disentangled',), ('prabhumoye2018style',)
ABLATION = {
    'none': (), 'mul_s': ('multitask_style',), 'adv_s': ('adversary_style',),
    'mul_adv_s': ('multitask_style', 'adversary_style'),
}
"""Heads of the rows of John et al.'s ablation, by the ends of their names; with all of them it
is john_vae."""


def headed(heads: tuple[str, ...] = tuple(HEADS)) -> dict[str, float]:
    """hp of the `style_transfer.john` with these heads."""
    against = any(name.startswith('adversary') for name in heads)
    return {**{name: HEADS[name] for name in heads}, **({'critic_lr': 1e-3} if against else {})}


METHODS: dict[str, Entry] = {
    'john_dae': Entry(style_transfer.john, headed(), JOHN, BAG, {'stochastic': False},
                      note='its Ours (DAE): a deterministic code'),
    'john_vae': Entry(style_transfer.john, {**headed(), **RATES}, JOHN, BAG,
                      note='its Ours (VAE)'),
    **{
        f'john_vae_{name}': Entry(style_transfer.john, {**headed(heads), **RATES}, JOHN,
                                  DUAL if heads else AUTOENCODER, {'heads': heads},
                                  note='a row of its ablation')
        for name, heads in ABLATION.items()
    },
    'style_embedding': Entry(style_decoders.style_embedding,
                             {'adversary_style': 1., 'critic_lr': 1e-3}, ('fu2018style',),
                             EMBEDDED, note='its Style-Embedding'),
    'multi_decoder': Entry(style_decoders.multi_decoder,
                           {'adversary_style': 1., 'critic_lr': 1e-3}, ('fu2018style',), DUAL,
                           note='its Multi-Decoder'),
    'arae_multi_decoder': Entry(
        style_decoders.arae, {'adversary_style': 1., 'adversarial': .01, 'penalty': .1,
                          'noise': .1, 'decay': .9995, 'critic_lr': 1e-4},
        ('zhao2018adversarially', 'gulrajani2017improved'), DUAL,
        note='its ARAE for style transfer, called Multi-Decoder (Zhao et al.) by John et al.',
        meanings={'adversary_style': "weight of the encoder's loss towards another label",
                  'adversarial': "weight of the critic's score of the codes",
                  'decay': 'what multiplies the noise in every step'}),
    'cae': Entry(cross_alignment.cross_aligned,
                 {'adversarial': 1., 'critic_lr': 5e-4, 'gate': 1.2, 'temperature': .1},
                 ('shen2017style',), ALIGNED, note='its Cross-aligned AE',
                 meanings={'adversarial': "weight of the critics' cross-entropies"}),
    'bst_lite': Entry(pivots.bst_lite, {'classifier': 1.}, BACK, (*PIVOT, 'corrupt', 'shuffle'),
                      {'pivot': 'denoise'},
                      note='no translation: a substitute with a pivot made of the sentence'),
    'bst_lite_synthetic': Entry(pivots.bst_lite, {'classifier': 1.}, BACK, PIVOT,
                                {'pivot': 'synthetic'},
                                note='no translation: an invented language'),
    'bst_lite_identity': Entry(pivots.bst_lite, {'classifier': 1.}, BACK, PIVOT,
                               {'pivot': 'identity'},
                               note='the control: the sentence is its own pivot'),
}
