"""Families of methods: what each changes, in a word or two for the rows of a table."""

FAMILIES = {
    'floor': 'source copy random_target nearest_target gold random_response retrieval zero',
    'plain': 'vae ae dae denoising_ae lstm_lm seq2seq supervised_codes',
    'network': 'classifier regressor',
    'KL weight': ('anneal cost_anneal cyclical beta_vae capacity_vae control_vae '
                  'decreasing_beta'),
    'free bits': 'fb fb_max fbp pre_ae_fb',
    'first an AE': 'pre_ae_cyclical pre_ae_delta pre_ae_vmf pre_ae_bn',
    'inference': 'lagging sa_vae',
    'decoder': 'skip_vae bow_vae scnn_vae mcnn_vae lcnn_vae',
    'bound': 'iwae',
    'posterior': 'delta_vae bn_vae bn_vae_learnable twr twr_mean twr_sum',
    'geometry': 'vmf_vae p_vae apo_vae apo_vae_vp',
    'prior': 'flow_prior flow_prior_fb mog_vae mog_vae_fb vamp_vae vamp_vae_fb ae_gmm',
    'implicit': 'ivae ivae_mi',
    'aggregate': 'wae_gan wae_mmd wae_s dg_vae dg_vmf info_vae mmd_vae',
    'disentangled': 'beta_tcvae factor_vae dip_vae_i dip_vae_ii',
    'structured': 'axis_vae clustered_vae sparse_vae',
    'discrete': 'gavam davam davam_q',
    'conditional': 'cvae cvae_standard cvae_bow bn_cvae bn_cvae_learned cvae_fb',
    'style apart': ('john_dae john_vae john_vae_none john_vae_mul_s john_vae_adv_s '
                    'john_vae_mul_adv_s style_embedding multi_decoder arae_multi_decoder cae'),
    'pivot': 'bst_lite bst_lite_synthetic bst_lite_identity',
    'code map': ('vector_offset aae_offset daae_offset laae_offset fgim emb2emb emb2emb_fgim '
                 'emb2emb_supervised'),
    'pairs': 's2s_scratch s2s_pretrain s2s_mlp s2s_freeze',
    'adversarial': 'aae aae_supervised aae_semi aae_cluster aae_heads',
    'GAN': ('gan gan_minmax dcgan f_gan_kl f_gan_reverse_kl f_gan_pearson f_gan_hellinger '
            'f_gan_js f_gan_gan wgan wgan_gp lsgan infogan ge_gan'),
    'moved images': 'avt aet',
    'energy GAN': 'ebgan ebgan_pt began',
    'moments': 'gmmn gmmn_ae mmd_gan',
    'map': 'pca pca_codes kernel_pca isomap lle mlle laplacian tsne',
}
"""Family -> names of its methods in the registry, separated by spaces."""
FLOOR = 'floor'
"""The family of what no method can be better than."""
_OF = {method: family for family, methods in FAMILIES.items() for method in methods.split()}


def family(method: str) -> str:
    """Names the family of a method, '' of one that is not in the package.

    >>> family('fbp'), family('theirs')
    ('free bits', '')
    """
    return _OF.get(method, '')
