"""From a config to results: tables and rows, the runner, evaluation, result files."""
