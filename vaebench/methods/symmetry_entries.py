"""Entries of the registry: networks that are compared by the symmetry they have."""
from vaebench.methods import predictors
from vaebench.methods.entry import Entry

METHODS: dict[str, Entry] = {
    'zero': Entry(predictors.zero, {}, (), ('predictor',), note='the floor of predictors'),
    'regressor': Entry(predictors.regressor, {}, ('fuchs2020se3transformers',), ('predictor',),
                       note='its loss; the network is the kit'),
}
