"""Offline training of the LK-PAN encoder. Needs neither ROS nor FAISS nor lkpan_ros."""
