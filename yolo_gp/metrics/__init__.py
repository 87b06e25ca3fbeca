"""How good detections are: COCO's average precision, Darknet's, curves and confusion."""
