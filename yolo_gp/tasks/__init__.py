"""What one does with a network: detect, measure accuracy, train; and the parts these share."""
