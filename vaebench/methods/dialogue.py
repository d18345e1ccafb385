"""Models of responses to a conversation, or of anything else that is given a context."""
from vaebench.core import Kit, Method, Phase, Player, Recipe, derive, mean
from vaebench.methods import posteriors, regularizers
from vaebench.methods.conditional import conditional_autoencoder, joined
from vaebench.methods.text_decoders import bag_of_words

HIDDEN = 400           # units of hidden layers, as in Zhao et al.'s code


def seq2seq(kit: Kit, recipe: Recipe) -> Method:
    """Decoder that reads the context alone, without a latent: an exact likelihood of responses.

    Whatever differs between two responses to one context is drawn word by word.

    Args:
      kit: `context` and `decoder` are used.
      recipe: the protocol.

    Returns:
      A `Method` that offers 'score' and 'respond'. Likelihoods are of log p(x | c).

    Equation:
      minimize -sum_t log p(x_t | x_<t, c), over the words and </s>

    Deviations:
      The context is read as in the CVAE's row, and the decoder sees it at every step; Zhao et
      al.'s baseline has the same encoder and a decoder that starts from it.

    References:
      Serban et al., "Building End-To-End Dialogue Systems Using Generative Hierarchical Neural
      Network Models", 2016, arXiv:1507.04808.
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960 (its baseline).
    """
    context = kit.context()
    dec = kit.decoder(latent=context.width)

    def init(key, data):
        return {'dec': {'context': context.init(derive(key, 0)),
                        'words': dec.init(derive(key, 1))}}, {}

    def score(params, carry, batch, key=None):
        c = context.apply(params['dec']['context'], batch)
        return dec.log_prob(params['dec']['words'], c, batch, key)

    def loss(params, carry, batch, ctx):
        rec = -mean(score(params, carry, batch, ctx.key), batch)
        return rec, (carry, {'rec': rec})

    def respond(params, carry, batch, key, mode):
        c = context.apply(params['dec']['context'], batch)
        return dec.generate(params['dec']['words'], c, key, mode)

    player = Player('s2s', loss, ('dec',), recipe.optimizer)
    return Method(init, (Phase('main', (player,), recipe.steps),),
                  {'score': score, 'respond': respond}, given=context.columns)


def cvae_bow(kit: Kit, recipe: Recipe, *, prior: str = 'learned',
             hidden: int = HIDDEN) -> Method:
    """CVAE whose code must also predict, with the context, which words the response has.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, bow.

    Args:
      kit: the networks, of sentences; `context` is what is told.
      recipe: the protocol.
      prior: 'learned' or 'standard', whatever the context.
      hidden: units of the hidden layers of a learned prior and before the words.

    Returns:
      A `Method`; its params add 'bow'.

    Equation:
      minimize rec + w_t KL(q(z|x, c) || p(z|c)) - bow sum_t log softmax(MLP([z; c]))[x_t]

    Deviations:
      As of the CVAE. The sum runs over the words and </s>. Parameters are chosen by the bound,
      without the words' term, as in the code.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.
    """
    words = bag_of_words(kit, hidden, of=joined, width=kit.latent + kit.context().width)
    return conditional_autoencoder(kit, recipe, regularizers.kl, prior, hidden, extra=words)


def bn_cvae(kit: Kit, recipe: Recipe, *, prior: str = 'standard', hidden: int = HIDDEN,
            init: str = 'torch') -> Method:
    """CVAE whose posterior means are batch-normalized to a fixed scale and a learned shift,
    without a loss on words.

    Against the prior N(0, I) the batch's mean KL is at least sum_j (gamma^2 + shift_j^2) / 2
    in training. Against a learned prior nothing holds: where the posterior depends on the
    context alone, the prior can be the same, and the KL 0.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, gamma.

    Args:
      kit: the networks; `context` is what is told.
      recipe: the protocol.
      prior: 'standard', where the bound holds; or 'learned', without any guarantee.
      hidden: units of the hidden layer of a learned prior.
      init: of the response's encoder and the head: see `bn_vae`.

    Returns:
      A `Method`; its params add 'shift', its carry the running statistics.

    Equation:
      minimize rec + w_t KL(N(mu', sigma^2) || p(z|c))
      mu' = gamma (mu - m_B) / sqrt(v_B + 1e-5) + shift; mu, sigma of x and c
      p(z|c) = N(0, I): E_B KL >= sum_j (gamma^2 v_j / (v_j + 1e-5) + shift_j^2) / 2

    Deviations:
      As of the CVAE. What prior the paper's dialogues have is not known: no code of them is
      public, and the bound that it proves is of N(0, I), which is the default. Its KL of 5.18
      in 200 dimensions needs a gamma of at most 0.228 there. A batch of fewer than two examples
      is normalized by the running statistics, as evaluation is.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    return conditional_autoencoder(
        kit, recipe, regularizers.kl, prior, hidden,
        lambda told: posteriors.batch_norm(told, init), encoder_init=init)


def cvae_fb(kit: Kit, recipe: Recipe, *, prior: str = 'learned', hidden: int = HIDDEN,
            scope: str = 'dim', reduce: str = 'example', form: str = 'mask') -> Method:
    """CVAE whose KL is free up to a target rate.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, target.

    Args:
      kit: the networks; `context` is what is told.
      recipe: the protocol.
      prior: 'learned' or 'standard', whatever the context.
      hidden: units of the hidden layer of a learned prior.
      scope: 'dim' or 'total': see `free_bits`.
      reduce: 'example' or 'batch'.
      form: 'mask' or 'max'.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t sum_j KL_j 1[KL_j > target / Z], KL_j from p(z_j | c)

    Deviations:
      As of the CVAE. Kingma et al. have no context; parameters are chosen by the true bound.

    References:
      Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016,
      arXiv:1606.04934.
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868.
    """
    return conditional_autoencoder(kit, recipe, regularizers.free_bits(scope, reduce, form),
                                   prior, hidden, select='elbo')
