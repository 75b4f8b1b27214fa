"""ROS 2 nodes that let a policy fly a robot: policy, safety, simulated robot, recorder."""
