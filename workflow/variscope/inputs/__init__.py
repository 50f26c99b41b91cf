"""What a study looks at: images, models, layers, weights and training.

`images` and `datasets` import no torch, so that CPU-only stages may read image tables quickly.
"""
