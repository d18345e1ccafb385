"""Many processes on one table: shards, workers of a machine, jobs of a cluster, their state."""
