"""The same two tasks done by this package and by its peers, side by side. Run it with `make bench-peers`.

`ours`, `plain`, `steering_vectors_side` and `repeng_side` are workers: programs that live as long as the measurement,
the last two in an environment of their own. They import `talk` and `meter` alone from here, and nothing of each other.
"""
