"""What tables of one kind measure, column by column."""

TEXT = 'nll_iw', 'ess', 'ppl_iw', 'elbo', 'ppl_elbo', 'rec', 'kl', 'mi_full', 'au', 'cu'
MORE_TEXT = (
    'ppl_rec', 'nll_paper', 'ppl_paper', 'mi_32', 'mi_dual', 'cu_qp', 'prior_ll', 'post_ll',
    'bleu', 'rouge_interpolation', 'dis_1', 'dis_2', 'self_bleu_2', 'self_bleu_3', 'uni_kl',
    'entropy', 'avg_len', 'fluency', 'fluency_reverse')
PROBES = 'probe_100', 'probe_500', 'probe_1000', 'probe_2000', 'probe_10000'
"""Accuracy of a linear classifier of the codes, after so many labels."""

LIKELIHOODS = (
    'nll_iw', 'ess', 'elbo', 'rec', 'kl', 'mse', 'mi_full', 'au', 'cu', 'hsic', 'hsic_p')
SAMPLES = (
    'mse', 'rec', 'kl', 'frechet', 'frechet_floor', 'kmmd', 'kmmd_floor', 'precision', 'recall',
    'c2st', 'two_sample_p', 'class_score', 'class_kl', 'sharpness', 'path_ratio', 'class_error',
    'cluster_error', 'cluster_error_matched')
IMAGES = (*LIKELIHOODS, *(m for m in SAMPLES if m not in LIKELIHOODS))
POINTS = (
    'nll_iw', 'elbo', 'rec', 'kl', 'mse', 'w2', 'w2_floor', 'modes', 'modes_any',
    'high_quality', 'mode_kl', 'kmmd', 'kmmd_floor', 'precision', 'recall', 'c2st',
    'two_sample_p')
EMBEDDINGS = (
    'trust', 'knn_error', 'unroll_arclength', 'unroll_height', 'path_ratio', 'mse', 'kl')
