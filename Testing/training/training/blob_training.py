"""A training configuration that learns the blobs in seconds, and augmentation that changes nothing."""

from unetseg.training.configuration import Augmentation, TrainingConfig

GENTLE = Augmentation(rotation_degrees=5, scale=1.1, contrast=0.1, brightness=0.05, gamma=1.1, noise=0.05)
SMALL = TrainingConfig(
    steps=160, batch_size=8, patch=(32, 32), base_width=4, depth=2, learning_rate=1e-2, ema=0.9, augmentation=GENTLE
)
NEUTRAL = Augmentation().scaled(0.0)
