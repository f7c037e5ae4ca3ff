"""The algorithm, free of ROS and of command lines."""
