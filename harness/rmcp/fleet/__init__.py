"""Many machines: shards and the dask.distributed engine."""
