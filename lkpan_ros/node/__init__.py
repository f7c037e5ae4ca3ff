"""The ROS 2 room: the only place that imports rclpy, message packages and cv_bridge."""
