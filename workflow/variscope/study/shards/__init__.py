"""One shard of an evaluation: a file a way of keeping it, each with one function `store`."""
