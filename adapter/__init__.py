"""The method: towers, networks, affinities and the numbers that weigh them.

Tensors in, tensors out; this package knows no HTTP, no FAISS and no database.
Nothing heavy is imported here: import the module that is needed.
"""

__version__ = "0.1.0"
