"""Images and what is said of them: `data=digit_scenes`, `captions`. A batch: `PairBatch`, its source images [B, C, H, W]."""

from datamodules.captions.folder import CaptionFolder
from datamodules.captions.module import CaptionCorpus, CaptionData
from datamodules.captions.scenes import DigitScenes

__all__ = ["CaptionCorpus", "CaptionData", "CaptionFolder", "DigitScenes"]
