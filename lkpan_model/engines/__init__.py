"""What runs the network: one engine a library, all held to the same descriptors."""
