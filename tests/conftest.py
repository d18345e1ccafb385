"""Programs that tests compile are kept in pytest's cache folder: the next run takes half the time."""
import os


def pytest_configure(config):
    if 'JAX_COMPILATION_CACHE_DIR' not in os.environ and hasattr(config, 'cache'):
        os.environ['JAX_COMPILATION_CACHE_DIR'] = str(config.cache.mkdir('programs'))
        os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '.03')
