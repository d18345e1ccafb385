"""Entries of the registry: methods whose networks may commute with a group."""
from vaebench.methods import gans, predictors, transformations
from vaebench.methods.entry import Entry

CLASS_GAN = 'class_gen', 'class_critic'
CODES = 'encoder', 'head', 'mlp', 'x'

METHODS: dict[str, Entry] = {
    'ge_gan': Entry(gans.ge_gan, {'penalty': .1, 'critic_lr': 3e-4},
                    ('dey2021group', 'jolicoeurmartineau2019relativistic'), CLASS_GAN,
                    meanings={'penalty': "twice the weight of the critic's squared slope at "
                                         'data, the R1 gamma'}),
    'avt': Entry(transformations.avt, {}, ('qi2019avt',), CODES),
    'aet': Entry(transformations.avt, {}, ('zhang2019aet',), CODES, {'variational': False}),
    'zero': Entry(predictors.zero, {}, (), ('predictor',), note='the floor of predictors'),
    'regressor': Entry(predictors.regressor, {}, ('fuchs2020se3transformers',), ('predictor',),
                       note='its loss; the network is the kit'),
}
