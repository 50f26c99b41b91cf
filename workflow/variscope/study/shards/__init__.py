"""One shard of an evaluation: one file per way of keeping it, each with one function `store`."""
