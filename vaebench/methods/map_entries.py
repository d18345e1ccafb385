"""Entries of the registry: sentences rewritten by maps of codes, or without any code."""
from vaebench.methods import copying, embedding_maps, latent_offsets, sequence_to_sequence
from vaebench.methods.entry import Entry

SENTENCES = 'tokens', 'length'
AUTOENCODER = 'encoder', 'head', 'decoder', 'tokens'
DENOISING, PLAIN = (*AUTOENCODER, 'corrupt'), (*AUTOENCODER, 'mlp')
FROZEN = *DENOISING, 'mlp'

PAIRED = {'map_lr': 1e-3, 'adversarial': .032, 'critic_lr': 1e-4}
MAP = {**PAIRED, 'adversarial': .008, 'judge_lr': 1e-3, 'style': .5, 'warmup': 1.5}
CRITIC = {'adversarial': "weight of the critic's term, the paper's lambda_adv"}

METHODS: dict[str, Entry] = {
    # floors and ceiling
    'copy': Entry(copying.copy, {}, (), SENTENCES, note='sentences left as they are'),
    'random_target': Entry(copying.random_target, {}, (), SENTENCES,
                           note='random training sentences of the target style'),
    'nearest_target': Entry(copying.nearest_target, {}, (), SENTENCES,
                            note='TF-IDF retrieval of training sentences of the target style'),
    'gold': Entry(copying.gold, {}, (), SENTENCES, note='the first reference of each sentence'),
    # an offset of codes
    'vector_offset': Entry(latent_offsets.vector_offset, {'k': 1.}, ('mai2020plug',), DENOISING,
                           note='its row Shen et al.'),
    'aae_offset': Entry(latent_offsets.vector_offset, {'k': 1.}, ('shen2020educating',), PLAIN,
                        {'game': True, 'corrupt': 0.}, note='its AAE'),
    'daae_offset': Entry(latent_offsets.vector_offset, {'k': 1.}, ('shen2020educating',),
                         FROZEN, {'game': True, 'corrupt': .3}, note='its DAAE'),
    'laae_offset': Entry(latent_offsets.vector_offset, {'k': 1.}, ('shen2020educating',),
                         PLAIN, {'game': True, 'corrupt': 0., 'log_var': .01},
                         note='its LAAE'),
    # maps and searches
    'fgim': Entry(embedding_maps.fgim, {'judge_lr': 1e-3},
                  ('wang2019controllable', 'mai2020plug'), FROZEN),
    'emb2emb': Entry(embedding_maps.emb2emb, MAP, ('mai2020plug',), FROZEN, meanings=CRITIC),
    'emb2emb_fgim': Entry(embedding_maps.emb2emb_fgim, MAP, ('mai2020plug',), FROZEN,
                          note='its Emb2Emb + FGIM', meanings=CRITIC),
    'emb2emb_supervised': Entry(embedding_maps.emb2emb, PAIRED, ('mai2020plug',), FROZEN,
                                {'supervised': True}, note='of pairs', meanings=CRITIC),
    # pairs of sentences, word by word
    's2s_scratch': Entry(sequence_to_sequence.s2s, {}, ('mai2020plug',), PLAIN,
                         {'start': 'scratch'}, note='its S2S-Scratch'),
    's2s_pretrain': Entry(sequence_to_sequence.s2s, {}, ('mai2020plug',), FROZEN,
                          {'start': 'pretrained'}, note='its S2S-Pretrain'),
    's2s_mlp': Entry(sequence_to_sequence.s2s, {}, ('mai2020plug',), FROZEN, {'start': 'mlp'},
                     note='its S2S-MLP'),
    's2s_freeze': Entry(sequence_to_sequence.s2s, {'map_lr': 1e-3}, ('mai2020plug',), FROZEN,
                        {'start': 'freeze'}, note='its S2S-Freeze'),
}
