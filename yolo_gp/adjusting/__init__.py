"""A cfg's own text made to say something else: classes, input size, anchors, any key."""
