"""Works done on the workers of a cluster: which worker gets what, what is lost with one, and Ray as the way to them."""

from creativity_lens.cluster.ray import RayEngine, ray_engine, ray_model

__all__ = ["RayEngine", "ray_engine", "ray_model"]
