"""A row's method on its kit."""
from vaebench import networks
from vaebench.errors import UserError
from vaebench.methods import find


def build(config, info, plan):
    """A row's `Method` on its kit.

    Args:
      config: the row's resolved config.
      info: the dataset's `info`.
      plan: a `core.Plan`.

    Returns:
      A `Method`.
    """
    entry = find(config['method'])
    if networks.TRACKS[info['kind']] not in entry.track:
        raise UserError(f"method {config['method']} is for {' and '.join(entry.track)}, dataset {info['name']} is "
                        f"{info['kind']}: choose other rows with --config.rows")
    try:
        return entry.factory(networks.build(info, config['kit']), plan, **config['options'])
    except TypeError as error:
        if 'argument' not in str(error):
            raise
        raise UserError(f"method {config['method']} or its kit: {error}; mend the row's options") from error
