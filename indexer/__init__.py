"""From images to keys to indices, and the cache on disk that they can be rebuilt from.

Nothing heavy is imported here: import the module that is needed.
"""
