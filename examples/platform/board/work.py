"""The work. `joblot worker board.work` calls it on any machine; it needs no Django."""

import os
import time

from joblot.worker import Output, work

MODEL_SECONDS = float(os.environ.get("MODEL_SECONDS", "0"))  # that a model takes for an image


def detect(image_url):
    """Stands for a model: one moth per image, and a file that can't be read."""
    time.sleep(MODEL_SECONDS)
    if image_url.endswith("-broken.jpg"):
        raise ValueError("failed to load image")
    return [{"bbox": {"x1": 0, "y1": 0, "x2": len(image_url), "y2": 8}}]


@work("moths")
def process(payload):
    detections = detect(payload["image_url"])
    return Output({"detections": detections}, metrics={"detections": len(detections)})


@work("save", whole_item=True)
def results(item):
    """The second stage gets the output of the first one as `input`."""
    return {"count": len(item.input["detections"])}
