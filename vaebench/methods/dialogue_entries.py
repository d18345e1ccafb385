"""Entries of the registry: models of what is said next, and their floors."""
from vaebench.methods import conditional, dialogue, dialogue_floors
from vaebench.methods.entry import Entry, weight

CONDITIONAL = 'encoder', 'head', 'decoder', 'mlp', 'context'
SENTENCES = 'tokens', 'length'
ZHAO, ZHU = ('zhao2017learning',), ('zhu2020batch',)

METHODS: dict[str, Entry] = {
    # floors
    'random_response': Entry(dialogue_floors.random_response, {}, (), SENTENCES,
                             note='training responses drawn at random'),
    'retrieval': Entry(dialogue_floors.retrieval, {}, (), SENTENCES,
                       note='training responses of the nearest contexts, by TF-IDF'),
    # without a latent
    'seq2seq': Entry(dialogue.seq2seq, {}, ('serban2016building', *ZHAO),
                     ('decoder', 'context'), note='its baseline without a latent'),
    # told a context
    'cvae': Entry(conditional.cvae, weight(), ('sohn2015learning', *ZHAO), CONDITIONAL),
    'cvae_standard': Entry(conditional.cvae, weight(), ('sohn2015learning',), CONDITIONAL,
                           {'prior': 'standard'}),
    'cvae_bow': Entry(dialogue.cvae_bow, {**weight(warmup=10.), 'bow': 1.}, ZHAO,
                      (*CONDITIONAL, 'tokens'), note='its CVAE (BOW)'),
    'bn_cvae': Entry(dialogue.bn_cvae, {**weight(), 'gamma': .6}, ZHU, CONDITIONAL,
                     {'prior': 'standard'},
                     note='its BN-CVAE, with the prior that its bound is of'),
    'bn_cvae_learned': Entry(dialogue.bn_cvae, {**weight(), 'gamma': .6}, ZHU, CONDITIONAL,
                             {'prior': 'learned'},
                             note='the same with a learned prior: no bound holds'),
    'cvae_fb': Entry(dialogue.cvae_fb, {**weight(warmup=10.), 'target': 8.},
                     ('kingma2016improving', 'li2019surprisingly'), CONDITIONAL,
                     note='its free bits in a CVAE'),
}
