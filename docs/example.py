import sys

import torch
import variscope
from variscope.figures import summary
from variscope.inputs.images import open_images
from variscope.inputs.networks import convnet
from variscope.inputs.normalisation import MEAN, STD
from variscope.inputs.training import train

images = open_images({"kind": "photographs", "images_per_class": 24}, seed=1, folder=".")
torch.manual_seed(1)  # of the initial weights
model = convnet(num_classes=10)  # any nn.Module
train(model, images, mean=MEAN, std=STD, seed=1, epochs=10)  # or load what you trained
valid = images.ids("valid")
study = variscope.decompose(
    model,
    images.load(valid),  # (n, 3, H, W), uint8 or float32 in [0, 1]
    images.label[valid],  # (n,)
    variables=[
        "erasing",
        "rolling",
        "rotation",
        {"name": "gaussian_blur", "sigma": [0.1, 2.0]},
        {"name": "brightness", "factor": [0.5, 1.5]},
        {"name": "hue", "factor": [-0.1, 0.1]},
    ],
    layers=["stage1", "stage2", "stage3", "head", "logits"],
    blocks=256,
    seed=1,
    mean=MEAN,  # as in training
    std=STD,
)
picture = sys.argv[1] if len(sys.argv) > 1 else "summary.png"  # the path given, or here
summary(study).savefig(picture, dpi=150)
