"""Two nodes of Ray on this machine, for tests that share them."""

from __future__ import annotations

import time
from functools import cache

from ray.cluster_utils import Cluster


@cache
def nodes() -> Cluster:
    """A cluster of a node with one processor and a node with three, to which this process is connected."""
    import ray

    started = time.perf_counter()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=3)
    ray.init(cluster.address, log_to_driver=False)
    print(f"\nTwo nodes of Ray took {time.perf_counter() - started:.1f} s to start")
    return cluster
