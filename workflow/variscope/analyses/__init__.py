"""What is read out of the indices of a study."""
