"""The meanings of the numbers that methods are trained with."""
from collections.abc import Mapping
from typing import NamedTuple

MEANINGS: Mapping[str, str] = {
    # weight of the rate
    'beta': 'weight of the rate',
    'beta_start': 'weight before and at the start of a ramp',
    'warmup': 'epochs of the ramp, 0 for none',
    'delay': 'epochs before the ramp',
    'period': 'epochs between restarts, 0 for none',
    'capacity': 'nats at the end',
    'capacity_epochs': 'epochs until then',
    'target': 'nats that are free, over all dimensions',
    'kp': 'proportional gain',
    'ki': 'integral gain per step; a run of few steps needs a larger one',
    'beta_min': 'lower limit of the weight',
    'beta_max': 'upper limit of the weight',
    # other weights
    'alpha': 'share of the KL that is taken away',
    'mmd': "weight of the codes' discrepancy from the prior, the paper's lambda",
    'kl_weight': "weight of the spread's KL, the paper's lambda_KL",
    'bow': 'weight of what tells the words, which no reported rec contains',
    'commit': 'weight of the distance between states and their codes',
    'adversarial': "weight of the encoder's loss, which under Adam with a state of its own "
                   'changes next to nothing',
    'apart': 'what a shortfall of the distance costs, in nats per unit',
    'penalty': "weight of the gradient penalty, the paper's lambda",
    'pulling': 'weight of the pulling-away term on the codes of samples, which couples the '
               'batch (0: the plain method)',
    'info': 'weight of the categorical information',
    'info_continuous': "weight of the numbers' squared error",
    'rank': 'weight of the demand that data have the larger mean features',
    'rec': 'weight of the squared error per pixel',
    'lambda_od': "weight of the codes' squared covariances",
    'lambda_d': "weight of their variances' squared distances from 1",
    'kl_style': "weight of the style's KL at the end of its ramp",
    'kl_content': "weight of the content's KL at the end of its ramp",
    'multitask_style': 'weight of the loss of the head that tells the label from the style',
    'multitask_content': 'weight of the loss of the head that tells words from the content',
    'adversary_style': 'weight of the entropy of the adversary that reads the label in the '
                       'content',
    'adversary_content': 'weight of the entropy of the adversary that reads words in the style',
    'classifier': "weight of the frozen classifier's cross-entropy on the generators' words",
    # learning rates
    'critic_lr': 'learning rate of the critics',
    'nu_lr': "learning rate of the dual functions' Adam, which no decay touches",
    'prior_lr': "learning rate of a prior's own Adam",
    'mixture_lr': "the mixture's learning rate",
    'judge_lr': 'learning rate of the judge of codes',
    'map_lr': 'learning rate of the map of codes',
    # codes that are moved
    'k': 'multiple of the difference of mean codes that is added',
    'style': "share of the judge in the loss of the map, the paper's lambda_sty; the rest is "
             'the distance from the code',
    # the rest
    'gamma': "the means' fixed scale",
    'decay': "decay of the codebook's running means",
    'label_noise': 'standard deviation of noise on what the class critic sees, which would '
                   'tell soft from one-hot at once',
    'eta': 'distance that heads should keep',
    'noise': 'standard deviation of noise on codes in training',
    'gate': 'nats, of all critics, below which they count',
    'temperature': 'of the Gumbel softmax: near 0 its words are those of a draw',
    'clip': "bound of the critic's parameters, the paper's c",
    'margin': 'in the unit of the energy: above every reachable energy the critic pushes for '
              'ever, below that of data it never does',
    'lambda_k': 'gain of the control per step, 1e-3 in the paper; a run of few steps needs a '
                'larger one',
}
"""Meaning by name; an `Entry` overrides it where its method means another thing."""


class Hyperparameter(NamedTuple):
    """One number of a method."""
    default: float
    meaning: str            # '' where none is stated


def described(numbers: Mapping[str, float],
              meanings: Mapping[str, str]) -> dict[str, Hyperparameter]:
    """Joins numbers to their meanings.

    Args:
      numbers: name -> default, as in `Entry.hp`.
      meanings: name -> meaning where `MEANINGS` has none or another, as in `Entry.meanings`.

    Returns:
      {name: `Hyperparameter`}, in the order of `numbers`.

    >>> described({'beta': .5}, {})
    {'beta': Hyperparameter(default=0.5, meaning='weight of the rate')}
    """
    known = {**MEANINGS, **meanings}
    return {name: Hyperparameter(default, known.get(name, ''))
            for name, default in numbers.items()}
